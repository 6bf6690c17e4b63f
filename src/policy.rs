//! The policy: what a person wrote, as one immutable value that cannot be wrong.
//!
//! [`mod@file`] turns the TOML text into a [`Policy`] or into diagnostics, all at once; nothing after
//! it validates again. Named things are referred to by index ([`OriginId`] and its kin): a
//! reference that exists is a reference that holds. A reload makes a new `Policy`; a request keeps
//! the one it began with.

mod admin;
mod admit;
mod clients;
mod concurrency;
pub mod diagnose;
pub mod file;
mod files;
mod level;
mod priority;
mod rate_limit;
mod server;
mod snapshot;
mod waiting_room;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use admin::{Admin, Right, Rights, Token};
pub use clients::Clients;
pub use concurrency::{Concurrency, Limit, Patience, Queue};
pub use files::{Coding, Files};
pub use level::{Level, LevelPolicy, Step, Threshold, Window};
pub use priority::Priority;
pub use rate_limit::{Plan, Plans, RateKey, RateLimit, client_net};
pub use server::Server;
pub use snapshot::Snapshot;
pub use waiting_room::{
    Admit, Commands, LANES_MAX, Lane, OnStoreFailure, Order, Outside, PlacesPerClient, WaitingRoom,
};

/// Index into [`Policy::clients`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientsId(pub usize);
/// Index into [`Policy::origins`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginId(pub usize);
/// Index into [`Policy::rate_limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitId(pub usize);
/// Index into [`Policy::waiting_rooms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingRoomId(pub usize);
/// Index into [`Policy::caches`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheId(pub usize);
/// Index into [`Policy::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilesId(pub usize);
/// Index into [`Policy::routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteId(pub usize);

/// The whole policy file. Paths in it are absolute or relative to the working directory: those
/// the file gave relative to itself are joined already.
#[derive(Clone, Debug)]
pub struct Policy {
    pub edge: Edge,
    pub admin: Admin,
    /// `keys.file`: signs tickets and sessions; made on first run.
    pub keys_file: PathBuf,
    /// `state.dir`: what survives a restart.
    pub state_dir: PathBuf,
    pub tls: Vec<Tls>,
    pub clients: Vec<Clients>,
    pub priority: Priority,
    pub origins: Vec<Origin>,
    pub rate_limits: Vec<RateLimit>,
    pub waiting_rooms: Vec<WaitingRoom>,
    pub caches: Vec<Cache>,
    pub files: Vec<Files>,
    /// `cache_store.memory`, bytes, over all caches.
    pub cache_memory: u64,
    /// What is served where a level says `snapshot`.
    pub snapshot: Option<Snapshot>,
    pub level: LevelPolicy,
    /// In the file's order: the first that matches wins. The last one made by the loader matches
    /// everything if the file gave no such route and there is an origin.
    pub routes: Vec<Route>,
    pub log: Log,
}

/// `[edge]`: where visitors arrive.
#[derive(Clone, Debug)]
pub struct Edge {
    pub listen: Vec<Listen>,
    /// Worker threads; the loader has turned 0 into the number of cores.
    pub threads: NonZeroUsize,
    /// Whose X-Forwarded-For and X-Forwarded-Proto are believed; apart from each other and in order.
    pub trusted_proxies: Vec<IpNet>,
    pub max_connections: NonZeroUsize,
    pub max_connections_per_client: NonZeroUsize,
    /// For the whole request head, from its first byte.
    pub header_timeout: Duration,
    /// Without progress while a body is read.
    pub body_timeout: Duration,
    /// Bytes per second a body must bring while its request holds a place at the origin.
    pub body_min_rate: u64,
    pub idle_timeout: Duration,
    /// Bytes.
    pub max_header_size: usize,
    /// Bytes; a route may set its own.
    pub max_body_size: u64,
    /// Bytes; a body up to this size is read before a place at the origin is taken.
    pub buffer_body: usize,
}

/// One of `edge.listen`.
#[derive(Clone, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    /// Index into [`Policy::tls`]; none: plain HTTP.
    pub tls: Option<usize>,
}

/// `[tls.NAME]`.
#[derive(Clone, Debug)]
pub struct Tls {
    pub name: String,
    /// At least one; the first answers a client that names no host or an unknown one.
    pub certificates: Vec<Certificate>,
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The largest `origin.NAME.retries`.
pub const RETRIES_MAX: u8 = 5;

/// `[origin.NAME]`.
#[derive(Clone, Debug)]
pub struct Origin {
    pub name: String,
    /// At least one, and no two the same.
    pub servers: Vec<Server>,
    pub connect_timeout: Duration,
    /// To the first byte of the answer, and between its bytes; a route may set its own.
    pub response_timeout: Duration,
    /// How long an unused upstream connection is kept.
    pub idle_timeout: Duration,
    /// How often a request that failed is tried again, within the budget; at most [`RETRIES_MAX`].
    pub retries: u8,
    pub health: Option<Health>,
    pub host_header: HostHeader,
    pub concurrency: Concurrency,
}

/// `origin.NAME.health`: GET `path` each `every`.
#[derive(Clone, Debug)]
pub struct Health {
    pub path: String,
    pub every: Duration,
}

/// `origin.NAME.host_header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// As the visitor sent it.
    Pass,
    Fixed(String),
}

