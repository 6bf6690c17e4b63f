//! Which language a visitor is spoken to in.

use super::words::{self, Words};

/// Bytes of Accept-Language that are read: browsers send some fifty.
const ACCEPT_MAX: usize = 1024;

/// A language that the page speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    #[default]
    English,
    German,
    French,
    Spanish,
    Italian,
    Portuguese,
    Dutch,
    Polish,
    Turkish,
    Arabic,
    Hebrew,
    Japanese,
    Chinese,
    ChineseTraditional,
    Korean,
    Hindi,
}

impl Language {
    /// Where the visitor names none that the page speaks.
    pub const DEFAULT: Self = Self::English;

    /// All of them, in the order of their values.
    pub const ALL: [Self; 16] = [
        Self::English,
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Italian,
        Self::Portuguese,
        Self::Dutch,
        Self::Polish,
        Self::Turkish,
        Self::Arabic,
        Self::Hebrew,
        Self::Japanese,
        Self::Chinese,
        Self::ChineseTraditional,
        Self::Korean,
        Self::Hindi,
    ];

    /// The one that the visitor likes best (Accept-Language, RFC 9110 §12.5.4), of all the field's
    /// lines: the highest quality, then the first named.
    pub fn of<'a>(accept_language: impl Iterator<Item = &'a str>) -> Self {
        let mut best: Option<(u16, Self)> = None;
        let mut left = ACCEPT_MAX;
        for line in accept_language {
            // Tags are ASCII: what is cut within a character is none.
            let read = line.get(..line.len().min(left)).unwrap_or_default();
            left -= read.len();
            for range in read.split(',') {
                let mut parts = range.split(';').map(str::trim);
                let language = parts.next().and_then(Self::tagged);
                let quality = parts.find_map(|p| p.strip_prefix("q=")).map_or(1000, thousandths);
                if let Some(language) = language
                    && quality > best.map_or(0, |(quality, _)| quality)
                {
                    best = Some((quality, language));
                }
            }
        }
        best.map_or(Self::DEFAULT, |(_, language)| language)
    }

    /// The language of a tag (BCP 47), whatever its region.
    pub fn tagged(tag: &str) -> Option<Self> {
        let mut subtags = tag.split('-');
        let primary = subtags.next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("zh") || primary.eq_ignore_ascii_case("cmn") {
            return Some(chinese(subtags));
        }
        // Old browsers still say iw for Hebrew.
        let primary = if primary.eq_ignore_ascii_case("iw") { "he" } else { primary };
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// Its tag (BCP 47).
    pub fn tag(self) -> &'static str {
        self.words().tag
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::English => &words::en::WORDS,
            Self::German => &words::de::WORDS,
            Self::French => &words::fr::WORDS,
            Self::Spanish => &words::es::WORDS,
            Self::Italian => &words::it::WORDS,
            Self::Portuguese => &words::pt::WORDS,
            Self::Dutch => &words::nl::WORDS,
            Self::Polish => &words::pl::WORDS,
            Self::Turkish => &words::tr::WORDS,
            Self::Arabic => &words::ar::WORDS,
            Self::Hebrew => &words::he::WORDS,
            Self::Japanese => &words::ja::WORDS,
            Self::Chinese => &words::zh::WORDS,
            Self::ChineseTraditional => &words::zh_hant::WORDS,
            Self::Korean => &words::ko::WORDS,
            Self::Hindi => &words::hi::WORDS,
        }
    }
}

/// Which script: as named, else as the region writes.
fn chinese<'a>(mut subtags: impl Iterator<Item = &'a str>) -> Language {
    let is = |subtag: &str, one_of: &[&str]| one_of.iter().any(|s| s.eq_ignore_ascii_case(subtag));
    let telling = subtags.find(|s| is(s, &["Hans", "Hant", "TW", "HK", "MO"]));
    match telling {
        Some(subtag) if !is(subtag, &["Hans"]) => Language::ChineseTraditional,
        _ => Language::Chinese,
    }
}

/// A quality value (RFC 9110 §12.4.2) in thousandths; what is no number counts as 1.
fn thousandths(quality: &str) -> u16 {
    let value: f32 = quality.parse().unwrap_or(1.0);
    // In 0..=1000, so the cast can't wrap.
    (value.clamp(0.0, 1.0) * 1000.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(field: &str) -> Language {
        Language::of([field].into_iter())
    }

    #[test]
    fn the_language_liked_best_is_spoken() {
        assert_eq!(of("de-CH, de;q=0.9, en;q=0.8"), Language::German);
        assert_eq!(of("sv, en;q=0.5, fr;q=0.7"), Language::French);
        assert_eq!(of("en;q=0, he"), Language::Hebrew);
        assert_eq!(of("PT-br"), Language::Portuguese);
        assert_eq!(of("iw"), Language::Hebrew);
        assert_eq!(Language::of(["sv", "ja;q=0.1"].into_iter()), Language::Japanese);
    }

    #[test]
    fn chinese_is_written_as_where_the_visitor_is() {
        assert_eq!(of("zh"), Language::Chinese);
        assert_eq!(of("zh-CN"), Language::Chinese);
        assert_eq!(of("zh-TW,zh;q=0.9"), Language::ChineseTraditional);
        assert_eq!(of("zh-Hant-HK"), Language::ChineseTraditional);
        assert_eq!(of("zh-Hans-HK"), Language::Chinese);
    }

    #[test]
    fn without_one_that_is_known_it_is_english() {
        for field in ["", "*", "sv", ";;,,", "de;q=0", "d\u{e9}", "qqq;q=x"] {
            assert_eq!(of(field), Language::English, "{field}");
        }
        // A German beyond the bound is not read.
        assert_eq!(of(&format!("{}de", "sv,".repeat(400))), Language::English);
    }

    #[test]
    fn each_has_its_own_tag_and_place() {
        for (at, language) in Language::ALL.into_iter().enumerate() {
            assert_eq!(language as usize, at);
            assert_eq!(Language::tagged(language.tag()), Some(language));
        }
    }
}
