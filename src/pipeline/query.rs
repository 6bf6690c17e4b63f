//! A query's parameters, as forms send them: `name=value`, joined by `&`.

use std::borrow::Cow;

use crate::clients;
use crate::waiting_room::{invitation, page};

/// The parameters that are between the visitor and Seawall.
const OURS: [&str; 3] = [clients::PARAMETER, invitation::PARAMETER, page::REFRESH];

/// Every parameter as it came: name and value, still encoded. An empty one is none.
pub fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, "")))
}

/// The value, still encoded, of the first parameter of that name. Names compare decoded, so that an
/// encoded letter hides none.
pub fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    parameters(query).find(|(n, _)| decoded(n.as_bytes()).eq(name.bytes())).map(|(_, value)| value)
}

/// Whether a parameter of this name, written exactly so, is between the visitor and Seawall.
pub fn is_ours(name: &str) -> bool {
    OURS.contains(&name)
}

/// The query without what is between the visitor and Seawall; none if nothing is left of it.
pub fn without_ours(query: &str) -> Option<Cow<'_, str>> {
    OURS.iter().try_fold(Cow::Borrowed(query), |left, name| {
        if !left.contains(name) {
            return Some(left);
        }
        without(&left, name).map(|left| Cow::Owned(left.into_owned()))
    })
}

/// The query without the parameters written exactly so; none if nothing is left of it.
pub fn without<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let is_named = |p: &&str| p.split_once('=').map_or(*p, |(n, _)| n) == name;
    if !query.split('&').any(|p| is_named(&p)) {
        return Some(Cow::Borrowed(query));
    }
    let left: Vec<_> = query.split('&').filter(|p| !is_named(p)).collect();
    (!left.is_empty()).then(|| Cow::Owned(left.join("&")))
}

/// The bytes of a form-encoded text: `+` is a space, `%XX` a byte; what is no escape stays.
pub fn decoded(text: &[u8]) -> impl Iterator<Item = u8> + Clone {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        rest = after;
        match (first, after) {
            (b'+', _) => Some(b' '),
            (b'%', [high, low, beyond @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = beyond;
                    Some(high << 4 | low)
                }
                _ => Some(b'%'),
            },
            _ => Some(*first),
        }
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_decoded_name() {
        assert_eq!(parameter("a=1&b%20c=%32&a=3", "a"), Some("1"));
        assert_eq!(parameter("a=1&b%20c=%32", "b c"), Some("%32"));
        assert_eq!(parameter("a&&b=", "a"), Some(""));
        assert_eq!(parameter("", ""), None);
    }

    #[test]
    fn what_is_taken_out_leaves_the_rest_as_it_was() {
        assert_eq!(without("a=1&p=x&b", "p").as_deref(), Some("a=1&b"));
        assert_eq!(without("p=x&p&&", "p").as_deref(), Some("&"));
        assert_eq!(without("p=x", "p"), None);
        assert_eq!(without("", "p").as_deref(), Some(""));
        assert_eq!(without_ours("a&seawall_pass=x&seawall_invite=y&b").as_deref(), Some("a&b"));
        assert_eq!(without_ours("seawall_invite=y"), None);
        assert_eq!(without("pp=x&%70=1", "p").as_deref(), Some("pp=x&%70=1"));
    }

    proptest! {
        #[test]
        fn decoding_never_fails(text in proptest::collection::vec(proptest::num::u8::ANY, 0..20)) {
            prop_assert!(decoded(&text).count() <= text.len());
        }
    }
}
