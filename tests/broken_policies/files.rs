//! Mistakes in `[files.NAME]` and in routes with files.

use super::*;

#[track_caller]
fn broken_files(line: &str, column: usize, message: &str, hint: &str) {
    let rest = format!("[files.site]\nroot = \"public\"\n{line}\n[[route]]\nfiles = \"site\"\n");
    broken(&rest, (3, column, message, hint));
}

#[test]
fn files() {
    broken("[files.site]\n[[route]]\nfiles = \"site\"\n", (1, 1, "`files.site.root` is missing", "root = \"public\""));
    broken("[files]\nroot = \"public\"\n", (2, 1, "`files.root` is a table", "[files.NAME]"));
    broken_files("precompressed = [\"gzip\"]", 18, "precompressed", "write \"gz\"");
    broken_files("precompressed = [\"br\", \"br\"]", 24, "precompressed", "named twice");
    broken_files("strip = \"assets\"", 9, "strip", "write \"/assets\"");
    broken_files("strip = \"/assets/**\"", 9, "strip", "no pattern");
    broken_files("index = \"a/b.html\"", 9, "index", "without slashes");
    broken_files("fallback = \"../index.html\"", 12, "fallback", "below the root");
    broken_files("not_found = \"/404.html\"", 13, "not_found", "below the root");
    broken_files("deny = [\"\"]", 9, "deny", "a pattern such as");
    broken_files("max_age = 60", 11, "max_age", "a duration");
    broken_files("directory = \"x\"", 1, "unknown key `directory`", "known here");
}

#[test]
fn routes_with_files() {
    let route = |line: &str| format!("[files.site]\nroot = \"public\"\n[[route]]\n{line}\n");
    broken(&route("files = \"sit\""), (4, 9, "there is no [files.sit]", "did you mean \"site\""));
    let with = |line: &str| route(&format!("files = \"site\"\n{line}"));
    broken(&with("max_in_flight = \"20%\""), (5, 17, "no meaning for files", "leave it out"));
    broken(&with("response_timeout = \"1s\""), (5, 20, "no meaning for files", "leave it out"));
    broken(&with("at.static = \"snapshot\""), (5, 13, "cannot be \"snapshot\"", "served at every level"));
    broken(&with("at.degraded = \"stale\""), (5, 15, "cannot be \"stale\"", "served at every level"));
    broken(&with("at.static = \"wait\""), (5, 13, "cannot be \"wait\"", "waiting_room"));
}

#[test]
fn without_an_origin_every_route_has_files() {
    let files = "[files.site]\nroot = \"public\"\n[[route]]\npath = \"/a/**\"\nfiles = \"site\"\n";
    let text = format!("{HEAD}{files}");
    assert!(findings(&text).diagnostics.is_empty(), "{}", findings(&text).render(false));
    let other = format!("{text}[[route]]\nname = \"rest\"\n");
    expect(&other, Severity::Error, &[(8, 1, "neither an origin nor files", "files = \"NAME\"")]);
    let level = format!("{text}at.static = \"refuse\"\n");
    expect(&level, Severity::Error, &[(5, 1, "neither an origin nor files", "files = \"NAME\"")]);
    let unused = format!("{HEAD}{SHOP}[files.site]\nroot = \"public\"\n");
    expect(&unused, Severity::Warning, &[(6, 1, "no route uses [files.site]", "files = \"site\"")]);
}
