//! Which requests an answer is for (RFC 9111 §4.1): those whose fields that Vary names are as they were
//! in the request that it answered.
//!
//! What is compared is what a fill would send for a request, so that two requests are never joined that
//! the origin could tell apart. Of Accept-Encoding that is the set of codings; in other fields, lines
//! are joined and spaces around commas left out. Cookie and Authorization are not compared: for whom an
//! answer is, is [`super::request::Lookup`]'s and [`super::freshness::Terms`]'s to say.

use smallvec::SmallVec;

use super::fill_request;
use super::freshness::ResponseParts;
use super::key::Encodings;
use crate::pipeline::view::Field;

/// Fields by which an answer may vary, at most.
const MAX_NAMES: usize = 16;

/// The names of fields, in lower case.
pub type Names = SmallVec<[Box<str>; 2]>;

/// Room for most values.
type Value = SmallVec<[u8; 128]>;

/// Fields that are the same for all requests of a key, or of a [`super::request::Lookup`]'s kind.
const COVERED: [&str; 5] = ["cookie", "authorization", "host", "x-forwarded-host", "x-forwarded-proto"];

/// Fields that differ with every request, or with every visitor: what varies by them is nobody else's.
const NEVER_SHARED: [&str; 6] =
    ["*", "x-forwarded-for", "forwarded", "x-request-id", "seawall-proof", "seawall-ticket"];

/// Values not spelled as lists: a space behind a comma may mean something.
const NO_LISTS: [&str; 4] = ["user-agent", "referer", "origin", "from"];

/// The fields by which an answer varies, but for those that every request of its key shares; none if no
/// other request can have it.
///
/// Two things are understood where the origin forgot them: a coding is for who accepts it, and a
/// permission for one site (Fetch §3.2.3) for that one.
pub fn names(response: &ResponseParts<'_>) -> Option<Names> {
    let mut names = Names::new();
    let mut add = |name: &str| {
        if !COVERED.contains(&name) && !names.iter().any(|n| **n == *name) {
            names.push(name.into());
        }
    };
    for line in response.values("vary") {
        for name in std::str::from_utf8(line).ok()?.split(',').map(|name| name.trim().to_ascii_lowercase()) {
            if NEVER_SHARED.contains(&name.as_str()) {
                return None;
            }
            if !name.is_empty() {
                add(&name);
            }
        }
    }
    if response.values("content-encoding").next().is_some() {
        add("accept-encoding");
    }
    if response.values("access-control-allow-origin").any(|value| value.trim_ascii() != b"*") {
        add("origin");
    }
    names.sort_unstable();
    (names.len() <= MAX_NAMES).then_some(names)
}

/// A field's name, and what was said in it; none where it was not there.
type Said = (Box<str>, Option<Box<[u8]>>);

/// What a request must say to be given an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selecting(Box<[Said]>);

