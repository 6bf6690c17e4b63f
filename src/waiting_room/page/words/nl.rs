//! Dutch.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "nl",
    rtl: false,
    numbers: Numbers { group: ".", grouping: Grouping::Thousands, decimal: ",", range: "–" },
    plural: Plural::Same,
    minutes: Forms::same(" minuten"),
    hours: Forms::same(" uur"),
    said: Sayings {
        before: Said("Nog niet open", "U kunt deze pagina open laten staan: zodra het begint, gaat u vanzelf verder."),
        draw: Said(
            "U bent op tijd",
            "Bij de opening worden de plaatsen verloot onder iedereen die er is. Eerder komen geeft geen voordeel.",
        ),
        stub: Said("Een ogenblik geduld", "We regelen een plaats in de wachtrij voor u."),
        drawing: Said(
            "Uw plaats wordt verloot",
            "Iedereen die er vóór de opening was, heeft dezelfde kans. Uw plaats verschijnt hier zo meteen.",
        ),
        queued: Said(
            "U staat in de wachtrij",
            "Er zijn nu heel veel mensen. Iedereen komt om de beurt binnen; bent u aan de beurt, dan brengt deze pagina u verder.",
        ),
        paused: Said(
            "De wachtrij staat stil",
            "Er wordt even niemand binnengelaten. U hoeft niets te doen: uw plaats blijft bewaard.",
        ),
        sold_out: Said("Uitverkocht", "Het spijt ons: er is niets meer. Komt er weer iets vrij, dan ziet u het hier."),
        full: Said(
            "De wachtrij is vol",
            "Er wachten zoveel mensen dat er geen plaatsen meer te geven zijn. Deze pagina blijft het voor u proberen.",
        ),
        closed: Said("Gesloten", "Het spijt ons: er wordt niemand meer binnengelaten. Bedankt voor uw komst."),
        admitted: Said("U bent aan de beurt", "Bedankt voor het wachten. Welkom!"),
        resend: Said(
            "U bent aan de beurt",
            "Wat u eerder verstuurde, is niet aangekomen. Ga terug en verstuur het nog eens.",
        ),
    },
    place: "Uw plaats in de rij",
    wait: "Geschatte wachttijd",
    stock: "Nog beschikbaar",
    reference: "Referentie voor de helpdesk",
    opens: "Opent over",
    not_known: "Nog niet bekend",
    moment: "Minder dan een minuut",
    units: ["d", "u", "min", "s"],
    check: "Nu kijken",
    go: "Verder",
    back: "Terug",
    keep: "U kunt deze pagina op de achtergrond zetten, of sluiten en in deze browser terugkomen: uw plaats blijft bewaard.",
    refreshes: "Deze pagina ververst zichzelf.",
    stop: "Verversen stoppen",
    stopped: "Het verversen is gestopt.",
    resume: "Weer vanzelf verversen",
    offline: "Even geen verbinding. We blijven het proberen.",
    cookies: "Sta cookies toe voor deze site: zonder cookies kan uw plaats niet worden bewaard.",
    progress: "Voortgang in de rij",
};
