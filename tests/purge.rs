//! What was purged is never served again, through either door, whatever is under way or restarts; who
//! may purge; and who has written something reads it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use support::client::{get, post};
use support::origin::{Gate, ok};
use support::{Answer, Client, Edge, H2, Origin, Request, eventually, origin, policy};

const ROUTES: &str = "[cache.page]\nttl = \"1h\"\nstale_if_error = \"1h\"\nstale_while_revalidate = \"1h\"\n\
    ignore_query = [\"utm_*\"]\n\
    [[route]]\nname = \"pages\"\ncache = \"page\"\n";
const WRITES: &str = "[cache.page]\nttl = \"1h\"\nstale_if_error = \"1h\"\nread_your_writes = true\n\
    [[route]]\nname = \"pages\"\ncache = \"page\"\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// An origin whose pages say how often each was asked for, with tags by their path.
fn counting() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |request, to| {
        let tags = match request.target.split('/').nth(1) {
            Some("tagged") => "Surrogate-Key: all shoes\r\nCache-Tag: one, two\r\n",
            Some("grouped") => "Cache-Groups: \"g\"\r\n",
            _ => "",
        };
        let stale = if request.method == "POST" { "Cache-Group-Invalidation: \"g\"\r\n" } else { "" };
        ok(to, &format!("{tags}{stale}"), format!("{}", count.fetch_add(1, Ordering::SeqCst)))
    })
}

fn edge(place: &Origin) -> Edge {
    Edge::start("", &(origin(place.address, 50) + ROUTES))
}

/// Both doors: what each gives for a path.
struct Doors {
    first: Client,
    second: H2,
}

impl Doors {
    fn of(edge: &Edge) -> Self {
        Self { first: edge.connect(), second: H2::connect(edge.tls) }
    }

    /// The page through each door: the scheme is part of the key, so they are two.
    #[track_caller]
    fn both(&mut self, path: &str) -> [String; 2] {
        let pages = [self.first.get(path, ""), self.second.get(path, &[])];
        pages.map(|page| {
            assert_eq!(page.status, 200, "{page:?}");
            page.text()
        })
    }
}

