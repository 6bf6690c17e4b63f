//! What others find an origin's limit by, to be compared with: in the simulation only.
//!
//! Written from their documentation, with the defaults they ship, but for the bounds of the limit:
//! these are the same for all, so that the algorithms are compared and not their floors.

mod envoy;
mod gradient2;
mod vegas;

pub use envoy::Envoy;
pub use gradient2::Gradient2;
pub use vegas::Vegas;

/// The limit that the Netflix algorithms begin with.
const INITIAL: f64 = 20.0;
/// The bounds of every limit here.
const MIN: f64 = 2.0;
const MAX: f64 = 1000.0;

/// A limit as a number of requests.
fn whole(limit: f64) -> usize {
    // Between the bounds: neither negative nor large.
    limit.clamp(1.0, MAX) as usize
}
