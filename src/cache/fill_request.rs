//! What a fill says to the origin: the same for all requests that may share its answer.
//!
//! An answer that many get must not be shaped by what only one of them said, and is in no key (cache
//! poisoning). So a fill leaves out what the key leaves out (ignored parameters, the default port, cookies
//! of nobody in particular), what would get something else than the whole, and the fields by which
//! frameworks let themselves be told another host, path, scheme, method or client.

use bytes::{Bytes, BytesMut};

use super::directives::Directives;
use super::entry::Entry;
use super::key::{self, Encodings};
use super::pattern;
use super::request::{Lookup, is_credential};
use crate::pipeline::answer::write_field;
use crate::pipeline::view::{Field, View};
use crate::policy;

/// Fields that steer a framework or a server, and that no browser sends. Those that a proxy may say
/// are said by the edge anew.
const STEERING: [&str; 36] = [
    "forwarded*",
    "x-forward*",
    "x-original-*",
    "x-rewrite-*",
    "x-host*",
    "x-http-host-override",
    "x-http-destinationurl",
    "x-http-path-override",
    "x-http-method*",
    "x-method-override",
    "x-proxy*",
    "x-url*",
    "x-uri",
    "x-path*",
    "x-scheme",
    "x-port",
    "x-server-*",
    "x-backend-*",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-remote-*",
    "x-accel-*",
    "x-envoy-*",
    "x-wap-profile",
    "x-middleware-*",
    "x-invoke-*",
    "x-matched-path",
    "x-now-*",
    "x-nextjs-*",
    "x-arr-*",
    "true-client-ip",
    "client-ip",
    "cf-connecting-ip*",
    "cf-visitor",
    "front-end-https",
];

/// Whether no fill says a field of this name (in lower case), whoever asks.
pub fn is_left_out(name: &str) -> bool {
    matches!(name, "te" | "trailer" | "keep-alive" | "max-forwards") || is_steering(name)
}

fn is_steering(name: &str) -> bool {
    // A first letter that none of them has is most fields' case.
    matches!(name.as_bytes().first(), Some(b'f' | b'x' | b't' | b'c'))
        && STEERING.iter().any(|steering| pattern::matches(steering, name.as_bytes()))
}

/// Whether a request says nothing that a fill for it would not say: then its answer is news for all.
pub fn is_nobodys(view: &View<'_>, cache: &policy::Cache) -> bool {
    let is_plain = |name: &str| name != "cookie" && !is_credential(name) && !is_left_out(name);
    view.fields.iter().all(|field| is_plain(&field.name.to_ascii_lowercase()))
        && nominated(view.fields).iter().all(|name| matches!(name.as_str(), "close" | "keep-alive" | ""))
        && key::host(view) == view.host
        && key::kept_parameters(view.query, &cache.ignore_query).eq(view.query.into_iter().flat_map(|q| q.split('&')))
}

/// A fill's request, but for what it says.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    pub lookup: Lookup,
    pub cache: &'a policy::Cache,
    /// For a visitor who named no host.
    pub host: &'a str,
    /// The wishes that are granted: caches further on must know.
    pub directives: Directives,
    /// The copy that is asked about (RFC 9111 §4.3.1).
    pub validates: Option<&'a Entry>,
}

