//! What the page says, language by language.
//!
//! The words are chosen so that few plurals are needed and nobody's gender is. They go into HTML
//! and JSON as they are: a test holds them to characters that mean nothing there.

use super::numbers::{Forms, Numbers, Plural};

pub(super) mod ar;
pub(super) mod de;
pub(super) mod en;
pub(super) mod es;
pub(super) mod fr;
pub(super) mod he;
pub(super) mod hi;
pub(super) mod it;
pub(super) mod ja;
pub(super) mod ko;
pub(super) mod nl;
pub(super) mod pl;
pub(super) mod pt;
pub(super) mod tr;
pub(super) mod zh;
pub(super) mod zh_hant;

/// One language.
#[derive(Debug)]
pub(super) struct Words {
    /// BCP 47.
    pub tag: &'static str,
    /// Written from right to left.
    pub rtl: bool,
    pub numbers: Numbers,
    pub plural: Plural,
    pub minutes: Forms,
    pub hours: Forms,
    pub said: Sayings,
    /// Over the position.
    pub place: &'static str,
    /// Over the estimate.
    pub wait: &'static str,
    /// Over what is left.
    pub stock: &'static str,
    /// Before the reference.
    pub reference: &'static str,
    /// Over the countdown.
    pub opens: &'static str,
    /// Of a wait.
    pub not_known: &'static str,
    /// A wait of at most sixty seconds.
    pub moment: &'static str,
    /// Under the countdown's numbers: days, hours, minutes, seconds; short, so that they have no plural.
    pub units: [&'static str; 4],
    /// A link: ask again.
    pub check: &'static str,
    /// A link: come in.
    pub go: &'static str,
    /// A link: to the page before.
    pub back: &'static str,
    pub keep: &'static str,
    /// Without scripts: that the page refreshes by itself, and the link that stops it.
    pub refreshes: &'static str,
    pub stop: &'static str,
    /// Stopped: that it does not, and the link that starts it.
    pub stopped: &'static str,
    pub resume: &'static str,
    pub offline: &'static str,
    pub cookies: &'static str,
    /// Names the progress bar.
    pub progress: &'static str,
}

impl Words {
    /// As HTML's `dir` has it.
    pub const fn direction(&self) -> &'static str {
        if self.rtl { "rtl" } else { "ltr" }
    }
}

/// What is said in each of the page's situations.
#[derive(Debug)]
pub(super) struct Sayings {
    pub before: Said,
    pub draw: Said,
    pub stub: Said,
    pub drawing: Said,
    pub queued: Said,
    pub paused: Said,
    pub sold_out: Said,
    pub full: Said,
    pub closed: Said,
    pub admitted: Said,
    pub resend: Said,
}

/// A heading and a sentence or two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said(pub &'static str, pub &'static str);

#[cfg(test)]
mod tests {
    use super::super::language::Language;
    use super::*;

    fn texts(words: &Words) -> Vec<&'static str> {
        let said = &words.said;
        let said = [
            said.before,
            said.draw,
            said.stub,
            said.drawing,
            said.queued,
            said.paused,
            said.sold_out,
            said.full,
            said.closed,
            said.admitted,
            said.resend,
        ];
        let mut texts: Vec<&str> = said.iter().flat_map(|Said(heading, text)| [*heading, *text]).collect();
        texts.extend([words.place, words.wait, words.stock, words.reference, words.opens, words.not_known]);
        texts.extend([words.moment, words.check, words.go, words.back, words.keep, words.refreshes, words.stop]);
        texts.extend([words.stopped, words.resume, words.offline, words.cookies, words.progress]);
        texts.extend([words.minutes.few, words.minutes.other, words.hours.few, words.hours.other]);
        texts.extend(words.units);
        texts
    }

    #[test]
    fn words_mean_nothing_to_html_and_json() {
        for language in Language::ALL {
            let words = language.words();
            let numbers = words.numbers;
            for text in texts(words).into_iter().chain([words.tag, numbers.group, numbers.decimal, numbers.range]) {
                let odd = ['<', '>', '&', '"', '\'', '\\'];
                assert!(!text.is_empty() && !text.contains(odd) && !text.contains(char::is_control), "{text}");
            }
        }
    }

    #[test]
    fn no_sentence_is_still_english() {
        let english = texts(Language::English.words());
        for language in Language::ALL.into_iter().filter(|language| *language != Language::English) {
            let same = |text: &&str| text.len() > 9 && english.contains(text);
            assert_eq!(texts(language.words()).into_iter().find(same), None, "{language:?}");
        }
    }
}
