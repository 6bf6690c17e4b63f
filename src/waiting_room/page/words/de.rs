//! German.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "de",
    rtl: false,
    numbers: Numbers { group: ".", grouping: Grouping::Thousands, decimal: ",", range: "–" },
    plural: Plural::Same,
    minutes: Forms::same(" Minuten"),
    hours: Forms::same(" Stunden"),
    said: Sayings {
        before: Said(
            "Noch nicht geöffnet",
            "Sie können diese Seite offen lassen: Sobald es losgeht, bringt sie Sie weiter.",
        ),
        draw: Said(
            "Sie sind rechtzeitig da",
            "Sobald geöffnet wird, werden die Plätze unter allen Anwesenden ausgelost. Wer früher gekommen ist, hat keinen Vorteil.",
        ),
        stub: Said("Einen Moment bitte", "Wir besorgen Ihnen einen Platz in der Warteschlange."),
        drawing: Said(
            "Ihr Platz wird ausgelost",
            "Alle, die vor der Öffnung da waren, haben die gleiche Chance. Ihr Platz erscheint gleich hier.",
        ),
        queued: Said(
            "Sie stehen in der Warteschlange",
            "Gerade sind sehr viele Menschen hier. Alle kommen der Reihe nach hinein; sobald Sie dran sind, bringt diese Seite Sie weiter.",
        ),
        paused: Said(
            "Die Warteschlange ruht",
            "Im Moment wird niemand eingelassen. Sie müssen nichts tun: Ihr Platz bleibt erhalten.",
        ),
        sold_out: Said(
            "Ausverkauft",
            "Es tut uns leid: Es ist nichts mehr übrig. Falls wieder etwas frei wird, sehen Sie es hier.",
        ),
        full: Said(
            "Die Warteschlange ist voll",
            "Es warten so viele Menschen, dass keine weiteren Plätze vergeben werden können. Diese Seite versucht es weiter für Sie.",
        ),
        closed: Said("Geschlossen", "Es tut uns leid: Es wird niemand mehr eingelassen. Danke, dass Sie da waren."),
        admitted: Said("Sie sind an der Reihe", "Danke für Ihre Geduld. Herzlich willkommen!"),
        resend: Said(
            "Sie sind an der Reihe",
            "Was Sie vorhin abgeschickt haben, ist nicht angekommen. Bitte gehen Sie zurück und senden Sie es noch einmal.",
        ),
    },
    place: "Ihr Platz in der Schlange",
    wait: "Voraussichtliche Wartezeit",
    stock: "Noch verfügbar",
    reference: "Referenz für Rückfragen",
    opens: "Öffnet in",
    not_known: "Noch nicht bekannt",
    moment: "Weniger als eine Minute",
    units: ["Tg.", "Std.", "Min.", "Sek."],
    check: "Jetzt nachsehen",
    go: "Weiter",
    back: "Zurück",
    keep: "Sie können diese Seite in den Hintergrund legen oder schließen und in diesem Browser wiederkommen: Ihr Platz bleibt erhalten.",
    refreshes: "Diese Seite aktualisiert sich von selbst.",
    stop: "Aktualisierung anhalten",
    stopped: "Die Aktualisierung ist angehalten.",
    resume: "Wieder von selbst aktualisieren",
    offline: "Gerade keine Verbindung. Wir versuchen es weiter.",
    cookies: "Bitte erlauben Sie Cookies für diese Website: Ohne sie kann Ihr Platz nicht erhalten bleiben.",
    progress: "Fortschritt in der Schlange",
};
