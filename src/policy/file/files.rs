//! `[files.NAME]`.

use std::path::Path;
use std::time::Duration;

use super::reader::{Problem, Table, Value};
use super::values::duration;
use super::{FileKind, Named, NamedFile, house, nearest};
use crate::files::place::Place;
use crate::policy::{Coding, Files};

/// Patterns of one kind: each is tried on every name of every path.
const PATTERNS_MAX: usize = 64;

pub(super) fn read(root: &mut Table<'_>, base: &Path, files: &mut Vec<NamedFile>) -> Named<Files> {
    Named::read(root, "files", |name, mut table| {
        let at = table.require("root", "the directory whose files are served", "root = \"public\"");
        let path = at.as_ref().and_then(|value| house::path(value, base));
        let strip = table.read("strip", String::new(), |value| value.parse("the begin of a path", strip));
        let precompressed = table.take("precompressed").map(|value| codings(&value)).unwrap_or_default();
        let immutable = table.take("immutable").map(|value| patterns(&value)).unwrap_or_default();
        let deny = table.take("deny").map_or_else(|| vec![".*".to_owned()], |value| patterns(&value));
        let index = table.read("index", Some("index.html".to_owned()), |value| {
            value.parse("the name of a file, such as \"index.html\"", |text| match text {
                "" => Ok(None),
                name if name.contains('/') => Err(Problem::new("expected a name without slashes")),
                name => file_name(name).map(Some),
            })
        });
        let page = |table: &mut Table<'_>, key| {
            table.read(key, None, |value| value.parse("a file below the root", file_name).map(Some))
        };
        let fallback = page(&mut table, "fallback");
        let not_found = page(&mut table, "not_found");
        let max_age = table.read("max_age", Duration::ZERO, |value| value.parse("a duration", duration));
        table.finish();
        let rules =
            Files { name, root: path?, strip, precompressed, immutable, deny, index, fallback, not_found, max_age };
        let span = at?.span;
        files.push(NamedFile { path: rules.root.clone(), kind: FileKind::Root(Box::new(rules.clone())), span });
        Some(rules)
    })
}

/// What is left out of paths: as they are compared, so without escapes.
fn strip(text: &str) -> Result<String, Problem> {
    let problem = || Problem::new("expected the begin of a path, such as \"/assets\"");
    if text.is_empty() {
        return Ok(String::new());
    }
    let Some(bare) = text.strip_prefix('/') else { return Err(problem().help(format!("write \"/{text}\""))) };
    if text.ends_with('/') {
        return Err(problem().help(format!("write \"{}\"", text.trim_end_matches('/'))));
    }
    if text.contains('*') {
        return Err(problem().help("this is no pattern: the route's path says which requests come here"));
    }
    let good = Place::named(bare).is_some() && text.bytes().all(|b| b.is_ascii_graphic() && !b"%;?#".contains(&b));
    if good { Ok(text.to_owned()) } else { Err(problem()) }
}

fn file_name(text: &str) -> Result<String, Problem> {
    match Place::named(text) {
        Some(place) => Ok(place.relative().to_owned()),
        None => Err(Problem::new("expected a file below the root, such as \"404.html\"")),
    }
}

fn codings(value: &Value<'_>) -> Vec<Coding> {
    let mut found: Vec<Coding> = Vec::new();
    for item in value.list() {
        const KNOWN: &str = "\"zst\", \"br\" or \"gz\"";
        let Some(text) = item.string(KNOWN) else { continue };
        let Some(coding) = Coding::ALL.into_iter().find(|coding| coding.ending() == text) else {
            let problem = Problem::new(format!("expected {KNOWN}: the endings of the files"));
            let by_token = Coding::ALL.into_iter().find(|coding| coding.token() == text).map(Coding::ending);
            item.wrong(match by_token.or_else(|| nearest(text, Coding::ALL.map(Coding::ending))) {
                Some(near) => problem.help(format!("write \"{near}\"")),
                None => problem,
            });
            continue;
        };
        if found.contains(&coding) {
            item.wrong(Problem::new("named twice").help("leave one of them out"));
        }
        found.push(coding);
    }
    found
}

fn patterns(value: &Value<'_>) -> Vec<String> {
    let list = value.list();
    if let Some(over) = list.get(PATTERNS_MAX) {
        over.wrong(Problem::new(format!("more than {PATTERNS_MAX} patterns")).help("take some out"));
    }
    let pattern = |text: &str| match text {
        "" => Err(Problem::new("expected a pattern such as \"*.php\"")),
        _ => Ok(text.to_owned()),
    };
    list.iter().filter_map(|item| item.parse("a pattern such as \"*.php\"", pattern)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stripped_is_the_begin_of_a_path() {
        assert_eq!(strip("/assets"), Ok("/assets".to_owned()));
        assert_eq!(strip(""), Ok(String::new()));
        assert_eq!(strip("assets").unwrap_err().help.as_deref(), Some("write \"/assets\""));
        assert_eq!(strip("/assets/").unwrap_err().help.as_deref(), Some("write \"/assets\""));
        for bad in ["/", "/a/**", "/../a", "/a%20b", "/a b", "/a//b"] {
            assert!(strip(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_lies_below_the_root() {
        assert_eq!(file_name("errors/404.html"), Ok("errors/404.html".to_owned()));
        for bad in ["", "/404.html", "../404.html", "a/", "."] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
    }
}
