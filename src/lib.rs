//! Seawall: an edge proxy that keeps an origin standing when everyone comes at once.
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::disallowed_methods))]

pub mod clock;
pub mod pipeline;
pub mod policy;
pub mod route;
