//! A snapshot of a directory: what `wget --mirror` or a site generator made. Paths stay as the files have them.

use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use url::Url;

use super::MAX_FILE;
use super::disk::{Disk, DiskError};
use super::left_out::Why;
use super::manifest::{Manifest, Page, PageTags};
use super::plain::{self, Listing};

/// What wget appends to the name of a page that has none (`--adjust-extension`).
const ADJUSTED: &str = ".html";

/// Keeps the files of a directory.
///
/// # Errors
/// [`DiskError`]
pub fn import(dir: &Path, disk: &Disk, unix_ms: u64) -> Result<Manifest, DiskError> {
    let in_dir = |error| DiskError::Io { path: dir.to_owned(), error };
    let mut manifest = Manifest { id: unix_ms.to_string(), taken_unix_ms: unix_ms, ..Manifest::default() };
    for (host, dir) in hosts(dir).map_err(in_dir)? {
        let listing = Listing::of(&dir).map_err(in_dir)?;
        let mut names: Vec<_> = listing.files.keys().cloned().collect();
        names.sort();
        for name in &names {
            let Some(path) = listing.files.get(name).and_then(|file| file.path.clone()) else { continue };
            let meta = std::fs::metadata(&path).map_err(in_dir)?;
            if meta.len() > MAX_FILE {
                manifest.leave_out(&format!("{host}/{name}"), Why::TooLarge);
                continue;
            }
            let body = std::fs::read(&path).map_err(in_dir)?;
            let object = disk.put(&body)?;
            let kind = kind_of(name, &body);
            let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            let date = httpdate::fmt_http_date(UNIX_EPOCH + modified);
            for target in targets(name, |other| listing.files.contains_key(other)) {
                manifest.pages.push(Page {
                    host: host.clone(),
                    target,
                    status: 200,
                    fields: vec![("content-type".to_owned(), kind.clone()), ("last-modified".to_owned(), date.clone())],
                    object: Some(object.clone()),
                    // When it was made, nobody knows better than when it was taken in.
                    date_unix_ms: unix_ms,
                    asked_unix_ms: Some(unix_ms),
                    tags: PageTags::default(),
                    variants: Vec::new(),
                    recipe: 0,
                });
            }
        }
        for _ in 0..listing.left_out {
            manifest.leave_out(&host, Why::TooLarge);
        }
    }
    Ok(manifest)
}

/// The media type by the file's name; where that tells none, a page is known by how it begins.
fn kind_of(name: &str, body: &[u8]) -> String {
    const HTML: &str = "text/html; charset=utf-8";
    let page = name.split_once('?').map_or(name, |(page, _)| page);
    let begins = body.trim_ascii_start().get(..14).unwrap_or(body).to_ascii_lowercase();
    let is_html = begins.starts_with(b"<!doctype html") || begins.starts_with(b"<html");
    let unknown = mime_guess::from_path(page).is_empty();
    if name.ends_with(ADJUSTED) || (unknown && is_html) {
        HTML.to_owned()
    } else {
        plain::content_type(Path::new(page))
    }
}

/// The directories of a mirror by their host; one that is no mirror stands for every host.
fn hosts(dir: &Path) -> io::Result<Vec<(String, std::path::PathBuf)>> {
    let mut hosts = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        if name.starts_with('.') || name == "robots.txt" {
            continue;
        }
        let is_host = name.contains('.') && Url::parse(&format!("http://{name}/")).is_ok();
        if !entry.file_type()?.is_dir() || !is_host {
            return Ok(vec![(String::new(), dir.to_owned())]);
        }
        hosts.push((name, entry.path()));
    }
    Ok(hosts)
}

/// The paths that a file stands for: its own, its directory's where it is the index, and its own without what
/// wget or a generator appended, unless another file has that.
fn targets(name: &str, has: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if let Some(dir) = name.strip_suffix("index.html").filter(|dir| dir.is_empty() || dir.ends_with('/')) {
        names.push(dir.to_owned());
        names.extend(
            dir.strip_suffix('/').filter(|bare| !has(bare) && !has(&format!("{bare}.html"))).map(str::to_owned),
        );
    } else if let Some(bare) = name.strip_suffix(ADJUSTED).filter(|bare| !has(bare)) {
        names.push(bare.to_owned());
    }
    names.into_iter().filter_map(|name| target(&name)).collect()
}

/// As browsers write it. wget keeps the query in the file's name.
fn target(name: &str) -> Option<String> {
    let (path, query) = name.split_once('?').map_or((name, None), |(path, query)| (path, Some(query)));
    let mut url = Url::parse("http://site.invalid/").ok()?;
    // A name may hold `%` and `#` as such.
    url.set_path(&path.replace('%', "%25"));
    url.set_query(query);
    Some(match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_for_the_paths_by_which_a_site_would_show_it() {
        let all = |name: &str, others: &[&str]| targets(name, |other| others.contains(&other));
        assert_eq!(all("index.html", &[]), ["/index.html", "/"]);
        assert_eq!(all("shop/index.html", &[]), ["/shop/index.html", "/shop/", "/shop"]);
        assert_eq!(all("shop/index.html", &["shop.html"]), ["/shop/index.html", "/shop/"]);
        assert_eq!(all("about.html", &[]), ["/about.html", "/about"]);
        assert_eq!(all("about.html", &["about"]), ["/about.html"]);
        assert_eq!(all("list?page=2.html", &[]), ["/list?page=2.html", "/list?page=2"]);
        assert_eq!(all("a b%#.css", &[]), ["/a%20b%25%23.css"]);
    }

    #[test]
    fn a_page_without_a_telling_name_is_known_by_how_it_begins() {
        assert_eq!(kind_of("about", b" <!DOCTYPE html><p>"), "text/html; charset=utf-8");
        assert_eq!(kind_of("list.php?page=2.html", b"x"), "text/html; charset=utf-8");
        assert_eq!(kind_of("data", b"\0"), "application/octet-stream");
        assert_eq!(kind_of("a.css?v=2", b"a{}"), "text/css; charset=utf-8");
    }

    #[test]
    fn a_mirror_has_its_hosts_and_another_directory_stands_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(&dir.path().join("snapshot"));
        let put = |name: &str| {
            let path = dir.path().join("site").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        };
        put("www.shop.example/index.html");
        put("img.shop.example/a.png");
        let hosts = |manifest: Manifest| {
            let mut found: Vec<_> = manifest.pages.iter().map(|p| format!("{}{}", p.host, p.target)).collect();
            found.sort();
            found
        };
        let found = hosts(import(&dir.path().join("site"), &disk, 1).unwrap());
        assert_eq!(found, ["img.shop.example/a.png", "www.shop.example/", "www.shop.example/index.html"]);
        put("index.html");
        let found = hosts(import(&dir.path().join("site"), &disk, 1).unwrap());
        assert!(found.contains(&"/".to_owned()) && found.contains(&"/img.shop.example/a.png".to_owned()));
    }
}