#[track_caller]
fn purge(edge: &Edge, what: &Value) -> Value {
    let answer = ask(edge, what, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn ask(edge: &Edge, what: &Value, fields: &str) -> Answer {
    let mut what = what.clone();
    what["who"] = what.get("who").cloned().unwrap_or(json!("test"));
    Client::connect(edge.admin).send(post("/api/v1/purge", &format!("{JSON}{fields}"), &what.to_string())).answer()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn each_target_takes_what_it_names_through_both_doors_and_nothing_else() {
    let place = counting();
    let edge = edge(&place);
    let mut doors = Doors::of(&edge);
    let paths = ["/", "/x", "/x?q=1", "/x/y", "/xx", "/tagged/1", "/tagged/2", "/grouped/1"];
    for (what, taken) in [
        (json!({ "url": "https://localhost/x" }), &["/x"][..]),
        (json!({ "url": "localhost/x?utm_source=mail&q=1" }), &["/x?q=1"]),
        (json!({ "url": ["localhost/x", "http://localhost:8080/%78x"] }), &["/x", "/xx"]),
        (json!({ "prefix": "http://localhost/x/" }), &["/x", "/x?q=1", "/x/y"]),
        (json!({ "tag": "shoes" }), &["/tagged/1", "/tagged/2"]),
        (json!({ "tag": ["two", "g"] }), &["/tagged/1", "/tagged/2", "/grouped/1"]),
        (json!({ "tag": "none", "url": "localhost/none", "host": "other.example" }), &[]),
        (json!({ "host": "LOCALHOST" }), &paths),
        (json!({ "everything": true }), &paths),
    ] {
        let before = paths.map(|path| doors.both(path));
        assert_eq!(before, paths.map(|path| doors.both(path)), "all are held");
        let answer = purge(&edge, &what);
        assert_eq!((&answer["soft"], &answer["kept_over_restart"]), (&json!(false), &json!(true)));
        for (path, before) in paths.iter().zip(before) {
            let now = doors.both(path);
            let changed = [now[0] != before[0], now[1] != before[1]];
            assert_eq!(changed, [taken.contains(path); 2], "{path} after {what}");
        }
    }
}

#[test]
fn what_is_purged_softly_answers_until_there_is_a_new_one_and_for_an_origin_that_fails() {
    let failing = Arc::new(AtomicBool::new(false));
    let (fails, count) = (failing.clone(), AtomicUsize::new(0));
    let place = Origin::start(move |_, to| {
        let fields = if count.fetch_add(1, Ordering::SeqCst) > 1 { "" } else { "Surrogate-Key: t\r\n" };
        !fails.load(Ordering::SeqCst) && ok(to, fields, format!("{}", count.load(Ordering::SeqCst)))
    });
    let edge = edge(&place);
    let mut doors = Doors::of(&edge);
    let held = doors.both("/");
    purge(&edge, &json!({ "tag": "t", "soft": true }));
    failing.store(true, Ordering::SeqCst);
    assert_eq!(doors.both("/"), held);
    let ttl = |answer: &Answer| {
        let status = answer.field("cache-status").unwrap();
        status.strip_prefix("Seawall; hit; ttl=").map(|ttl| ttl.parse::<i64>().unwrap())
    };
    assert!(ttl(&doors.first.get("/", "")).unwrap() <= 0);
    failing.store(false, Ordering::SeqCst);
    eventually("both are fetched anew", || {
        let now = doors.both("/");
        now[0] != held[0] && now[1] != held[1]
    });
    assert!(ttl(&doors.first.get("/", "")).unwrap() > 3000);
    failing.store(true, Ordering::SeqCst);
    purge(&edge, &json!({ "url": "localhost/" }));
    assert_eq!(doors.first.get("/", "").status, 502, "hard: gone, however the origin does");
    assert_eq!(doors.second.get("/", &[]).status, 502);
}

#[test]
fn a_failure_that_is_remembered_is_forgotten_with_what_was_purged_and_for_who_has_written() {
    let count = AtomicUsize::new(0);
    let place = Origin::start(move |request: &Request, to| match request.method.as_str() {
        "GET" => {
            let answer =
                format!("HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\n{}", count.fetch_add(1, Ordering::SeqCst));
            std::io::Write::write_all(to, answer.as_bytes()).is_ok()
        }
        _ => ok(to, "", ""),
    });
    let rules = WRITES.replace("[[route]]", "negative_ttl = \"1h\"\n[[route]]");
    let edge = Edge::start("", &(origin(place.address, 50) + &rules));
    let get = |fields: &str| edge.get("/", fields).text();
    assert_eq!([get(""), get(""), get("")], ["0", "0", "0"]);
    purge(&edge, &json!({ "url": "localhost/other", "tag": "t" }));
    assert_eq!(get(""), "0");
    purge(&edge, &json!({ "url": "localhost/" }));
    assert_eq!([get(""), get("")], ["1", "1"]);
    let wrote = edge.connect().send(post("/write", "", "x")).answer();
    let bearing = format!("Seawall-Version: {}\r\n", wrote.field("seawall-version").unwrap());
    assert_eq!([get(""), get(&bearing), get(&bearing), get("")], ["1", "2", "2", "2"]);
}

#[test]
fn tags_for_caches_are_shown_to_no_client_but_groups_are() {
    let place = Origin::start(|_, to| ok(to, "Surrogate-Key: a\r\nCache-Tag: b\r\nCache-Groups: \"c\"\r\n", "page"));
    let edge = edge(&place);
    let mut second = H2::connect(edge.tls);
    let mut shown = |fields: &str, second_fields: &[(&str, &str)]| {
        for answer in [edge.get("/", fields), second.get("/", second_fields)] {
            let tags = ["surrogate-key", "cache-tag", "cache-groups"].map(|name| answer.field(name).map(str::to_owned));
            assert_eq!(tags, [None, None, Some("\"c\"".to_owned())], "{answer:?}");
        }
    };
    shown("", &[]);
    shown("", &[]);
    shown("Authorization: Basic x\r\n", &[("authorization", "Basic x")]);
}

#[test]
fn an_answer_that_was_asked_for_before_a_purge_is_neither_kept_nor_followed_after_it() {
    for what in [json!({ "url": "localhost/" }), json!({ "tag": "t" }), json!({ "everything": true, "soft": true })] {
        let (changed, gate, first) = (Arc::new(AtomicBool::new(false)), Gate::default(), AtomicBool::new(true));
        let (is_changed, hold) = (changed.clone(), gate.clone());
        let place = Origin::start(move |_, to| {
            let page = if is_changed.load(Ordering::SeqCst) { "new" } else { "old" };
            if first.swap(false, Ordering::SeqCst) {
                hold.pass();
            }
            ok(to, "Surrogate-Key: t\r\n", page)
        });
        let edge = edge(&place);
        let mut before = edge.connect();
        before.send(get("/", ""));
        eventually("the first is at the origin", || place.count() == 1);
        changed.store(true, Ordering::SeqCst);
        purge(&edge, &what);
        // The page changed before the purge: who asks now must not get what was read before it.
        assert_eq!(edge.get("/", "").text(), "new", "{what}");
        gate.open();
        assert_eq!(before.answer().text(), "old", "who asked before the purge");
        for _ in 0..3 {
            assert_eq!(edge.get("/", "").text(), "new", "{what}");
        }
        assert_eq!(place.count(), 2, "the second one's answer is kept");
    }
}

#[test]
fn a_write_makes_stale_the_groups_that_its_answer_names() {
    let place = counting();
    let edge = edge(&place);
    let mut doors = Doors::of(&edge);
    let (held, other) = (doors.both("/grouped/1"), doors.both("/x"));
    assert_eq!(edge.connect().send(post("/write", "", "x")).answer().status, 200);
    eventually("it is fetched anew", || {
        let now = doors.both("/grouped/1");
        now[0] != held[0] && now[1] != held[1]
    });
    assert_eq!(doors.both("/x"), other);
}

/// An edge whose snapshot has a page, older than anything that is purged.
fn with_snapshot(place: &Origin) -> Edge {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    for page in ["shown", "other"] {
        std::fs::create_dir_all(dir.path().join("snapshot").join(page)).unwrap();
        std::fs::write(dir.path().join(format!("snapshot/{page}/index.html")), format!("{page}, once")).unwrap();
    }
    let rest = "[snapshot]\ndir = \"snapshot\"\n[[route]]\nname = \"all\"\ncache = false\nat.static = \"snapshot\"\n";
    Edge::start_in(dir, &policy("", &(origin(place.address, 5) + rest)))
}

#[test]
fn what_is_purged_is_hidden_in_the_snapshot_and_stays_so_after_a_restart() {
    let place = counting();
    let mut edge = with_snapshot(&place);
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    let shown = |edge: &Edge, path: &str| {
        let answers = [edge.get(path, ""), H2::connect(edge.tls).get(path, &[])];
        answers.map(|answer| if answer.status == 200 { answer.text() } else { answer.reason() })
    };
    let once = |page: &str| [format!("{page}, once"), format!("{page}, once")];
    let gone = ["level_refused"; 2];
    assert_eq!(shown(&edge, "/shown/"), once("shown"));
    purge(&edge, &json!({ "url": "localhost/shown/", "soft": true }));
    assert_eq!(shown(&edge, "/shown/"), once("shown"), "stale, and better than nothing");
    purge(&edge, &json!({ "url": "localhost/shown" }));
    for _ in 0..2 {
        assert_eq!(shown(&edge, "/shown/"), gone);
        assert_eq!(shown(&edge, "/shown"), gone);
        assert_eq!(shown(&edge, "/shown/?utm_source=mail"), gone, "a file stands for every query");
        let by_another_name = edge.connect().send("GET /shown/ HTTP/1.1\r\nHost: other.example\r\n\r\n").answer();
        assert_eq!(by_another_name.reason(), "level_refused");
        assert_eq!(shown(&edge, "/other/"), once("other"));
        // KILL: no last word.
        edge = edge.restart(libc::SIGKILL);
    }
    std::fs::write(edge.dir().join("snapshot/shown/index.html"), "shown, anew").unwrap();
    edge.signal(libc::SIGHUP);
    eventually("the new file is shown", || edge.get("/shown/", "").text() == "shown, anew");
}

#[test]
fn what_is_purged_stays_so_when_another_process_takes_over() {
    let place = counting();
    let mut edge = with_snapshot(&place);
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    assert_eq!(edge.get("/shown/", "").text(), "shown, once");
    let mut kept = Client::connect(edge.admin);
    let purge_on = |connection: &mut Client, url: &str| {
        let what = json!({ "url": url, "who": "test" }).to_string();
        connection.send(post("/api/v1/purge", JSON, &what)).looks_whole().map(|(answer, _)| answer.status)
    };
    assert_eq!(purge_on(&mut kept, "localhost/shown/"), Some(200));
    edge.hand_over();
    assert_eq!(edge.get("/shown/", "").reason(), "level_refused");
    assert_ne!(purge_on(&mut kept, "localhost/other/"), Some(200), "nobody would hear of it");
    assert_eq!(edge.get("/other/", "").text(), "other, once");
    purge(&edge, &json!({ "url": "localhost/other/" }));
    assert_eq!(edge.get("/other/", "").reason(), "level_refused");
}

#[test]
fn a_record_of_purges_that_cannot_be_read_purges_everything_and_says_so() {
    let place = counting();
    let edge = with_snapshot(&place);
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    purge(&edge, &json!({ "tag": "t" }));
    let record = edge.dir().join("state/purges.bin");
    let mut bytes = std::fs::read(&record).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&record, bytes).unwrap();
    let edge = edge.restart(libc::SIGTERM);
    assert_eq!(edge.get("/shown/", "").reason(), "level_refused");
    assert!(edge.log().contains("purges from before the restart are not known"));
    let edge = edge.restart(libc::SIGTERM);
    assert_eq!(edge.get("/shown/", "").reason(), "level_refused", "that was written down");
    assert!(!edge.log().contains("are not known"));
}

#[test]
fn the_command_line_purges_asks_and_says_what_it_did() {
    let place = counting();
    let edge = edge(&place);
    let mut doors = Doors::of(&edge);
    let held = doors.both("/x");
    let dry = edge.cli(&["purge", "--url", "https://localhost/x#top", "--prefix", "localhost/blog", "--dry-run"]);
    assert_eq!(said(&dry), "would be purged: url localhost/x\nwould be purged: prefix localhost/blog/**\n");
    assert_eq!(doors.both("/x"), held);
    let asks = edge.cli(&["purge", "--everything"]);
    assert!(!asks.status.success() && said(&asks).contains("--yes"), "{asks:?}");
    assert_eq!(doors.both("/x"), held);
    let nothing = edge.cli(&["purge", "--soft"]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    let wrong = edge.cli(&["purge", "--url", "/x"]);
    assert!(wrong.status.code() == Some(1) && said(&wrong).contains("names no host"), "{wrong:?}");
    let done = edge.cli(&["purge", "--everything", "--yes", "--why", "a new design", "--who", "alice"]);
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(0), "purged: everything\n"));
    assert!(doors.both("/x").iter().zip(&held).all(|(now, before)| now != before));
    let json = edge.cli(&["purge", "--tag", "t", "--soft", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["purged"][0]["kind"], &json["soft"]), (&json!("tag"), &json!(true)));
    eventually("it is in the log", || {
        let log = edge.log();
        log.contains("alice") && log.contains("a new design") && log.contains("everything")
    });
    assert!(edge.ask_admin("/metrics").text().contains("seawall_cache_purges_total 2"));
}

/// A file that its owner alone reads.
fn secret(path: &Path, mode: u32, text: &str) {
    use std::io::Write as _;
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).unwrap();
    writeln!(file, "{text}").unwrap();
}

