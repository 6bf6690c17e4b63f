//! What is on disk: signing keys, admin tokens and the state of waiting rooms.
//!
//! Part of the shell. Everything here is readable by its owner only, and every error names the file
//! and says what to do.

use std::io;
use std::path::{Path, PathBuf};

pub mod keys_file;
pub mod room_file;
pub mod token_file;

pub use keys_file::load_or_create;
pub use room_file::RoomFile;

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path}: cannot {doing}: {source}")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error(
        "{path}: {source}; restore the file from a backup, or remove it: all that it signed (places, visits, passes) is void then"
    )]
    Keys { path: PathBuf, source: crate::keys::KeysError },
    #[error(
        "{path}: in use by another process; one process owns a room: stop the other, or give this one its own state.dir"
    )]
    Owned { path: PathBuf },
    #[error(
        "{path}: not the state of waiting room {room:?}: {why}; move the file away, and all who wait in it or are inside start anew"
    )]
    Foreign { path: PathBuf, room: String, why: &'static str },
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
}

impl StoreError {
    fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), doing, source }
    }
}

/// A random seed for a room without a past.
pub fn random_seed() -> Result<u64, StoreError> {
    getrandom::u64().map_err(StoreError::Random)
}

/// A random secret for a room without a past: all that it draws by lot comes from it.
pub fn random_secret() -> Result<[u8; 32], StoreError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(StoreError::Random)?;
    Ok(secret)
}

/// Makes the names in `dir` durable.
fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(StoreError::io(dir, "sync the directory"))
}
