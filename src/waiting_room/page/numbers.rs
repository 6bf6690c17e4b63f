//! Numbers and waits as a language writes them; the page's script writes them the same.

use std::time::Duration;

use super::words::Words;

/// From so long a wait on, it is told in half hours.
const HOURS_FROM_S: u64 = 5400;

/// How a language writes numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// Between groups of digits.
    pub group: &'static str,
    pub grouping: Grouping,
    /// Before a fraction.
    pub decimal: &'static str,
    /// Between the ends of a range.
    pub range: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// 1,234,567.
    Thousands,
    /// The same, but 1234.
    FromFive,
    /// 12,34,567.
    Indian,
}

/// A unit's name with the space before it, if any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forms {
    /// What [`Plural`] calls few.
    pub few: &'static str,
    pub other: &'static str,
}

/// Which form follows a number (Unicode CLDR). A range's is that of its end, and one never stands
/// there: so no language here needs more than two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plural {
    /// One form.
    Same,
    /// Few: 2 to 4, 22 to 24 and so on, and fractions.
    Polish,
    /// Few: 3 to 10, 103 to 110 and so on.
    Arabic,
}

/// A wait as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    LessThanAMinute,
    Minutes(u64, u64),
    HalfHours(u64, u64),
}

impl Grouping {
    /// Digits from which there are groups, and whether they are of two.
    pub const fn for_script(self) -> (usize, bool) {
        match self {
            Self::Thousands => (4, false),
            Self::FromFive => (5, false),
            Self::Indian => (4, true),
        }
    }
}

impl Forms {
    pub const fn same(text: &'static str) -> Self {
        Self { few: text, other: text }
    }

    fn after(self, halves: u64, plural: Plural) -> &'static str {
        let whole = halves / 2;
        let few = match plural {
            Plural::Same => false,
            Plural::Polish if halves % 2 == 1 => true,
            Plural::Polish => matches!(whole % 10, 2..=4) && !matches!(whole % 100, 12..=14),
            Plural::Arabic => halves.is_multiple_of(2) && matches!(whole % 100, 3..=10),
        };
        if few { self.few } else { self.other }
    }
}

impl Wait {
    /// At least and at most: rounded down, and up.
    pub fn of((low, high): (Duration, Duration)) -> Self {
        let (low, high) = (low.as_secs(), seconds_up(high));
        if high <= 60 {
            return Self::LessThanAMinute;
        }
        if high <= HOURS_FROM_S {
            let high = high.div_ceil(60);
            return Self::Minutes((low / 60).clamp(1, high), high);
        }
        let high = high.div_ceil(1800);
        Self::HalfHours((low / 1800).clamp(1, high), high)
    }
}

/// In digits alone.
pub(super) fn put(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// In groups of digits.
pub(super) fn put_grouped(number: u64, numbers: Numbers, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    let (from, indian) = numbers.grouping.for_script();
    for (at, digit) in digits.iter().enumerate() {
        let left = digits.len() - at;
        let border = if indian { left == 3 || left > 3 && left % 2 == 1 } else { left.is_multiple_of(3) };
        if at > 0 && border && digits.len() >= from {
            out.extend_from_slice(numbers.group.as_bytes());
        }
        out.push(*digit);
    }
}

/// As a range with its unit.
pub(super) fn put_wait(wait: Wait, words: &Words, out: &mut Vec<u8>) {
    let (low, high, forms) = match wait {
        Wait::LessThanAMinute => return out.extend_from_slice(words.moment.as_bytes()),
        Wait::Minutes(low, high) => (2 * low, 2 * high, words.minutes),
        Wait::HalfHours(low, high) => (low, high, words.hours),
    };
    if low < high {
        put_halves(low, words.numbers, out);
        out.extend_from_slice(words.numbers.range.as_bytes());
    }
    put_halves(high, words.numbers, out);
    out.extend_from_slice(forms.after(high, words.plural).as_bytes());
}

/// As a JSON object: whole seconds, down and up.
pub(super) fn put_range((low, high): (Duration, Duration), out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"low\":");
    put(low.as_secs(), out);
    out.extend_from_slice(b",\"high\":");
    put(seconds_up(high), out);
    out.push(b'}');
}

fn put_halves(halves: u64, numbers: Numbers, out: &mut Vec<u8>) {
    put(halves / 2, out);
    if halves % 2 == 1 {
        out.extend_from_slice(numbers.decimal.as_bytes());
        out.push(b'5');
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::super::language::Language;
    use super::*;

    fn grouped(number: u64, language: Language) -> String {
        let mut out = Vec::new();
        put_grouped(number, language.words().numbers, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn told(low_s: u64, high_s: u64, language: Language) -> String {
        let mut out = Vec::new();
        let wait = Wait::of((Duration::from_secs(low_s), Duration::from_secs(high_s)));
        put_wait(wait, language.words(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn digits_are_grouped_as_the_language_does() {
        assert_eq!(grouped(999, Language::English), "999");
        assert_eq!(grouped(1_234_567, Language::English), "1,234,567");
        assert_eq!(grouped(1234, Language::German), "1.234");
        assert_eq!(grouped(1234, Language::Spanish), "1234");
        assert_eq!(grouped(12_345, Language::Spanish), "12.345");
        assert_eq!(grouped(12_345, Language::Polish), "12\u{a0}345");
        assert_eq!(grouped(12_345, Language::French), "12\u{202f}345");
        assert_eq!(grouped(1_234_567, Language::Hindi), "12,34,567");
        assert_eq!(grouped(123_456, Language::Hindi), "1,23,456");
    }

    #[test]
    fn a_wait_is_a_range_in_the_forms_of_the_language() {
        assert_eq!(told(20, 60, Language::English), "Less than a minute");
        assert_eq!(told(20, 61, Language::English), "1–2 minutes");
        assert_eq!(told(600, 901, Language::English), "10–16 minutes");
        assert_eq!(told(300, 300, Language::English), "5 minutes");
        assert_eq!(told(4320, 6751, Language::English), "1–2 hours");
        assert_eq!(told(5400, 8100, Language::German), "1,5–2,5 Stunden");
        assert_eq!(told(600, 901, Language::Japanese), "10～16分");
        assert_eq!(told(120, 240, Language::Polish), "2–4 minuty");
        assert_eq!(told(600, 720, Language::Polish), "10–12 minut");
        assert_eq!(told(1200, 1320, Language::Polish), "20–22 minuty");
        assert_eq!(told(5400, 9000, Language::Polish), "1,5–2,5 godziny");
        assert_eq!(told(14_400, 18_000, Language::Polish), "4–5 godzin");
        assert_eq!(told(120, 240, Language::Arabic), "2 إلى 4 دقائق");
        assert_eq!(told(600, 900, Language::Arabic), "10 إلى 15 دقيقة");
        assert_eq!(told(60, 120, Language::Arabic), "1 إلى 2 دقيقة");
        assert_eq!(told(600, 900, Language::Hebrew), "10 עד 15 דקות");
    }

    #[test]
    fn no_wait_is_too_long_or_upside_down() {
        assert_eq!(Wait::of((Duration::MAX, Duration::MAX)), Wait::HalfHours(u64::MAX / 1800, u64::MAX / 1800 + 1));
        assert_eq!(Wait::of((Duration::from_secs(900), Duration::from_secs(600))), Wait::Minutes(10, 10));
    }
}