const OPS: &str = "opsopsopsopsopsopsopsopsopsopsopsops";
const CMS: &str = "cmscmscmscmscmscmscmscmscmscmscmscms";
const TOKENS: &str = "tokens.ops = { file = \"ops.token\", may = [\"all\"] }\n\
    tokens.cms = { file = \"cms.token\", may = [\"purge\"] }\n";

fn with_tokens(place: &Origin, listen: &str) -> Edge {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    secret(&dir.path().join("ops.token"), 0o600, OPS);
    secret(&dir.path().join("cms.token"), 0o600, CMS);
    let whole = policy("", &(TOKENS.to_owned() + &origin(place.address, 5) + ROUTES));
    Edge::start_in(dir, &whole.replace("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{listen}\"")))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn a_change_needs_a_token_with_its_right_whose_name_is_who_did_it() {
    let place = counting();
    let edge = with_tokens(&place, "127.0.0.1:0");
    let what = json!({ "tag": "t", "why": "a test" });
    for shown in ["", &bearer("wrong"), &bearer(OPS.trim_start_matches('o'))] {
        let refused = ask(&edge, &what, shown);
        assert_eq!((refused.status, refused.field("www-authenticate")), (401, Some("Bearer realm=\"seawall\"")));
        assert_eq!(refused.field("content-type"), Some("application/problem+json"));
    }
    let done = ask(&edge, &what, &bearer(CMS));
    assert_eq!((done.status, &done.json()["who"]), (200, &json!("cms")));
    eventually("it is in the log", || edge.log().contains("cms"));
    let level = r#"{"action":"pin","level":"elevated"}"#;
    let pin = |token| {
        Client::connect(edge.admin).send(post("/api/v1/level", &format!("{JSON}{}", bearer(token)), level)).answer()
    };
    let refused = pin(CMS);
    assert!(refused.status == 403 && refused.json()["detail"].as_str().unwrap().contains("level"), "{refused:?}");
    assert_eq!(pin(OPS).json()["origins"][0]["overrides"][0]["who"], json!("ops"));
    assert_eq!(edge.ask_admin("/metrics").status, 200, "reading is open to this machine");
    // A name that leads here is not believed, but with a token it makes no difference.
    let named = |fields: &str| {
        let ask = format!("GET /api/v1/status HTTP/1.1\r\nHost: edge.example\r\n{fields}\r\n");
        Client::connect(edge.admin).send(ask).answer().status
    };
    assert_eq!((named(""), named(&bearer(OPS))), (421, 200));
}

