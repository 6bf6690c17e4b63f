//! Seawall
pub mod clock;
pub mod pipeline;
pub mod policy;
