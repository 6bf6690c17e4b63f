//! A root whose files are served: looks them up, and keeps small ones that are asked for often.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;

use super::Asked;
use super::beneath::{Opened, Root};
use super::body::{Body, Source, read_whole};
use super::disk;
use super::encoding::Order;
use super::place::Place;
use super::reply::{self, Found, Reply};
use crate::clock::{Mono, Now};
use crate::pipeline::answer::RequestId;
use crate::pipeline::reason::Reason;
use crate::policy::Files;

/// Files up to this size are kept in memory.
const KEPT_FILE: u64 = 256 << 10;
/// Bytes of them, for each root.
const KEPT_BYTES: u64 = 32 << 20;
/// How long a kept file answers before the disk is asked whether it is still the same.
const CHECKED: Duration = Duration::from_secs(1);
/// Times that a small file is read again because it changed meanwhile.
const TRIES: usize = 3;
/// How often a root that fails is told of.
const TOLD: Duration = Duration::from_secs(10);

/// One `[files.NAME]` and what is kept of it.
pub struct Tree {
    rules: Arc<Files>,
    kept: Cache<Vec<u8>, Arc<Kept>>,
    /// When a failure was last told, in nanoseconds; zero: never.
    told: AtomicU64,
}

struct Kept {
    found: Found,
    bytes: Bytes,
    /// In nanoseconds.
    checked: AtomicU64,
}

/// What a place holds.
enum Sought {
    File(Found, Source),
    /// A directory that was asked for without its slash.
    Directory(Place),
    /// What may not be shown, nor anything in its place.
    Denied,
    Nothing,
}

impl Tree {
    pub fn new(rules: &Files) -> Self {
        let weigh = |key: &Vec<u8>, kept: &Arc<Kept>| u32::try_from(key.len() + kept.bytes.len()).unwrap_or(u32::MAX);
        let kept = Cache::builder().max_capacity(KEPT_BYTES).weigher(weigh).build();
        Self { rules: Arc::new(rules.clone()), kept, told: AtomicU64::new(0) }
    }