#[test]
fn where_others_reach_the_listener_reading_needs_a_token_too_but_for_health() {
    let place = counting();
    let mut edge = with_tokens(&place, "0.0.0.0:0");
    edge.admin = ([127, 0, 0, 1], edge.admin.port()).into();
    for path in ["/", "/metrics", "/api/v1/status", "/api/v1/rooms"] {
        let with = |token: &str| Client::connect(edge.admin).get(path, &bearer(token)).status;
        assert_eq!((edge.ask_admin(path).status, with(CMS), with(OPS)), (401, 403, 200), "{path}");
    }
    assert_eq!((edge.ask_admin("/healthz").status, edge.ask_admin("/readyz").status), (200, 200));
}

#[test]
fn the_command_line_shows_a_token_from_a_file_or_the_environment() {
    let place = counting();
    let edge = with_tokens(&place, "127.0.0.1:0");
    let cms = edge.dir().join("cms.token").display().to_string();
    let without = edge.cli(&["purge", "--tag", "t"]);
    assert!(without.status.code() == Some(1) && said(&without).contains("--token-file"), "{without:?}");
    assert!(edge.cli(&["purge", "--tag", "t", "--token-file", &cms]).status.success());
    let refused = edge.cli(&["level", "pin", "static", "--token-file", &cms]);
    assert!(!refused.status.success() && said(&refused).contains("it needs the right \"level\""), "{refused:?}");
    let by_environment = std::process::Command::new(support::SEAWALL)
        .args(["level", "pin", "elevated", "--admin", &edge.admin.to_string()])
        .env("SEAWALL_TOKEN", OPS)
        .output()
        .unwrap();
    assert!(by_environment.status.success(), "{by_environment:?}");
}

