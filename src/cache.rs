//! The micro-cache: an answer that many may have is asked of the origin once.
//!
//! All here is decided from arguments. [`request`] says whether a request uses the cache, [`key`]
//! under which bytes, [`freshness`] whether and for how long an answer is kept (RFC 9111), and
//! [`entry`] is what is kept, prepared so that a hit is one write. [`store`] bounds it by memory, [`remembered`] holds what gave no copy,
//! and [`encoded`] makes the codings in which text is given.
//! Fills, which wait for an origin, are the shell's.
//!
//! What could be personal is not stored unless origin or policy says that it is not. A request
//! whose cookies all make nobody personal is *plain*: it goes to the origin without them, so its
//! answer is nobody's. One with any other cookie is *personal*: it reads and fills only what the
//! origin itself calls public.

pub mod encoded;
pub mod entry;
pub mod freshness;
pub mod jitter;
pub mod key;
pub mod pattern;
pub mod remembered;
pub mod request;
pub mod status;
pub mod store;
pub mod weight;
