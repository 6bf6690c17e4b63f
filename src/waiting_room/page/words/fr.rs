//! French.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "fr",
    rtl: false,
    numbers: Numbers { group: "\u{202f}", grouping: Grouping::Thousands, decimal: ",", range: "–" },
    plural: Plural::Same,
    minutes: Forms::same(" minutes"),
    hours: Forms::same(" heures"),
    said: Sayings {
        before: Said(
            "Pas encore ouvert",
            "Vous pouvez laisser cette page ouverte\u{a0}: elle vous fera avancer dès l’ouverture.",
        ),
        draw: Said(
            "Vous êtes là à temps",
            "À l’ouverture, les places seront tirées au sort entre toutes les personnes présentes. Être là plus tôt ne donne aucun avantage.",
        ),
        stub: Said("Un instant, s’il vous plaît", "Nous vous attribuons une place dans la file."),
        drawing: Said(
            "Tirage au sort en cours",
            "Toutes les personnes présentes avant l’ouverture ont la même chance. Votre place s’affichera ici dans un instant.",
        ),
        queued: Said(
            "Vous êtes dans la file",
            "Il y a beaucoup de monde en ce moment. Chacun entre à son tour, et cette page vous fera entrer quand ce sera le vôtre.",
        ),
        paused: Said(
            "La file est en pause",
            "Personne n’entre pour le moment. Vous n’avez rien à faire\u{a0}: votre place est conservée.",
        ),
        sold_out: Said(
            "Tout est vendu",
            "Nous sommes désolés\u{a0}: il ne reste plus rien. Si quelque chose se libère, vous le verrez ici.",
        ),
        full: Said(
            "La file est pleine",
            "Il y a tant de monde qu’aucune place ne peut plus être attribuée. Cette page continue d’essayer pour vous.",
        ),
        closed: Said("Fermé", "Nous sommes désolés\u{a0}: plus personne ne peut entrer. Merci de votre visite."),
        admitted: Said("C’est votre tour", "Merci de votre patience. Bienvenue\u{202f}!"),
        resend: Said(
            "C’est votre tour",
            "Ce que vous aviez envoyé ne nous est pas parvenu. Veuillez revenir en arrière et l’envoyer de nouveau.",
        ),
    },
    place: "Votre place dans la file",
    wait: "Attente estimée",
    stock: "Stock restant",
    reference: "Référence pour l’assistance",
    opens: "Ouverture dans",
    not_known: "Pas encore connue",
    moment: "Moins d’une minute",
    units: ["j", "h", "min", "s"],
    check: "Vérifier maintenant",
    go: "Continuer",
    back: "Revenir en arrière",
    keep: "Vous pouvez laisser cette page à l’arrière-plan, ou la fermer et revenir avec ce navigateur\u{a0}: votre place est conservée.",
    refreshes: "Cette page s’actualise toute seule.",
    stop: "Arrêter l’actualisation",
    stopped: "L’actualisation est arrêtée.",
    resume: "Reprendre l’actualisation",
    offline: "Pas de connexion pour le moment. Nous réessayons.",
    cookies: "Veuillez autoriser les cookies pour ce site\u{a0}: sans eux, votre place ne peut pas être conservée.",
    progress: "Progression dans la file",
};
