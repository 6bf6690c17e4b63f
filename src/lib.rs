//! Seawall: an edge proxy that keeps an origin standing when everyone comes at once.
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::disallowed_methods))]

pub mod admission;
pub mod cache;
pub mod clock;
pub mod keys;
pub mod level;
pub mod pipeline;
pub mod policy;
pub mod rate_limit;
pub mod route;
pub mod store;
pub mod waiting_room;