#[test]
fn tokens_are_read_again_on_hup_and_one_that_others_can_read_is_refused() {
    let place = counting();
    let edge = with_tokens(&place, "127.0.0.1:0");
    let (what, renewed) = (json!({ "tag": "t" }), "new".repeat(12));
    secret(&edge.dir().join("cms.token"), 0o600, &renewed);
    edge.signal(libc::SIGHUP);
    eventually("the new one counts", || ask(&edge, &what, &bearer(&renewed)).status == 200);
    assert_eq!(ask(&edge, &what, &bearer(CMS)).status, 401);
    secret(&edge.dir().join("cms.token"), 0o644, CMS);
    edge.signal(libc::SIGHUP);
    eventually("it is said", || edge.log().contains("chmod 600"));
    assert_eq!(ask(&edge, &what, &bearer(&renewed)).status, 200, "the one before stays");
    let checked =
        std::process::Command::new(support::SEAWALL).arg("check").arg(edge.dir().join("seawall.toml")).output();
    let checked = checked.unwrap();
    assert!(checked.status.code() == Some(1) && said(&checked).contains("chmod 600"), "{checked:?}");
}

/// An origin with one value, which a POST sets and every page shows.
fn shop() -> (Origin, Arc<AtomicBool>) {
    let (value, dead) = (std::sync::Mutex::new("empty".to_owned()), Arc::new(AtomicBool::new(false)));
    let is_dead = dead.clone();
    let place = Origin::start(move |request: &Request, to| {
        let mut value = value.lock().unwrap();
        if is_dead.load(Ordering::SeqCst) {
            return false;
        }
        if request.method == "POST" {
            *value = String::from_utf8_lossy(&request.body).into_owned();
        }
        ok(to, "", value.as_bytes())
    });
    (place, dead)
}

