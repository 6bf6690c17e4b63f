//! What goes with a request through pingora.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::filling::Writer;
use crate::pipeline::passage::Passage;

/// A decision on its way through pingora, from whoever made it.
pub struct Carried {
    pub passage: Passage,
    pub role: Role,
    /// The front has read the whole body, and has answered `Expect` itself.
    pub continued: bool,
    /// Told when the origin failed and the request was answered whole nevertheless: the connection
    /// can be kept, though pingora gives it up.
    pub answered: Option<Answered>,
}

/// See [`Carried::answered`].
#[derive(Clone, Debug, Default)]
pub struct Answered(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    whole: AtomicBool,
    stream: AtomicBool,
    broken: AtomicBool,
}

impl Answered {
    /// Whether it was.
    pub fn is_whole(&self) -> bool {
        self.0.whole.load(Ordering::Acquire)
    }

    /// Whether the answer is an upgrade or an event stream: it has no end of its own.
    pub fn is_stream(&self) -> bool {
        self.0.stream.load(Ordering::Acquire)
    }

    /// Whether the answer broke off after its head was written.
    pub fn is_broken(&self) -> bool {
        self.0.broken.load(Ordering::Acquire)
    }

    pub(super) fn broke_off(&self) {
        self.0.broken.store(true, Ordering::Release);
    }

    pub(super) fn stream(&self) {
        self.0.stream.store(true, Ordering::Release);
    }

    pub(super) fn whole(&self) {
        self.0.whole.store(true, Ordering::Release);
    }
}

/// On whose behalf the origin is asked.
pub enum Role {
    Visitor,
    Fill(Box<Writer>),
}