    pub fn rules(&self) -> &Files {
        &self.rules
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// Why there is none: there is no such file, or the disk fails.
    pub async fn answer(&self, asked: &Asked, id: RequestId, now: Now) -> Result<(Reply, Body), Reason> {
        let answered = self.find(asked, id, now).await.inspect_err(|error| self.tell(error, now.mono));
        answered.map_err(|_| Reason::EdgeBusy)?.ok_or(Reason::NotFound)
    }

    async fn find(&self, asked: &Asked, id: RequestId, now: Now) -> io::Result<Option<(Reply, Body)>> {
        let unix_s = now.unix_ms / 1000;
        let (reply, source) = match self.seek_first(asked, now.mono).await? {
            Sought::File(found, source) => (reply::of(asked, &self.rules, &found, id, unix_s), source),
            Sought::Directory(place) => {
                (reply::redirect(&place, asked.query.as_deref(), &self.rules), Source::Kept(Bytes::new()))
            }
            Sought::Nothing | Sought::Denied => {
                match self.page(self.rules.not_found.as_deref(), asked, now.mono).await? {
                    Sought::File(found, source) => (reply::not_found(&self.rules, &found), source),
                    _ => return Ok(None),
                }
            }
        };
        let pieces = if asked.head { Vec::new() } else { reply.pieces.clone() };
        Ok(Some((reply, Body::new(source, pieces))))
    }

    /// What was asked for, or what stands in for it.
    async fn seek_first(&self, asked: &Asked, now: Mono) -> io::Result<Sought> {
        let Some(place) = &asked.place else { return Ok(Sought::Nothing) };
        match self.seek(place, &asked.order, now).await? {
            Sought::Nothing if !place.names_a_file() => self.page(self.rules.fallback.as_deref(), asked, now).await,
            sought => Ok(sought),
        }
    }

    /// A page of the policy's.
    async fn page(&self, name: Option<&str>, asked: &Asked, now: Mono) -> io::Result<Sought> {
        match name.and_then(Place::named) {
            Some(place) => self.seek(&place, &asked.order, now).await,
            None => Ok(Sought::Nothing),
        }
    }

    async fn seek(&self, place: &Place, order: &Order, now: Mono) -> io::Result<Sought> {
        let key = key(place, order);
        let kept = self.kept.get(&key);
        if let Some(kept) = kept.as_ref().filter(|kept| !kept.is_to_check(now)) {
            return Ok(kept.sought());
        }
        let (rules, place, order, held) = (self.rules.clone(), place.clone(), order.clone(), kept.clone());
        let sought = disk::wait(move || look_and_read(&rules, &place, &order, held.as_deref())).await?;
        match &sought {
            Sought::File(found, Source::Kept(bytes)) if kept.as_ref().is_none_or(|kept| kept.found != *found) => {
                let kept = Kept { found: found.clone(), bytes: bytes.clone(), checked: AtomicU64::new(now.as_nanos()) };
                self.kept.insert(key, Arc::new(kept));
            }
            Sought::File(_, Source::Kept(_)) => {}
            _ if kept.is_some() => self.kept.invalidate(&key),
            _ => {}
        }
        Ok(sought)
    }

    /// Says that the disk fails, not more often than anyone can read.
    fn tell(&self, error: &io::Error, now: Mono) {
        let last = self.told.load(Ordering::Relaxed);
        let due = last == 0 || now.since(Mono::from_nanos(last)) >= TOLD;
        if due && self.told.compare_exchange(last, now.as_nanos().max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            tracing::warn!(files = self.rules.name, root = %self.rules.root.display(), %error, "files can't be read");
        }
    }
}

impl Kept {
    /// Whether the disk is to be asked again: by one of those who come, while the others take what is kept.
    fn is_to_check(&self, now: Mono) -> bool {
        let last = self.checked.load(Ordering::Relaxed);
        now.since(Mono::from_nanos(last)) >= CHECKED
            && self.checked.compare_exchange(last, now.as_nanos(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn sought(&self) -> Sought {
        Sought::File(self.found.clone(), Source::Kept(self.bytes.clone()))
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// What is kept is found by what is asked for.
fn key(place: &Place, order: &Order) -> Vec<u8> {
    let mut key = Vec::with_capacity(place.relative().len() + 6);
    key.extend(order.iter().map(|coding| coding.map_or(b'-', |coding| coding as u8)));
    key.push(if place.is_directory() { b'/' } else { b' ' });
    key.extend_from_slice(place.relative().as_bytes());
    key
}

/// The file that answers, in words: for `seawall explain`.
///
/// # Errors
/// The disk's.
pub fn chosen(rules: &Files, asked: &Asked) -> io::Result<Option<String>> {
    let at = |found: &Found| {
        let path = rules.root.join(found.place.relative()).display().to_string();
        found.coding.map_or(path.clone(), |coding| format!("{path}.{}", coding.ending()))
    };
    let page = |name: &Option<String>, what: &str| -> io::Result<Option<String>> {
        let Some(place) = name.as_deref().and_then(Place::named) else { return Ok(None) };
        match look(rules, &place, &asked.order)? {
            Sought::File(found, _) => Ok(Some(format!("{}, {what}", at(&found)))),
            _ => Ok(None),
        }
    };
    let sought = asked.place.as_ref().map_or(Ok(Sought::Nothing), |place| look(rules, place, &asked.order))?;
    match sought {
        Sought::File(found, _) => return Ok(Some(at(&found))),
        Sought::Directory(_) => return Ok(Some("a redirect to the directory's own URL".to_owned())),
        Sought::Nothing | Sought::Denied => {}
    }
    let is_denied = matches!(sought, Sought::Denied);
    let stands_in = asked.place.as_ref().is_some_and(|place| !place.names_a_file() && !is_denied);
    let fallback = if stands_in { page(&rules.fallback, "which stands in for it")? } else { None };
    match fallback {
        Some(fallback) => Ok(Some(fallback)),
        None => page(&rules.not_found, "as the page of a 404"),
    }
}

/// Looks on the disk, and reads what is small, unless it is what is kept.
fn look_and_read(rules: &Files, place: &Place, order: &Order, kept: Option<&Kept>) -> io::Result<Sought> {
    let mut tries = 0;
    loop {
        let (found, file, stamp) = match look(rules, place, order)? {
            Sought::File(found, Source::Disk(file, stamp)) if stamp.size <= KEPT_FILE => (found, file, stamp),
            sought => return Ok(sought),
        };
        if let Some(kept) = kept.filter(|kept| kept.found == found) {
            return Ok(kept.sought());
        }
        match read_whole(&file, &stamp) {
            Ok(bytes) => return Ok(Sought::File(found, Source::Kept(bytes))),
            Err(error) if tries == TRIES => return Err(error),
            // It is just being written.
            Err(_) => tries += 1,
        }
    }
}

/// Looks on the disk.
fn look(rules: &Files, place: &Place, order: &Order) -> io::Result<Sought> {
    let root = Root::open(&rules.root)?;
    match root.look(place.relative())? {
        Opened::Regular(..) if place.is_directory() => Ok(Sought::Nothing),
        Opened::Regular(file, stamp) => {
            let as_it_is = Found { place: place.clone(), coding: None, stamp };
            encoded(&root, Sought::File(as_it_is, Source::Disk(Arc::new(file), stamp)), place, order)
        }
        Opened::Nothing => Ok(Sought::Nothing),
        Opened::Directory => {
            let Some(index) = rules.index.as_ref().map(|name| place.join(name)) else { return Ok(Sought::Nothing) };
            // By its own name, or by a pattern that the directory's does not fit.
            if index.is_denied(rules) {
                return Ok(Sought::Denied);
            }
            match root.look(index.relative())? {
                Opened::Regular(file, stamp) if place.is_directory() => {
                    let as_it_is = Found { place: index.clone(), coding: None, stamp };
                    encoded(&root, Sought::File(as_it_is, Source::Disk(Arc::new(file), stamp)), &index, order)
                }
                Opened::Regular(..) => Ok(Sought::Directory(place.clone())),
                _ => Ok(Sought::Nothing),
            }
        }
    }
}

/// The first of a file's encodings that is there; itself if none is.
fn encoded(root: &Root, as_it_is: Sought, place: &Place, order: &Order) -> io::Result<Sought> {
    for coding in order.iter().flatten() {
        let sibling = format!("{}.{}", place.relative(), coding.ending());
        if let Opened::Regular(file, stamp) = root.look(&sibling)? {
            let found = Found { place: place.clone(), coding: Some(*coding), stamp };
            return Ok(Sought::File(found, Source::Disk(Arc::new(file), stamp)));
        }
    }
    Ok(as_it_is)
}

#[cfg(test)]
mod tests;
