//! What the crowd is to be.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum as _;
use serde::Deserialize;

use crate::arrivals::{Arrivals, Arriving};
use crate::clock::Moment;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// Where visitors arrive.
    pub(crate) edge: SocketAddr,
    /// Whose status is sampled each tenth of a second.
    pub(crate) admin: Option<SocketAddr>,
    /// Where this process is the origin.
    pub(crate) origin: SocketAddr,
    pub(crate) room: String,
    /// The room's.
    pub(crate) capacity: u32,
    #[serde(default)]
    pub(crate) connections: Connections,
    /// Requests on their way at once; when virtual, connections at most.
    #[serde(default = "default_in_flight_max")]
    pub(crate) in_flight_max: usize,
    /// Visitors who share an address.
    #[serde(default = "one")]
    pub(crate) per_address: u32,
    #[serde(default)]
    pub(crate) carry: Carry,
    #[serde(default)]
    pub(crate) ends: Ends,
    /// The room's `session.idle`.
    pub(crate) idle_seconds: f64,
    /// How long the origin takes for a page.
    #[serde(default = "default_page_ms")]
    pub(crate) page_ms: u64,
    /// After this everyone goes home.
    pub(crate) seconds_max: f64,
    #[serde(default = "one_u64")]
    pub(crate) seed: u64,
    pub(crate) groups: Vec<Group>,
}

/// How visitors are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Connections {
    /// All share a few kept-alive connections, as behind a proxy that the policy trusts; the address
    /// of each is in X-Forwarded-For.
    #[default]
    Virtual,
    /// Each keeps one of their own, from an address of their own (127.0.0.0/8).
    Own,
    /// A new one for each request, from an address of their own.
    Closing,
}

/// How a visitor carries what the room gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Carry {
    #[default]
    Cookie,
    /// `Seawall-Ticket`.
    Field,
}

/// What ends a session after its visitor's last page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ends {
    /// The origin says so with it.
    #[default]
    Revoke,
    /// The route of the last page.
    Route,
    /// Nothing but time.
    Idle,
}

/// Visitors alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// Groups of one lane are one line. Empty: the line for everyone.
    #[serde(default)]
    pub(crate) lane: String,
    pub(crate) visitors: u32,
    #[serde(default)]
    pub(crate) begins_seconds: f64,
    pub(crate) over_seconds: f64,
    /// As `seawall simulate --shape` names it.
    #[serde(default = "default_arrivals")]
    pub(crate) arrivals: String,
    /// When its lane opens; who comes earlier waits from then on.
    #[serde(default)]
    pub(crate) opens_seconds: f64,
    /// The share that takes a number and does not come in: half of it never asks again, the other
    /// half goes when it has come some way.
    #[serde(default)]
    pub(crate) no_shows: f64,
    /// Pages of a visit.
    pub(crate) journey: Vec<String>,
    /// Between two of them, on average.
    pub(crate) think_seconds: f64,
    /// Half of them leave the queue sooner, half later; none: nobody leaves.
    pub(crate) patience_seconds: Option<f64>,
    /// A file of invitations, one a line: each visitor takes the next, and then they begin anew.
    pub(crate) invitations: Option<PathBuf>,
}

impl Plan {
    /// Who comes when: the group's index, in order.
    pub(crate) fn arriving(&self) -> anyhow::Result<Vec<(Moment, u8)>> {
        let mut all = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            let arrivals = Arrivals::from_str(&group.arrivals, true).map_err(anyhow::Error::msg)?;
            let over = std::time::Duration::try_from_secs_f64(group.over_seconds)?;
            let arriving = Arriving::new(arrivals, group.visitors, over, self.seed ^ index as u64);
            let index = u8::try_from(index).context("more than 256 groups")?;
            all.extend(arriving.map(|(_, at)| (Moment::of_seconds(group.begins_seconds + at.as_secs_f64()), index)));
        }
        all.sort();
        Ok(all)
    }
}

fn default_arrivals() -> String {
    "steady".to_owned()
}

const fn default_in_flight_max() -> usize {
    400
}

const fn default_page_ms() -> u64 {
    5
}

const fn one() -> u32 {
    1
}

const fn one_u64() -> u64 {
    1
}