/// `count` per `period`, as in `"20/s"`, `"120/min"`, `"500/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub count: NonZeroU32,
    pub period: Duration,
}

/// `cache.NAME.ttl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Only the freshness the origin gives.
    Origin,
    /// For answers whose origin gives none (or for all: [`Cache::override_origin`]).
    Fixed(Duration),
    /// Where the origin gives none, by how long ago the page changed (RFC 9111 §4.2.2).
    Heuristic,
}

/// `cache.NAME.request_directives`: whose wishes about freshness count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestDirectives {
    /// A visitor's while the origin is well: at level `normal`.
    #[default]
    Normal,
    Always,
    Never,
}

/// `[cache.NAME]`.
#[derive(Clone, Debug)]
pub struct Cache {
    pub name: String,
    pub ttl: Ttl,
    /// `override`: `ttl` wins over what the origin says.
    pub override_origin: bool,
    pub stale_while_revalidate: Duration,
    pub stale_if_error: Duration,
    /// Patterns (`*` at the end or inside) of cookie names that make nobody personal, beside
    /// Seawall's own and the well-known analytics cookies, which never do.
    pub ignore_cookies: Vec<String>,
    /// Names of cookies that choose a variant, and make nobody personal.
    pub vary_cookies: Vec<String>,
    pub request_directives: RequestDirectives,
    pub strip_set_cookie: bool,
    /// Patterns of query parameters left out of the key.
    pub ignore_query: Vec<String>,
    /// `compress`: text is given in the codings that clients take.
    pub compress: bool,
    /// How long a failure of the origin's is remembered; zero: not at all.
    pub negative_ttl: Duration,
    /// Bytes.
    pub max_object: usize,
    /// Who has written something reads nothing that was asked of the origin before.
    pub read_your_writes: bool,
}

/// How much a request matters: who goes first when not everyone can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A checkout, a login, a payment's callback.
    Critical,
    #[default]
    Normal,
    /// A search, a prefetch, a crawler.
    Bulk,
}

impl Class {
    /// From the most to the least important.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Normal, Self::Bulk];

    /// As the policy writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

/// What a route does at a level (`at.LEVEL`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The whole way to the origin.
    #[default]
    Pass,
    /// Any copy held, however old; without one, on to the origin.
    Stale,
    /// The newest copy held: a cached one, else the snapshot's file; without one, an honest 503.
    Snapshot,
    /// Everyone is held in the waiting room.
    Wait,
    /// An honest 503.
    Refuse,
    /// `static` where nothing is named: reads take the newest copy held, the rest a 503.
    Newest,
}

/// `[[route]]`.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    pub matcher: Matcher,
    /// Of a route with files only where [`Route::has_level`].
    pub origin: OriginId,
    pub rate_limits: Vec<RateLimitId>,
    /// Tokens that a request takes from each of them; at most the least burst.
    pub cost: NonZeroU32,
    pub waiting_room: Option<WaitingRoomId>,
    /// An answer of this route ends its visitor's session after so long.
    pub ends_session: Option<Duration>,
    pub cache: Option<CacheId>,
    /// Its answers are these files.
    pub files: Option<FilesId>,
    /// By [`Level`] (`mode[level as usize]`), inheritance already worked out.
    pub mode: [Mode; 4],
    pub response_timeout: Option<Duration>,
    /// Bytes; the route's own or the edge's.
    pub max_body_size: u64,
    /// `answers = "json"`: Seawall's own answers are JSON here, whatever the client accepts.
    pub answers_json: bool,
    /// How much its requests matter.
    pub priority: Class,
    /// Percent of the origin's limit that its requests may have in flight.
    pub max_in_flight: u8,
}

impl Route {
    /// Whether it does at some level of its origin what it does not at others, or goes there at all. Of files
    /// that are served at every level no origin need be known.
    pub fn has_level(&self) -> bool {
        self.files.is_none() || self.mode != [Mode::Pass; 4]
    }
}

/// Which requests a route takes: all that is set must hold; of a list, one.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// Lower case; `*.example.com` takes any label before it. Empty: any.
    pub hosts: Vec<String>,
    /// Empty: any.
    pub paths: Vec<PathPattern>,
    /// Upper case. Empty: any.
    pub methods: Vec<String>,
    /// Parameter name and a pattern for its value (`*`: any). Patterns of one name stand together:
    /// one of them must match, here and in the next two.
    pub query: Vec<(String, String)>,
    /// Field name (lower case) and a pattern for its value.
    pub headers: Vec<(String, String)>,
    /// Cookie name and a pattern for its value.
    pub cookies: Vec<(String, String)>,
    /// Empty: any.
    pub clients: Vec<ClientsId>,
}

/// A path as a route writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// `/login`: this path alone.
    Exact(String),
    /// `/cart/**`: `/cart` (kept here, without the slash) and all below it. `/**` is kept as "".
    Below(String),
    /// Anything else with a `*` in it; `*` stays within a segment, `**` crosses them.
    Glob(String),
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct Log {
    pub format: LogFormat,
    pub access: AccessLog,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}

/// `log.access`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    Off,
    Stdout,
    File(PathBuf),
}
