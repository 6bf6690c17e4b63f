//! Polish.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "pl",
    rtl: false,
    numbers: Numbers { group: "\u{a0}", grouping: Grouping::FromFive, decimal: ",", range: "–" },
    plural: Plural::Polish,
    minutes: Forms { few: " minuty", other: " minut" },
    hours: Forms { few: " godziny", other: " godzin" },
    said: Sayings {
        before: Said(
            "Jeszcze przed otwarciem",
            "Możesz zostawić tę stronę otwartą: w chwili otwarcia sama przejdzie dalej.",
        ),
        draw: Said(
            "Jesteś na czas",
            "W chwili otwarcia miejsca zostaną rozlosowane wśród wszystkich obecnych. Wcześniejsze przyjście nie daje przewagi.",
        ),
        stub: Said("Chwileczkę", "Przydzielamy Ci miejsce w kolejce."),
        drawing: Said(
            "Trwa losowanie miejsca",
            "Wszyscy obecni przed otwarciem mają równe szanse. Twoje miejsce pojawi się tu za chwilę.",
        ),
        queued: Said(
            "Jesteś w kolejce",
            "W tej chwili jest tu bardzo dużo osób. Wszyscy wchodzą po kolei, a ta strona wpuści Cię, gdy nadejdzie Twoja kolej.",
        ),
        paused: Said(
            "Kolejka jest wstrzymana",
            "Przez chwilę nikt nie jest wpuszczany. Nie musisz nic robić: Twoje miejsce jest zachowane.",
        ),
        sold_out: Said("Wyprzedane", "Przykro nam: nic już nie zostało. Jeśli coś się zwolni, zobaczysz to tutaj."),
        full: Said(
            "Kolejka jest pełna",
            "Czeka tak wiele osób, że nie można przydzielić kolejnych miejsc. Ta strona nadal próbuje w Twoim imieniu.",
        ),
        closed: Said("Zamknięte", "Przykro nam: nikt więcej nie może już wejść. Dziękujemy za wizytę."),
        admitted: Said("Twoja kolej", "Dziękujemy za cierpliwość. Zapraszamy!"),
        resend: Said("Twoja kolej", "To, co zostało wysłane wcześniej, nie dotarło. Wróć i wyślij to ponownie."),
    },
    place: "Twoje miejsce w kolejce",
    wait: "Szacowany czas oczekiwania",
    stock: "Jeszcze dostępne",
    reference: "Numer dla działu pomocy",
    opens: "Otwarcie za",
    not_known: "Jeszcze nieznany",
    moment: "Mniej niż minuta",
    units: ["d", "godz.", "min", "s"],
    check: "Sprawdź teraz",
    go: "Dalej",
    back: "Wróć",
    keep: "Możesz zostawić tę stronę w tle albo zamknąć ją i wrócić w tej przeglądarce: Twoje miejsce jest zachowane.",
    refreshes: "Ta strona odświeża się sama.",
    stop: "Zatrzymaj odświeżanie",
    stopped: "Odświeżanie jest zatrzymane.",
    resume: "Wznów odświeżanie",
    offline: "Chwilowo brak połączenia. Próbujemy dalej.",
    cookies: "Zezwól tej witrynie na pliki cookie: bez nich nie można zachować Twojego miejsca.",
    progress: "Postęp w kolejce",
};
