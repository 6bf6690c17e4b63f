//! The pipeline.
pub mod reason;
pub mod view;
