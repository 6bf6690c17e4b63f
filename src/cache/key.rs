//! The bytes under which an answer is kept.
//!
//! Two requests share a key only if the origin could not tell them apart, but for what the policy
//! says makes no difference: the path is the one that was sent (two spellings of it may be two
//! pages), and the query keeps its order. Every part is preceded by its length, so that no part can pose as
//! another. Answers that differ by other fields of the request ([`super::vary`]) share a key.

use crate::pipeline::query;
use crate::pipeline::view::{Field, Scheme, View};
use crate::policy;

use super::encoded::Coding;
use super::pattern;

/// What a request accepts of the codings that are told apart here (RFC 9110 §12.5.3): every other
/// coding is dropped, preferences among these too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encodings(u8);

impl Encodings {
    const GZIP_BIT: u8 = 1;
    const BR_BIT: u8 = 2;
    const ZSTD_BIT: u8 = 4;
    const IDENTITY_BIT: u8 = 8;
    const CODINGS: u8 = Self::GZIP_BIT | Self::BR_BIT | Self::ZSTD_BIT;

    /// Whether a coding is among them.
    pub const fn accepts(self, coding: Coding) -> bool {
        let bit = match coding {
            Coding::Gzip => Self::GZIP_BIT,
            Coding::Br => Self::BR_BIT,
            Coding::Zstd => Self::ZSTD_BIT,
        };
        self.0 & bit != 0
    }

    /// Whether gzip is among them.
    pub const fn accepts_gzip(self) -> bool {
        self.0 & Self::GZIP_BIT != 0
    }

    /// Whether br is among them.
    pub const fn accepts_br(self) -> bool {
        self.0 & Self::BR_BIT != 0
    }

    /// Whether zstd is among them.
    pub const fn accepts_zstd(self) -> bool {
        self.0 & Self::ZSTD_BIT != 0
    }

    /// What a request's Accept-Encoding fields say together. Without one, `identity`: all would be
    /// acceptable (§12.5.3), but few who don't ask can decode. A member with a malformed weight
    /// is ignored; the last of several for one coding counts.
    pub fn of(fields: &[Field<'_>]) -> Self {
        let (mut accepted, mut named, mut star) = (Self::IDENTITY_BIT, 0, None);
        let lines = fields.iter().filter(|f| f.name.eq_ignore_ascii_case("accept-encoding"));
        let lines = lines.filter_map(|f| std::str::from_utf8(f.value).ok());
        for member in lines.flat_map(|line| line.split(',')) {
            let (coding, parameters) = member.split_once(';').unwrap_or((member, ""));
            let Some(wanted) = weight_is_positive(parameters) else { continue };
            let bits = match coding.trim() {
                "*" => {
                    star = Some(wanted);
                    continue;
                }
                c if c.eq_ignore_ascii_case("gzip") || c.eq_ignore_ascii_case("x-gzip") => Self::GZIP_BIT,
                c if c.eq_ignore_ascii_case("br") => Self::BR_BIT,
                c if c.eq_ignore_ascii_case("zstd") => Self::ZSTD_BIT,
                c if c.eq_ignore_ascii_case("identity") => Self::IDENTITY_BIT,
                _ => continue,
            };
            named |= bits;
            accepted = if wanted { accepted | bits } else { accepted & !bits };
        }
        // `*` speaks for what is not named; `*;q=0` forbids even identity.
        Self(match star {
            Some(true) => accepted | (Self::CODINGS & !named),
            Some(false) => accepted & named,
            None => accepted,
        })
    }

    /// The Accept-Encoding value that a fill sends to the origin in place of the request's own: the
    /// same for all requests with the same key.
    pub fn field(self) -> &'static str {
        let by_codings = if self.0 & Self::IDENTITY_BIT == 0 { Self::WITHOUT_IDENTITY } else { Self::WITH_IDENTITY };
        by_codings.get(usize::from(self.0 & Self::CODINGS)).copied().unwrap_or("identity")
    }

    const WITH_IDENTITY: [&str; 8] =
        ["identity", "gzip", "br", "br, gzip", "zstd", "zstd, gzip", "zstd, br", "zstd, br, gzip"];
    const WITHOUT_IDENTITY: [&str; 8] = [
        "identity;q=0",
        "gzip, identity;q=0",
        "br, identity;q=0",
        "br, gzip, identity;q=0",
        "zstd, identity;q=0",
        "zstd, gzip, identity;q=0",
        "zstd, br, identity;q=0",
        "zstd, br, gzip, identity;q=0",
    ];
}

