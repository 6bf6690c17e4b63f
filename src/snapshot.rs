//! The snapshot: a directory of files that stands in for the site where a level says so.
//!
//! The directory is listed once, at load and at reload ([`Snapshot::scan`]); what a path means is
//! then looked up without touching the disk. Only a file that is really sent is read.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use moka::sync::Cache;

/// Files listed at most; those beyond it are left out, with a warning.
pub const MAX_FILES: usize = 100_000;
/// Bytes of one file at most: larger ones are no pages, and are left out.
pub const MAX_FILE: u64 = 32 << 20;
/// Directories within directories followed at most.
const MAX_DEPTH: usize = 32;
/// Bytes of file contents kept in memory over all snapshots.
const KEPT_BYTES: u64 = 64 << 20;
/// How long a file's content is kept before it is read again.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// A file that can be served.
#[derive(Debug)]
pub struct File {
    pub path: PathBuf,
    pub content_type: String,
    /// As an HTTP date (RFC 9110 §5.6.7).
    pub last_modified: Option<String>,
    /// Since when it says what it says: what was purged later is not served from it.
    pub since_unix_ms: u64,
}

/// The files of one directory, by URL path.
#[derive(Debug)]
pub struct Snapshot {
    files: HashMap<String, Arc<File>>,
    contents: Cache<PathBuf, Bytes>,
    /// Files left out because there were too many or they were too large.
    pub left_out: usize,
}

impl Snapshot {
    /// Lists a directory. Dot files, and links that lead out of it, are left out.
    pub fn scan(dir: &Path) -> io::Result<Self> {
        let root = dir.canonicalize()?;
        let contents = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .weigher(|_: &PathBuf, body: &Bytes| u32::try_from(body.len()).unwrap_or(u32::MAX))
            .time_to_live(KEPT_FOR)
            .build();
        let mut snapshot = Self { files: HashMap::new(), contents, left_out: 0 };
        snapshot.list(&root, &root, "", 0)?;
        Ok(snapshot)
    }

    /// What stands for a path: the file itself, its `.html`, or the `index.html` below it.
    pub fn find(&self, path: &str) -> Option<Arc<File>> {
        let path = path.strip_prefix('/')?;
        let bare = path.trim_end_matches('/');
        let exact = if path.ends_with('/') { None } else { self.files.get(path) };
        exact
            .or_else(|| self.files.get(&format!("{bare}.html")))
            .or_else(|| {
                let index = if bare.is_empty() { "index.html".to_owned() } else { format!("{bare}/index.html") };
                self.files.get(&index)
            })
            .cloned()
    }

    /// Files listed.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no file was found.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A file's content. Errors are the disk's: the file went away, or can't be read.
    pub async fn read(&self, file: &File) -> io::Result<Bytes> {
        if let Some(body) = self.contents.get(&file.path) {
            return Ok(body);
        }
        let body = Bytes::from(tokio::fs::read(&file.path).await?);
        self.contents.insert(file.path.clone(), body.clone());
        Ok(body)
    }

    fn list(&mut self, root: &Path, dir: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            self.left_out += 1;
            return Ok(());
        }
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|n| !n.starts_with('.')) else { continue };
            let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let Ok(path) = entry.path().canonicalize() else { continue };
            if !path.starts_with(root) {
                continue;
            }
            let meta = std::fs::metadata(&path)?;
            if meta.is_dir() {
                self.list(root, &path, &key, depth + 1)?;
            } else if meta.is_file() {
                self.add(key, path, &meta);
            }
        }
        Ok(())
    }

    fn add(&mut self, key: String, path: PathBuf, meta: &std::fs::Metadata) {
        if self.files.len() >= MAX_FILES || meta.len() > MAX_FILE {
            self.left_out += 1;
            return;
        }
        let kind = mime_guess::from_path(&path).first_or_octet_stream();
        let content_type =
            if kind.type_() == mime_guess::mime::TEXT { format!("{kind}; charset=utf-8") } else { kind.to_string() };
        let modified = meta.modified().ok();
        let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        let since_unix_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let last_modified = modified.map(httpdate::fmt_http_date);
        self.files.insert(key, Arc::new(File { path, content_type, last_modified, since_unix_ms }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_file_its_html_or_its_index_and_nothing_outside() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        };
        for name in ["index.html", "about.html", "shop/index.html", "logo.svg", ".secret"] {
            put(name);
        }
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("leak.txt")).unwrap();
        let snapshot = Snapshot::scan(dir.path()).unwrap();
        let name = |path: &str| {
            snapshot.find(path).map(|f| f.path.strip_prefix(dir.path().canonicalize().unwrap()).unwrap().to_owned())
        };
        assert_eq!(name("/"), Some("index.html".into()));
        assert_eq!(name("/about"), Some("about.html".into()));
        assert_eq!(name("/shop"), Some("shop/index.html".into()));
        assert_eq!(name("/shop/"), Some("shop/index.html".into()));
        assert_eq!(name("/logo.svg"), Some("logo.svg".into()));
        for missing in ["/.secret", "/leak.txt", "/../etc/passwd", "/nothing", ""] {
            assert_eq!(name(missing), None, "{missing}");
        }
        assert_eq!(snapshot.find("/").unwrap().content_type, "text/html; charset=utf-8");
        assert_eq!(snapshot.find("/logo.svg").unwrap().content_type, "image/svg+xml");
    }
}
