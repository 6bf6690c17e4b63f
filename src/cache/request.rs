//! Whether a request uses the cache.

use crate::pipeline::view::{BodyKind, View};
use crate::policy;

use super::pattern;

/// Cookies that make nobody personal: Seawall's own, and those that analytics set for themselves
/// and no site reads to make a page.
const IGNORED_COOKIES: [&str; 36] = [
    "seawall_*",
    "__Host-seawall*",
    "_ga*",
    "_gid",
    "_gat*",
    "_gcl*",
    "_gac_*",
    "_dc_gtm_*",
    "__utm*",
    "utm*",
    "_fbp",
    "_fbc",
    "_hj*",
    "_pk_*",
    "mtm_*",
    "amplitude*",
    "AMP_*",
    "mp_*",
    "ajs_*",
    "_clck",
    "_clsk",
    "_uetsid",
    "_uetvid",
    "_ttp",
    "_tt_*",
    "_pin_unauth",
    "_scid*",
    "_rdt_uuid",
    "_hs*",
    "__hs*",
    "hubspotutk",
    "__cf_bm",
    "_vwo*",
    "optimizelyEndUserId",
    "OptanonConsent",
    "OptanonAlertBoxClosed",
];

/// Fields that bear credentials, beside cookies.
const CREDENTIALS: [&str; 11] = [
    "authorization",
    "x-authorization",
    "x-auth-token",
    "x-auth-key",
    "x-access-token",
    "x-api-key",
    "x-api-token",
    "x-session-id",
    "x-session-token",
    "x-user-token",
    "api-key",
];

/// How a request uses the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Not at all.
    Bypass(Bypass),
    /// Nobody in particular asks: reads and fills. The fill must go to the origin *without* the
    /// Cookie field: then its answer is nobody's.
    Plain,
    /// Someone asks: reads only entries that the origin calls public, and its own answer, asked for
    /// with its cookies, may be kept only if the origin says so.
    Personal,
    /// Someone shows credentials: the same, by RFC 9111 §3.5.
    Authorized,
}

/// Why a request does not use the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// Neither GET nor HEAD.
    Method,
    /// A body may change the answer, and is in no key.
    Body,
    /// A change of protocol.
    Upgrade,
}

/// What a request asks of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub lookup: Lookup,
    /// It asks for parts (RFC 9110 §14.2: of a GET).
    pub range: bool,
    /// It may have wishes: see [`super::directives::Directives`].
    pub wishes: bool,
}

/// Reads what a request asks of its route's cache.
pub fn read(view: &View<'_>, cache: &policy::Cache) -> Asked {
    let mut asked = Asked { lookup: Lookup::Plain, range: false, wishes: false };
    if !view.is_read() {
        return Asked { lookup: Lookup::Bypass(Bypass::Method), ..asked };
    }
    if view.body != BodyKind::None {
        return Asked { lookup: Lookup::Bypass(Bypass::Body), ..asked };
    }
    for field in view.fields {
        let is = |name| field.name.eq_ignore_ascii_case(name);
        if is("upgrade") {
            return Asked { lookup: Lookup::Bypass(Bypass::Upgrade), ..asked };
        }
        asked.range |= is("range");
        asked.wishes |= is("cache-control") || is("pragma");
        if is_credential(field.name) {
            asked.lookup = Lookup::Authorized;
        } else if asked.lookup == Lookup::Plain && is("cookie") && is_personal(field.value, cache) {
            asked.lookup = Lookup::Personal;
        }
    }
    asked.range &= view.method == "GET";
    asked
}

/// Whether a field of this name shows who asks: Authorization, and what some sites have in its place.
pub fn is_credential(name: &str) -> bool {
    // Most fields begin otherwise.
    matches!(name.as_bytes().first(), Some(b'a' | b'A' | b'x' | b'X'))
        && CREDENTIALS.iter().any(|credential| name.eq_ignore_ascii_case(credential))
}

/// See [`Asked::lookup`].
pub fn lookup(view: &View<'_>, cache: &policy::Cache) -> Lookup {
    read(view, cache).lookup
}