impl Selecting {
    /// Of an answer to a request with these fields, that varies by these names.
    pub fn of(names: &Names, request: &[Field<'_>]) -> Self {
        let value = |name: &str| selected(name, request).map(|value| value.as_slice().into());
        Self(names.iter().map(|name| (name.clone(), value(name))).collect())
    }

    /// Whether a request with these fields may be given the answer.
    pub fn matches(&self, request: &[Field<'_>]) -> bool {
        self.0.iter().all(|(name, held)| selected(name, request).as_deref() == held.as_deref())
    }

    /// Every request may.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes what this request says in the fields that count, so that those who say the same write the
    /// same.
    pub fn write(&self, request: &[Field<'_>], out: &mut Vec<u8>) {
        for (name, _) in &self.0 {
            out.extend_from_slice(name.as_bytes());
            match selected(name, request) {
                // No name has a colon, and no value a line's end.
                Some(value) => {
                    out.push(b':');
                    out.extend_from_slice(&value);
                }
                None => out.push(b'-'),
            }
            out.push(b'\n');
        }
    }

    /// Bytes it takes.
    pub fn weight(&self) -> usize {
        self.0.iter().map(|(name, value)| 32 + name.len() + value.as_ref().map_or(0, |v| v.len())).sum()
    }
}

/// What a fill for this request says in a field; none where it says nothing.
fn selected(name: &str, request: &[Field<'_>]) -> Option<Value> {
    if name == "accept-encoding" {
        return Some(Encodings::of(request).field().as_bytes().into());
    }
    if fill_request::is_left_out(name) {
        return None;
    }
    let mut lines = request.iter().filter(|f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value).peekable();
    lines.peek()?;
    let mut value = Value::new();
    for line in lines {
        if !value.is_empty() {
            value.push(b',');
        }
        if NO_LISTS.contains(&name) { value.extend_from_slice(line.trim_ascii()) } else { push_list(line, &mut value) }
    }
    // RFC 9110 §12.5.4: language ranges compare without case.
    if name == "accept-language" {
        value.make_ascii_lowercase();
    }
    Some(value)
}

/// A list without the spaces around its commas; within quotes they count.
fn push_list(line: &[u8], out: &mut Value) {
    let (mut quoted, mut escaped) = (false, false);
    for &byte in line.trim_ascii() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                while out.last().is_some_and(|b| matches!(b, b' ' | b'\t')) {
                    out.pop();
                }
            }
            b' ' | b'\t' if !quoted && out.last() == Some(&b',') => continue,
            _ => {}
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields<'a>(fields: &'a [(&'a str, &'a str)]) -> Vec<Field<'a>> {
        fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect()
    }

    fn by(vary: &[(&str, &str)]) -> Option<Names> {
        names(&ResponseParts { status: 200, fields: &fields(vary) })
    }

    /// Whether what was said to the first request may be said to the second.
    fn shares(vary: &str, one: &[(&str, &str)], other: &[(&str, &str)]) -> bool {
        Selecting::of(&by(&[("Vary", vary)]).unwrap(), &fields(one)).matches(&fields(other))
    }

    #[test]
    fn vary_star_and_what_no_two_requests_share_match_nothing_by_rfc_9111_4_1() {
        for vary in ["*", "Accept, *", "X-Forwarded-For", "Forwarded, Accept", "X-Request-Id"] {
            assert!(by(&[("Vary", vary)]).is_none(), "{vary}");
        }
        assert!(by(&[("Vary", "Accept"), ("Vary", "*")]).is_none());
        let many: Vec<_> = (0..=MAX_NAMES).map(|i| format!("x-{i}")).collect();
        assert!(by(&[("Vary", &many.join(","))]).is_none(), "there is a bound");
    }

    #[test]
    fn requests_match_when_all_the_named_fields_are_the_same_by_rfc_9111_4_1() {
        let one = [("Foo", "1"), ("Bar", "abc"), ("Other", "2")];
        assert!(shares("foo, BAR, Baz", &one, &[("bar", "abc"), ("foo", "1"), ("Other", "3")]));
        for other in
            [&[("Foo", "2"), ("Bar", "abc")][..], &[("Foo", "1")], &[("Foo", "1"), ("Bar", "abc"), ("Baz", "")]]
        {
            assert!(!shares("foo, bar, baz", &one, other), "{other:?}");
        }
        assert!(shares("foo", &[("Foo", "1")], &[("Foo", "1")]));
        assert!(!shares("foo", &[("Foo", "A")], &[("Foo", "a")]), "case may count");
    }

    #[test]
    fn lines_are_joined_and_spaces_around_commas_left_out_by_rfc_9111_4_1() {
        assert!(shares("foo", &[("Foo", "1,2")], &[("Foo", " 1 , 2 ")]));
        assert!(shares("foo", &[("Foo", "1, 2")], &[("Foo", "1"), ("foo", "2")]));
        assert!(!shares("foo", &[("Foo", "\"1, 2\"")], &[("Foo", "\"1,2\"")]), "within quotes they count");
        assert!(!shares("foo", &[("Foo", "1 2")], &[("Foo", "12")]));
        assert!(!shares("user-agent", &[("User-Agent", "a, b")], &[("User-Agent", "a,b")]), "it is no list");
    }

    #[test]
    fn accept_encoding_and_accept_language_are_compared_by_what_they_mean() {
        assert!(shares("Accept-Encoding", &[("Accept-Encoding", "gzip, br")], &[("accept-encoding", "br;q=0.5,GZIP")]));
        assert!(!shares("Accept-Encoding", &[("Accept-Encoding", "gzip, br")], &[("Accept-Encoding", "gzip")]));
        assert!(!shares("Accept-Encoding", &[("Accept-Encoding", "gzip")], &[]));
        assert!(shares("Accept-Language", &[("Accept-Language", "de-AT, en")], &[("Accept-Language", "DE-at,en")]));
        assert!(!shares("Accept-Language", &[("Accept-Language", "de, en")], &[("Accept-Language", "en, de")]));
    }

    #[test]
    fn a_coding_or_a_permission_without_vary_varies_all_the_same() {
        assert_eq!(by(&[("Content-Encoding", "gzip")]).unwrap().as_slice(), ["accept-encoding".into()]);
        let permission = |value| by(&[("Access-Control-Allow-Origin", value)]).unwrap();
        assert_eq!(permission("https://a.example").as_slice(), ["origin".into()]);
        assert!(permission("*").is_empty());
    }

    #[test]
    fn what_a_fill_leaves_out_is_the_same_for_all() {
        assert!(shares("X-Forwarded-Scheme", &[], &[("X-Forwarded-Scheme", "nothttps")]));
        assert!(by(&[("Vary", "Cookie, Host, Authorization")]).unwrap().is_empty());
    }

    proptest! {
        /// Whatever is left out never makes two values one that differ in more than spaces at commas.
        #[test]
        fn no_two_values_are_joined_that_differ(a in "[ab, \"\\\\]{0,8}", b in "[ab, \"\\\\]{0,8}") {
            let same = shares("x", &[("x", &a)], &[("x", &b)]);
            let bare = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert!(!same || bare(&a) == bare(&b));
            prop_assert!(shares("x", &[("x", &a)], &[("x", &a)]));
        }
    }
}
