//! The snapshot of a running edge: a new one is noticed and shown, and one is taken now and then.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Edge;
use crate::pipeline::site::Site;
use crate::policy;
use crate::snapshot::Snapshot;
use crate::snapshot::crawl::{Asker, Crawl, CrawlError, Order, Told};
use crate::snapshot::disk::{Disk, DiskError};
use crate::snapshot::gate::Gate;
use crate::snapshot::manifest::Manifest;
use crate::snapshot::popular;

/// How often it is looked whether there is a new one.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the most requested pages are written down.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// How often they are halved, in writes: what was popular a day ago counts for next to nothing.
const AGE_EVERY: u32 = 240;
/// How soon one that failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// How long one answer of the origin may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one that is being taken, or was last.
#[derive(Debug, Default)]
pub(super) struct Taking(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// URLs settled, and still to ask for.
    progress: Option<(usize, usize)>,
    /// Bodies whose smaller forms are made, and all.
    forms: Option<(usize, usize)>,
    last_error: Option<String>,
    /// An operator wants one now.
    wanted: bool,
}

impl State {
    fn tell(&mut self, told: &Told<'_>) {
        match *told {
            Told::Settled { done, left, .. } => self.progress = Some((done, left)),
            Told::Formed { done, of } => self.forms = Some((done, of)),
        }
    }
}

/// Shows each new snapshot, and writes down what is popular.
pub(super) async fn keep_shown(edge: Arc<Edge>) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut write = tokio::time::interval(WRITE_EVERY);
    let mut writes = 0_u32;
    let mut failing = None;
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = write.tick() => {
                writes = writes.wrapping_add(1);
                write_popular(&edge, writes.is_multiple_of(AGE_EVERY)).await;
                continue;
            }
        }
        let site = edge.door.site.load_full();
        let Some(rules) = &site.policy.snapshot else { continue };
        let dir = rules.dir.clone();
        let shown = site.snapshot.get().map(|shown| shown.id.clone()).unwrap_or_default();
        let looked = tokio::task::spawn_blocking(move || newer(&dir, &shown)).await;
        match looked {
            Ok(Ok(Some(snapshot))) => {
                tracing::info!(id = snapshot.id, urls = snapshot.len(), "a new snapshot is shown");
                site.snapshot.show(snapshot);
                failing = None;
            }
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(error)) => {
                let error = error.to_string();
                if failing.as_ref() != Some(&error) {
                    tracing::error!(error, "the new snapshot can't be shown; the one before still is");
                }
                failing = Some(error);
            }
        }
    }
}

fn newer(dir: &Path, shown: &str) -> Result<Option<Snapshot>, DiskError> {
    match Disk::new(dir).current()? {
        Some(current) if current.current != shown => Snapshot::load(dir).map(Some),
        _ => Ok(None),
    }
}

async fn write_popular(edge: &Edge, age: bool) {
    let site = edge.door.site.load_full();
    // After a hand-over the file is another process's.
    if site.policy.snapshot.is_none() || edge.draining() {
        return;
    }
    let written = tokio::task::spawn_blocking(move || {
        let bytes = {
            let mut popular = site.popular.lock();
            if age {
                popular.age();
            }
            popular.encode()?
        };
        popular::write(&site.policy.state_dir, &bytes)
    });
    if let Ok(Err(error)) = written.await {
        tracing::warn!(%error, "the most requested pages are not written down");
    }
}

/// Takes one whenever the one that is there is `snapshot.every` old.
pub(super) async fn keep_taking(edge: Arc<Edge>) {
    let mut not_before = edge.clock.mono();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let site = edge.door.site.load_full();
        let Some(rules) = site.policy.snapshot.clone() else { continue };
        let wanted = std::mem::take(&mut edge.taking.0.lock().wanted);
        let Some(every) = rules.every.or(wanted.then_some(Duration::ZERO)) else { continue };
        let taken = site.snapshot.get().and_then(|shown| shown.taken_unix_ms);
        let put_back = Disk::new(&rules.dir).current().ok().flatten().map_or(0, |current| current.put_back_unix_ms());
        let taken = taken.map(|taken| taken.max(put_back));
        let now = edge.clock.now();
        let old = taken.is_none_or(|taken| u128::from(now.unix_ms.saturating_sub(taken)) >= every.as_millis());
        if edge.draining() || !(wanted || (old && now.mono >= not_before)) {
            continue;
        }
        // A page that it stumbles over is not to be the end of all that come after.
        let mut taking = JoinSet::new();
        taking.spawn(take(edge.clone(), site, rules));
        let outcome = taking.join_next().await.and_then(Result::ok).unwrap_or(Err(CrawlError::Stumbled));
        not_before = edge.clock.mono().after(AGAIN_AFTER.min(every));
        let mut state = edge.taking.0.lock();
        (state.progress, state.forms) = (None, None);
        state.last_error = outcome.as_ref().err().map(ToString::to_string);
        match outcome {
            Ok(manifest) => {
                let left_out: u64 = manifest.left_out_counts.values().sum();
                tracing::info!(id = manifest.id, urls = manifest.pages.len(), left_out, "a snapshot was taken");
            }
            Err(error) => tracing::warn!(%error, "no snapshot was taken"),
        }
    }
}

async fn take(edge: Arc<Edge>, site: Arc<Site>, rules: policy::Snapshot) -> Result<Manifest, CrawlError> {
    let lock = Disk::new(&rules.dir).lock()?;
    let popular = site.popular.lock().top().take(popular::TOLD_MAX).map(|(page, _)| page.clone()).collect();
    let gate = Gate::Edge(edge.door.clone());
    let asker = Asker::new(site.policy.clone(), None, rules.rate, PATIENCE, gate, edge.clock).await;
    let tell = |told: &Told<'_>| edge.taking.0.lock().tell(told);
    let crawl = Crawl::begin(Order { rules: &rules, popular, through: None }, asker, edge.clock, &tell)?;
    tracing::info!(resumed = crawl.resumed(), "a snapshot is being taken");
    crawl.take(&lock).await
}

impl Edge {
    /// Takes one as soon as the origin has time; false where the policy has no `[snapshot]`.
    pub fn take_snapshot(&self) -> bool {
        let has_rules = self.door.site.load().policy.snapshot.is_some();
        self.taking.0.lock().wanted |= has_rules;
        has_rules
    }

    /// Whether the last attempt to take one failed.
    pub fn snapshot_failed(&self) -> bool {
        self.taking.0.lock().last_error.is_some()
    }

    /// For `/api/v1/status`; null without a `[snapshot]`.
    pub fn snapshot_status(&self, site: &Site) -> Value {
        if site.policy.snapshot.is_none() {
            return Value::Null;
        }
        let (shown, state) = (site.snapshot.get(), self.taking.0.lock());
        let taken = shown.as_ref().and_then(|shown| shown.taken_unix_ms);
        json!({
            "id": shown.as_ref().map(|shown| &shown.id).filter(|id| !id.is_empty()),
            "urls": shown.as_ref().map(|shown| shown.len()),
            "taken_unix_ms": taken,
            "age_seconds": taken.map(|taken| self.clock.now().unix_ms.saturating_sub(taken) / 1000),
            "taking": state.progress.map(|(done, left)| json!({ "done": done, "left": left })),
            "forming": state.forms.map(|(done, of)| json!({ "done": done, "of": of })),
            "last_error": state.last_error,
        })
    }
}
