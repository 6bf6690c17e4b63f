use super::*;
use crate::files::tests::{rules, view};
use crate::pipeline::view::View;
use crate::policy::Coding;

/// A site on disk, and what it is asked.
struct Site {
    dir: tempfile::TempDir,
    tree: Tree,
    now: Now,
}

impl Site {
    fn new(change: impl FnOnce(&mut Files)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut rules = Files { root: dir.path().to_owned(), ..rules() };
        change(&mut rules);
        Self { dir, tree: Tree::new(&rules), now: Now { mono: Mono::from_nanos(1), unix_ms: 1_800_000_000_000 } }
    }

    fn put(&self, name: &str, content: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A file's identity changes too, as it does where one is moved over another.
        let _ = std::fs::remove_file(&path);
        std::fs::write(path, content).unwrap();
    }

    fn later(&mut self, by: Duration) {
        self.now.mono = self.now.mono.after(by);
    }

    async fn get(&self, path: &str, fields: &[(&'static str, &str)]) -> Result<(u16, String), Reason> {
        let asked = view(fields, |view| Asked::of(&View { path, ..view.clone() }, self.tree.rules()));
        let (reply, mut body) = self.tree.answer(&asked, RequestId::new(1), self.now).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await.unwrap() {
            bytes.extend_from_slice(&piece);
        }
        if let Some((_, location)) = reply.fields.iter().find(|(name, _)| *name == "location") {
            return Ok((reply.status, location.to_string()));
        }
        assert_eq!(reply.length.unwrap_or(0), bytes.len() as u64);
        Ok((reply.status, String::from_utf8(bytes).unwrap()))
    }
}

fn ok(content: &str) -> Result<(u16, String), Reason> {
    Ok((200, content.to_owned()))
}

#[tokio::test]
async fn what_is_denied_is_not_shown_as_the_index_of_its_directory() {
    let site = Site::new(|rules| {
        rules.deny.push("private/*".into());
        rules.fallback = Some("public/index.html".into());
    });
    site.put("private/index.html", "secret");
    site.put("public/index.html", "public");
    for path in ["/private/index.html", "/private/", "/private"] {
        assert_eq!(site.get(path, &[]).await, Err(Reason::NotFound), "{path}");
    }
    assert_eq!(site.get("/public/", &[]).await, ok("public"));
}

#[tokio::test]
async fn a_path_leads_to_its_file_or_its_index() {
    let site = Site::new(|_| {});
    site.put("index.html", "home");
    site.put("docs/index.html", "docs");
    site.put("a.css", "css");
    std::fs::create_dir(site.dir.path().join("empty")).unwrap();
    for (path, expected) in [
        ("/", ok("home")),
        ("/a.css", ok("css")),
        ("/docs/", ok("docs")),
        ("/docs", Ok((301, "/docs/".to_owned()))),
        ("/a.css/", Err(Reason::NotFound)),
        ("/empty", Err(Reason::NotFound)),
        ("/empty/", Err(Reason::NotFound)),
        ("/none", Err(Reason::NotFound)),
    ] {
        assert_eq!(site.get(path, &[]).await, expected, "{path}");
    }
}

#[tokio::test]
async fn the_encoding_liked_best_is_sent_where_it_is_there() {
    let site = Site::new(|rules| rules.precompressed = vec![Coding::Brotli, Coding::Gzip]);
    site.put("a.css", "plain");
    site.put("a.css.gz", "gz");
    let accept = |value| site.get("/a.css", value);
    assert_eq!(accept(&[("Accept-Encoding", "br, gzip")]).await, ok("gz"));
    assert_eq!(accept(&[("Accept-Encoding", "br")]).await, ok("plain"));
    site.put("a.css.br", "br");
    assert_eq!(site.get("/a.css", &[("Accept-Encoding", "br, gzip, zstd")]).await, ok("gz"), "kept for a second");
    assert_eq!(site.get("/a.css", &[]).await, ok("plain"));
    std::fs::remove_file(site.dir.path().join("a.css")).unwrap();
    assert_eq!(site.get("/a.css", &[("Accept-Encoding", "gzip;q=0.5")]).await, Err(Reason::NotFound), "no original");
}

#[tokio::test]
async fn a_page_stands_in_for_what_is_no_file_and_a_404_has_its_own() {
    let site = Site::new(|rules| {
        rules.fallback = Some("app.html".into());
        rules.not_found = Some("404.html".into());
    });
    let missing = Err(Reason::NotFound);
    assert_eq!(site.get("/cart", &[]).await, missing, "neither is there yet");
    site.put("app.html", "app");
    site.put("404.html", "lost");
    let lost = Ok((404, "lost".to_owned()));
    assert_eq!(site.get("/users/7", &[]).await, ok("app"));
    assert_eq!(site.get("/app.js", &[]).await, lost);
    assert_eq!(site.get("/.env", &[]).await, lost, "what is denied is not there");
    assert_eq!(site.get("/app.js", &[("If-None-Match", "*"), ("Range", "bytes=0-1")]).await, lost);
}

#[tokio::test]
async fn what_is_kept_is_asked_for_again_after_a_second() {
    let mut site = Site::new(|_| {});
    site.put("a.txt", "one");
    assert_eq!(site.get("/a.txt", &[]).await, ok("one"));
    site.put("a.txt", "two!");
    assert_eq!(site.get("/a.txt", &[]).await, ok("one"));
    site.later(CHECKED);
    assert_eq!(site.get("/a.txt", &[]).await, ok("two!"));
    std::fs::remove_file(site.dir.path().join("a.txt")).unwrap();
    site.later(CHECKED);
    assert_eq!(site.get("/a.txt", &[]).await, Err(Reason::NotFound));
}

#[tokio::test]
async fn a_large_file_is_not_kept_and_comes_whole() {
    let site = Site::new(|_| {});
    let content = "x".repeat(KEPT_FILE as usize + 1);
    site.put("a.bin", &content);
    assert_eq!(site.get("/a.bin", &[]).await, ok(&content));
    site.tree.kept.run_pending_tasks();
    assert_eq!(site.tree.kept.entry_count(), 0);
    assert_eq!(site.get("/a.bin", &[("Range", "bytes=-3")]).await, Ok((206, "xxx".to_owned())));
}

#[tokio::test]
async fn a_root_that_is_gone_is_our_failure_and_no_404() {
    let site = Site::new(|rules| rules.root = "/nowhere/at/all".into());
    assert_eq!(site.get("/a.txt", &[]).await, Err(Reason::EdgeBusy));
}