/// The request's head: a GET for the whole.
pub fn write(view: &View<'_>, asking: &Asking<'_>) -> Bytes {
    let mut out = BytesMut::with_capacity(512);
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(target(view, asking.cache).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let host = key::host(view);
    write_field("host", if host.is_empty() { asking.host } else { host }, &mut out);
    let nominated = nominated(view.fields);
    let credentials = asking.lookup == Lookup::Authorized;
    let personal = credentials || asking.lookup == Lookup::Personal;
    for field in view.fields {
        let name = field.name.to_ascii_lowercase();
        let wanted = match name.as_str() {
            "cookie" => false,
            name if is_credential(name) => credentials,
            "host" | "range" | "accept-encoding" | "expect" | "content-length" | "cache-control" | "pragma" => false,
            "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" | "if-range" => false,
            "connection" | "proxy-connection" | "transfer-encoding" | "upgrade" | "proxy-authorization" => false,
            name => !is_left_out(name) && !nominated.iter().any(|n| n == name),
        };
        if wanted {
            write_bytes(&name, field.value, &mut out);
        }
    }
    if personal {
        write_all_cookies(view, &mut out);
    } else {
        write_chosen_cookies(view, asking.cache, &mut out);
    }
    write_field("accept-encoding", Encodings::of(view.fields).field(), &mut out);
    if let Some(value) = asking.directives.for_upstream() {
        write_field("cache-control", &value, &mut out);
    }
    if let Some(entry) = asking.validates {
        write_conditions(entry, &mut out);
    }
    out.extend_from_slice(b"\r\n");
    out.freeze()
}

/// Path and query as they are sent to the origin and kept in the key.
pub fn target(view: &View<'_>, cache: &policy::Cache) -> String {
    let mut target = view.raw_path.to_owned();
    for (i, pair) in key::kept_parameters(view.query, &cache.ignore_query).enumerate() {
        target.push(if i == 0 { '?' } else { '&' });
        target.push_str(pair);
    }
    target
}

/// RFC 9111 §4.3.1: both validators, where there are both.
fn write_conditions(entry: &Entry, out: &mut BytesMut) {
    if let Some(etag) = entry.etag() {
        write_bytes("if-none-match", etag.as_bytes(), out);
    }
    if let Some(modified) = entry.last_modified() {
        write_bytes("if-modified-since", modified.as_bytes(), out);
    }
}

/// All of them in one line: HTTP/2 may bring them in crumbs (RFC 9113 §8.2.3).
fn write_all_cookies(view: &View<'_>, out: &mut BytesMut) {
    let lines: Vec<_> = view.fields.iter().filter(|f| f.name.eq_ignore_ascii_case("cookie")).map(|f| f.value).collect();
    if !lines.is_empty() {
        write_bytes("cookie", &lines.join(&b"; "[..]), out);
    }
}

/// The cookies that choose a variant, and are in the key.
fn write_chosen_cookies(view: &View<'_>, cache: &policy::Cache, out: &mut BytesMut) {
    let mut cookies = Vec::new();
    for name in &cache.vary_cookies {
        if let Some(value) = key::cookie(view, name) {
            cookies.extend_from_slice(if cookies.is_empty() { b"" } else { b"; " });
            cookies.extend_from_slice(name.as_bytes());
            cookies.push(b'=');
            cookies.extend_from_slice(value);
        }
    }
    if !cookies.is_empty() {
        write_bytes("cookie", &cookies, out);
    }
}

fn write_bytes(name: &str, value: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The fields that Connection names as this connection's own (RFC 9110 §7.6.1).
pub fn nominated(fields: &[Field<'_>]) -> Vec<String> {
    let options = fields.iter().filter(|f| f.name.eq_ignore_ascii_case("connection"));
    let names = options.filter_map(|f| std::str::from_utf8(f.value).ok()).flat_map(|v| v.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{cache, view};
    use super::*;

    fn said(view: &View<'_>, lookup: Lookup) -> String {
        let cache = policy::Cache { vary_cookies: vec!["currency".into(), "lang".into()], ..cache() };
        let asking = Asking {
            lookup,
            cache: &cache,
            host: "origin.example",
            directives: Directives::default(),
            validates: None,
        };
        String::from_utf8(write(view, &asking).to_vec()).unwrap()
    }

    #[test]
    fn what_is_in_no_key_is_not_said() {
        let fields = [
            ("X-Forwarded-Host", "evil"),
            ("X-Forwarded-Scheme", "nothttps"),
            ("X-Original-URL", "/admin"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("Forwarded", "host=evil"),
            ("Connection", "close, X-Mine"),
            ("X-Mine", "1"),
            ("Range", "bytes=0-1"),
            ("If-None-Match", "\"a\""),
            ("Cookie", "session=alice; currency=EUR; currency=USD"),
            ("Authorization", "Basic x"),
            ("Cache-Control", "only-if-cached"),
            ("Accept-Encoding", "br;q=0.1, gzip"),
            ("X-Api-Version", "2"),
        ];
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        let asked = View { host: "a.example:443", query: Some("utm_source=evil&a=1&fbclid=x"), ..view(&fields) };
        let expected = "GET /?a=1 HTTP/1.1\r\nhost: a.example\r\nx-api-version: 2\r\ncookie: currency=EUR\r\n\
                        accept-encoding: br, gzip\r\n\r\n";
        assert_eq!(said(&asked, Lookup::Plain), expected);
        let personal = said(&asked, Lookup::Personal);
        assert!(personal.contains("cookie: session=alice;") && !personal.contains("authorization"), "{personal}");
        assert!(said(&asked, Lookup::Authorized).contains("authorization: Basic x\r\n"));
    }

    #[test]
    fn news_for_all_is_what_nobody_in_particular_asked_for() {
        let says = |fields: &[(&str, &str)]| {
            let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
            is_nobodys(&view(&fields), &cache())
        };
        assert!(says(&[("User-Agent", "x"), ("Connection", "keep-alive"), ("Cache-Control", "no-cache")]));
        for field in [("Cookie", "_ga=1"), ("X-Forwarded-Host", "evil"), ("Connection", "x-mine")] {
            assert!(!says(&[field]), "{field:?}");
        }
        assert!(!is_nobodys(&View { query: Some("a=1&utm_x=evil"), ..view(&[]) }, &cache()));
        assert!(!is_nobodys(&View { host: "a.example:443", ..view(&[]) }, &cache()));
    }

    #[test]
    fn one_who_names_no_host_means_the_origins() {
        assert!(said(&View { host: "", ..view(&[]) }, Lookup::Plain).contains("host: origin.example\r\n"));
    }
}
