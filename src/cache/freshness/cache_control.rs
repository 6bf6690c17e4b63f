//! The Cache-Control of an answer (RFC 9111 §5.2).

use std::time::Duration;

use super::ResponseParts;

/// More seconds than this are not told apart (RFC 9111 §1.2.2).
const DELTA_MAX: u64 = 1 << 31;

/// The directives that a shared cache heeds. Directives compare without case, unknown ones are
/// ignored, arguments may be quoted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    pub no_store: bool,
    /// With field names too: those fields would have to be left out.
    pub private: bool,
    /// With field names too.
    pub no_cache: bool,
    pub public: bool,
    /// `must-revalidate` or `proxy-revalidate`.
    pub must_revalidate: bool,
    /// Given twice, or not a number: zero, so that it means stale (§4.2.1).
    pub max_age: Option<Duration>,
    pub s_maxage: Option<Duration>,
    pub stale_while_revalidate: Option<Duration>,
    pub stale_if_error: Option<Duration>,
}

impl CacheControl {
    /// All Cache-Control fields of an answer, as one list.
    pub fn of(response: &ResponseParts<'_>) -> Self {
        let mut control = Self::default();
        for value in response.values("cache-control") {
            let mut rest = value;
            while !rest.is_empty() {
                let (member, after) = split_member(rest);
                control.take(member.trim_ascii());
                rest = after;
            }
        }
        control
    }

    /// The origin says that anyone may have it (`public`, or `s-maxage`, which only speaks to
    /// shared caches).
    pub fn is_shared(&self) -> bool {
        self.public || self.s_maxage.is_some()
    }

    fn take(&mut self, member: &[u8]) {
        let mut halves = member.splitn(2, |b| *b == b'=');
        let name = halves.next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let argument = halves.next();
        match name.as_slice() {
            b"no-store" => self.no_store = true,
            b"private" => self.private = true,
            b"no-cache" => self.no_cache = true,
            b"public" => self.public = true,
            b"must-revalidate" | b"proxy-revalidate" => self.must_revalidate = true,
            b"max-age" => once(&mut self.max_age, argument),
            b"s-maxage" => once(&mut self.s_maxage, argument),
            b"stale-while-revalidate" => once(&mut self.stale_while_revalidate, argument),
            b"stale-if-error" => once(&mut self.stale_if_error, argument),
            _ => {}
        }
    }
}

fn once(place: &mut Option<Duration>, argument: Option<&[u8]>) {
    let seconds = argument.and_then(|a| std::str::from_utf8(a).ok()).map(str::trim).and_then(|text| {
        let unquoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        delta_seconds(unquoted.unwrap_or(text))
    });
    *place = Some(if place.is_some() { Duration::ZERO } else { seconds.unwrap_or_default() });
}

/// `1*DIGIT`; what is too large to count is the largest that is counted (RFC 9111 §1.2.2).
pub(super) fn delta_seconds(text: &str) -> Option<Duration> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(text.parse().unwrap_or(DELTA_MAX).min(DELTA_MAX)))
}

/// The first member of a list and what follows it. A comma within quotes ends no member; a quote
/// that is never closed is none, so that it can't hide the `no-store` behind it.
fn split_member(list: &[u8]) -> (&[u8], &[u8]) {
    let (mut quoted, mut escaped, mut comma_in_quotes) = (false, false, None);
    for (i, byte) in list.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                quoted = !quoted;
                comma_in_quotes = None;
            }
            b',' if quoted => comma_in_quotes = comma_in_quotes.or(Some(i)),
            b',' => return split_around(list, i),
            _ => {}
        }
    }
    match comma_in_quotes {
        Some(i) if quoted => split_around(list, i),
        _ => (list, &[]),
    }
}

fn split_around(list: &[u8], at: usize) -> (&[u8], &[u8]) {
    (list.get(..at).unwrap_or_default(), list.get(at + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::view::Field;
    use proptest::prelude::*;

    fn parse(lines: &[&[u8]]) -> CacheControl {
        let fields: Vec<_> = lines.iter().map(|value| Field { name: "CACHE-control", value }).collect();
        CacheControl::of(&ResponseParts { status: 200, fields: &fields })
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn case_spaces_quotes_and_several_fields_make_no_difference() {
        let expected = CacheControl { public: true, max_age: seconds(60), ..CacheControl::default() };
        for lines in [&[&b"public, max-age=60"[..]][..], &[b" PUBLIC ,,Max-Age=\"60\" ,"], &[b"public", b"max-age=60"]]
        {
            assert_eq!(parse(lines), expected);
        }
    }

    #[test]
    fn a_directive_within_quotes_is_none() {
        let control = parse(&[b"x=\"a, no-store, \\\", private\", max-age=5"]);
        assert_eq!(control, CacheControl { max_age: seconds(5), ..CacheControl::default() });
    }

    #[test]
    fn an_open_quote_hides_nothing() {
        assert!(parse(&[b"x=\"a, no-store"]).no_store);
        assert!(parse(&[b"x=\"a, b, private"]).private);
        assert!(parse(&[b"x=\"\xff, no-store"]).no_store, "nor do bytes that are no text");
    }

    #[test]
    fn field_names_make_private_and_no_cache_no_weaker() {
        assert!(parse(&[b"private=\"set-cookie, x\""]).private);
        assert!(parse(&[b"no-cache=\"x\""]).no_cache);
    }

    #[test]
    fn what_is_invalid_or_given_twice_means_stale_by_rfc_9111_4_2_1() {
        for value in
            [&b"max-age=x"[..], b"max-age", b"max-age=", b"max-age=-1", b"max-age=1.5", b"max-age=5, max-age=5"]
        {
            assert_eq!(parse(&[value]).max_age, seconds(0), "{}", String::from_utf8_lossy(value));
        }
        assert_eq!(parse(&[b"s-maxage=1, S-MAXAGE=2, s-maxage=3"]).s_maxage, seconds(0));
    }

    #[test]
    fn a_number_too_large_is_the_largest_by_rfc_9111_1_2_2() {
        assert_eq!(parse(&[b"max-age=99999999999999999999999"]).max_age, seconds(DELTA_MAX));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_a_no_store_at_either_end_is_seen(
            mut value in prop::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\\'), any::<u8>()], 0..40),
        ) {
            parse(&[&value]);
            prop_assert!(parse(&[&[b"no-store,", value.as_slice()].concat()]).no_store);
            value.retain(|b| *b != b'"');
            value.extend_from_slice(b",no-store");
            prop_assert!(parse(&[&value]).no_store);
        }
    }
}
