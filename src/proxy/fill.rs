//! A fill: one request to the origin whose answer many readers follow.
//!
//! It is its own task, so it survives the reader that began it; it ends as failed when the origin's
//! body is cut, and stops when nobody is left. What the origin marks as personal goes to the reader
//! that asked and to nobody else; the others go on alone.
//!
//! The body is kept whole while it may become an entry, at most `max_object` bytes. Beyond that, and
//! for a private answer, only a window is kept and the slowest reader sets the pace.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cache::vary::Selecting;
use crate::pipeline::reason::Reason;

#[cfg(test)]
mod tests;

/// Bytes kept for the slowest reader of an answer that is not kept whole.
const WINDOW: usize = 256 << 10;
/// Fills in flight at most; the next miss goes to the origin alone.
pub const MAX_FILLS: usize = 65_536;

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

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Everyone,
    /// The reader that began the fill.
    Leader,
}

/// Why a reader gets nothing from a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// The answer is another visitor's: go to the origin alone.
    Alone,
    /// The origin was not asked, or gave no answer.
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
    verdict: Verdict,
    chunks: VecDeque<Bytes>,
    /// The number of the first chunk kept.
    first: usize,
    kept: usize,
    /// Keep the body from its first byte.
    whole: bool,
    /// How it ended: with all of its body, or not.
    end: Option<bool>,
    /// The next chunk of each reader.
    readers: HashMap<u64, usize>,
    next_reader: u64,
    writer: Option<Waker>,
}

/// A fill in flight.
#[derive(Debug)]
pub struct Fill {
    state: Mutex<State>,
    news: Notify,
    abandoned: Notify,
}

impl Fill {
    /// A fill, and its first reader.
    pub fn begin() -> (Arc<Self>, Reader) {
        let state = State {
            verdict: Verdict::Awaited,
            chunks: VecDeque::new(),
            first: 0,
            kept: 0,
            whole: true,
            end: None,
            readers: HashMap::new(),
            next_reader: 0,
            writer: None,
        };
        let fill = Arc::new(Self { state: Mutex::new(state), news: Notify::new(), abandoned: Notify::new() });
        let reader = fill.reader(&mut fill.state.lock(), true);
        (fill, reader)
    }

    fn reader(self: &Arc<Self>, state: &mut State, leader: bool) -> Reader {
        let number = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(number, 0);
        Reader { fill: self.clone(), number, leader }
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
        (open && !state.readers.is_empty()).then(|| self.reader(&mut state, false))
    }

    /// Resolves when nobody is left to read.
    pub async fn until_abandoned(&self) {
        loop {
            let news = self.abandoned.notified();
            if self.state.lock().readers.is_empty() {
                return;
            }
            news.await;
        }
    }

    /// How many follow it.
    #[cfg(test)]
    pub(super) fn readers(&self) -> usize {
        self.state.lock().readers.len()
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
        state.trim();
        drop(state);
        self.news.notify_waiters();
    }

    /// The body turned out too large to be kept whole.
    pub fn let_go(&self) {
        self.state.lock().whole = false;
    }

    /// The whole body, if it was kept.
    pub fn body(&self) -> Option<Bytes> {
        let state = self.state.lock();
        if !state.whole || state.first > 0 {
            return None;
        }
        let mut body = Vec::with_capacity(state.kept);
        state.chunks.iter().for_each(|chunk| body.extend_from_slice(chunk));
        Some(body.into())
    }

    /// The end; only the first call counts.
    pub fn close(&self, complete: bool) {
        self.state.lock().end.get_or_insert(complete);
        self.news.notify_waiters();
    }

    /// Ready when there is room for more: how the slowest reader sets the pace.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.whole || state.kept <= WINDOW || state.readers.is_empty() {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl State {
    /// Drops what every reader has, unless it is kept whole.
    fn trim(&mut self) {
        if self.whole {
            return;
        }
        let slowest = self.readers.values().copied().min().unwrap_or(usize::MAX);
        while self.first < slowest {
            let Some(chunk) = self.chunks.pop_front() else { break };
            self.first += 1;
            self.kept -= chunk.len();
        }
        if self.kept <= WINDOW
            && let Some(writer) = self.writer.take()
        {
            writer.wake();
        }
    }
}

/// One who follows a fill. Dropped, it counts no more.
#[derive(Debug)]
pub struct Reader {
    fill: Arc<Fill>,
    number: u64,
    leader: bool,
}

/// The origin's body broke off: what was sent must not look whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the origin's answer broke off")]
pub struct BrokenOff;

impl Reader {
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
                    Verdict::Answer(_, For::Leader) if !self.leader => return Err(Missed::Alone),
                    Verdict::Answer(head, _) => return Ok(head.clone()),
                    Verdict::Refused(reason, retry_after) => return Err(Missed::Refused(*reason, *retry_after)),
                    Verdict::Awaited => {}
                }
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
            let news = self.fill.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if let Some(piece) = self.take() {
                return piece;
            }
            news.await;
        }
    }

    fn take(&self) -> Option<Result<Option<Bytes>, BrokenOff>> {
        let mut state = self.fill.state.lock();
        let at = state.readers.get(&self.number).copied().unwrap_or_default();
        if let Some(chunk) = at.checked_sub(state.first).and_then(|i| state.chunks.get(i)).cloned() {
            state.readers.insert(self.number, at + 1);
            state.trim();
            return Some(Ok(Some(chunk)));
        }
        match state.end {
            Some(true) => Some(Ok(None)),
            Some(false) => Some(Err(BrokenOff)),
            None => None,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.fill.state.lock();
        state.readers.remove(&self.number);
        state.trim();
        if state.readers.is_empty() {
            let writer = state.writer.take();
            drop(state);
            if let Some(writer) = writer {
                writer.wake();
            }
            self.fill.abandoned.notify_waiters();
        }
    }
}

/// The fills in flight, by key.
#[derive(Debug, Default)]
pub struct Fills {
    table: Mutex<HashMap<Box<[u8]>, Arc<Fill>>>,
}

/// What became of joining a fill.
#[derive(Debug)]
pub enum Joined {
    /// This reader is the first: run this fill.
    Leads(Arc<Fill>, Reader),
    Follows(Reader),
    /// Too many fills in flight, or this one no longer takes readers: go alone.
    Alone,
}

impl Fills {
    /// Follows the fill of this key, or begins one.
    pub fn join(&self, key: &[u8]) -> Joined {
        let mut table = self.table.lock();
        if let Some(fill) = table.get(key) {
            return fill.follow().map_or(Joined::Alone, Joined::Follows);
        }
        if table.len() >= MAX_FILLS {
            return Joined::Alone;
        }
        let (fill, reader) = Fill::begin();
        table.insert(key.into(), fill.clone());
        Joined::Leads(fill, reader)
    }

    /// Takes a fill out of the table: new readers find the entry, or begin anew.
    pub fn remove(&self, key: &[u8], fill: &Arc<Fill>) {
        let mut table = self.table.lock();
        if table.get(key).is_some_and(|held| Arc::ptr_eq(held, fill)) {
            table.remove(key);
        }
    }

    /// Fills in flight.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Whether none is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
