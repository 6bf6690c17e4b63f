//! Which routes take all that a later one would: that one never matches.

use super::reader::Report;
use super::route::Placed;
use crate::policy::diagnose::Diagnostic;
use crate::policy::{Matcher, PathPattern};
use crate::route::{host_matches, path_matches, value_matches};

/// Warns of every route that an earlier one shuts out.
pub(super) fn unreachable(placed: &[Placed], report: &Report) {
    for (at, later) in placed.iter().enumerate() {
        let earlier = placed.iter().take(at).find(|p| covers(&p.route.matcher, &later.route.matcher));
        let Some(earlier) = earlier else { continue };
        let message = format!("route `{}` can never match: `{}` comes first", later.route.name, earlier.route.name);
        let diagnostic = Diagnostic::warning(later.span.clone(), message)
            .label("never reached")
            .related(earlier.span.clone(), "takes everything that the later one would")
            .help("put the narrower route first");
        report.add(diagnostic);
    }
}

/// True if every request matches.
pub(super) fn takes_all(matcher: &Matcher) -> bool {
    covers(matcher, &Matcher::default())
}

/// True if `wide` takes every request that `narrow` takes. Where it is hard to say: false.
fn covers(wide: &Matcher, narrow: &Matcher) -> bool {
    lists(&wide.hosts, &narrow.hosts, |w, n| host_covers(w, n), |_| false)
        && lists(&wide.paths, &narrow.paths, path_covers, |w| matches!(w, PathPattern::Below(p) if p.is_empty()))
        && lists(&wide.methods, &narrow.methods, |w, n| w == n, |_| false)
        && pairs(&wide.query, &narrow.query)
        && pairs(&wide.headers, &narrow.headers)
        && pairs(&wide.cookies, &narrow.cookies)
        && lists(&wide.clients, &narrow.clients, |w, n| w == n, |_| false)
}

/// An empty list takes any; otherwise all that `narrow` names must lie within one of `wide`.
fn lists<T>(wide: &[T], narrow: &[T], covers: fn(&T, &T) -> bool, any: fn(&T) -> bool) -> bool {
    if wide.is_empty() || wide.iter().any(any) {
        return true;
    }
    !narrow.is_empty() && narrow.iter().all(|n| wide.iter().any(|w| covers(w, n)))
}

/// Every name that `wide` asks for is asked for by `narrow` too, and with patterns that lie within.
fn pairs(wide: &[(String, String)], narrow: &[(String, String)]) -> bool {
    wide.iter().all(|(name, _)| {
        let of = |list: &[(String, String)]| -> Vec<String> {
            list.iter().filter(|(n, _)| n == name).map(|(_, pattern)| pattern.clone()).collect()
        };
        lists(&of(wide), &of(narrow), |w, n| w == n || (!n.contains('*') && value_matches(w, n)), |_| false)
            || (of(wide).iter().any(|w| w == "*") && !of(narrow).is_empty())
    })
}

fn host_covers(wide: &str, narrow: &str) -> bool {
    // `*.shop.example` lies within `*.example`: read as a name, it ends the same way.
    wide == narrow || host_matches(wide, narrow)
}

fn path_covers(wide: &PathPattern, narrow: &PathPattern) -> bool {
    match (wide, narrow) {
        (PathPattern::Below(w), PathPattern::Below(n)) => n == w || below(n, w),
        (PathPattern::Below(w), PathPattern::Glob(n)) => n.split('*').next().is_some_and(|literal| below(literal, w)),
        (_, PathPattern::Exact(n)) => path_matches(wide, n),
        (PathPattern::Glob(w), PathPattern::Glob(n)) => w == n,
        _ => false,
    }
}

fn below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, pattern: &str) -> (String, String) {
        (name.to_owned(), pattern.to_owned())
    }

    #[test]
    fn a_wider_path_shuts_a_narrower_one_out() {
        let below = |p: &str| PathPattern::Below(p.to_owned());
        let exact = |p: &str| PathPattern::Exact(p.to_owned());
        let glob = |p: &str| PathPattern::Glob(p.to_owned());
        assert!(path_covers(&below("/cart"), &exact("/cart")));
        assert!(path_covers(&below("/cart"), &below("/cart/a")));
        assert!(path_covers(&below("/cart"), &glob("/cart/*/x")));
        assert!(path_covers(&glob("/*/x"), &exact("/a/x")));
        assert!(path_covers(&below(""), &glob("/a*")));
        assert!(!path_covers(&below("/cart"), &exact("/cartoon")));
        assert!(!path_covers(&below("/cart"), &glob("/cart*")));
        assert!(!path_covers(&exact("/cart"), &below("/cart")));
    }

    #[test]
    fn a_condition_more_is_narrower() {
        let any = Matcher::default();
        let get = Matcher { methods: vec!["GET".to_owned()], ..Matcher::default() };
        let app = Matcher { headers: vec![pair("x-app", "ios*")], ..Matcher::default() };
        let app_any = Matcher { headers: vec![pair("x-app", "*")], ..Matcher::default() };
        assert!(takes_all(&any) && covers(&any, &get) && covers(&any, &app));
        assert!(!takes_all(&get) && !covers(&get, &any) && !covers(&app, &get));
        assert!(covers(&app_any, &app) && !covers(&app, &app_any));
    }

    #[test]
    fn hosts() {
        assert!(host_covers("*.example", "a.example"));
        assert!(host_covers("*.example", "*.shop.example"));
        assert!(!host_covers("*.example", "example") && !host_covers("a.example", "*.example"));
    }
}
