//! A fill: one request to the origin whose answer many readers follow.
//!
//! It is its own task, so it survives the reader that began it; it ends as failed when the origin's
//! body is cut, and stops when nobody is left. What the origin marks as personal goes to the reader
//! that asked and to nobody else; the others go on alone.
//!
//! The body is kept whole while it may become an entry, at most `max_object` bytes. Beyond that, and
//! for a private answer, only a window is kept and the slowest reader sets the pace, as long as it
//! keeps one: `Sink` sees to that.
//!
//! What a piece costs does not grow with the readers but for waking them: each knows its own place,
//! and the fill only counts how many are at which.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cache::vary::Selecting;
use crate::pipeline::reason::Reason;

mod asked;
mod held;
mod reader;
mod table;
#[cfg(test)]
mod tests;

use asked::Asked;
pub use held::Held;
pub use reader::{BrokenOff, Reader};
pub use table::{Fills, Joined, MAX_FILLS};

/// Early hints that wait for the leader at most; further ones are left out.
const HINTS: usize = 4;
/// Bytes kept for the slowest reader of an answer that is not kept whole.
const WINDOW: usize = 256 << 10;

/// A response's head, as readers write it on.
#[derive(Debug, Default)]
pub struct Head {
    pub status: u16,
    /// End-to-end fields, in order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// From Content-Length.
    pub length: Option<u64>,
    /// For Cache-Status: whether an entry comes of it.
    pub stored: bool,
    /// Fields for the one whose request it was (RFC 9111 §5.2.2.4, §5.2.2.7).
    pub own: Vec<(String, Vec<u8>)>,
    /// What a request must say to share it.
    pub selecting: Selecting,
    /// What the origin said, where that is not what is given: a 304.
    pub said: Option<u16>,
}

impl Head {
    /// The fields for a reader; `own`: for the one whose request it was.
    pub fn fields_for(&self, own: bool) -> impl Iterator<Item = &(String, Vec<u8>)> {
        self.fields.iter().chain(self.own.iter().filter(move |_| own))
    }

    /// Whether a copy is better than this (RFC 5861 §4).
    pub fn is_error(&self) -> bool {
        is_error(self.status)
    }
}

/// See [`Head::is_error`].
pub fn is_error(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// The fields of an early hint (RFC 8297).
pub type Hint = Vec<(String, Vec<u8>)>;

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Everyone,
    /// The reader that began the fill; and what the others are told.
    Leader(Missed),
}

/// Why a reader gets nothing from a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// The answer is another visitor's: go to the origin alone.
    Alone,
    /// The origin was not asked, gave no answer, or one that others are not to ask for again.
    Refused(Reason, Duration),
}

#[derive(Debug)]
enum Verdict {
    Awaited,
    Answer(Arc<Head>, For),
    Refused(Reason, Duration),
}

#[derive(Debug)]
struct State {
    /// For the leader: whose the answer will be is not known yet.
    hints: VecDeque<Hint>,
    verdict: Verdict,
    chunks: VecDeque<Bytes>,
    /// The number of the first chunk kept.
    first: usize,
    kept: usize,
    /// Bytes no longer kept.
    let_go: u64,
    /// Keep the body from its first byte.
    whole: bool,
    /// How it ended: with all of its body, or not.
    end: Option<bool>,
    /// How many readers there are whose next chunk is the first one kept, the one after it, and so
    /// on; last, those who have all. So it is longer by one than `chunks`.
    places: VecDeque<usize>,
    readers: usize,
    writer: Option<Waker>,
}

/// A fill in flight.
#[derive(Debug)]
pub struct Fill {
    state: Mutex<State>,
    news: Notify,
    abandoned: Notify,
    /// What it asked, and when.
    pub asked: Asked,
}

impl Fill {
    /// A fill, and its first reader.
    pub fn begin() -> (Arc<Self>, Reader) {
        let state = State {
            hints: VecDeque::new(),
            verdict: Verdict::Awaited,
            chunks: VecDeque::new(),
            first: 0,
            kept: 0,
            let_go: 0,
            whole: true,
            end: None,
            places: VecDeque::from([0]),
            readers: 0,
            writer: None,
        };
        let fill = Arc::new(Self {
            state: Mutex::new(state),
            news: Notify::new(),
            abandoned: Notify::new(),
            asked: Asked::default(),
        });
        let reader = fill.reader(&mut fill.state.lock(), true);
        (fill, reader)
    }

    fn reader(self: &Arc<Self>, state: &mut State, leader: bool) -> Reader {
        state.readers += 1;
        state.count(0, 1);
        Reader::new(self.clone(), leader)
    }

    /// One more reader; none once it is known that the fill serves only its first, no longer has
    /// its beginning, failed, or was abandoned.
    pub fn follow(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.state.lock();
        let open = match &state.verdict {
            Verdict::Awaited => true,
            Verdict::Answer(_, whom) => *whom == For::Everyone && state.first == 0 && state.end != Some(false),
            Verdict::Refused(..) => false,
        };
        (open && state.readers > 0).then(|| self.reader(&mut state, false))
    }

