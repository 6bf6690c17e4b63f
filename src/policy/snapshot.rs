//! `[snapshot]`: what stands in for the site, and how it is taken.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::Quota;

/// `[snapshot]`.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Where it is kept; or a plain directory of files.
    pub dir: PathBuf,
    /// Paths, or URLs where the site answers by its name; at least one.
    pub seeds: Vec<String>,
    /// Pages that are asked for at most, without what is needed to show them.
    pub max_pages: NonZeroUsize,
    /// Requests to the origin at most.
    pub rate: Quota,
    /// How often the running edge takes one by itself, if it does.
    pub every: Option<Duration>,
}
