//! A snapshot's directory: bodies by their hash, a manifest for each snapshot, and which one is current.
//!
//! ```text
//! current              which snapshot is shown, and which one was before: replaced in one step
//! snapshots/ID         manifests
//! objects/ab/abcd…     bodies, each under its BLAKE3
//! taking/              one that is being taken
//! ```
//!
//! What is current is whole on disk before `current` names it; the one before stays, to go back to.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::journal::{self, Formed, Step};
use super::manifest::{BadManifest, Manifest, Object};

/// Bytes of a manifest at most.
const MANIFEST_MAX: u64 = 512 << 20;

/// What can go wrong with it.
#[derive(Debug, Error)]
pub enum DiskError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{path}: {error}")]
    Manifest { path: PathBuf, error: BadManifest },
    #[error("there is no snapshot in {0} yet: take one with `seawall snapshot`")]
    None(PathBuf),
    #[error("there is no snapshot before the current one in {0}")]
    NoneBefore(PathBuf),
    #[error("another `seawall snapshot`, or the running edge, is taking one in {0}: wait until it is done")]
    Busy(PathBuf),
}

/// Which snapshot is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    pub current: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// The newest that an operator put back in favour of an older one: it counts as the last that was taken, or the
    /// edge would undo that at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back: Option<String>,
}

impl Current {
    /// When the one that was put back was taken, in milliseconds since 1970 UTC; zero: none was.
    pub fn put_back_unix_ms(&self) -> u64 {
        // An id is that moment.
        self.put_back.as_deref().and_then(|id| id.parse().ok()).unwrap_or_default()
    }
}

/// The directory.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
}

/// The right to write in it, as long as it lives, and be it that the process is killed.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "its drop gives the lock back")] std::fs::File);

impl Disk {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a body lies.
    pub fn object(&self, hash: &str) -> PathBuf {
        // A hash is hex; what else a file may say leads nowhere.
        let hash = if hash.bytes().all(|b| b.is_ascii_hexdigit()) { hash } else { "_" };
        self.root.join("objects").join(hash.get(..2).unwrap_or("_")).join(hash)
    }

    /// Where what is being taken is written down.
    pub fn taking(&self, name: &str) -> PathBuf {
        self.root.join("taking").join(name)
    }

