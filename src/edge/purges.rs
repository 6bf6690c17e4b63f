//! Purges, in force and on disk: what is older than one and outlives the process stays hidden after a
//! restart.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::Edge;
use super::overrides::write_whole;
use crate::cache::purge::{Purge, Purged, Record, Stamp, Target};
use crate::clock::Now;
use crate::pipeline::site::Site;

const FILE: &str = "purges.bin";

/// Up to which purge they are written down; held while they are, so that those who purge at once are
/// written down together.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Stamp>);

fn path(site: &Site) -> PathBuf {
    site.policy.state_dir.join(FILE)
}

/// Takes up what was purged before the restart. Of a file that cannot be read nobody knows what it
/// named: everything is purged.
pub(super) fn restore(site: &Site, now: Now) -> Written {
    let path = path(site);
    match read(&path) {
        Ok(Some(record)) => site.store.purges().restore(&record, now),
        Ok(None) => {}
        Err(error) => {
            tracing::error!(
                path = %path.display(), %error,
                "purges from before the restart are not known: everything that is older is purged, the snapshot too"
            );
            site.store.purge(&Purge { target: Target::Everything, soft: false }, now);
            if let Err(error) = write(site) {
                tracing::error!(path = %path.display(), %error, "purges can't be written down");
            }
        }
    }
    Written::default()
}

fn read(path: &Path) -> io::Result<Option<Record>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(Record::LEN_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Record::decode(&bytes).map(Some).map_err(io::Error::other)
}

fn write(site: &Site) -> io::Result<()> {
    write_whole(&path(site), &site.store.purges().record().encode())
}

impl Edge {
    /// Purges, and writes it down. What was purged is so, also where that fails: until a restart.
    pub async fn purge(self: &Arc<Self>, targets: &[Target], soft: bool) -> (Purged, io::Result<()>) {
        let purged = self.door.site.load().purge(targets, soft, self.clock.now());
        // What is stale is gone with the process's memory anyway.
        let saved = if soft { Ok(()) } else { self.save_purges(purged.at).await };
        (purged, saved)
    }

    /// Writes the purges down, unless those up to `at` are.
    async fn save_purges(self: &Arc<Self>, at: Stamp) -> io::Result<()> {
        let mut up_to = self.purges.0.lock().await;
        if *up_to < at {
            let (edge, covers) = (self.clone(), self.door.site.load().store.purges().newest());
            tokio::task::spawn_blocking(move || write(&edge.door.site.load())).await.map_err(io::Error::other)??;
            *up_to = covers;
        }
        Ok(())
    }
}