/// Writes the key of a request over what `key` holds. Allocates only if `key` must grow.
///
/// GET and HEAD share a key: a HEAD is answered from what a GET left. The cache's name is part of
/// it: what one cache's rules let in is not for another's. So is the origin's: two routes may have a
/// cache in common, and go to two. Which of several answers under a key is for a request,
/// [`super::vary`] says.
pub fn write(key: &mut Vec<u8>, view: &View<'_>, cache: &policy::Cache, origin: &str) {
    key.clear();
    key.push(match view.scheme {
        Scheme::Http => 0,
        Scheme::Https => 1,
    });
    part(key, |key| {
        part(key, |key| key.extend_from_slice(cache.name.as_bytes()));
        key.extend_from_slice(origin.as_bytes());
    });
    part(key, |key| {
        for name in &cache.vary_cookies {
            // No cookie is not the same as an empty one; and another policy may name others.
            if let Some(value) = cookie(view, name) {
                part(key, |key| key.extend_from_slice(name.as_bytes()));
                part(key, |key| key.extend_from_slice(value));
            }
        }
    });
    write_url(key, host(view), view.raw_path, kept_parameters(view.query, &cache.ignore_query));
}

/// The end of a key, from the host on: what all keys of a URL have in common, whatever their scheme, their
/// cache and its rules.
pub fn url(key: &[u8]) -> &[u8] {
    let after_part = |key: &[u8]| -> Option<usize> {
        let length = u32::from_be_bytes(key.get(..4)?.try_into().ok()?);
        usize::try_from(length).ok()?.checked_add(4)
    };
    let rest = key.get(1..).unwrap_or_default();
    let rest = after_part(rest).and_then(|at| rest.get(at..)).unwrap_or_default();
    after_part(rest).and_then(|at| rest.get(at..)).unwrap_or_default()
}

/// Writes what [`url()`] finds in the keys of this URL.
pub fn write_url<'q>(key: &mut Vec<u8>, host: &str, path: &str, parameters: impl Iterator<Item = &'q str>) {
    part(key, |key| {
        let start = key.len();
        key.extend_from_slice(host.as_bytes());
        key.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
    });
    part(key, |key| key.extend_from_slice(path.as_bytes()));
    // Last, so that it needs no length: but no query is not the same as an empty one.
    for (i, pair) in parameters.enumerate() {
        key.push(if i == 0 { b'?' } else { b'&' });
        key.extend_from_slice(pair.as_bytes());
    }
}

/// A part with its length before it.
fn part(key: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = key.len();
    key.extend_from_slice(&[0; 4]);
    write(key);
    // Heads are bounded far below 4 GiB.
    let length = u32::try_from(key.len() - start - 4).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(place) = key.get_mut(start..start + 4) {
        place.copy_from_slice(&length);
    }
}

/// The host without its scheme's own port.
pub fn host<'a>(view: &View<'a>) -> &'a str {
    bare_host(view.host, view.scheme)
}

/// The same, of a host and its scheme.
pub fn bare_host(host: &str, scheme: Scheme) -> &str {
    host.strip_suffix(scheme.default_port()).unwrap_or(host)
}

/// The parameters of a query that make a difference, as they came.
pub fn kept_parameters<'q>(query: Option<&'q str>, ignored: &[String]) -> impl Iterator<Item = &'q str> {
    query.into_iter().flat_map(|query| query.split('&')).filter(move |pair| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        !query::is_ours(name) && !ignored.iter().any(|pattern| pattern::matches(pattern, name.as_bytes()))
    })
}

/// A query without the parameters that a cache ignores; none where nothing is left.
pub fn kept_query(query: &str, ignored: &[String]) -> Option<String> {
    let kept: Vec<_> = kept_parameters(Some(query), ignored).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// The value of the first cookie of that name.
pub fn cookie<'a>(view: &View<'a>, name: &str) -> Option<&'a [u8]> {
    let lines = view.fields.iter().filter(|f| f.name.eq_ignore_ascii_case("cookie")).map(|f| f.value);
    lines.flat_map(|line| line.split(|b| *b == b';')).find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.trim_ascii_start().strip_prefix(b"=")?;
        Some(value.trim_ascii())
    })
}

