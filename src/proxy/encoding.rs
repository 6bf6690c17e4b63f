//! Encoding what was given from the cache, beside the requests.

use super::Door;
use crate::pipeline::passage::Passage;

/// Bodies that are encoded at once: it must not take the processor from the requests.
pub(super) fn at_once(threads: usize) -> usize {
    (threads / 2).max(1)
}

/// Makes the coding that this answer was wanted in, for those who come next. While there is enough of
/// that going on, the next one asks again.
pub fn encode(door: &Door, passage: &mut Passage) {
    let Some(job) = passage.copy.encode.take() else { return };
    if let Ok(turn) = door.encoding.clone().try_acquire_owned() {
        let store = passage.site.store.clone();
        tokio::task::spawn_blocking(move || {
            job.run(&store);
            drop(turn);
        });
    }
}
