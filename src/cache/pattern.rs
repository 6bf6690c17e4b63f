//! Patterns for names: `*` stands for anything, also nothing; all else for itself.

/// Whether the whole of `text` is what `pattern` says. Case counts.
///
/// Linear in the text for each star and never worse than their product: a pattern comes from the
/// policy, but the text from anyone.
pub fn matches(pattern: &str, text: &[u8]) -> bool {
    let mut pattern = pattern.as_bytes();
    let mut text = text;
    // Where to go on if what follows the last star does not fit: one byte further on.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, text));
                pattern = rest;
            }
            (Some((p, pattern_rest)), Some((t, text_rest))) if p == t => {
                pattern = pattern_rest;
                text = text_rest;
            }
            (None, None) => return true,
            _ => {
                let Some((after_star, tried)) = retry else { return false };
                let Some((_, next)) = tried.split_first() else { return false };
                retry = Some((after_star, next));
                pattern = after_star;
                text = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_anywhere() {
        for (pattern, text, expected) in [
            ("utm_*", "utm_source", true),
            ("utm_*", "utm_", true),
            ("utm_*", "utm", false),
            ("fbclid", "fbclid", true),
            ("fbclid", "fbclid2", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*_id", "user_id_id", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbY", false),
            ("**x", "x", true),
            ("Ga", "ga", false),
        ] {
            assert_eq!(matches(pattern, text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_text_made_to_be_slow_is_not() {
        let text = vec![b'a'; 20_000];
        assert!(!matches("a*a*a*a*b", &text));
    }
}
