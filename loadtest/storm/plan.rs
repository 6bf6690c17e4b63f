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
                let within = if jitter { (shift + fraction((n * n) as f64)).fract() } else { shift };
                Duration::from_secs_f64(began + (n as f64 + within) / phase.rate)
            })
        })
    }
}

/// The fractional part of so many golden ratios.
fn fraction(times: f64) -> f64 {
    (times * 0.618_033_988_749_895).fract()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that fails should say where")]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_rate_come_evenly_together_with_and_without_jitter() {
        for jitter in [false, true] {
            let phases = vec![Phase { seconds: 10.0, rate: 3.0 }];
            let stream = Stream { name: "polite".into(), path: "/".into(), from: None, retries: 0, jitter, phases };
            let mut came = [0; 100];
            for at in (0..50).flat_map(|number| stream.arrivals(number)) {
                came[(at.as_secs_f64() * 10.0) as usize] += 1;
            }
            assert!(came.iter().all(|n| (12..=18).contains(n)), "of 15 in each tenth of a second: {came:?}");
        }
    }
}
