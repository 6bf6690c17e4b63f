//! The Cache-Control of an answer (RFC 9111 §5.2).

use std::time::Duration;

use super::ResponseParts;

/// More seconds than this are not told apart (RFC 9111 §1.2.2).
pub(super) const DELTA_MAX: u64 = 1 << 31;

/// The directives that a shared cache heeds. Directives compare without case, unknown ones are
/// ignored, arguments may be quoted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    pub no_store: bool,
    /// Without field names: the whole answer.
    pub private: bool,
    /// Without field names: to be validated before every use (§5.2.2.4).
    pub no_cache: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    /// RFC 8246.
    pub immutable: bool,
    /// Given twice, or not a number: zero, so that it means stale (§4.2.1).
    pub max_age: Option<Duration>,
    pub s_maxage: Option<Duration>,
    pub stale_while_revalidate: Option<Duration>,
    pub stale_if_error: Option<Duration>,
    /// The fields, in lower case, that `private="…"` and `no-cache="…"` keep from everyone but the one
    /// who asked.
    pub withheld: Vec<Vec<u8>>,
}

impl CacheControl {
    /// All Cache-Control fields of an answer, as one list.
    pub fn of(response: &ResponseParts<'_>) -> Self {
        let mut control = Self::default();
        for member in response.values("cache-control").flat_map(members) {
            let (name, argument) = directive(member);
            control.take(&name, argument);
        }
        control
    }

    /// The origin says that anyone may have it (`public`, or `s-maxage`, which only speaks to
    /// shared caches: that of 0 says that nobody else may without being asked about, §5.2.2.10).
    pub fn is_shared(&self) -> bool {
        self.public || self.s_maxage.is_some_and(|age| !age.is_zero())
    }

    /// Whether an answer to a request with Authorization may be kept (§3.5).
    pub fn allows_authorized(&self) -> bool {
        self.is_shared() || self.must_revalidate
    }

    /// No use without validation once it is stale (§4.2.4).
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache
    }

    pub(super) fn take(&mut self, name: &[u8], argument: Option<&[u8]>) {
        match name {
            b"no-store" => self.no_store = true,
            b"private" => self.private |= !self.withhold(argument),
            b"no-cache" => self.no_cache |= !self.withhold(argument),
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"immutable" => self.immutable = true,
            b"max-age" => once(&mut self.max_age, argument),
            b"s-maxage" => once(&mut self.s_maxage, argument),
            b"stale-while-revalidate" => once(&mut self.stale_while_revalidate, argument),
            b"stale-if-error" => once(&mut self.stale_if_error, argument),
            _ => {}
        }
    }

    /// Whether it was a list of field names. What is no list of names means the whole answer.
    fn withhold(&mut self, argument: Option<&[u8]>) -> bool {
        let Some(argument) = argument.map(<[u8]>::trim_ascii) else { return false };
        let list = argument.strip_prefix(b"\"").and_then(|a| a.strip_suffix(b"\"")).unwrap_or(argument);
        let names: Vec<_> = list.split(|b| *b == b',').map(|name| name.trim_ascii().to_ascii_lowercase()).collect();
        let are_names = names.iter().all(|name| http::HeaderName::from_bytes(name).is_ok());
        if are_names {
            self.withheld.extend(names);
        }
        are_names
    }
}

/// A directive's name, in lower case, and its argument.
pub(in crate::cache) fn directive(member: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut halves = member.splitn(2, |b| *b == b'=');
    let name = halves.next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    (name, halves.next())
}

/// The members of a list of directives.
pub(in crate::cache) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (member, after) = split_member(rest);
        rest = after;
        Some(member.trim_ascii())
    })
}

fn once(place: &mut Option<Duration>, argument: Option<&[u8]>) {
    let seconds = argument.and_then(seconds).unwrap_or_default();
    *place = Some(if place.is_some() { Duration::ZERO } else { seconds });
}

/// The seconds that an argument says, quoted or not.
pub(in crate::cache) fn seconds(argument: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(argument).ok()?.trim();
    let unquoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    delta_seconds(unquoted.unwrap_or(text))
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
    fn private_and_no_cache_with_field_names_are_about_those_by_rfc_9111_5_2_2() {
        let control = parse(&[b"private=\"Set-Cookie, x\", no-cache=y"]);
        assert_eq!((control.private, control.no_cache), (false, false));
        assert_eq!(control.withheld, [&b"set-cookie"[..], b"x", b"y"]);
        for value in [&b"private=\"\""[..], b"private=\"a b\"", b"private=\"x", b"private=", b"private=\"x\", private"]
        {
            assert!(parse(&[value]).private, "{}", String::from_utf8_lossy(value));
        }
        assert!(parse(&[b"no-cache=\"\", no-cache=\"x\""]).no_cache);
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