/// Whether a weight (`;q=0.5`) is above 0; none if it is malformed. Without one it is 1.
fn weight_is_positive(parameters: &str) -> Option<bool> {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some(true);
    }
    let (name, value) = parameters.split_once('=')?;
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let zeros = fraction.bytes().all(|b| b == b'0');
    match whole {
        _ if !name.trim().eq_ignore_ascii_case("q") || !digits => None,
        "0" => Some(!zeros),
        "1" if zeros => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::request::tests::{cache, view};
    use crate::pipeline::view::Field;
    use proptest::prelude::*;

    fn key(view: &View<'_>) -> Vec<u8> {
        let mut key = vec![1, 2, 3];
        write(&mut key, view, &cache(), "shop");
        key
    }

    fn at<'a>(host: &'a str, path: &'a str, query: Option<&'a str>) -> View<'a> {
        View { host, raw_path: path, query, ..view(&[]) }
    }

    fn accepts(value: &str) -> &'static str {
        let fields = [Field { name: "Accept-Encoding", value: value.as_bytes() }];
        Encodings::of(&fields).field()
    }

    #[test]
    fn what_the_origin_can_tell_apart_has_its_own_key() {
        let keys = [
            at("a.example", "/", None),
            at("b.example", "/", None),
            at("a.example:8080", "/", None),
            at("a.example", "/x", None),
            at("a.example", "/%78", None),
            at("a.example", "/x/", None),
            at("a.example", "/", Some("")),
            at("a.example", "/", Some("a=1&b=2")),
            at("a.example", "/", Some("b=2&a=1")),
            at("a.example", "/", Some("a=1")),
            at("a.example", "/", Some("a=1&")),
            View { scheme: Scheme::Http, ..at("a.example", "/", None) },
        ];
        let different: std::collections::HashSet<_> = keys.iter().map(key).collect();
        assert_eq!(different.len(), keys.len());
    }

    #[test]
    fn what_makes_no_difference_shares_a_key() {
        let plain = key(&at("a.example", "/", Some("a=1&b=2")));
        assert_eq!(plain, key(&at("a.example:443", "/", Some("a=1&b=2"))));
        assert_eq!(plain, key(&at("A.Example", "/", Some("a=1&b=2"))));
        assert_eq!(plain, key(&at("a.example", "/", Some("utm_source=x&a=1&fbclid&b=2&utm_x="))));
        assert_eq!(plain, key(&View { method: "HEAD", ..at("a.example", "/", Some("a=1&b=2")) }));
        assert_eq!(key(&at("a.example", "/", None)), key(&at("a.example", "/", Some("utm_source=x"))));
    }

    #[test]
    fn two_caches_share_nothing() {
        let (view, mut one, mut other) = (view(&[]), Vec::new(), Vec::new());
        write(&mut one, &view, &cache(), "shop");
        write(&mut other, &view, &policy::Cache { name: "other".into(), ..cache() }, "shop");
        assert_ne!(one, other);
        let (names, origin) = (policy::Cache { name: "p".into(), ..cache() }, "ageshop");
        write(&mut other, &view, &names, origin);
        assert_ne!(one, other, "nor do two origins");
        assert_eq!(url(&one), url(&other), "but they hold the same URL");
    }

    #[test]
    fn the_cookies_that_choose_a_variant_are_in_the_key_and_no_others() {
        let cache = policy::Cache { vary_cookies: vec!["currency".into(), "lang".into()], ..cache() };
        let key = |cookies: &str, cache: &policy::Cache| {
            let fields = [Field { name: "cookie", value: cookies.as_bytes() }];
            let mut key = Vec::new();
            write(&mut key, &view(&fields), cache, "shop");
            key
        };
        assert_eq!(key("currency=EUR; a=1", &cache), key("b=2; currency=EUR; currency=USD", &cache));
        let renamed = policy::Cache { vary_cookies: vec!["ab".into(), "lang".into()], ..cache.clone() };
        assert_ne!(key("currency=EUR", &cache), key("ab=EUR", &renamed), "a policy that names another cookie");
        let key = |cookies: &str| key(cookies, &cache);
        let keys = ["", "currency=EUR", "currency=USD", "currency=", "lang=EUR", "currency=EUR; lang=de"].map(key);
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
        assert!(keys.iter().all(|key| url(key) == url(&keys[0])));
    }

    #[test]
    fn accept_encoding_by_rfc_9110_12_5_3() {
        for (value, field) in [
            ("gzip, deflate, br, zstd", "zstd, br, gzip"),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", "zstd, br, gzip"),
            ("GZIP", "gzip"),
            ("x-gzip", "gzip"),
            ("gzip;q=0, br", "br"),
            ("gzip ; Q=0.000", "identity"),
            ("", "identity"),
            ("deflate", "identity"),
            ("*", "zstd, br, gzip"),
            ("*, br;q=0", "zstd, gzip"),
            ("gzip, *;q=0", "gzip, identity;q=0"),
            ("identity;q=0, gzip", "gzip, identity;q=0"),
            ("*;q=0", "identity;q=0"),
            ("*;q=0, identity", "identity"),
            ("gzip;q=2, br;q=x, zstd;level=1", "identity"),
            ("gzip;q=0.001", "gzip"),
        ] {
            assert_eq!(accepts(value), field, "{value:?}");
        }
        assert_eq!(Encodings::of(&[]).field(), "identity", "no field at all");
    }

    proptest! {
        /// No two different (host, path, query) run together, whatever bytes they are made of.
        #[test]
        fn keys_are_unambiguous(
            a in ("[a/?&=]{0,4}", "[a/?&=]{0,4}", prop::option::of("[a?&=]{0,4}")),
            b in ("[a/?&=]{0,4}", "[a/?&=]{0,4}", prop::option::of("[a?&=]{0,4}")),
        ) {
            let (one, other) = (at(&a.0, &a.1, a.2.as_deref()), at(&b.0, &b.1, b.2.as_deref()));
            prop_assert_eq!(key(&one) == key(&other), a == b);
        }
    }
}
