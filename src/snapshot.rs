//! The snapshot: what stands in for the site where a level says so.
//!
//! Either taken by Seawall ([`manifest`], [`disk`]), or a plain directory of files. It is listed once, when
//! it is loaded ([`Snapshot::load`]); what a request means is then looked up without touching the disk. Only
//! a body that is really sent is read. Which of them is in force, [`Shown`] says; a new one takes the
//! place of the one before while requests go on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use moka::sync::Cache;

pub mod address;
pub mod course;
pub mod crawl;
pub mod disk;
pub mod file;
pub mod forms;
pub mod frontier;
pub mod gate;
pub mod import;
pub mod journal;
pub mod judge;
pub mod left_out;
pub mod links;
pub mod manifest;
mod negotiation;
mod plain;
pub mod popular;
pub mod robots;
pub mod sitemap;

use disk::{Disk, DiskError};
pub use file::{File, Share};
use manifest::{Manifest, Page};
pub use negotiation::Accepts;
use negotiation::Forms;

/// Files listed at most; those beyond it are left out, with a warning.
pub const MAX_FILES: usize = 100_000;
/// Bytes of one file at most: larger ones are no pages, and are left out.
pub const MAX_FILE: u64 = 32 << 20;
/// Bytes of file contents kept in memory.
const KEPT_BYTES: u64 = 64 << 20;
/// How long a file's content is kept before it is read again.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// The answers of one snapshot.
#[derive(Debug)]
pub struct Snapshot {
    answers: Answers,
    /// Which one it is; empty for a plain directory.
    pub id: String,
    /// Files left out because there were too many or they were too large; of a plain directory.
    pub left_out: usize,
    /// When it was taken; not known of a plain directory.
    pub taken_unix_ms: Option<u64>,
}

#[derive(Debug)]
enum Answers {
    /// By [`key`].
    Taken(HashMap<String, Forms>),
    /// By the path in the directory.
    Plain(HashMap<String, Arc<File>>),
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Without its scheme's own port.
    pub host: &'a str,
    /// Decoded.
    pub path: &'a str,
    pub raw_path: &'a str,
    pub query: Option<&'a str>,
    pub accepts: Accepts,
}

impl Snapshot {
    /// Reads which snapshot is current; without one, lists a plain directory.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn load(dir: &Path) -> Result<Self, DiskError> {
        let disk = Disk::new(dir);
        if let Some(current) = disk.current()? {
            return Ok(Self::of(&disk, &disk.manifest(&current.current)?));
        }
        let listing = plain::Listing::of(dir).map_err(|error| DiskError::Io { path: dir.to_owned(), error })?;
        let files = listing.files.into_iter().map(|(name, file)| (name, Arc::new(file))).collect();
        let (answers, left_out) = (Answers::Plain(files), listing.left_out);
        Ok(Self { answers, id: String::new(), left_out, taken_unix_ms: None })
    }

    /// A snapshot that was taken.
    pub fn of(disk: &Disk, manifest: &Manifest) -> Self {
        let has_widths = manifest.pages.iter().flat_map(|page| &page.variants).any(|variant| variant.width.is_some());
        let forms = |page: &Page| (key(&page.host, &page.target), Forms::of(disk, page, has_widths));
        Self {
            answers: Answers::Taken(manifest.pages.iter().map(forms).collect()),
            id: manifest.id.clone(),
            left_out: 0,
            taken_unix_ms: Some(manifest.taken_unix_ms),
        }
    }

    /// What answers this. In a plain directory: the file itself, its `.html`, or the `index.html` below it.
    pub fn find(&self, wanted: &Wanted<'_>) -> Option<Arc<File>> {
        let pages = match &self.answers {
            Answers::Plain(files) => return find_plain(files, wanted.path),
            Answers::Taken(pages) => pages,
        };
        let target = match wanted.query {
            Some(query) => Cow::Owned(format!("{}?{query}", wanted.raw_path)),
            None => Cow::Borrowed(wanted.raw_path),
        };
        let forms = pages.get(&key(wanted.host, &target)).or_else(|| pages.get(&key("", &target)))?;
        Some(forms.choose(wanted.accepts).clone())
    }

    /// Answers it has.
    pub fn len(&self) -> usize {
        match &self.answers {
            Answers::Taken(pages) => pages.len(),
            Answers::Plain(files) => files.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// No host has a space in it.
fn key(host: &str, target: &str) -> String {
    format!("{host} {target}")
}

fn find_plain(files: &HashMap<String, Arc<File>>, path: &str) -> Option<Arc<File>> {
    let path = path.strip_prefix('/')?;
    let bare = path.trim_end_matches('/');
    let exact = if path.ends_with('/') { None } else { files.get(path) };
    exact
        .or_else(|| files.get(&format!("{bare}.html")))
        .or_else(|| {
            let index = if bare.is_empty() { "index.html".to_owned() } else { format!("{bare}/index.html") };
            files.get(&index)
        })
        .cloned()
}

/// What is shown: a snapshot at most, which may give way to another.
#[derive(Debug)]
pub struct Shown {
    now: ArcSwapOption<Snapshot>,
    contents: Cache<PathBuf, Bytes>,
}

impl Shown {
    pub fn new(snapshot: Option<Snapshot>) -> Self {
        let contents = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .weigher(|_: &PathBuf, body: &Bytes| u32::try_from(body.len()).unwrap_or(u32::MAX))
            .time_to_live(KEPT_FOR)
            .build();
        Self { now: ArcSwapOption::from_pointee(snapshot), contents }
    }

    /// The snapshot in force.
    pub fn get(&self) -> Option<Arc<Snapshot>> {
        self.now.load_full()
    }

    /// From now on it is this one.
    pub fn show(&self, snapshot: Snapshot) {
        self.now.store(Some(Arc::new(snapshot)));
    }

    /// See [`Snapshot::find`].
    pub fn find(&self, wanted: &Wanted<'_>) -> Option<Arc<File>> {
        self.now.load().as_ref()?.find(wanted)
    }

    /// A file's content.
    ///
    /// # Errors
    /// The disk's: the file went away, or can't be read.
    pub async fn read(&self, file: &File) -> io::Result<Bytes> {
        let Some(path) = &file.path else { return Ok(Bytes::new()) };
        if let Some(body) = self.contents.get(path) {
            return Ok(body);
        }
        let body = Bytes::from(tokio::fs::read(path).await?);
        self.contents.insert(path.clone(), body.clone());
        Ok(body)
    }
}

#[cfg(test)]
mod tests;
