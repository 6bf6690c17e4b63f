//! The micro-cache: an answer that many may have is asked of the origin once.
//!
//! All here is decided from arguments. [`request`] and [`directives`] say how a request uses the cache,
//! [`key`] under which bytes and [`vary`] which of several answers is meant, [`reuse`] whether it may be
//! given. [`freshness`] says whether and for how long an answer is kept (RFC 9111), [`freshen`] what a 304
//! makes of it, [`invalidation`] what a write makes stale. [`entry`] is what is kept, prepared so that a
//! hit is one write; [`precondition`] and [`mod@range`] say how much of it a client needs, [`encoded`] makes
//! the codings in which text is given. [`store`] bounds it by memory, [`purge`] says which of it counts no
//! more, by the [`tags`] that its origin gave it among others, and [`remembered`] holds what gave no copy.
//! [`version`] is what a visitor carries who has written something. Fills, which wait for an origin, are the
//! shell's; [`fill_request`] is what they ask.
//!
//! What could be personal is not stored unless origin or policy says that it is not. A request
//! whose cookies all make nobody personal is *plain*: it goes to the origin without them, so its
//! answer is nobody's. One with any other cookie is *personal*: it reads and fills only what the
//! origin itself calls public.

pub mod directives;
pub mod encoded;
pub mod entry;
pub mod fill_request;
pub mod freshen;
pub mod freshness;
mod hot;
pub mod invalidation;
pub mod jitter;
pub mod key;
pub mod pattern;
pub mod precondition;
pub mod purge;
pub mod range;
pub mod remembered;
pub mod request;
pub mod reuse;
pub mod status;
pub mod store;
pub mod tags;
pub mod variants;
pub mod vary;
pub mod version;
pub mod weight;
