//! Which requests a route takes, as the file says it.

use super::Named;
use super::address::is_host;
use super::reader::{Problem, Table, Value};
use super::values::is_token;
use crate::policy::{Clients, ClientsId, Matcher, PathPattern};

/// All matchers of a route.
pub(super) fn read(table: &mut Table<'_>, groups: &Named<Clients>) -> Matcher {
    let hosts = strings(table.take("host"), "a host", host);
    let paths = strings(table.take("path"), "a path", path);
    let methods = strings(table.take("methods"), "a method", method);
    let query = pairs(table, "query", |name| match name {
        "" => Err(Problem::new("expected the name of a parameter")),
        _ => Ok(name.to_owned()),
    });
    let headers = pairs(table, "headers", |name| match name.to_ascii_lowercase() {
        host if host == "host" => Err(Problem::new("a host has its own matcher").help("write host = \"…\"")),
        lower if is_token(&lower) => Ok(lower),
        _ => Err(Problem::new("expected a field name such as \"X-App\"")),
    });
    let cookies = pairs(table, "cookies", |name| match is_token(name) {
        true => Ok(name.to_owned()),
        false => Err(Problem::new("expected a cookie's name")),
    });
    let clients = table.take("clients").map(|v| clients(&v, groups)).unwrap_or_default();
    Matcher { hosts, paths, methods, query, headers, cookies, clients }
}

fn clients(value: &Value<'_>, groups: &Named<Clients>) -> Vec<ClientsId> {
    let items = value.one_or_many();
    if items.is_empty() {
        value.wrong(Problem::new("expected the name of at least one [clients.NAME]").help("leave it out to match any"));
    }
    items.iter().filter_map(|item| groups.refer(item, "clients").map(ClientsId)).collect()
}

fn strings<T>(value: Option<Value<'_>>, expected: &str, parse: fn(&str) -> Result<T, Problem>) -> Vec<T> {
    let Some(value) = value else { return Vec::new() };
    let items = value.one_or_many();
    if items.is_empty() {
        value.wrong(Problem::new(format!("expected at least {expected}")).help("leave it out to match any"));
    }
    items.iter().filter_map(|item| item.parse(expected, parse)).collect()
}

/// `{ name = pattern }`; of a list of patterns, one must match.
fn pairs(
    table: &mut Table<'_>,
    key: &'static str,
    parse_name: fn(&str) -> Result<String, Problem>,
) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let Some(mut inner) = table.take_table(key) else { return found };
    for (name, _, value) in inner.take_all() {
        let name = match parse_name(name) {
            Ok(name) => name,
            Err(problem) => {
                value.wrong(problem);
                continue;
            }
        };
        if found.iter().any(|(n, _)| *n == name) {
            value.wrong(Problem::new("named twice; names compare without case").help("write one list of patterns"));
            continue;
        }
        let patterns = strings(Some(value), "a pattern; \"*\" is any value", |text| Ok(text.to_owned()));
        found.extend(patterns.into_iter().map(|pattern| (name.clone(), pattern)));
    }
    found
}

fn host(text: &str) -> Result<String, Problem> {
    let problem = || Problem::new("expected a host such as \"shop.example\" or \"*.shop.example\"");
    if let Some((_, rest)) = text.split_once("://") {
        return Err(problem().help(format!("leave the scheme out: \"{rest}\"")));
    }
    let bare = text.strip_prefix("*.").unwrap_or(text);
    if let Some((name, port)) = text.split_once(':')
        && port.parse::<u16>().is_ok()
    {
        return Err(problem().help(format!("leave the port out: \"{name}\"")));
    }
    if text.contains('/') {
        return Err(problem().help("a path has its own matcher: path = \"/…\""));
    }
    let ip6 = bare
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .is_some_and(|t| t.parse::<std::net::Ipv6Addr>().is_ok());
    match is_host(bare) || ip6 {
        true => Ok(text.to_ascii_lowercase()),
        false if text.contains('*') => Err(problem().help("`*.` stands only at the beginning")),
        false if !text.is_ascii() => Err(problem().help("write the name in its ASCII form (xn--…)")),
        false => Err(problem()),
    }
}

fn path(text: &str) -> Result<PathPattern, Problem> {
    let problem = || Problem::new("expected a path such as \"/login\" or \"/cart/**\"");
    if !text.starts_with('/') {
        let help = match text {
            "*" | "**" => "write \"/**\", or leave it out to match any".to_owned(),
            _ => format!("a path begins with a slash: \"/{text}\""),
        };
        return Err(problem().help(help));
    }
    if text.contains('?') || text.contains('#') {
        return Err(problem().help("a query has its own matcher: query = { NAME = \"*\" }"));
    }
    if text.contains("//") || text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(problem().help("paths are compared with `//`, `.` and `..` resolved: such a one never comes"));
    }
    if text.contains('%') {
        return Err(problem().help("paths are compared decoded: write the letter itself, not %XX"));
    }
    if text == "/.seawall" || text.starts_with("/.seawall/") {
        return Err(problem().help("Seawall answers everything under /.seawall/ itself, before any route"));
    }
    if text.contains("***") {
        return Err(problem().help("`*` stays within a segment, `**` crosses them; there is no `***`"));
    }
    Ok(match text.strip_suffix("/**") {
        Some(below) if !below.contains('*') => PathPattern::Below(below.to_owned()),
        _ if text.contains('*') => PathPattern::Glob(text.to_owned()),
        _ => PathPattern::Exact(text.to_owned()),
    })
}

fn method(text: &str) -> Result<String, Problem> {
    let problem = || Problem::new("expected a method such as \"GET\"");
    let upper = text.to_ascii_uppercase();
    match is_token(text) {
        true if upper == text => Ok(upper),
        true => Err(problem().help(format!("methods are upper case: \"{upper}\""))),
        false => Err(problem()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(path("/login"), Ok(PathPattern::Exact("/login".to_owned())));
        assert_eq!(path("/cart/**"), Ok(PathPattern::Below("/cart".to_owned())));
        assert_eq!(path("/**"), Ok(PathPattern::Below(String::new())));
        assert_eq!(path("/a*/**"), Ok(PathPattern::Glob("/a*/**".to_owned())));
        assert_eq!(path("/cart**"), Ok(PathPattern::Glob("/cart**".to_owned())));
        for bad in ["cart", "*", "", "/a?b", "/a//b", "/a/../b", "/%41", "/a***", "/.seawall/live"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(host("*.Shop.example"), Ok("*.shop.example".to_owned()));
        assert_eq!(host("shop.example:80").unwrap_err().help.unwrap(), "leave the port out: \"shop.example\"");
        for bad in ["", "*", "a.*.b", "http://a", "a/b", "bücher.example"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn methods() {
        assert_eq!(method("post").unwrap_err().help.unwrap(), "methods are upper case: \"POST\"");
        assert!(method("PURGE").is_ok() && method("GET POST").is_err());
    }
}