#[test]
fn who_has_written_reads_it_and_one_read_renews_it_for_all() {
    let (place, _) = shop();
    let edge = Edge::start("", &(origin(place.address, 50) + WRITES));
    let (mut second, reads) = (H2::connect(edge.tls), || place.requests().iter().filter(|r| r.method == "GET").count());
    for (path, n) in [("/a", 0), ("/b", 1)] {
        for stale in [edge.get(path, ""), second.get(path, &[])] {
            assert_eq!(stale.text(), "empty", "{path} {n}");
        }
    }
    let wrote = edge.connect().send(post("/basket", "", "shoes")).answer();
    let cookie = wrote.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = wrote.field("seawall-version").unwrap().to_owned();
    assert_eq!(cookie, format!("seawall_version={token}"));
    // Others still get what is held; its bearer does not, by cookie or by field, through either door.
    let before = reads();
    assert_eq!(edge.get("/a", "").text(), "empty");
    let fetched = edge.get("/a", &format!("Cookie: {cookie}\r\n"));
    assert_eq!(fetched.text(), "shoes");
    assert_eq!(fetched.field("cache-status"), Some("Seawall; fwd=request; stored"));
    assert_eq!(second.get("/a", &[("seawall-version", &token)]).text(), "shoes");
    assert_eq!(reads(), before + 2, "one for each scheme");
    for _ in 0..5 {
        assert_eq!(edge.get("/a", &format!("Seawall-Version: {token}\r\n")).text(), "shoes");
        assert_eq!(edge.get("/a", "").text(), "shoes", "renewed for all");
        assert_eq!(second.get("/a", &[("cookie", &cookie)]).text(), "shoes");
    }
    assert_eq!(reads(), before + 2, "a token is no way around the cache");
    assert_eq!(edge.get("/b", "").text(), "empty");
    assert!(place.requests().iter().all(|r| r.field("seawall-version").is_none() && r.field("cookie").is_none()));
    let wrote = second.ask(Method::POST, "/basket", &[], b"hats").answer();
    assert!(wrote.field("set-cookie").unwrap().starts_with("__Host-seawall_version="), "{wrote:?}");
    assert_eq!(
        edge.get("/a", &format!("Seawall-Version: {}\r\n", wrote.field("seawall-version").unwrap())).text(),
        "hats"
    );
}

