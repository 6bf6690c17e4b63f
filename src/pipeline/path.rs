//! One spelling for every path: what routes are matched on.
//!
//! `/cart`, `/%63art`, `//cart` and `/x/../cart` are one page to most origins, so a guard on
//! `/cart` must see them as one. The path is decoded once, doubled slashes and dot segments are
//! resolved (RFC 3986 §5.2.4), parameters of a segment (`/cart;v=1`, §3.3) left out: some origins drop
//! them before they look where a path leads. What would be ambiguous afterwards is refused. The origin still gets
//! the path as it came.

use std::borrow::Cow;

/// A path whose meaning can't be told: broken percent-encoding, an encoded control character, a
/// backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path is malformed or ambiguous")]
pub struct AmbiguousPath;

/// The one spelling of a path, which begins with `/`. Encoded slashes and what is not ASCII stay
/// encoded, with capital digits.
///
/// # Errors
/// [`AmbiguousPath`], for which the request is refused with a 400.
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, AmbiguousPath> {
    if is_plain(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    resolve(&decode(raw)?).map(Cow::Owned)
}

/// Whether a path is its own one spelling: nearly all are.
fn is_plain(raw: &str) -> bool {
    let mut last = 0;
    for byte in raw.bytes() {
        if matches!(byte, b'%' | b'\\' | b';') || (last == b'/' && (byte == b'/' || byte == b'.')) {
            return false;
        }
        last = byte;
    }
    raw.starts_with('/')
}

fn decode(raw: &str) -> Result<String, AmbiguousPath> {
    let mut out = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if byte == b'\\' || !byte.is_ascii_graphic() {
                return Err(AmbiguousPath);
            }
            out.push(char::from(byte));
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).ok_or(AmbiguousPath);
        let value = u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).map_err(|_| AmbiguousPath)?;
        match value {
            0..=0x1f | 0x7f | b'\\' => return Err(AmbiguousPath),
            b'/' | b'?' | b'#' | b';' | b' ' | 0x80.. => {
                out.push_str(&format!("%{value:02X}"));
            }
            // A literal percent sign must not begin a new escape that someone decodes again.
            b'%' => out.push_str("%25"),
            _ => out.push(char::from(value)),
        }
    }
    Ok(out)
}

fn resolve(path: &str) -> Result<String, AmbiguousPath> {
    let mut segments: Vec<&str> = Vec::new();
    let rest = path.strip_prefix('/').ok_or(AmbiguousPath)?;
    let mut directory = false;
    for segment in rest.split('/').map(|segment| segment.split(';').next().unwrap_or_default()) {
        directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if directory || out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(raw: &str) -> Option<String> {
        normalise(raw).ok().map(Cow::into_owned)
    }

    #[test]
    fn every_spelling_of_a_path_is_one() {
        for raw in [
            "/cart",
            "//cart",
            "/./cart",
            "/x/../cart",
            "/%63art",
            "/%63%61rt",
            "/x/%2e%2e/cart",
            "/../cart",
            "/cart;v=1",
            "/;x/cart",
            "/x/..;/cart",
        ] {
            assert_eq!(one(raw).as_deref(), Some("/cart"), "{raw}");
        }
        assert_eq!(one("/").as_deref(), Some("/"));
        assert_eq!(one("/a/..").as_deref(), Some("/"));
        assert_eq!(one("/a/").as_deref(), Some("/a/"));
        assert_eq!(one("/a/b/..").as_deref(), Some("/a/"));
    }

    #[test]
    fn an_encoded_slash_stays_apart_from_a_slash() {
        assert_eq!(one("/a%2fb").as_deref(), Some("/a%2Fb"));
        assert_eq!(one("/100%25").as_deref(), Some("/100%25"));
        assert_eq!(one("/caf%c3%a9").as_deref(), Some("/caf%C3%A9"));
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for raw in ["/%", "/%2", "/%zz", "/%00", "/%0a", "/a\\b", "/%5c", "cart", ""] {
            assert_eq!(normalise(raw), Err(AmbiguousPath), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(raw in "/[a-c./%25e;]{0,24}") {
            if let Some(once) = one(&raw) {
                prop_assert_eq!(one(&once), Some(once.clone()));
                prop_assert!(!once.contains("//") && !once.split('/').any(|s| s == ".."));
            }
        }
    }
}
