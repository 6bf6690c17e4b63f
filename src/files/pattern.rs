//! Patterns for the names of files: `*` stands for any text, `?` for one character.

/// Whether the whole of `text` is what `pattern` says. Never worse than the product of their lengths: on a
/// mismatch only the last star need take more.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut retry = None;
    loop {
        let mut after = pattern.clone();
        let wanted = after.next();
        if wanted == Some('*') {
            pattern = after;
            retry = Some((pattern.clone(), text.clone()));
            continue;
        }
        match (wanted, text.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => pattern = after,
            // Out of text: taking more only makes it shorter.
            (Some(_), None) => return false,
            (_, Some(_)) => {
                let Some((after_star, mut from)) = retry else { return false };
                from.next();
                (pattern, text) = (after_star.clone(), from.clone());
                retry = Some((after_star, from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        for (pattern, text, expected) in [
            ("*.????????.*", "app.3f2a9c1b.js", true),
            ("*.????????.*", "app.3f2a9c1b.js.map", true),
            ("*.????????.*", "app.3f2a9c1.js", false),
            ("*.????????.*", "app.js", false),
            ("*.php", ".php", true),
            ("*.php", "a.phps", false),
            (".*", ".env", true),
            (".*", "a.env", false),
            ("?", "é", true),
            ("?", "", false),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "aXbYbZc", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_name_made_to_be_slow_is_not() {
        assert!(!matches("*a*a*a*a*b", &"a".repeat(20_000)));
    }
}
