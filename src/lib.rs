//! Seawall: an edge proxy that keeps an origin standing when everyone comes at once.
//!
//! # A request's way
//!
//! ```text
//!              ┌───────────── the pure core: no sockets, no clock of its own ─────────────┐
//!  client ──► route ──► level ──► rate limit ──► waiting room ──► cache ──► admission ──► origin
//!               │         │           │               │             │           │            │
//!               │         mode      refuse        room's answer  fresh, stale  wait,         │
//!               │      (travels on)                               snapshot     refuse        │
//!               └────────────────────── observe(contact, now) ◄──────────────────────────────┘
//! ```
//!
//! The order is a table, [`pipeline::STAGES`]. Policy only says which stages a route has.
//!
//! # Laws
//!
//! 1. **The core decides; the shell does.** Decisions take the request's view and `now` and return a
//!    value; only a drop that gives something back reads the clock it was given. Only the shell ([`front`], [`proxy`], [`admin`], [`edge`], [`store`], [`files`], [`snapshot`],
//!    [`telemetry`], [`cli`]) does I/O, awaits or reads clocks, and only [`front`] and [`proxy`]
//!    name pingora.
//! 2. **Everything has a bound**, from the policy or a named constant, and a defined answer when it
//!    is reached.
//! 3. **Nothing is promised that is not done.** A policy key that is accepted works; one that is
//!    known but not built says so.
//! 4. **A refusal is cheap, honest and keeps the connection.**
//! 5. **Policy is one immutable value**, swapped whole. State outlives it, by name; so does an
//!    operator's change.
//! 6. **The edge outlives its parts**: disk full, origin gone, name unresolved. None is a crash, none
//!    forgets a visitor's place.
//! 7. **No one's page is another's.**
//! 8. What came from outside is never unwrapped; what is held is returned by drop.
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::disallowed_methods))]

pub mod admin;
pub mod admission;
pub mod balance;
pub mod cache;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod concurrency;
pub mod edge;
pub mod files;
pub mod front;
pub mod keys;
pub mod level;
pub mod overload;
pub mod pipeline;
pub mod policy;
pub mod priority;
pub mod proxy;
pub mod rate_limit;
pub mod route;
pub mod simulation;
pub mod snapshot;
pub mod store;
pub mod tally;
pub mod telemetry;
pub mod waiting_room;
