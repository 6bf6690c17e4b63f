//! Italian.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "it",
    rtl: false,
    numbers: Numbers { group: ".", grouping: Grouping::Thousands, decimal: ",", range: "–" },
    plural: Plural::Same,
    minutes: Forms::same(" minuti"),
    hours: Forms::same(" ore"),
    said: Sayings {
        before: Said("Non ancora aperto", "Può lasciare aperta questa pagina: proseguirà da sola all’apertura."),
        draw: Said(
            "In tempo per l’apertura",
            "All’apertura i posti saranno sorteggiati tra tutte le persone presenti. Arrivare prima non dà alcun vantaggio.",
        ),
        stub: Said("Un momento, per favore", "Le stiamo assegnando un posto in coda."),
        drawing: Said(
            "Sorteggio in corso",
            "Tutte le persone presenti prima dell’apertura hanno le stesse possibilità. Il suo posto apparirà qui tra un momento.",
        ),
        queued: Said(
            "È in coda",
            "In questo momento ci sono molte persone. Si entra a turno, e questa pagina la farà entrare quando toccherà a lei.",
        ),
        paused: Said(
            "La coda è in pausa",
            "Per il momento non entra nessuno. Non deve fare nulla: il suo posto è conservato.",
        ),
        sold_out: Said("Esaurito", "Ci dispiace: non è rimasto nulla. Se qualcosa tornerà disponibile, lo vedrà qui."),
        full: Said(
            "La coda è piena",
            "Le persone in attesa sono così tante che non è possibile assegnare altri posti. Questa pagina continua a provare per lei.",
        ),
        closed: Said("Chiuso", "Ci dispiace: non può entrare più nessuno. Grazie della visita."),
        admitted: Said("È il suo turno", "Grazie per l’attesa. Prego, entri!"),
        resend: Said(
            "È il suo turno",
            "Ciò che aveva inviato non è arrivato. Per favore, torni indietro e lo invii di nuovo.",
        ),
    },
    place: "Il suo posto in coda",
    wait: "Attesa stimata",
    stock: "Ancora disponibili",
    reference: "Riferimento per l’assistenza",
    opens: "Apre tra",
    not_known: "Non ancora nota",
    moment: "Meno di un minuto",
    units: ["g", "h", "min", "s"],
    check: "Controlla ora",
    go: "Continua",
    back: "Torna indietro",
    keep: "Può lasciare questa pagina in secondo piano, oppure chiuderla e tornare con questo browser: il suo posto è conservato.",
    refreshes: "Questa pagina si aggiorna da sola.",
    stop: "Ferma l’aggiornamento",
    stopped: "L’aggiornamento è fermo.",
    resume: "Riprendi l’aggiornamento",
    offline: "Al momento non c’è connessione. Continuiamo a provare.",
    cookies: "Consenta i cookie per questo sito: senza di essi il suo posto non può essere conservato.",
    progress: "Avanzamento nella coda",
};