#[test]
fn a_token_that_is_forged_forces_nothing_and_a_write_that_failed_gives_none() {
    let (place, dead) = shop();
    let edge = Edge::start("", &(origin(place.address, 50) + WRITES));
    assert_eq!(edge.get("/", "").text(), "empty");
    let wrote = edge.connect().send(post("/basket", "", "shoes")).answer();
    let token = wrote.field("seawall-version").unwrap().to_owned();
    let forged = token.chars().rev().collect::<String>();
    for token in [forged.as_str(), "x", &"A".repeat(35), ""] {
        assert_eq!(edge.get("/", &format!("Seawall-Version: {token}\r\n")).text(), "empty", "{token}");
    }
    assert_eq!(edge.get("/", "").field("seawall-version"), None);
    dead.store(true, Ordering::SeqCst);
    let failed = edge.connect().send(post("/", "", "hats")).answer();
    assert_eq!((failed.status, failed.field("seawall-version"), failed.field("set-cookie")), (502, None, None));
}

#[test]
fn who_has_written_gets_an_honest_error_rather_than_an_older_page() {
    let (place, dead) = shop();
    let edge = Edge::start("", &(origin(place.address, 50) + WRITES));
    let mut second = H2::connect(edge.tls);
    assert_eq!((edge.get("/", "").text(), second.get("/", &[]).text()), ("empty".into(), "empty".into()));
    let wrote = edge.connect().send(post("/", "", "shoes")).answer();
    let token = wrote.field("seawall-version").unwrap();
    purge(&edge, &json!({ "host": "localhost", "soft": true }));
    dead.store(true, Ordering::SeqCst);
    let bearing = format!("Seawall-Version: {token}\r\n");
    assert_eq!((edge.get("/", &bearing).status, second.get("/", &[("seawall-version", token)]).status), (502, 502));
    assert_eq!((edge.get("/", "").text(), second.get("/", &[]).text()), ("empty".into(), "empty".into()));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    assert_eq!(edge.get("/", &bearing).reason(), "level_refused");
    assert_eq!(edge.get("/", "").text(), "empty");
}

#[test]
fn a_read_after_a_write_follows_no_fill_that_began_before_it() {
    let (gate, value, first) = (Gate::default(), AtomicUsize::new(0), AtomicBool::new(true));
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        if request.method == "POST" {
            value.fetch_add(1, Ordering::SeqCst);
        }
        let seen = value.load(Ordering::SeqCst);
        if request.method == "GET" && first.swap(false, Ordering::SeqCst) {
            hold.pass();
        }
        ok(to, "", seen.to_string())
    });
    let edge = Edge::start("", &(origin(place.address, 50) + WRITES));
    let mut early = edge.connect();
    early.send(get("/", ""));
    eventually("it is at the origin", || place.count() == 1);
    let wrote = edge.connect().send(post("/", "", "x")).answer();
    let bearing = format!("Seawall-Version: {}\r\n", wrote.field("seawall-version").unwrap());
    assert_eq!(edge.get("/", &bearing).text(), "1");
    gate.open();
    assert_eq!(early.answer().text(), "0");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(edge.get("/", &bearing).text(), "1", "the earlier answer came later, and replaced nothing");
    assert_eq!(place.count(), 3);
}
