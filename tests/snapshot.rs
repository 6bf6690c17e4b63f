//! The snapshot: taken of real sites and of sites that misbehave, and shown once the origin is gone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::doors::doors;
use support::origin::ok;
use support::{Answer, Edge, H2, Nginx, Origin, SEAWALL, eventually, origin, policy, write_policy};
use tempfile::TempDir;

mod support;

/// At static where the origin is gone; reads are shown the snapshot.
const STATIC: &str = "[level.static]\nenter = { unreachable = \"1s\" }\n";

fn rules(address: std::net::SocketAddr, snapshot: &str) -> String {
    policy("", &(origin(address, 5) + STATIC + "[snapshot]\nrate = \"100000/s\"\n" + snapshot))
}

/// A directory with a policy whose origin is there, and whose `[snapshot]` has these lines.
fn site(address: std::net::SocketAddr, snapshot: &str) -> Arc<TempDir> {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    write_policy(dir.path(), &rules(address, snapshot));
    dir
}

fn seawall(dir: &Path, args: &[&str]) -> Output {
    Command::new(SEAWALL).arg("snapshot").args(args).current_dir(dir).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn take(dir: &Path, args: &[&str]) -> serde_json::Value {
    let output = seawall(dir, &[args, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn report(dir: &Path) -> serde_json::Value {
    take(dir, &["report"])
}

fn html(body: &str) -> String {
    format!("<!doctype html><title>t</title>{body}")
}

fn page(to: &mut std::net::TcpStream, body: &str) -> bool {
    ok(to, "content-type: text/html\r\n", html(body))
}

fn status(to: &mut std::net::TcpStream, status: &str, fields: &str) -> bool {
    write!(to, "HTTP/1.1 {status}\r\n{fields}content-length: 0\r\n\r\n").is_ok()
}

/// The HTML of a Debian package with hundreds of pages.
fn documentation() -> PathBuf {
    let below = Path::new("/usr/share/doc");
    let dirs = std::fs::read_dir(below).unwrap().map_while(Result::ok).map(|entry| entry.path().join("html"));
    let found =
        dirs.filter(|dir| dir.to_string_lossy().contains("/postgresql-doc-") && dir.join("index.html").exists());
    found.max().unwrap_or_else(|| panic!("no documentation here: apt-get install postgresql-doc"))
}

fn is_snapshot(answer: &Answer) -> bool {
    answer.field("cache-status").is_some_and(|status| status.contains("detail=snapshot"))
}

#[test]
fn every_page_of_a_real_site_is_served_byte_for_byte_once_its_origin_is_gone() {
    let root = documentation();
    let mut nginx = Nginx::start(&format!("location / {{ root {}; index index.html; }}", root.display()));
    let dir = site(nginx.address, "");
    let taken = take(dir.path(), &[]);
    assert!(taken["pages"].as_u64().unwrap() >= 500, "{taken}");
    let covered = report(dir.path())["covered"].as_array().unwrap().clone();
    let edge = Edge::start_in(dir, &rules(nginx.address, ""));
    nginx.kill();
    eventually("the level is static", || {
        edge.level() == "static" || {
            edge.get("/", "");
            false
        }
    });
    let (mut plain, mut h2) = (edge.connect(), H2::connect(edge.tls));
    for (i, target) in covered.iter().enumerate() {
        let target = target.as_str().unwrap();
        let file = root.join(target.trim_start_matches('/'));
        let file = if target.ends_with('/') { file.join("index.html") } else { file };
        let original = std::fs::read(&file).unwrap();
        let answer = plain.get(target, "");
        assert_eq!((answer.status, answer.body == original), (200, true), "{target}");
        assert!(is_snapshot(&answer) && answer.field("age").is_some() && answer.field("date").is_some(), "{target}");
        if i % 20 == 0 {
            assert!(h2.get(target, &[]).body == original, "{target}");
        }
    }
    let missing = edge.get("/not-there.html", "");
    assert_eq!(missing.status, 503);
    assert!(missing.retry_after() > 0);
}

#[test]
fn what_may_be_somebodys_is_left_out_and_the_report_says_why() {
    let place = Origin::start(|request, to| match request.target.as_str() {
        "/robots.txt" => ok(to, "", "User-agent: *\nDisallow: /cart\nSitemap: /maps.xml\n"),
        "/" => page(
            to,
            "<a href=/cart>c</a><a href=/private>p</a><a href=/cookie>s</a><a href=/biscuit>s</a><a href=/vary>v</a><a href=/missing>m</a>\
             <a href=/moved>r</a><a href=/found>f</a><a href=/noindex>n</a><a rel=nofollow href=/nofollow>n</a>\
             <img srcset='/small.png 1x, /large.png 2x'><a href=/list?page=2>l</a><a href=//elsewhere.example/>e</a>",
        ),
        "/maps.xml" => ok(to, "", "<sitemapindex><sitemap><loc>/map.xml</loc></sitemap></sitemapindex>"),
        "/map.xml" => ok(to, "", "<urlset><url><loc>/mapped</loc></url></urlset>"),
        "/private" => ok(to, "cache-control: private\r\n", "p"),
        "/cookie" => ok(to, "set-cookie: a=b\r\n", "p"),
        "/biscuit" => ok(to, "set-cookie: city=K\u{f6}ln\r\n", "p"),
        "/vary" => ok(to, "vary: cookie\r\n", "p"),
        "/moved" => status(to, "301 Moved Permanently", "location: /there\r\n"),
        "/found" => status(to, "302 Found", "location: /elsewhere\r\n"),
        "/noindex" => page(to, "<meta name=robots content=noindex><a href=/behind>b</a>"),
        "/there" | "/elsewhere" | "/behind" | "/mapped" | "/list?page=2" => page(to, &request.target),
        "/small.png" | "/large.png" => ok(to, "content-type: image/png\r\n", "png"),
        _ => status(to, "404 Not Found", ""),
    });
    let dir = site(place.address, "");
    let taken = take(dir.path(), &[]);
    let report = report(dir.path());
    let mut covered: Vec<_> = report["covered"].as_array().unwrap().iter().map(|u| u.as_str().unwrap()).collect();
    covered.sort_unstable();
    assert_eq!(
        covered,
        [
            "/",
            "/behind",
            "/elsewhere",
            "/large.png",
            "/list?page=2",
            "/map.xml",
            "/mapped",
            "/maps.xml",
            "/moved",
            "/small.png",
            "/there"
        ]
    );
    for (why, count) in
        [("robots", 1), ("private", 1), ("set_cookie", 2), ("varies", 1), ("temporary", 1), ("noindex", 1)]
    {
        assert_eq!(taken["left_out"][why], count, "{why}: {taken}");
    }
    assert!(place.requests().iter().all(|request| request.field("cookie").is_none() && request.target != "/cart"));
    assert_eq!(place.count_of("/nofollow"), 0);

    let edge = Edge::start_in(dir, &rules(place.address, ""));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    let moved = edge.get("/moved", "");
    assert_eq!((moved.status, moved.field("location")), (301, Some("/there")));
    assert_eq!(edge.get("/list?page=2", "").status, 200);
    for uncovered in ["/private", "/cookie", "/missing", "/list", "/list?page=3"] {
        assert_eq!(edge.get(uncovered, "").status, 503, "{uncovered}");
    }
    let whole = edge.get("/", "");
    assert!(edge.cli(&["purge", "--url", "http://localhost/list?page=2"]).status.success());
    assert_eq!(edge.get("/list?page=2", "").status, 503, "what was purged is gone here too");
    let known = format!("If-None-Match: {}\r\n", whole.field("etag").unwrap());
    assert_eq!(edge.get("/", &known).status, 304);
    let mut h2 = H2::connect(edge.tls);
    assert_eq!(h2.get("/", &[("if-none-match", whole.field("etag").unwrap())]).status, 304);
    let head = edge.connect().send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").answer_to_head();
    assert_eq!((head.status, head.field("content-length")), (200, whole.field("content-length")));
}

#[test]
fn a_site_is_asked_as_visitors_ask_it_and_early_hints_are_no_answer() {
    let place = Origin::start(|request, to| {
        let hint = to.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
        let host = request.field("x-forwarded-host").unwrap_or("nobody").to_owned();
        hint.is_ok() && page(to, &format!("{host} by {}", request.field("forwarded").unwrap_or_default()))
    });
    let dir = site(place.address, "seeds = [\"https://shop.example/\"]\n");
    take(dir.path(), &[]);
    let edge = Edge::start_in(dir, &rules(place.address, "seeds = [\"https://shop.example/\"]\n"));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    let shown = edge.connect().send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").answer();
    assert!(shown.text().contains("shop.example by proto=https;host=\"shop.example\""), "{}", shown.text());
}

#[test]
fn a_site_without_an_end_runs_into_bounds() {
    let place = Origin::start(|request, to| {
        let target = request.target.as_str();
        let number = target.rsplit(['/', '=']).next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
        match target {
            "/robots.txt" => status(to, "404 Not Found", ""),
            "/" => page(
                to,
                "<a href='/calendar?month=1'>c</a><a href=/deep/1>d</a><a href=/a/b/a/b/a/b/a/b/>t</a>\
                 <a href='/x?PHPSESSID=abc'>s</a><a href=/loop>l</a><a href=/huge>h</a><a href=/drip>d</a>",
            ),
            "/loop" => status(to, "301 Moved Permanently", "location: /loop2\r\n"),
            "/loop2" => status(to, "308 Permanent Redirect", "location: /loop\r\n"),
            "/huge" => {
                let _ = write!(to, "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
                false
            }
            "/drip" => {
                let _ = write!(to, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
                while to.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
                false
            }
            _ if target.starts_with("/calendar") => {
                let months = number + 1..number + 4;
                page(to, &months.map(|month| format!("<a href='/calendar?month={month}'>n</a>")).collect::<String>())
            }
            _ => page(to, &format!("<a href=/deep/{}>n</a>", number + 1)),
        }
    });
    let dir = site(place.address, "");
    let taken = take(dir.path(), &["--patience", "1s"]);
    for why in ["queries", "deep", "trap", "session", "slow", "too_large"] {
        assert!(taken["left_out"][why].as_u64().is_some_and(|count| (1..10).contains(&count)), "{why}: {taken}");
    }
    let months = place.requests().iter().filter(|request| request.target.starts_with("/calendar")).count();
    assert!(months <= 64, "{months}");
    assert_eq!(place.count_of("/drip"), 1);
    let dir = site(place.address, "max_pages = 3\nseeds = [\"/deep/1\"]");
    assert_eq!(take(dir.path(), &[])["urls"], 3);
}

#[test]
fn one_that_was_killed_goes_on_where_it_was() {
    let held = Arc::new(AtomicBool::new(true));
    let hold = held.clone();
    let place = Origin::start(move |request, to| {
        let number = request.target.trim_start_matches('/').parse::<u32>().unwrap_or_default();
        if number == 30 && hold.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_secs(3));
        }
        match request.target.as_str() {
            "/robots.txt" => status(to, "404 Not Found", ""),
            _ if number < 60 => page(to, &format!("{number} <a href=/{}>next</a>", number + 1)),
            _ => page(to, "the end"),
        }
    });
    let dir = site(place.address, "seeds = [\"/0\"]");
    let mut child = Command::new(SEAWALL)
        .arg("snapshot")
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it is half-way", || place.count_of("/30") == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    held.store(false, Ordering::SeqCst);
    let missing = seawall(dir.path(), &["report"]);
    assert!(!missing.status.success(), "nothing is shown before it is whole");
    let output = seawall(dir.path(), &[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("going on with one that was broken off, after 30 URLs"), "{told}");
    assert_eq!(report(dir.path())["urls"], 61);
    assert_eq!(place.count_of("/29"), 1, "what was settled is not asked for again");
    assert_eq!(place.count_of("/30"), 2);
}

#[test]
fn text_and_pictures_are_shown_in_the_smallest_form_that_is_accepted() {
    let png = {
        let picture = image::RgbaImage::from_fn(200, 100, |x, y| image::Rgba([(x / 20) as u8, (y / 9) as u8, 7, 255]));
        let mut png = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
        png.into_inner()
    };
    let (text, picture) = ("the same again. ".repeat(100), png.clone());
    let place = Origin::start(move |request, to| match request.target.as_str() {
        "/" => page(to, &format!("<img src=/a.png>{text}")),
        "/a.png" => ok(to, "content-type: image/png\r\n", &picture),
        _ => status(to, "404 Not Found", ""),
    });
    let dir = site(place.address, "");
    assert_eq!(take(dir.path(), &[])["forms"], serde_json::json!({ "br": 1, "gzip": 1, "zstd": 1, "webp": 1 }));
    let edge = Edge::start_in(dir, &rules(place.address, ""));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    let whole = edge.get("/", "");
    assert_eq!((whole.field("content-encoding"), whole.field("vary")), (None, Some("Accept-Encoding")));
    for coding in ["gzip", "br", "zstd"] {
        let coded = edge.get("/", &format!("Accept-Encoding: {coding}\r\n"));
        assert_eq!(coded.field("content-encoding"), Some(coding));
        assert!(coded.body.len() < whole.body.len() && coded.field("etag") != whole.field("etag"));
        let h2 = H2::connect(edge.tls).get("/", &[("accept-encoding", coding)]);
        assert!(h2.body == coded.body && h2.field("content-encoding") == Some(coding));
    }
    let webp = edge.get("/a.png", "Accept: image/avif,image/webp,*/*\r\n");
    assert_eq!((webp.field("content-type"), webp.field("vary")), (Some("image/webp"), Some("Accept")));
    assert!(webp.body.len() < png.len());
    assert!(edge.get("/a.png", "Accept: */*\r\n").body == png);
}

#[test]
fn a_picture_is_shown_in_the_width_that_a_browser_asks_for() {
    let jpeg = {
        let wave = |at: u32, length: f32| ((at as f32 / length).sin() * 90.0 + 128.0) as u8;
        let pixel = |x, y| image::Rgb([wave(x, 70.0), wave(y, 50.0), wave(x + y, 9.0)]);
        let picture = image::RgbImage::from_fn(1200, 120, pixel);
        let mut jpeg = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        jpeg.into_inner()
    };
    let picture = jpeg.clone();
    let place = Origin::start(move |request, to| match request.target.as_str() {
        "/" => page(to, "<img src=/a.jpg sizes=50vw>"),
        "/a.jpg" => ok(to, "content-type: image/jpeg\r\n", &picture),
        _ => status(to, "404 Not Found", ""),
    });
    let dir = site(place.address, "");
    let taken = take(dir.path(), &[]);
    for form in ["webp", "avif", "webp 960", "webp 480", "avif 960", "avif 480"] {
        assert_eq!(taken["forms"][form], 1, "{taken}");
    }
    assert!(taken["forms_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{taken}");
    let edge = Edge::start_in(dir, &rules(place.address, ""));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    for mut door in doors(&edge) {
        assert_eq!(door.get("/", &[]).field("accept-ch"), Some("Sec-CH-Width, Width"));
        let both = ("accept", "image/avif,image/webp,*/*");
        let own = door.get("/a.jpg", &[("sec-ch-width", "480")]);
        assert!(own.body == jpeg && own.field("accept-ch").is_none());
        let avif = door.get("/a.jpg", &[both]);
        assert_eq!(avif.field("content-type"), Some("image/avif"));
        let webp = door.get("/a.jpg", &[("accept", "image/webp")]);
        let narrow = door.get("/a.jpg", &[("accept", "image/webp"), ("sec-ch-width", "470")]);
        let moderate = door.get("/a.jpg", &[("accept", "image/webp"), ("save-data", "on")]);
        let width = |answer: &Answer| image::load_from_memory(&answer.body).unwrap().width();
        assert_eq!([&webp, &moderate, &narrow].map(width), [1200, 960, 480]);
        assert!(avif.body.len() < webp.body.len() && narrow.body.len() < moderate.body.len());
        let mut tags: Vec<_> = [&own, &avif, &webp, &moderate, &narrow].map(|a| a.field("etag").unwrap()).into();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 5, "each form has a tag of its own");
        assert_eq!(narrow.all("vary"), ["Accept", "Sec-CH-Width, Width, Save-Data"]);
        let part = door.get("/a.jpg", &[both, ("range", "bytes=0-9"), ("if-range", avif.field("etag").unwrap())]);
        assert!(part.status == 206 && part.body == avif.body[..10]);
    }
    let again = take(edge.dir(), &["--regardless"]);
    assert_eq!(again["forms"], taken["forms"], "what was made is kept");
}

#[test]
fn a_purge_by_tag_hides_the_pages_that_have_it() {
    let place = Origin::start(|request, to| match request.target.as_str() {
        "/" => page(to, "<a href=/shoes>s</a><a href=/hats>h</a><a href=/grouped>g</a>"),
        "/shoes" => ok(to, "content-type: text/html\r\nsurrogate-key: all shoes\r\n", html("shoes")),
        "/hats" => ok(to, "content-type: text/html\r\ncache-tag: all,hats\r\n", html("hats")),
        "/grouped" => ok(to, "content-type: text/html\r\ncache-groups: \"prices\"\r\n", html("grouped")),
        _ => status(to, "404 Not Found", ""),
    });
    let dir = site(place.address, "");
    assert_eq!(take(dir.path(), &[])["urls"], 4);
    let edge = Edge::start_in(dir, &rules(place.address, ""));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    let shown = || {
        let [plain, h2] =
            doors(&edge).map(|mut door| ["/", "/shoes", "/hats", "/grouped"].map(|path| door.get(path, &[]).status));
        assert_eq!(plain, h2);
        plain
    };
    assert_eq!(shown(), [200; 4]);
    assert_eq!(edge.get("/shoes", "").field("surrogate-key"), None, "it is for caches alone");
    for (tag, expected) in [
        ("none", [200; 4]),
        ("shoes", [200, 503, 200, 200]),
        ("prices", [200, 503, 200, 503]),
        ("all", [200, 503, 503, 503]),
    ] {
        assert!(edge.cli(&["purge", "--tag", tag]).status.success());
        assert_eq!(shown(), expected, "{tag}");
    }
    let edge = edge.restart(libc::SIGKILL);
    assert_eq!(edge.get("/shoes", "").status, 503, "after a restart too");
    take(edge.dir(), &["--regardless"]);
    eventually("a new one is shown", || edge.get("/shoes", "").status == 200);
}

#[test]
fn parts_of_a_page_are_given_as_rfc_9110_14_asks() {
    let video: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let body = video.clone();
    let place = Origin::start(move |request, to| match request.target.as_str() {
        "/" => page(to, &format!("<video src=/v.mp4></video>{}", "the same again. ".repeat(100))),
        "/v.mp4" => ok(to, "content-type: video/mp4\r\netag: \"v1\"\r\n", &body),
        _ => status(to, "404 Not Found", ""),
    });
    let dir = site(place.address, "");
    take(dir.path(), &[]);
    let edge = Edge::start_in(dir, &rules(place.address, ""));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    for mut door in doors(&edge) {
        assert_eq!(door.get("/v.mp4", &[]).field("accept-ranges"), Some("bytes"));
        let part = door.get("/v.mp4", &[("range", "bytes=10-19"), ("if-range", "\"v1\"")]);
        assert_eq!((part.status, part.field("content-range")), (206, Some("bytes 10-19/100000")));
        assert!(part.body == video[10..20] && is_snapshot(&part));
        assert_eq!((part.field("content-type"), part.field("etag")), (Some("video/mp4"), Some("\"v1\"")));
        let rest = door.get("/v.mp4", &[("range", "bytes=99990-")]);
        assert!(rest.status == 206 && rest.body == video[99_990..]);
        let several = door.get("/v.mp4", &[("range", "bytes=0-0,-1")]);
        assert!(several.field("content-type").unwrap().starts_with("multipart/byteranges; boundary="));
        let beyond = door.get("/v.mp4", &[("range", "bytes=100000-")]);
        assert_eq!((beyond.status, beyond.field("content-range")), (416, Some("bytes */100000")));
        assert_eq!((beyond.body.len(), beyond.field("etag")), (0, None));
        let of_another = door.get("/v.mp4", &[("range", "bytes=10-19"), ("if-range", "\"v2\"")]);
        assert!(of_another.status == 200 && of_another.body == video);
        let text = door.get("/", &[("range", "bytes=0-8"), ("accept-encoding", "gzip, br")]);
        assert_eq!((text.status, text.field("content-encoding"), text.text().as_str()), (206, None, "<!doctype"));
        assert_eq!(door.ask("HEAD", "/v.mp4", &[("range", "bytes=0-1")]).status, 200);
    }
}

#[test]
fn a_running_edge_takes_one_by_itself_and_shows_each_new_one_without_a_signal() {
    let visits = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = visits.clone();
    let place = Origin::start(move |request, to| match request.target.as_str() {
        "/robots.txt" | "/sitemap.xml" => status(to, "404 Not Found", ""),
        "/" => page(to, &format!("visit {}", counted.fetch_add(1, Ordering::SeqCst))),
        "/unlinked" => page(to, "nobody links here"),
        _ => page(to, &request.target),
    });
    let every = "every = \"1m\"\n";
    let edge = Edge::start_in(site(place.address, every), &rules(place.address, every));
    eventually("one was taken", || edge.status()["snapshot"]["urls"] == 1);
    assert!(edge.log().contains("a snapshot was taken"));
    let metrics = edge.ask_admin("/metrics").text();
    assert!(metrics.contains("seawall_snapshot_urls 1") && metrics.contains("seawall_snapshot_age_seconds"));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    let first = edge.get("/", "");
    assert!(is_snapshot(&first) && first.text().contains("visit"));

    // What nobody links to is found by how often it is asked for.
    assert!(edge.cli(&["level", "release"]).status.success());
    (0..200).for_each(|_| drop(edge.get("/unlinked", "")));
    let ask = support::client::post("/api/v1/snapshot", "Content-Type: application/json\r\n", "{\"who\":\"test\"}");
    assert_eq!(support::Client::connect(edge.admin).send(ask).answer().status, 200);
    eventually("one more was taken", || edge.status()["snapshot"]["urls"] == 2);
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    assert!(edge.get("/unlinked", "").text().contains("nobody links here"));
    let first = edge.get("/", "");

    // Another process waits while the level is above normal.
    let asked = place.count();
    std::fs::write(edge.dir().join("admin.toml"), with_admin(&edge, &rules(place.address, every))).unwrap();
    let mut child = Command::new(SEAWALL)
        .args(["snapshot", "admin.toml"])
        .current_dir(edge.dir())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(place.count(), asked, "it pauses");
    assert!(child.try_wait().unwrap().is_none());
    assert!(edge.cli(&["level", "release"]).status.success());
    assert!(child.wait().unwrap().success());
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    eventually("the new one is shown", || edge.get("/", "").body != first.body);
    edge.cli_offline(&["snapshot", "rollback"]);
    eventually("the one before is shown again", || edge.get("/", "").body == first.body);
}

/// The policy with the admin listener where this edge has it.
fn with_admin(edge: &Edge, policy: &str) -> String {
    policy.replace("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{}\"", edge.admin))
}

#[test]
fn a_few_urls_are_taken_anew_and_a_tree_is_taken_in() {
    let version = Arc::new(std::sync::atomic::AtomicUsize::new(1));
    let now = version.clone();
    let place = Origin::start(move |request, to| match (request.target.as_str(), now.load(Ordering::SeqCst)) {
        ("/robots.txt" | "/sitemap.xml", _) => status(to, "404 Not Found", ""),
        ("/gone", 2) => status(to, "410 Gone", ""),
        ("/busy", 2) => status(to, "500 Internal Server Error", ""),
        ("/", version) => page(to, &format!("version {version} <a href=/gone>g</a><a href=/busy>b</a>")),
        _ => page(to, &request.target),
    });
    let dir = site(place.address, "");
    assert_eq!(take(dir.path(), &[])["urls"], 3);
    version.store(2, Ordering::SeqCst);
    let told = take(dir.path(), &["refresh", "/", "/gone", "/busy"]);
    assert_eq!((&told["refreshed"], &told["left_out"][0]["why"]), (&1.into(), &"not_found".into()), "{told}");
    let edge = Edge::start_in(dir.clone(), &rules(place.address, ""));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    assert!(edge.get("/", "").text().contains("version 2"));
    assert_eq!(edge.get("/gone", "").status, 503);
    assert_eq!(edge.get("/busy", "").status, 200, "an old page is better than none");

    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("shop")).unwrap();
    std::fs::write(tree.join("index.html"), html("of the tree")).unwrap();
    std::fs::write(tree.join("shop/index.html"), html("its shop")).unwrap();
    std::fs::write(tree.join("list?page=2"), html("its list")).unwrap();
    take(dir.path(), &["import", "tree"]);
    eventually("the tree is shown", || edge.get("/", "").text().contains("of the tree"));
    assert!(edge.get("/shop/", "").text().contains("its shop") && edge.get("/shop", "").text().contains("its shop"));
    assert!(edge.get("/list?page=2", "").text().contains("its list"));
    assert_eq!(edge.get("/list", "").status, 503);
}

#[test]
fn an_origin_that_is_busy_is_asked_again_and_one_that_is_gone_changes_nothing() {
    let refusals = Arc::new(std::sync::atomic::AtomicUsize::new(2));
    let left = refusals.clone();
    let place = Origin::start(move |request, to| match request.target.as_str() {
        "/robots.txt" | "/sitemap.xml" => status(to, "404 Not Found", ""),
        _ if left.load(Ordering::SeqCst) > 0 => {
            left.fetch_sub(1, Ordering::SeqCst);
            status(to, "503 Service Unavailable", "retry-after: 1\r\n")
        }
        _ => page(to, "here"),
    });
    let dir = site(place.address, "");
    assert_eq!(take(dir.path(), &[])["urls"], 1);
    assert_eq!(place.count_of("/"), 3);
    // Nobody listens there.
    write_policy(dir.path(), &rules(([127, 0, 0, 1], 1).into(), "seeds = [\"/\"]"));
    let output = seawall(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gives no answers"), "{output:?}");
    assert_eq!(report(dir.path())["urls"], 1, "the one before stays");
}

#[test]
fn the_newest_of_copy_and_snapshot_is_shown() {
    let version = Arc::new(std::sync::atomic::AtomicUsize::new(1));
    let now = version.clone();
    let place = Origin::start(move |request, to| match request.target.as_str() {
        "/" => page(to, &format!("version {}", now.load(Ordering::SeqCst))),
        _ => status(to, "404 Not Found", ""),
    });
    let cached = "seeds = [\"/\"]\n[cache.page]\nttl = \"1s\"\n[[route]]\nname = \"all\"\ncache = \"page\"\n";
    let edge = Edge::start_in(site(place.address, cached), &rules(place.address, cached));
    let shown = |path: &str| {
        let answers = [edge.get(path, ""), H2::connect(edge.tls).get(path, &[])];
        answers.map(|answer| (answer.text().replace("<!doctype html><title>t</title>", ""), is_snapshot(&answer)))
    };
    let all = |text: &str, of_snapshot: bool| [(text.to_owned(), of_snapshot), (text.to_owned(), of_snapshot)];
    assert_eq!(shown("/"), all("version 1", false));
    std::thread::sleep(Duration::from_millis(2100));
    version.store(2, Ordering::SeqCst);
    take(edge.dir(), &["--regardless"]);
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    eventually("the newer snapshot outdoes the copy", || shown("/") == all("version 2", true));
    version.store(3, Ordering::SeqCst);
    assert!(edge.cli(&["level", "release"]).status.success());
    std::thread::sleep(Duration::from_millis(1100));
    eventually("a newer copy is held", || shown("/") == all("version 3", false));
    assert!(edge.cli(&["level", "pin", "static"]).status.success());
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(shown("/"), all("version 3", false), "the copy is the newer one");
}