    /// Which snapshot is shown; none where the directory is a plain one, or not there.
    ///
    /// # Errors
    /// [`DiskError::Io`], also for a file that says nothing.
    pub fn current(&self) -> Result<Option<Current>, DiskError> {
        let path = self.root.join("current");
        match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map(Some).map_err(|error| DiskError::Io { path, error: error.into() })
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(DiskError::Io { path, error }),
        }
    }

    /// A snapshot's manifest.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn manifest(&self, id: &str) -> Result<Manifest, DiskError> {
        let path = self.manifest_path(id);
        let read = || {
            if std::fs::metadata(&path)?.len() > MANIFEST_MAX {
                return Err(io::Error::other("larger than a manifest can be"));
            }
            std::fs::read(&path)
        };
        let bytes = read().map_err(|error| DiskError::Io { path: path.clone(), error })?;
        Manifest::decode(&bytes).map_err(|error| DiskError::Manifest { path, error })
    }

    /// The manifest of the snapshot that is shown.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn shown(&self) -> Result<Manifest, DiskError> {
        let current = self.current()?.ok_or_else(|| DiskError::None(self.root.clone()))?;
        self.manifest(&current.current)
    }

    /// Takes the directory for oneself.
    ///
    /// # Errors
    /// [`DiskError::Busy`]
    pub fn lock(&self) -> Result<Lock, DiskError> {
        let path = self.taking("lock");
        let open = || {
            std::fs::create_dir_all(self.root.join("taking"))?;
            std::fs::File::options().create(true).append(true).open(&path)
        };
        let file = open().map_err(|error| DiskError::Io { path: path.clone(), error })?;
        // SAFETY: flock takes any descriptor, and this one is open.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Lock(file));
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Err(DiskError::Busy(self.root.clone())),
            error => Err(DiskError::Io { path, error }),
        }
    }

    /// Keeps a body. What is there already is not written again.
    ///
    /// # Errors
    /// [`DiskError::Io`]
    pub fn put(&self, body: &[u8]) -> Result<Object, DiskError> {
        let object = Object { hash: blake3::hash(body).to_hex().to_string(), length: body.len() as u64 };
        let path = self.object(&object.hash);
        let held = std::fs::metadata(&path).is_ok_and(|held| held.len() == object.length);
        if !held {
            write_whole(&path, body).map_err(|error| DiskError::Io { path, error })?;
        }
        Ok(object)
    }

    /// A body, if it is there and whole.
    ///
    /// # Errors
    /// [`DiskError::Io`]
    pub fn get(&self, object: &Object) -> Result<Vec<u8>, DiskError> {
        let path = self.object(&object.hash);
        let read = std::fs::read(&path).and_then(|body| {
            if blake3::hash(&body).to_hex().as_str() == object.hash {
                Ok(body)
            } else {
                Err(io::Error::other("it is damaged"))
            }
        });
        read.map_err(|error| DiskError::Io { path, error })
    }

    /// Shows this snapshot from now on; the one shown until now is the one to go back to, and what neither
    /// needs is removed.
    ///
    /// # Errors
    /// [`DiskError`]: then the one before is still shown.
    pub fn publish(&self, manifest: &Manifest, _: &Lock) -> Result<(), DiskError> {
        let path = self.manifest_path(&manifest.id);
        let bytes = manifest.encode().map_err(|error| DiskError::Io { path: path.clone(), error: error.into() })?;
        write_whole(&path, &bytes).map_err(|error| DiskError::Io { path, error })?;
        let before = self.current()?.unwrap_or_default();
        // Of one that a few pages were taken anew for, the rest is as old as it was.
        let is_older = manifest.taken_unix_ms < before.put_back_unix_ms();
        let put_back = before.put_back.filter(|_| is_older);
        let previous = Some(before.current).filter(|id| !id.is_empty() && *id != manifest.id);
        let now = Current { current: manifest.id.clone(), previous, put_back };
        self.point(&now)?;
        // It is shown by now. What can't be removed is in nobody's way but the disk's.
        if let Err(error) = self.sweep(&now) {
            tracing::warn!(%error, "what no snapshot needs any more is still there");
        }
        Ok(())
    }

    /// Shows the one before again; gives its manifest.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn roll_back(&self, _: &Lock) -> Result<Manifest, DiskError> {
        let now = self.current()?.ok_or_else(|| DiskError::None(self.root.clone()))?;
        let previous = now.previous.ok_or_else(|| DiskError::NoneBefore(self.root.clone()))?;
        let manifest = self.manifest(&previous)?;
        self.point(&Current { current: previous, previous: Some(now.current.clone()), put_back: Some(now.current) })?;
        Ok(manifest)
    }

    fn point(&self, at: &Current) -> Result<(), DiskError> {
        let path = self.root.join("current");
        let write = || write_whole(&path, &serde_json::to_vec(at)?);
        write().map_err(|error| DiskError::Io { path: path.clone(), error })
    }

    fn manifest_path(&self, id: &str) -> PathBuf {
        // An id is digits; what else a file may say leads nowhere.
        let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        self.root.join("snapshots").join(if plain { id } else { "_" })
    }

    /// Removes the manifests and bodies that neither snapshot needs.
    fn sweep(&self, keep: &Current) -> Result<(), DiskError> {
        let ids: Vec<&str> = std::iter::once(keep.current.as_str()).chain(keep.previous.as_deref()).collect();
        let mut needed = HashSet::new();
        for id in &ids {
            // Of one that can't be read nobody knows what it needs: then nothing goes.
            needed.extend(self.manifest(id)?.objects().map(|object| object.hash.clone()));
        }
        let taking = || -> io::Result<Vec<String>> {
            let (steps, formed) =
                (journal::left::<Step>(&self.taking("journal"))?, journal::left::<Formed>(&self.taking("forms"))?);
            let bodies = steps.into_iter().filter_map(|step| Some(step.object()?.hash.clone()));
            Ok(bodies.chain(formed.into_iter().flat_map(|f| f.variants).map(|v| v.object.hash)).collect())
        };
        // One that was broken off goes on, and needs what it has.
        needed.extend(taking().map_err(|error| DiskError::Io { path: self.root.join("taking"), error })?);
        let remove = |dir: &Path, keep: &dyn Fn(&str) -> bool| -> io::Result<()> {
            for entry in std::fs::read_dir(dir)? {
                let entry = entry?;
                if entry.file_type()?.is_file() && !entry.file_name().to_str().is_some_and(keep) {
                    std::fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        let sweep = || -> io::Result<()> {
            remove(&self.root.join("snapshots"), &|name| ids.contains(&name))?;
            for dir in std::fs::read_dir(self.root.join("objects")).into_iter().flatten() {
                remove(&dir?.path(), &|name| needed.contains(name))?;
            }
            Ok(())
        };
        sweep().map_err(|error| DiskError::Io { path: self.root.clone(), error })
    }
}

/// Replaces a file in one step: a crash leaves the old one or the new one.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::manifest::{Page, PageTags};

    fn manifest(disk: &Disk, id: &str, body: &str) -> Manifest {
        let page = Page {
            host: String::new(),
            target: "/".to_owned(),
            status: 200,
            fields: Vec::new(),
            object: Some(disk.put(body.as_bytes()).unwrap()),
            date_unix_ms: 0,
            asked_unix_ms: None,
            tags: PageTags::default(),
            variants: Vec::new(),
            recipe: 0,
        };
        Manifest { id: id.to_owned(), pages: vec![page], ..Manifest::default() }
    }

    #[test]
    fn the_previous_snapshot_is_kept_and_what_neither_needs_goes() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path());
        let lock = disk.lock().unwrap();
        assert!(matches!(disk.lock(), Err(DiskError::Busy(_))));
        assert!(matches!(disk.shown(), Err(DiskError::None(_))));
        for (id, body) in [("1", "one"), ("2", "two"), ("3", "three")] {
            disk.publish(&manifest(&disk, id, body), &lock).unwrap();
        }
        let body = |disk: &Disk| disk.get(disk.shown().unwrap().pages[0].object.as_ref().unwrap()).unwrap();
        assert_eq!(body(&disk), b"three");
        assert_eq!(disk.roll_back(&lock).unwrap().id, "2");
        assert_eq!(body(&disk), b"two");
        let hash = blake3::hash(b"one").to_hex().to_string();
        assert!(!disk.object(&hash).exists() && disk.manifest("1").is_err());
        assert_eq!(disk.current().unwrap().unwrap().put_back_unix_ms(), 3);
        let refreshed = Manifest { taken_unix_ms: 2, ..manifest(&disk, "4", "two, in part anew") };
        disk.publish(&refreshed, &lock).unwrap();
        assert_eq!(disk.current().unwrap().unwrap().put_back_unix_ms(), 3, "it is no newer than what was put back");
        disk.publish(&Manifest { taken_unix_ms: 5, ..manifest(&disk, "5", "five") }, &lock).unwrap();
        assert_eq!(disk.current().unwrap().unwrap().put_back, None);
        assert_eq!(disk.roll_back(&lock).unwrap().id, "4");
        assert_eq!(disk.roll_back(&lock).unwrap().id, "5", "and forth again");
    }

    #[test]
    fn what_a_snapshot_that_was_broken_off_has_stays_for_it_to_go_on_with() {
        use crate::snapshot::address::Address;
        use crate::snapshot::frontier::{Kind, Wanted};
        use crate::snapshot::journal::{Begun, Journal, Outcome};

        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path());
        let lock = disk.lock().unwrap();
        let page = manifest(&disk, "1", "taken before the kill").pages.remove(0);
        let object = page.object.clone().unwrap();
        let address = Address { host: String::new(), target: "/".to_owned() };
        let step = Step { outcome: Outcome::Kept(page), ..Step::begin(Wanted { address, kind: Kind::Page, depth: 0 }) };
        let begun = Begun { plan: "p".to_owned(), unix_ms: 1 };
        Journal::open(&disk.taking("journal"), begun).unwrap().0.write(&step).unwrap();
        disk.publish(&manifest(&disk, "2", "one page taken anew meanwhile"), &lock).unwrap();
        assert_eq!(disk.get(&object).unwrap(), b"taken before the kill");
    }

    #[test]
    fn a_body_that_was_changed_on_disk_is_not_given() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path());
        let object = disk.put(b"body").unwrap();
        std::fs::write(disk.object(&object.hash), "b0dy").unwrap();
        assert!(disk.get(&object).is_err());
    }
}
