//! Static files over real sockets, at both doors: what browsers ask of them, and what attackers do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that fails should say where"
)]

mod support;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use http::Method;
use support::client::{End, get};
use support::{Answer, Edge, H2, Origin, origin, policy};
use tempfile::TempDir;

const SECRET: &str = "the secret beside the root";
const FILES: &str = "[files.site]\nroot = \"public\"\nprecompressed = [\"zst\", \"br\", \"gz\"]\n\
    immutable = [\"*.????????.*\"]\ndeny = [\"*.php\", \"*.sql\", \".*\"]\nnot_found = \"404.html\"\n\
    [[route]]\nname = \"site\"\nfiles = \"site\"\n";
const HTML: &str = "<!doctype html><title>home</title>";

/// A directory with a root in it, and a secret beside that.
fn site() -> Arc<TempDir> {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    for (name, content) in [
        ("index.html", HTML),
        ("404.html", "nothing here"),
        ("docs/index.html", "docs"),
        ("evil.example/index.html", "dir"),
        ("a.css", "body { color: red }"),
        ("a.css.br", "as brotli"),
        ("a.css.gz", "as gzip"),
        ("app.3f2a9c1b.js", "let a = 1;"),
        ("caf\u{e9} 1.txt", "coffee"),
        ("x.php", "<?php secret"),
        ("dump.sql", "secret"),
        (".env", "secret"),
        (".git/config", "secret"),
        ("a/b", "b"),
    ] {
        put(dir.path(), name, content);
    }
    std::fs::write(dir.path().join("secret"), SECRET).unwrap();
    let root = dir.path().join("public");
    symlink("../secret", root.join("out.txt")).unwrap();
    symlink(dir.path().join("secret"), root.join("absolute.txt")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("a.css", root.join("within.css")).unwrap();
    symlink("/dev/zero", root.join("zero")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(root.join("pipe")).status().unwrap();
    assert!(pipe.success());
    dir
}

fn put(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = dir.join("public").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Files and nothing else: no origin.
fn start(dir: &Arc<TempDir>) -> Edge {
    Edge::start_in(dir.clone(), &policy("", FILES))
}

/// The same request at both doors; both answers must say the same.
#[track_caller]
fn both(edge: &Edge, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut client = edge.connect();
    client.send(get(path, &lines).replacen("GET", method, 1));
    let first = if method == "HEAD" { client.answer_to_head() } else { client.answer() };
    client.assert_kept();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let second = H2::connect(edge.tls).ask(method, path, fields, b"").answer();
    assert_eq!((first.status, &first.body), (second.status, &second.body), "{path} {fields:?}");
    let told = |answer: &Answer| {
        let mut fields = answer.fields.clone();
        fields.retain(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id" | "connection" | "retry-after"));
        fields.sort();
        fields
    };
    if first.field("content-type").is_none_or(|kind| !kind.starts_with("multipart")) {
        assert_eq!(told(&first), told(&second), "{path} {fields:?}");
    }
    first
}

#[test]
fn a_file_comes_with_all_that_browsers_need_and_without_an_origin() {
    let dir = site();
    let edge = start(&dir);
    let home = both(&edge, "GET", "/", &[]);
    assert_eq!((home.status, home.text().as_str()), (200, HTML));
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("vary", "Accept-Encoding"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(home.field(name), Some(value));
    }
    assert!(home.field("etag").unwrap().starts_with('"') && home.field("last-modified").is_some());
    assert!(home.field("date").is_some());
    let head = both(&edge, "HEAD", "/", &[]);
    assert_eq!((head.status, head.field("content-length")), (200, Some(HTML.len().to_string().as_str())));
    assert!(head.body.is_empty());
    let hashed = both(&edge, "GET", "/app.3f2a9c1b.js", &[]);
    assert_eq!(hashed.field("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(hashed.field("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(both(&edge, "GET", "/caf%C3%A9%201.txt", &[]).text(), "coffee");
    assert_eq!(both(&edge, "GET", "/within.css", &[]).text(), "body { color: red }", "a link that stays inside");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = both(&edge, method, "/a.css", &[]);
        assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert!(edge.count("file") >= 8 && edge.count("method_refused") == 8);
}

#[test]
fn a_directory_has_an_index_and_one_url_that_leads_nowhere_else() {
    let dir = site();
    let edge = start(&dir);
    assert_eq!(both(&edge, "GET", "/docs/", &[]).text(), "docs");
    for (asked, location) in [
        ("/docs", "/docs/"),
        ("/docs?x=1&y=%0a", "/docs/?x=1&y=%0a"),
        ("//evil.example", "/evil.example/"),
        ("/%2e/evil.example", "/evil.example/"),
        ("///evil.example/../evil.example", "/evil.example/"),
        ("/;@host/evil.example", "/evil.example/"),
    ] {
        let answer = edge.get(asked, "");
        assert_eq!((answer.status, answer.field("location")), (301, Some(location)), "{asked}");
    }
    for missing in ["/a.css/", "/a", "/a/", "/none", "/docs/none"] {
        let answer = both(&edge, "GET", missing, &[]);
        assert_eq!((answer.status, answer.text().as_str()), (404, "nothing here"), "{missing}");
        assert_eq!(answer.field("cache-control"), Some("no-cache"));
    }
}

#[test]
fn the_encoding_a_client_likes_best_has_a_tag_of_its_own() {
    let dir = site();
    let edge = start(&dir);
    let mut tags = Vec::new();
    for (accept, encoding, body) in [
        ("identity", None, "body { color: red }"),
        ("gzip, deflate, br, zstd", Some("br"), "as brotli"),
        ("gzip;q=1, br;q=0.1", Some("gzip"), "as gzip"),
        ("br;q=0, *", Some("gzip"), "as gzip"),
        ("zstd", None, "body { color: red }"),
        ("identity;q=0, x-none", None, "body { color: red }"),
    ] {
        let answer = both(&edge, "GET", "/a.css", &[("Accept-Encoding", accept)]);
        assert_eq!((answer.status, answer.field("content-encoding"), answer.text().as_str()), (200, encoding, body));
        assert_eq!(answer.field("content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
        let etag = answer.field("etag").unwrap().to_owned();
        let known = [("Accept-Encoding", accept), ("If-None-Match", etag.as_str())];
        let again = both(&edge, "GET", "/a.css", &known);
        assert_eq!((again.status, again.field("etag"), again.body.len()), (304, Some(etag.as_str()), 0));
        tags.push(etag);
    }
    let distinct: std::collections::HashSet<_> = tags.iter().collect();
    assert_eq!(distinct.len(), 3);
    let other = [("Accept-Encoding", "br"), ("If-None-Match", tags[0].as_str())];
    assert_eq!(both(&edge, "GET", "/a.css", &other).status, 200, "the tag of another encoding");
}

#[test]
fn preconditions_and_parts() {
    let dir = site();
    let edge = start(&dir);
    let home = edge.get("/", "");
    let (etag, modified) = (home.field("etag").unwrap(), home.field("last-modified").unwrap());
    const LONG_AGO: &str = "Sat, 01 Jan 2000 00:00:00 GMT";
    for (fields, status) in [
        (vec![("If-Match", etag)], 200),
        (vec![("If-Match", "\"other\"")], 412),
        (vec![("If-Unmodified-Since", modified)], 200),
        (vec![("If-Unmodified-Since", LONG_AGO)], 412),
        (vec![("If-None-Match", "*")], 304),
        (vec![("If-Modified-Since", modified)], 304),
        (vec![("If-Modified-Since", LONG_AGO)], 200),
        (vec![("If-None-Match", "\"other\""), ("If-Modified-Since", modified)], 200),
        (vec![("Range", "bytes=0-4"), ("If-Range", etag)], 206),
        (vec![("Range", "bytes=0-4"), ("If-Range", "\"other\"")], 200),
        (vec![("Range", "bytes=999-")], 416),
        (vec![("Range", "bytes=0-4"), ("If-None-Match", etag)], 304),
        (vec![("Range", "apples=0-4")], 200),
    ] {
        assert_eq!(both(&edge, "GET", "/", &fields).status, status, "{fields:?}");
    }
    let part = both(&edge, "GET", "/", &[("Range", "bytes=-7")]);
    assert_eq!((part.text().as_str(), part.field("content-range")), ("/title>", Some("bytes 27-33/34")));
    assert_eq!(both(&edge, "HEAD", "/", &[("Range", "bytes=0-1")]).status, 200, "parts are of a GET");
    let beyond = both(&edge, "GET", "/", &[("Range", "bytes=999-")]);
    assert_eq!(beyond.field("content-range"), Some("bytes */34"));
    let several = edge.get("/", "Range: bytes=0-0,2-8\r\n");
    let boundary = several.field("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range, body| {
        format!("--{boundary}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Range: {range}\r\n\r\n{body}\r\n")
    };
    let whole = part("bytes 0-0/34", "<") + &part("bytes 2-8/34", "doctype");
    assert_eq!(several.text(), format!("{whole}--{boundary}--\r\n"));
    assert_eq!(H2::connect(edge.tls).get("/", &[("Range", "bytes=0-0,2-8")]).status, 206);
}

/// What has led out of other servers' roots, or past what they deny. `{up}` is `..` four times over.
const ATTACKS: &[&str] = &[
    "/../secret",
    "/../../../../../../etc/passwd",
    "/docs/../../secret",
    "/%2e%2e/secret",
    "/%2e%2e%2fsecret",
    "/..%2fsecret",
    "/..%2F..%2F..%2F..%2Fetc%2Fpasswd",
    "/..%5csecret",
    "/..\\secret",
    "/%5c..%5csecret",
    "/..%252fsecret",
    "/%252e%252e/secret",
    "/%252e%252e%252fsecret",
    "/%c0%ae%c0%ae/secret",
    "/%c0%ae%c0%ae%c0%afsecret",
    "/%e0%80%ae%e0%80%ae/secret",
    "/..%c0%afsecret",
    "/..%u2216secret",
    "/%uff0e%uff0e/secret",
    "/a.css%00.html",
    "/x.php%00.css",
    "/%00",
    "/....//secret",
    "/..././secret",
    "/..;/secret",
    "/;/../secret",
    "/./../secret",
    "//../secret",
    "/a//..//..//secret",
    "/%2f%2e%2e%2fsecret",
    "//etc/passwd",
    "/%2fetc%2fpasswd",
    "/file:///etc/passwd",
    "/C:%5cboot.ini",
    "/up/secret",
    "/up",
    "/up/",
    "/out.txt",
    "/absolute.txt",
    "/zero",
    "/pipe",
    "/pipe/",
    "/x.php",
    "/X.PHP",
    "/x.ph%70",
    "/x.php/",
    "/x.php;a=b",
    "/x.php%20",
    "/x.php.",
    "/x.php::$DATA",
    "/dump.sql",
    "/DUMP.SQL",
    "/.env",
    "/%2eenv",
    "/%2Eenv",
    "/.ENV",
    "/docs/../.env",
    "/.git/config",
    "/.GIT/config",
    "/%2egit%2fconfig",
    "/.git/",
    "/.git",
    "/.%00env",
    "/proc/self/environ",
    "/\u{ff0e}\u{ff0e}/secret",
];

#[test]
fn no_spelling_leads_out_of_the_root_or_past_what_is_denied() {
    let dir = site();
    let edge = start(&dir);
    for attack in ATTACKS {
        let mut client = edge.connect();
        let answers = [Some(client.get(attack, "")), second_door(&edge, attack)];
        for answer in answers.into_iter().flatten() {
            assert!(matches!(answer.status, 400 | 404), "{attack}: {answer:?}");
            assert!(!answer.text().contains("secret") && !answer.text().contains("root:"), "{attack}");
        }
    }
    assert_eq!(edge.get("/", "").status, 200, "it still stands");
}

/// At the second door, if the client lets such a path be sent.
fn second_door(edge: &Edge, path: &str) -> Option<Answer> {
    format!("https://localhost{path}").parse::<http::Uri>().ok()?;
    Some(H2::connect(edge.tls).get(path, &[]))
}

#[test]
fn files_stand_behind_the_limit_and_the_level_and_outlive_the_origin() {
    let dir = site();
    let place = Origin::plain();
    let rest = "[files.site]\nroot = \"public\"\nstrip = \"/static\"\nfallback = \"index.html\"\nmax_age = \"5m\"\n\
        [rate_limit.few]\nkey = \"path\"\nquota = \"2/h\"\n\
        [[route]]\nname = \"limited\"\npath = \"/static/docs/**\"\nfiles = \"site\"\nrate_limit = \"few\"\n\
        [[route]]\nname = \"off\"\npath = \"/static/a.css\"\nfiles = \"site\"\nat.static = \"refuse\"\n\
        [[route]]\nname = \"static\"\npath = \"/static/**\"\nfiles = \"site\"\n\
        [[route]]\nname = \"rest\"\ncache = false\n";
    let edge = Edge::start_in(dir, &policy("", &(origin(place.address, 4) + rest)));
    assert_eq!(both(&edge, "GET", "/static/", &[]).text(), HTML);
    assert_eq!(edge.get("/static", "").field("location"), Some("/static/"));
    assert_eq!(both(&edge, "GET", "/static/users/7", &[]).text(), HTML, "one page for what is no file");
    assert_eq!(both(&edge, "GET", "/static/none.js", &[]).status, 404);
    assert_eq!(both(&edge, "GET", "/static/a.css", &[]).field("cache-control"), Some("public, max-age=300"));
    assert_eq!(both(&edge, "GET", "/static/docs/", &[]).status, 200);
    assert_eq!(both(&edge, "GET", "/static/docs/", &[]).status, 429);
    assert_eq!(place.count(), 0);
    assert_eq!(edge.get("/else", "").status, 200);
    assert!(edge.cli(&["level", "pin", "static", "--why", "a test", "--for", "1h"]).status.success());
    assert_eq!(both(&edge, "GET", "/static/users/7", &[]).text(), HTML);
    assert_eq!(both(&edge, "GET", "/static/a.css", &[]).status, 503);
    assert_eq!(edge.get("/else", "").status, 503);
}

#[test]
fn a_large_file_comes_whole_and_bounded_and_never_with_other_bytes_than_its_head_said() {
    const LENGTH: usize = 64 << 20;
    let dir = site();
    let content: Vec<u8> = (0..LENGTH as u32).map(|n| (n / 7) as u8).collect();
    put(dir.path(), "big.bin", &content);
    let edge = start(&dir);
    let before = edge.memory();
    assert!(edge.get("/big.bin", "").body == content);
    assert!(H2::connect(edge.tls).get("/big.bin", &[]).body == content);
    let part = edge.get("/big.bin", "Range: bytes=40000000-40000009\r\n");
    assert_eq!(part.body, content[40_000_000..40_000_010]);
    // Readers who stand still hold a piece each, not the file.
    let mut slow: Vec<_> = (0..8).map(|_| edge.connect()).collect();
    for client in &mut slow {
        client.send(get("/big.bin", "")).head();
    }
    let grown = edge.memory().saturating_sub(before);
    assert!(grown < LENGTH as u64 / 2, "{grown} bytes for readers who stand still");
    // Cut while it is being sent: the head's promise can only be broken openly.
    let mut cut = edge.connect();
    let head = cut.send(get("/big.bin", "")).head();
    assert_eq!(head.field("content-length"), Some(LENGTH.to_string().as_str()));
    std::fs::OpenOptions::new().write(true).open(dir.path().join("public/big.bin")).unwrap().set_len(10).unwrap();
    assert!(cut.skip(LENGTH as u64) < LENGTH as u64);
    cut.assert_closed();
    let (answer, end) = edge.connect().send(get("/big.bin", "")).answer_and_end(true);
    assert_eq!((answer.body.len(), end), (10, End::Clean));
}

#[test]
fn a_file_that_is_replaced_is_served_anew_and_a_release_may_be_swapped() {
    let dir = site();
    symlink("public", dir.path().join("current")).unwrap();
    let edge = Edge::start_in(dir.clone(), &policy("", &FILES.replace("\"public\"", "\"current\"")));
    let old = edge.get("/a.css", "");
    std::fs::create_dir(dir.path().join("next")).unwrap();
    std::fs::write(dir.path().join("next/a.css"), "new").unwrap();
    std::fs::remove_file(dir.path().join("current")).unwrap();
    symlink("next", dir.path().join("current")).unwrap();
    support::eventually("the new release is served", || edge.get("/a.css", "").text() == "new");
    let tag = format!("If-None-Match: {}\r\n", old.field("etag").unwrap());
    assert_eq!(edge.get("/a.css", &tag).status, 200);
    std::fs::remove_file(dir.path().join("current")).unwrap();
    let gone = edge.get("/b.css", "Accept: application/json\r\n");
    assert_eq!((gone.status, gone.reason()), (503, "edge_busy".to_owned()));
    gone.retry_after();
}

#[test]
fn check_warns_of_what_should_not_be_served_and_explain_shows_the_file() {
    let dir = site();
    put(dir.path(), "keys/server.key", "secret");
    let edge = start(&dir);
    let checked =
        std::process::Command::new(support::SEAWALL).args(["check"]).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success() && said.contains("looks secret: keys/server.key"), "{said}");
    let explained = |args: &[&str]| edge.cli_offline(&[&["explain"], args].concat());
    assert!(explained(&["/a.css", "-H", "Accept-Encoding: br"]).contains("public/a.css.br"));
    assert!(explained(&["/"]).contains("public/index.html"));
    assert!(explained(&["/.env"]).contains("404.html, as the page of a 404"));
    assert!(explained(&["/docs"]).contains("a redirect"));
}

#[test]
fn what_a_room_guards_is_kept_by_nobody_but_its_visitor() {
    let dir = site();
    let rest = format!("[waiting_room.drop]\ncapacity = 1\n{FILES}waiting_room = \"drop\"\n");
    let edge = Edge::start_in(dir, &policy("", &rest));
    let inside = edge.get("/app.3f2a9c1b.js", "");
    assert_eq!(inside.status, 200);
    assert_eq!(inside.field("cache-control"), Some("private, max-age=31536000, immutable"));
    let cookies = inside.cookies();
    assert!(cookies.contains("seawall"), "{inside:?}");
    for waits in [edge.get("/", ""), H2::connect(edge.tls).get("/", &[])] {
        assert_eq!((waits.status, waits.field("cache-control")), (503, Some("no-store")));
    }
    let again = edge.get("/a.css", &format!("Cookie: {cookies}\r\n"));
    assert_eq!((again.status, again.text().as_str()), (200, "body { color: red }"));
    assert_eq!(again.field("cache-control"), Some("private, no-cache"));
}