/// Read as bytes: a cookie without `=`, or one that is not UTF-8, is somebody's all the same.
fn is_personal(cookies: &[u8], cache: &policy::Cache) -> bool {
    cookies.split(|b| *b == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()).any(|pair| {
        let name = pair.split(|b| *b == b'=').next().unwrap_or(pair).trim_ascii();
        let known = IGNORED_COOKIES.iter().any(|pattern| pattern::matches(pattern, name));
        let chooses = cache.vary_cookies.iter().any(|chosen| chosen.as_bytes() == name);
        !known && !chooses && !cache.ignore_cookies.iter().any(|pattern| pattern::matches(pattern, name))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::*;
    use crate::pipeline::view::{Field, Scheme, Version};

    /// A cache with a ttl of 1 s where the origin gives none.
    pub(in crate::cache) fn cache() -> policy::Cache {
        policy::Cache {
            name: "page".into(),
            ttl: policy::Ttl::Fixed(Duration::from_secs(1)),
            override_origin: false,
            stale_while_revalidate: Duration::from_secs(30),
            stale_if_error: Duration::from_secs(86_400),
            ignore_cookies: vec!["theme".into(), "ab_*".into()],
            vary_cookies: Vec::new(),
            request_directives: policy::RequestDirectives::Normal,
            strip_set_cookie: false,
            ignore_query: vec!["utm_*".into(), "fbclid".into()],
            compress: true,
            negative_ttl: Duration::from_secs(1),
            max_object: 1000,
            read_your_writes: false,
        }
    }

    /// GET https://a.example/
    pub(in crate::cache) fn view<'a>(fields: &'a [Field<'a>]) -> View<'a> {
        View {
            method: "GET",
            version: Version::Http11,
            scheme: Scheme::Https,
            host: "a.example",
            path: "/",
            raw_path: "/",
            query: None,
            fields,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            trusted: false,
            body: BodyKind::None,
        }
    }

    fn with(name: &str, value: &[u8]) -> Lookup {
        lookup(&view(&[Field { name, value }]), &cache())
    }

    #[test]
    fn only_reads_use_the_cache() {
        assert_eq!(lookup(&view(&[]), &cache()), Lookup::Plain);
        assert_eq!(lookup(&View { method: "HEAD", ..view(&[]) }, &cache()), Lookup::Plain);
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PURGE", "get"] {
            assert_eq!(lookup(&View { method, ..view(&[]) }, &cache()), Lookup::Bypass(Bypass::Method), "{method}");
        }
        let body = View { body: BodyKind::Length(1), ..view(&[]) };
        assert_eq!(lookup(&body, &cache()), Lookup::Bypass(Bypass::Body));
    }

    #[test]
    fn an_upgrade_bypasses_it_and_credentials_are_somebodys_by_rfc_9111_3_5() {
        for name in ["AUTHORIZATION", "X-Api-Key", "api-key"] {
            assert_eq!(with(name, b"Basic x"), Lookup::Authorized);
        }
        assert_eq!(with("Accept", b"*/*"), Lookup::Plain);
        let both = [Field { name: "Authorization", value: b"x" }, Field { name: "Cookie", value: b"session=1" }];
        assert_eq!(lookup(&view(&both), &cache()), Lookup::Authorized);
        assert_eq!(with("Upgrade", b"websocket"), Lookup::Bypass(Bypass::Upgrade));
    }

    #[test]
    fn parts_are_asked_for_by_get_alone_and_wishes_are_noticed() {
        let read = |method, name| read(&View { method, ..view(&[Field { name, value: b"bytes=0-1" }]) }, &cache());
        assert!(read("GET", "RANGE").range && !read("HEAD", "Range").range);
        assert!(read("GET", "Pragma").wishes && read("GET", "cache-control").wishes && !read("GET", "Accept").wishes);
    }

    #[test]
    fn a_cookie_that_chooses_a_variant_makes_nobody_personal() {
        let cache = policy::Cache { vary_cookies: vec!["currency".into()], ..cache() };
        let asked = |cookies: &[u8]| lookup(&view(&[Field { name: "Cookie", value: cookies }]), &cache);
        assert_eq!(asked(b"currency=EUR; _ga=1"), Lookup::Plain);
        assert_eq!(asked(b"currency=EUR; session=1"), Lookup::Personal);
        assert_eq!(asked(b"currency2=EUR"), Lookup::Personal);
    }

    #[test]
    fn cookies_of_analytics_of_seawall_and_of_the_policy_make_nobody_personal() {
        for cookies in ["_ga=1; _gid=2", "__Host-seawall_room=x", "seawall_s=1;_fbp=3", "theme=dark; ab_7", "", " ; "] {
            assert_eq!(with("Cookie", cookies.as_bytes()), Lookup::Plain, "{cookies}");
        }
    }

    #[test]
    fn any_other_cookie_is_somebodys() {
        for cookies in [&b"session=1"[..], b"_ga=1; PHPSESSID=x", b"session", b"=x", b"\xff=1", b"_GID=1", b"themes=1"]
        {
            assert_eq!(with("cookie", cookies), Lookup::Personal, "{cookies:?}");
        }
        let fields = [Field { name: "Cookie", value: b"_ga=1" }, Field { name: "cookie", value: b"sid=1" }];
        assert_eq!(lookup(&view(&fields), &cache()), Lookup::Personal, "over all fields");
    }
}
