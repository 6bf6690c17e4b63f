//! A plain directory as a snapshot: `shop/index.html` stands for `/shop/`, on every host and with every query.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use http::HeaderValue;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_TYPE, LAST_MODIFIED};

use super::manifest::PageTags;
use super::{File, MAX_FILE, MAX_FILES};

/// Directories within directories followed at most.
const MAX_DEPTH: usize = 32;

/// The files below a directory, by their path in it.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub files: HashMap<String, File>,
    /// Files left out because there were too many or they were too large.
    pub left_out: usize,
}

impl Listing {
    /// Lists a directory. Dot files, and links that lead out of it, are left out.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let root = dir.canonicalize()?;
        let mut listing = Self::default();
        listing.list(&root, &root, "", 0)?;
        Ok(listing)
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
                if self.files.len() >= MAX_FILES || meta.len() > MAX_FILE {
                    self.left_out += 1;
                    continue;
                }
                let file = file(&path, &meta);
                self.files.insert(key, file);
            }
        }
        Ok(())
    }
}

/// The media type that a file's name tells.
pub(super) fn content_type(path: &Path) -> String {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    if kind.type_() == mime_guess::mime::TEXT { format!("{kind}; charset=utf-8") } else { kind.to_string() }
}

fn file(path: &Path, meta: &std::fs::Metadata) -> File {
    let modified = meta.modified().ok();
    let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let mut fields =
        vec![(CACHE_CONTROL, HeaderValue::from_static("no-store")), (ACCEPT_RANGES, HeaderValue::from_static("bytes"))];
    fields.extend(HeaderValue::from_str(&content_type(path)).ok().map(|kind| (CONTENT_TYPE, kind)));
    let date = modified.and_then(|at| HeaderValue::from_str(&httpdate::fmt_http_date(at)).ok());
    fields.extend(date.map(|date| (LAST_MODIFIED, date)));
    let since_unix_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    File {
        path: Some(path.to_owned()),
        status: 200,
        fields,
        since_unix_ms,
        date_unix_ms: since_unix_ms,
        any_host: true,
        any_query: true,
        tags: PageTags::default(),
    }
}
