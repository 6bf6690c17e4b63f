//! An operator's changes to the levels, on disk: they outlive reload and restart until they expire
//! or are released.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::Now;
use crate::level::Override;
use crate::pipeline::site::Site;

type Kept = BTreeMap<String, Vec<Override>>;

fn path(site: &Site) -> PathBuf {
    site.policy.state_dir.join("levels.json")
}

/// Takes up what was set before the restart. A file that can't be read is said and left alone.
pub fn restore(site: &Site, now: Now) {
    let path = path(site);
    let kept: Kept = match std::fs::read(&path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(kept) => kept,
            Err(error) => return tracing::error!(path = %path.display(), %error, "pins and floors are not restored"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return tracing::error!(path = %path.display(), %error, "pins and floors are not restored"),
    };
    for origin in site.origins() {
        for set in kept.get(&origin.name).into_iter().flatten() {
            let who = set.who.clone();
            let (_, change) = origin.ladder(now, |ladder| ladder.set(set.clone(), now));
            if change.is_some() || origin.ladder(now, |l| l.overrides(now).count()).0 > 0 {
                tracing::warn!(
                    origin = origin.name,
                    level = set.level.name(),
                    who,
                    "a change from before the restart is in force"
                );
            }
        }
    }
}

/// Writes down what is in force now.
///
/// # Errors
/// The disk's; what was set is in force nevertheless, until a restart.
pub fn save(site: &Site, now: Now) -> io::Result<()> {
    let of = |origin: &crate::pipeline::origin::Origin| origin.look(|l| l.overrides(now).cloned().collect());
    let kept: Kept = site.origins().iter().map(|o| (o.name.clone(), of(o))).collect();
    write_whole(&path(site), &serde_json::to_vec_pretty(&kept)?)
}

/// Replaces a file in one step: a crash leaves the old one or the new one.
fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}
