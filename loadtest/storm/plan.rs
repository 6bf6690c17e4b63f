//! What the storm is to be.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) target: SocketAddr,
    /// 200 within so long is good.
    #[serde(default = "default_good_ms")]
    pub(crate) good_ms: u64,
    /// A visitor gives an answer up after so long, and closes the connection.
    #[serde(default = "default_timeout_ms")]
    pub(crate) timeout_ms: u64,
    /// Of all streams at once; who finds none left counts as unsent.
    #[serde(default = "default_connections_max")]
    pub(crate) connections_max: usize,
    pub(crate) streams: Vec<Stream>,
}

/// Visitors alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    /// Unique.
    pub(crate) name: String,
    pub(crate) path: String,
    /// The address they come from; any of 127.0.0.0/8 will do on Linux.
    #[serde(default)]
    pub(crate) from: Option<IpAddr>,
    /// How often they ask again, at once, after a refusal or a failure.
    #[serde(default)]
    pub(crate) retries: u32,
    /// True: each comes at a random moment of the slot that is theirs, so that streams of related
    /// rates don't keep step with each other, or with the origin.
    #[serde(default)]
    pub(crate) jitter: bool,
    /// One after the other.
    pub(crate) phases: Vec<Phase>,
}

/// Evenly spaced arrivals.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phase {
    pub(crate) seconds: f64,
    /// Visitors a second; 0: nobody.
    pub(crate) rate: f64,
}

const fn default_good_ms() -> u64 {
    500
}

const fn default_timeout_ms() -> u64 {
    5_000
}

const fn default_connections_max() -> usize {
    8_192
}

impl Stream {
    /// When its visitors come, since the storm's beginning: in every run at the same moments. Without
    /// jitter, streams of one rate are shifted by their number times the golden ratio, which spreads
    /// any number of them.
    pub(crate) fn arrivals(&self, number: usize) -> impl Iterator<Item = Duration> + use<> {
        let shift = fraction(number as f64);
        let mut began = 0.0;
        let phases: Vec<_> = self
            .phases
            .iter()
            .map(|phase| {
                let this = (began, *phase);
                began += phase.seconds;
                this
            })
            .collect();
        let jitter = self.jitter;
        phases.into_iter().flat_map(move |(began, phase)| {
            let visitors = (phase.seconds * phase.rate).round() as u64;
            (0..visitors).map(move |n| {
                // Of squares the fractions are equidistributed too (Weyl), and without a pattern.
                let within = if jitter { fraction(shift + (n * n) as f64) } else { shift };
                Duration::from_secs_f64(began + (n as f64 + within) / phase.rate)
            })
        })
    }
}

/// The fractional part of so many golden ratios.
fn fraction(times: f64) -> f64 {
    (times * 0.618_033_988_749_895).fract()
}
