//! The day before the day: origins and crowds in virtual time.
//!
//! Nothing here reads a clock or opens a socket. An [`origin`] is a model that is told the time, a
//! [`rig`] puts one limiter in front of it, a [`contest`] puts one limiter beside the others, a
//! [`day`] puts the whole policy between it and a [`crowd`]. All chance comes from one seed, so that
//! the same command gives the same answer tomorrow.

pub mod baselines;
pub mod contest;
pub mod crowd;
pub mod day;
pub mod figures;
pub mod journey;
pub mod origin;
pub mod random;
pub mod rig;
pub mod verdict;
mod wheel;
