//! Which route a request takes: the first whose matcher holds. Pure, and without allocation, since
//! every request comes through here.

use crate::pipeline::query::{decoded, parameters};
use crate::pipeline::view::View;
use crate::policy::{ClientsId, Matcher, PathPattern, Policy, Route, RouteId};

/// The first route that takes this request; `is_member` says whether it comes from one of a group
/// of clients. The loader ends every policy that has an origin with a route that takes everything.
pub fn find<'p>(
    policy: &'p Policy,
    view: &View<'_>,
    mut is_member: impl FnMut(ClientsId) -> bool,
) -> Option<(RouteId, &'p Route)> {
    let found = policy.routes.iter().enumerate().find(|(_, route)| matches(&route.matcher, view, &mut is_member));
    found.map(|(at, route)| (RouteId(at), route))
}

/// True if all that the matcher names holds. The cheap and the telling first.
fn matches(matcher: &Matcher, view: &View<'_>, is_member: &mut impl FnMut(ClientsId) -> bool) -> bool {
    any(&matcher.paths, |p| path_matches(p, view.path))
        && any(&matcher.hosts, |h| host_matches(h, view.host_name()))
        && any(&matcher.methods, |m| m == view.method)
        && all_names(&matcher.query, |name, pattern| query_holds(view.query.unwrap_or_default(), name, pattern))
        && all_names(&matcher.headers, |name, pattern| view.fields_named(name).any(|v| value_matches(pattern, v)))
        && all_names(&matcher.cookies, |name, pattern| {
            view.cookies().any(|(n, v)| n == name && value_matches(pattern, v))
        })
        && any(&matcher.clients, |id| is_member(*id))
}

/// Of a list, one; an empty list is no condition.
fn any<T>(list: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(holds)
}

/// Of every name, one of its patterns. Patterns of one name stand together.
fn all_names(pairs: &[(String, String)], holds: impl Fn(&str, &str) -> bool) -> bool {
    pairs.chunk_by(|(a, _), (b, _)| a == b).all(|of_one| of_one.iter().any(|(name, pattern)| holds(name, pattern)))
}

/// True if a host (lower or upper case, without its port) is what the policy names. `*.example`
/// takes one label or more before it.
pub(crate) fn host_matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
    let Some(parent) = pattern.strip_prefix('*') else { return pattern.as_bytes().eq_ignore_ascii_case(host) };
    let Some(labels) = host.len().checked_sub(parent.len()) else { return false };
    let (labels, rest) = host.split_at(labels);
    !labels.is_empty() && rest.eq_ignore_ascii_case(parent.as_bytes())
}

/// True if a decoded path is what the policy names.
pub(crate) fn path_matches(pattern: &PathPattern, path: &str) -> bool {
    match pattern {
        PathPattern::Exact(exact) => exact == path,
        PathPattern::Below(dir) => path.strip_prefix(dir.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/')),
        PathPattern::Glob(glob) => {
            path_glob(glob.as_bytes(), path.as_bytes())
                || glob.strip_suffix("/**").is_some_and(|dir| path_glob(dir.as_bytes(), path.as_bytes()))
        }
    }
}

/// True if a value fits a pattern in which `*` is any text.
pub(crate) fn value_matches(pattern: &str, value: &str) -> bool {
    pattern == "*" || value_glob(pattern.as_bytes(), value.bytes())
}

/// True if a parameter of that name is there with a fitting value. Names and values compare
/// decoded, so that an encoded letter slips past no route.
fn query_holds(query: &str, name: &str, pattern: &str) -> bool {
    parameters(query).any(|(n, value)| {
        decoded(n.as_bytes()).eq(name.bytes())
            && (pattern == "*" || value_glob(pattern.as_bytes(), decoded(value.as_bytes())))
    })
}

/// `*` takes any bytes. On a mismatch only the last `*` need take more: what came before it has
/// matched at its earliest, which leaves the most for what follows. So the time is at most the
/// product of the lengths.
fn value_glob(pattern: &[u8], text: impl Iterator<Item = u8> + Clone) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut retry = None;
    loop {
        if let [b'*', after @ ..] = pattern {
            pattern = after;
            retry = Some((after, text.clone()));
            continue;
        }
        match (pattern, text.next()) {
            ([], None) => return true,
            ([p, after @ ..], Some(t)) if *p == t => pattern = after,
            // Out of text: taking more only makes it shorter.
            (_, None) => return false,
            _ => {
                let Some((after, mut from)) = retry else { return false };
                from.next();
                (pattern, text) = (after, from.clone());
                retry = Some((after, from));
            }
        }
    }
}

/// `*` takes any bytes but `/`, `**` any. As in [`value_glob`], the last of each kind is enough: a
/// `*` that cannot take more leaves the turn to the last `**`, which lies before it.
fn path_glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let (mut within, mut across) = (None, None);
    loop {
        match pattern {
            [b'*', b'*', after @ ..] => {
                pattern = after;
                across = Some((after, text));
                within = None;
                continue;
            }
            [b'*', after @ ..] => {
                pattern = after;
                within = Some((after, text));
                continue;
            }
            _ => {}
        }
        match (pattern, text) {
            ([], []) => return true,
            ([p, after @ ..], [t, rest @ ..]) if p == t => (pattern, text) = (after, rest),
            _ => match (within, across) {
                (Some((after, [skipped, rest @ ..])), _) if *skipped != b'/' => {
                    (pattern, text) = (after, rest);
                    within = Some((after, rest));
                }
                (_, Some((after, [_, rest @ ..]))) => {
                    (pattern, text) = (after, rest);
                    (within, across) = (None, Some((after, rest)));
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests;