    /// Resolves when nobody is left to read.
    pub async fn until_abandoned(&self) {
        loop {
            let news = self.abandoned.notified();
            if self.is_abandoned() {
                return;
            }
            news.await;
        }
    }

    /// Whether nobody is left to read.
    pub fn is_abandoned(&self) -> bool {
        self.state.lock().readers == 0
    }

    /// How many follow it.
    #[cfg(test)]
    pub(super) fn readers(&self) -> usize {
        self.state.lock().readers
    }

    /// The origin was not asked, or gave no answer.
    pub fn refuse(&self, reason: Reason, retry_after: Duration) {
        let mut state = self.state.lock();
        if matches!(state.verdict, Verdict::Awaited) {
            state.verdict = Verdict::Refused(reason, retry_after);
        }
        drop(state);
        self.close(false);
    }

    /// The origin says something before its answer.
    pub fn hint(&self, hint: Hint) {
        let mut state = self.state.lock();
        if state.hints.len() < HINTS {
            state.hints.push_back(hint);
        }
        drop(state);
        self.news.notify_waiters();
    }

    /// The answer's head, whom it is for, and whether its body is kept from the beginning.
    pub fn open(&self, head: Head, whom: For, whole: bool) {
        let mut state = self.state.lock();
        state.verdict = Verdict::Answer(Arc::new(head), whom);
        state.whole = whole;
        drop(state);
        self.news.notify_waiters();
    }

    /// The next piece of the body.
    pub fn push(&self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        state.kept += chunk.len();
        state.chunks.push_back(chunk);
        state.places.push_back(0);
        state.trim();
        drop(state);
        self.news.notify_waiters();
    }

    /// The body turned out too large to be kept whole.
    pub fn let_go(&self) {
        self.state.lock().whole = false;
    }

    /// The whole body in one piece, if it was kept. What readers have yet to take is from then on part
    /// of that piece, so that it lies in memory once. To be called when all of it has come.
    pub fn gather(&self) -> Option<Bytes> {
        let pieces: Vec<Bytes> = {
            let state = self.state.lock();
            if !state.whole || state.first > 0 {
                return None;
            }
            state.chunks.iter().cloned().collect()
        };
        let mut body = Vec::with_capacity(pieces.iter().map(Bytes::len).sum());
        pieces.iter().for_each(|piece| body.extend_from_slice(piece));
        let body = Bytes::from(body);
        let mut at = 0;
        for chunk in &mut self.state.lock().chunks {
            let piece = at..at + chunk.len();
            at = piece.end;
            if at <= body.len() {
                *chunk = body.slice(piece);
            }
        }
        Some(body)
    }

    /// The end; only the first call counts.
    pub fn close(&self, complete: bool) {
        self.state.lock().end.get_or_insert(complete);
        self.news.notify_waiters();
    }

    /// Ready when there is room for more: how the slowest reader sets the pace.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.whole || state.kept <= WINDOW || state.readers == 0 {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// How far the window has moved, and whether the readers have all but caught up: for whoever
    /// watches the pace.
    pub(super) fn pace(&self) -> Pace {
        let state = self.state.lock();
        Pace { let_go: state.let_go, caught_up: state.kept <= WINDOW / 2 }
    }

    /// Cuts off those who are behind by half a window or more, where others have read all there is and
    /// wait: to be called when the window has not moved by its size for as long as a client may be
    /// without progress. Those who were cut off see the body broken.
    pub(super) fn cut_slowest(&self) {
        let mut state = self.state.lock();
        if state.whole || state.places.back().is_none_or(|waiting| *waiting == 0) {
            return;
        }
        while state.kept > WINDOW / 2 && !state.chunks.is_empty() {
            state.readers -= state.places.front().copied().unwrap_or_default();
            state.drop_first();
        }
        state.wake_writer();
    }
}

/// See [`Fill::pace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Bytes that are no longer kept.
    pub let_go: u64,
    pub caught_up: bool,
}

impl Pace {
    /// Whether the slowest has got through a window since then, or has nothing left to take.
    pub fn is_kept_since(&self, before: &Self) -> bool {
        self.caught_up || self.let_go.saturating_sub(before.let_go) >= WINDOW as u64
    }
}

impl State {
    /// One more reader, or one less, at this place.
    fn count(&mut self, place: usize, by: isize) {
        if let Some(readers) = self.places.get_mut(place) {
            *readers = readers.saturating_add_signed(by);
        }
    }

    /// Drops what every reader has, unless it is kept whole. Where others may still come, what there
    /// is room for stays: they can follow from the beginning as long as that is here.
    fn trim(&mut self) {
        if self.whole {
            return;
        }
        let stays = if matches!(self.verdict, Verdict::Answer(_, For::Everyone)) { WINDOW } else { 0 };
        while self.kept > stays && self.places.front() == Some(&0) && !self.chunks.is_empty() {
            self.drop_first();
        }
        if self.kept <= WINDOW {
            self.wake_writer();
        }
    }

    fn drop_first(&mut self) {
        let Some(chunk) = self.chunks.pop_front() else { return };
        self.places.pop_front();
        self.first += 1;
        self.kept -= chunk.len();
        self.let_go += chunk.len() as u64;
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}
