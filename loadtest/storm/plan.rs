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
    /// When its visitors come, since the storm's beginning. Streams of one rate do not come in step:
    /// each is shifted by its number times the golden ratio, which spreads any number of them.
    pub(crate) fn arrivals(&self, number: usize) -> impl Iterator<Item = Duration> + use<> {
        let shift = (number as f64 * 0.618_033_988_749_895).fract();
        let mut before = 0.0;
        let phases: Vec<_> = self
            .phases
            .iter()
            .map(|phase| {
                let began = before;
                before += phase.seconds;
                (began, *phase)
            })
            .collect();
        phases.into_iter().flat_map(move |(began, phase)| {
            let visitors = (phase.seconds * phase.rate).round() as u64;
            (0..visitors).map(move |n| Duration::from_secs_f64(began + (n as f64 + shift) / phase.rate))
        })
    }
}
