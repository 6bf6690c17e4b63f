//! What a write makes stale (RFC 9111 §4.4).

use smallvec::SmallVec;

use super::freshness::ResponseParts;
use super::key::bare_host;
use crate::pipeline::view::Scheme;

/// Paths, with their queries, on the host that was asked.
pub type Outdated = SmallVec<[String; 2]>;

/// A request that may have changed something, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    pub method: &'a str,
    pub scheme: Scheme,
    /// In lower case, with its port if that was given.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
}

/// The pages that this answer to a request makes stale: the one that it was sent to, and those that
/// Location and Content-Location name on the same origin. None if the method is safe, or the answer no
/// success.
pub fn outdated(write: &Write<'_>, response: &ResponseParts<'_>) -> Outdated {
    let mut pages = Outdated::new();
    if is_safe(write.method) || !(200..400).contains(&response.status) {
        return pages;
    }
    pages.push(write.target.to_owned());
    for name in ["location", "content-location"] {
        let named = response.text(name).and_then(|reference| on_same_origin(write, reference));
        if let Some(page) = named
            && !pages.contains(&page)
        {
            pages.push(page);
        }
    }
    pages
}

/// Methods that change nothing (RFC 9110 §9.2.1, and those registered as safe since).
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY")
}

/// The path and query of a reference (RFC 3986 §4.2), if it leads to the origin that was asked. One with
/// dot segments is not resolved: nothing is lost but a page's early end.
fn on_same_origin(write: &Write<'_>, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, rest) = match reference.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => (Some(scheme), rest),
        _ => match reference.strip_prefix("//") {
            Some(rest) => (Some(write.scheme.name()), rest),
            None => (None, reference),
        },
    };
    let Some(scheme) = scheme else { return within(write, reference) };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(end)?;
    let bare = |host: &str| bare_host(host, write.scheme).to_ascii_lowercase();
    let same = scheme.eq_ignore_ascii_case(write.scheme.name()) && bare(host) == bare(write.host);
    let target = match target {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        target => target.to_owned(),
    };
    same.then_some(target)
}

fn within(write: &Write<'_>, reference: &str) -> Option<String> {
    if reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    let path = write.target.split('?').next().unwrap_or_default();
    if reference.is_empty() || reference.starts_with('?') {
        return Some(format!("{path}{reference}"));
    }
    let has_dots = reference.split(['/', '?']).any(|segment| matches!(segment, "." | ".."));
    let directory = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/");
    (!has_dots && !reference.contains(':')).then(|| format!("{directory}{reference}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::view::Field;

    fn pages(method: &str, status: u16, fields: &[(&str, &str)]) -> Vec<String> {
        let write = Write { method, scheme: Scheme::Https, host: "a.example", target: "/shop/cart?id=1" };
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        outdated(&write, &ResponseParts { status, fields: &fields }).to_vec()
    }

    #[test]
    fn a_successful_write_outdates_its_target_by_rfc_9111_4_4() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
            assert_eq!(pages(method, 204, &[]), ["/shop/cart?id=1"], "{method}");
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(pages(method, 200, &[]).is_empty(), "{method}");
        }
        for status in [100, 404, 500] {
            assert!(pages("POST", status, &[]).is_empty(), "{status}");
        }
    }

    #[test]
    fn location_and_content_location_are_outdated_on_the_same_origin_alone_by_rfc_9111_4_4() {
        let named = |value: &str| pages("POST", 303, &[("Location", value)]).get(1).cloned();
        for (value, page) in [
            ("/orders/7?x#y", Some("/orders/7?x")),
            ("https://A.example:443/orders", Some("/orders")),
            ("//a.example", Some("/")),
            ("https://a.example?x", Some("/?x")),
            ("done", Some("/shop/done")),
            ("?id=2", Some("/shop/cart?id=2")),
            ("http://a.example/orders", None),
            ("https://b.example/orders", None),
            ("https://a.example:8443/orders", None),
            ("//b.example/", None),
            ("../orders", None),
            ("mailto:a", None),
        ] {
            assert_eq!(named(value).as_deref(), page, "{value}");
        }
        let both = [("Content-Location", "/one"), ("Location", "/two")];
        assert_eq!(pages("PUT", 201, &both), ["/shop/cart?id=1", "/two", "/one"]);
    }
}
