//! `[waiting_room.NAME]`.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use super::{ClientsId, Quota};

/// `[waiting_room.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRoom {
    pub name: String,
    /// Visitors inside at once.
    pub capacity: NonZeroU32,
    pub admit: Admit,
    pub order: Order,
    /// When it opens, milliseconds since 1970 UTC: those gathered are drawn by lot then. None: always open.
    pub opens_unix_ms: Option<u64>,
    /// How long before [`Self::opens_unix_ms`] places are given.
    pub gather: Duration,
    /// When it closes, milliseconds since 1970 UTC: later than it opens.
    pub closes_unix_ms: Option<u64>,
    /// What stands before the gathering and after the end.
    pub outside: Outside,
    /// A session without a request for so long ends.
    pub session_idle: Duration,
    /// A session ends after so long in any case.
    pub session_max: Duration,
    /// How long after a session has ended for idleness its visitor comes back before all others.
    pub session_return: Duration,
    /// How long an admitted visitor has to come.
    pub claim: Duration,
    /// How long a place is kept for someone who is not polling.
    pub place_hold: Duration,
    /// Visitors queued at most; beyond it the answer is: full, come back.
    pub max_queue: NonZeroU64,
    pub places_per_client: PlacesPerClient,
    /// Groups of clients who neither wait nor count.
    pub bypass: Vec<ClientsId>,
    /// The cookie's Domain, for several hosts under one name; none: this host only.
    pub cookie_domain: Option<String>,
    /// At most [`LANES_MAX`], beside the line for everyone.
    pub lanes: Vec<Lane>,
    /// The operator's own template; none: the built-in page.
    pub page: Option<PathBuf>,
    /// What the origin may say in `Seawall-Room`.
    pub commands: Commands,
    pub on_store_failure: OnStoreFailure,
    /// Counts and logs, and holds nobody.
    pub dry_run: bool,
}

/// Lanes of a room at most, beside the line for everyone.
pub const LANES_MAX: usize = 8;

/// `waiting_room.NAME.admit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admit {
    /// As fast as places come free.
    #[default]
    AsPlacesComeFree,
    /// New visitors at most, evenly spaced.
    Quota(Quota),
    /// As many as the origin carries, by the ladder's pressure.
    Auto,
}

/// `waiting_room.NAME.order`: who comes first of those who come after the opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Who came first.
    #[default]
    Fifo,
    /// Drawn by lot, a minute's visitors at a time.
    Lottery,
}

/// `waiting_room.NAME.outside`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outside {
    /// As if there were no room.
    #[default]
    Pass,
    /// Nobody comes in.
    Closed,
}

/// `waiting_room.NAME.places_per_client`: places that one address may hold at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacesPerClient {
    pub ipv4: NonZeroU32,
    /// Of a /64.
    pub ipv6_64: NonZeroU32,
}

/// `waiting_room.NAME.lanes.LANE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub name: String,
    /// Admissions for each one of the line for everyone, while both wait.
    pub weight: NonZeroU32,
    /// The key file that signs its invitations; made on first use.
    pub invitations: PathBuf,
    /// How many places one invitation gives; none: any number.
    pub uses: Option<NonZeroU32>,
    /// When it opens, milliseconds since 1970 UTC; none: with the room.
    pub opens_unix_ms: Option<u64>,
}

/// `waiting_room.NAME.commands`: which words of the origin's `Seawall-Room` are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commands {
    /// `revoke`: this visitor's session ends.
    pub revoke: bool,
    /// `stock=N`: so many are left.
    pub stock: bool,
    /// `close`: nobody new comes in.
    pub close: bool,
}

impl Commands {
    pub const ALL: Self = Self { revoke: true, stock: true, close: true };
}

/// `waiting_room.NAME.on_store_failure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStoreFailure {
    /// Nobody new comes in.
    #[default]
    Hold,
    /// This node goes on with its share of the capacity (alone: all of it), from memory.
    Share,
    /// Everybody comes in.
    Open,
}
