//! One who follows a fill.

use std::sync::Arc;

use bytes::Bytes;

use super::{Fill, For, Head, Hint, Missed, Verdict};
use crate::pipeline::reason::Reason;

/// One who follows a fill. Dropped, it counts no more.
#[derive(Debug)]
pub struct Reader {
    fill: Arc<Fill>,
    /// The number of its next chunk.
    next: usize,
    leader: bool,
}

/// The body broke off: what was sent must not look whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenOff {
    #[error("the origin's answer broke off")]
    ByOrigin,
    #[error("others could not wait for so slow a reader")]
    TooSlow,
}

impl BrokenOff {
    /// For the log.
    pub fn reason(self) -> Reason {
        match self {
            Self::ByOrigin => Reason::OriginFailed,
            Self::TooSlow => Reason::ClientGone,
        }
    }
}

impl Reader {
    /// To be counted by the caller.
    pub(super) fn new(fill: Arc<Fill>, leader: bool) -> Self {
        Self { fill, next: 0, leader }
    }

    /// Whether it followed another's request.
    pub fn is_follower(&self) -> bool {
        !self.leader
    }

    /// The answer's head, once it is there.
    ///
    /// # Errors
    /// [`Missed`]: this fill has nothing for this reader.
    pub async fn head(&self) -> Result<Arc<Head>, Missed> {
        loop {
            let news = self.fill.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            {
                let state = self.fill.state.lock();
                match &state.verdict {
                    Verdict::Answer(_, For::Leader(others)) if !self.leader => return Err(*others),
                    Verdict::Answer(head, _) => return Ok(head.clone()),
                    Verdict::Refused(reason, retry_after) => return Err(Missed::Refused(*reason, *retry_after)),
                    Verdict::Awaited => {}
                }
            }
            news.await;
        }
    }

    /// What the origin says before its answer, for the leader alone; it may be that this never comes.
    pub async fn hint(&self) -> Hint {
        loop {
            let news = self.fill.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if self.leader
                && let Some(hint) = self.fill.state.lock().hints.pop_front()
            {
                return hint;
            }
            news.await;
        }
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// [`BrokenOff`]
    pub async fn next(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        loop {
            // A piece that is there is taken without a place among those who wait.
            if let Some(piece) = self.take() {
                return piece;
            }
            let fill = self.fill.clone();
            let news = fill.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if let Some(piece) = self.take() {
                return piece;
            }
            news.await;
        }
    }

    fn take(&mut self) -> Option<Result<Option<Bytes>, BrokenOff>> {
        let mut state = self.fill.state.lock();
        let Some(place) = self.next.checked_sub(state.first) else { return Some(Err(BrokenOff::TooSlow)) };
        if let Some(chunk) = state.chunks.get(place).cloned() {
            state.count(place, -1);
            state.count(place + 1, 1);
            self.next += 1;
            // Only the first place can have become empty of the last who held it back.
            if place == 0 {
                state.trim();
            }
            return Some(Ok(Some(chunk)));
        }
        match state.end {
            Some(true) => Some(Ok(None)),
            Some(false) => Some(Err(BrokenOff::ByOrigin)),
            None => None,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.fill.state.lock();
        // One that was cut off is counted no more already.
        let Some(place) = self.next.checked_sub(state.first) else { return };
        state.count(place, -1);
        state.readers -= 1;
        state.trim();
        if state.readers == 0 {
            state.wake_writer();
            drop(state);
            self.fill.abandoned.notify_waiters();
        }
    }
}
