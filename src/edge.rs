//! The running edge: from a policy file to listening sockets, through reloads, to the last request.
//!
//! What can fail at start fails before the first connection is accepted, with one clear line:
//! files, keys, ports. After that nothing that goes wrong ends the process.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{RwLock, watch};
use tokio::task::JoinHandle;

pub mod hand_over;
mod keepers;
mod overrides;
pub mod purges;
mod reload;
mod snapshots;
mod vitals;

use hand_over::Inherited;
use keepers::RoomKeeper;
pub(crate) use keepers::log_change;

use crate::admin::Tokens;
use crate::clock::Clock;
use crate::front::connections::Connections;
use crate::front::tls::{self, TlsError};
use crate::front::{accept, bind};
use crate::keys::Keys;
use crate::pipeline::site::{Parts, Site};
use crate::policy::diagnose::Findings;
use crate::policy::file::{self, LoadError};
use crate::policy::{self, AccessLog as Access, Policy};
use crate::proxy::proof::ProofKey;
use crate::proxy::{Addresses, Door, Ends};
use crate::snapshot::disk::DiskError;
use crate::snapshot::{Snapshot, popular};
use crate::store::token_file::TokenError;
use crate::store::{self, StoreError};
use crate::telemetry::{AccessLog, Telemetry};

/// How long a drain waits for requests in flight and open streams.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);

/// Why the edge does not start, or a reload changes nothing.
#[derive(Debug, Error)]
pub enum EdgeError {
    #[error("{0}")]
    Policy(Box<LoadError>),
    #[error("{0}")]
    Listen(io::Error),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("admin.tokens: {0}")]
    Token(#[from] TokenError),
    #[error("tls.{name}: {error}")]
    Tls { name: String, error: Box<TlsError> },
    #[error("waiting_room.{name}: {error}")]
    Room { name: String, error: Box<crate::pipeline::room::PartsError> },
    #[error("the snapshot: {0}")]
    Snapshot(#[from] DiskError),
    #[error("not taken over: {0}")]
    HandOver(io::Error),
    #[error("the access log {path} can't be opened: {error}")]
    AccessLog { path: PathBuf, error: io::Error },
}

/// A running edge.
pub struct Edge {
    pub door: Arc<Door>,
    pub connections: Arc<Connections>,
    pub clock: Clock,
    policy_file: PathBuf,
    addresses: Vec<SocketAddr>,
    admin: SocketAddr,
    keys: Arc<Keys>,
    tls: HashMap<String, tls::Shared>,
    rooms: Mutex<HashMap<String, RoomKeeper>>,
    pub(crate) levels: overrides::Levels,
    orders: overrides::Written,
    purges: purges::Written,
    /// Held by each change an operator makes; whoever takes it for himself knows that none is under way.
    pub(crate) changing: RwLock<()>,
    taking: snapshots::Taking,
    tokens: ArcSwap<Tokens>,
    sockets: Sockets,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    accepting: Mutex<Vec<JoinHandle<()>>>,
    /// True: connections end with their next answer, and no new ones are taken.
    retire: watch::Sender<bool>,
    /// True: rooms are written down and let go of.
    release: watch::Sender<bool>,
    /// True: idle connections end too.
    stop: watch::Sender<bool>,
}

/// Bound and listening.
struct Sockets {
    /// In the order of the policy's `listen`.
    visitors: Vec<TcpListener>,
    admin: TcpListener,
}

/// A policy, read and checked, and its sockets, bound: what must not fail later.
pub struct Prepared {
    pub policy: Policy,
    pub warnings: Findings,
    policy_file: PathBuf,
    sockets: Sockets,
}

/// With all that can be had while another process still serves.
pub struct Loaded {
    prepared: Prepared,
    keys: Keys,
    access_log: Option<AccessLog>,
    tls: HashMap<String, tls::Shared>,
    snapshot: Option<Snapshot>,
    passes: Vec<Option<Keys>>,
    tokens: Tokens,
    addresses: Addresses,
}

/// Reads a policy and takes its ports; those that are inherited are open already.
///
/// # Errors
/// [`EdgeError::Policy`] and [`EdgeError::Listen`].
pub fn prepare(policy_file: &Path, inherited: &mut Inherited) -> Result<Prepared, EdgeError> {
    let (policy, warnings) = file::load(policy_file).map_err(|e| EdgeError::Policy(Box::new(e)))?;
    let mut open = |address| inherited.take(address).map_or_else(|| bind(address), Ok).map_err(EdgeError::Listen);
    let visitors: Result<Vec<_>, _> = policy.edge.listen.iter().map(|l| open(l.address)).collect();
    let sockets = Sockets { visitors: visitors?, admin: open(policy.admin.listen)? };
    Ok(Prepared { policy, warnings, policy_file: policy_file.to_owned(), sockets })
}

impl Prepared {
    /// Reads the keys, certificates and files that the policy names, and looks up its names.
    ///
    /// # Errors
    /// [`EdgeError`]
    pub async fn load(self) -> Result<Loaded, EdgeError> {
        let policy = &self.policy;
        let (access_log, tls, snapshot) = (access_log(policy)?, load_tls(policy)?, scan_snapshot(policy)?);
        let (keys, passes) = (store::load_or_create(&policy.keys_file)?, pass_keys(policy)?);
        let tokens = Tokens::read(&policy.admin.tokens)?;
        let addresses = Addresses::default();
        for (server, error) in addresses.refresh(servers(policy)).await {
            tracing::warn!(host = server.host, error, "the origin's name does not resolve; it is tried again");
        }
        Ok(Loaded { prepared: self, keys, access_log, tls, snapshot, passes, tokens, addresses })
    }
}

impl Edge {
    /// Starts: opens the rooms, accepts, keeps rooms, levels and names up to date. Must run on a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`EdgeError`]: nothing has been accepted then.
    pub fn start(loaded: Loaded) -> Result<Arc<Self>, EdgeError> {
        let Loaded { prepared, keys, access_log, tls, snapshot, passes, tokens, addresses } = loaded;
        let Prepared { policy, policy_file, sockets, .. } = prepared;
        let clock = Clock::start();
        let keys = Arc::new(keys);
        let telemetry = Arc::new(Telemetry::new(access_log));
        let mut keepers = HashMap::new();
        let rooms = keepers::open_rooms(&policy, &mut keepers, &keys, clock)?;
        let seed = store::random_seed()?;
        let parts = Parts { clock, telemetry, snapshot, rooms, passes, keys: keys.clone(), seed };
        let site = Arc::new(Site::bind(policy, None, parts));
        let (levels, orders) = (overrides::Levels::default(), overrides::Written::default());
        overrides::restore(&site, &levels, &orders, clock.now());
        for keeper in keepers.values_mut() {
            keeper.begin(clock.now())?;
        }
        let purges = purges::restore(&site, clock.now());
        *site.popular.lock() = popular::recall(&site.policy.state_dir);
        keepers::warn_of_what_is_over(&site.policy, clock.now());
        let ((retire, retiring), (stop, shutdown)) = (watch::channel(false), watch::channel(false));
        let ends = Ends { retiring, shutdown };
        let door = Door::new(site, clock, ProofKey::new(keys.proof()), addresses, ends, store::random_seed()?);
        let local = |listener: &TcpListener| listener.local_addr().map_err(EdgeError::Listen);
        let edge = Arc::new(Self {
            addresses: sockets.visitors.iter().map(local).collect::<Result<_, _>>()?,
            admin: local(&sockets.admin)?,
            door,
            connections: Arc::new(Connections::default()),
            clock,
            policy_file,
            keys,
            tls,
            rooms: Mutex::new(keepers),
            levels,
            orders,
            purges,
            changing: RwLock::default(),
            taking: snapshots::Taking::default(),
            tokens: ArcSwap::from_pointee(tokens),
            sockets,
            tasks: Mutex::new(Vec::new()),
            accepting: Mutex::new(Vec::new()),
            retire,
            release: watch::Sender::new(false),
            stop,
        });
        edge.keep_rooms();
        edge.tasks.lock().extend([
            tokio::spawn(vitals::keep_vitals(edge.clone())),
            tokio::spawn(keepers::keep_levels(edge.clone())),
            tokio::spawn(overrides::keep_orders(edge.clone())),
            tokio::spawn(keepers::keep_addresses(edge.clone())),
            tokio::spawn(keepers::keep_certificates(edge.clone())),
            tokio::spawn(snapshots::keep_shown(edge.clone())),
            tokio::spawn(snapshots::keep_taking(edge.clone())),
        ]);
        edge.accept_all().map_err(EdgeError::Listen)?;
        Ok(edge)
    }

    fn accept_all(self: &Arc<Self>) -> io::Result<()> {
        let site = self.door.site.load();
        let mut tasks = Vec::new();
        for (listener, listen) in self.sockets.visitors.iter().zip(&site.policy.edge.listen) {
            let listener = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
            let profile = listen.tls.and_then(|id| site.policy.tls.get(id));
            let tls = profile.and_then(|p| self.tls.get(&p.name)).cloned();
            tasks.push(tokio::spawn(accept(listener, tls, self.door.clone(), self.connections.clone())));
        }
        let admin = tokio::net::TcpListener::from_std(self.sockets.admin.try_clone()?)?;
        tasks.push(tokio::spawn(crate::admin::serve(admin, self.clone())));
        *self.accepting.lock() = tasks;
        Ok(())
    }

    fn keep_rooms(&self) {
        for keeper in self.rooms.lock().values_mut() {
            keeper.spawn(self.clock, self.release.subscribe());
        }
    }

    /// Where visitors arrive; the ports as they were bound.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Who may do what there.
    pub fn tokens(&self) -> Arc<Tokens> {
        self.tokens.load_full()
    }

    /// Whether the edge is on its way out, or another process about to take its place.
    pub fn draining(&self) -> bool {
        *self.retire.borrow()
    }

    /// Stops accepting, lets what is in flight end, writes the rooms down. An idle edge ends at
    /// once; streams are cut off after [`DRAIN_MAX`].
    pub async fn drain(&self) {
        self.stop.send_replace(true);
        self.retire.send_replace(true);
        self.release.send_replace(true);
        self.end_connections(DRAIN_MAX).await;
        self.release_rooms().await;
        for task in self.tasks.lock().drain(..).chain(self.accepting.lock().drain(..)) {
            task.abort();
        }
        self.write_orders();
    }

    async fn end_connections(&self, within: Duration) {
        let open = self.connections.len();
        if open > 0 {
            tracing::info!(connections = open, "draining");
        }
        if tokio::time::timeout(within, self.connections.until_none()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "cut off after {within:?}");
        }
    }

    /// Writes the rooms down for whoever owns them next.
    async fn release_rooms(&self) {
        self.release.send_replace(true);
        let keepers: Vec<_> = self.rooms.lock().values_mut().filter_map(RoomKeeper::task).collect();
        for keeper in keepers {
            let _ = keeper.await;
        }
    }
}

fn servers(policy: &Policy) -> Vec<policy::Server> {
    policy.origins.iter().flat_map(|o| o.servers.iter().cloned()).collect()
}

fn access_log(policy: &Policy) -> Result<Option<AccessLog>, EdgeError> {
    let format = policy.log.format;
    match &policy.log.access {
        Access::Off => Ok(None),
        Access::Stdout => Ok(Some(AccessLog::stdout(format))),
        Access::File(path) => match AccessLog::file(path, format) {
            Ok(log) => Ok(Some(log)),
            Err(error) => Err(EdgeError::AccessLog { path: path.clone(), error }),
        },
    }
}

fn load_tls(policy: &Policy) -> Result<HashMap<String, tls::Shared>, EdgeError> {
    let load = |tls: &policy::Tls| match tls::load(tls) {
        Ok(config) => Ok((tls.name.clone(), Arc::new(ArcSwap::from_pointee(config)))),
        Err(error) => Err(EdgeError::Tls { name: tls.name.clone(), error: Box::new(error) }),
    };
    policy.tls.iter().map(load).collect()
}

/// The keys of the passes of each group of clients.
fn pass_keys(policy: &Policy) -> Result<Vec<Option<Keys>>, StoreError> {
    let keys = |group: &policy::Clients| group.passes.as_deref().map(store::load_or_create).transpose();
    policy.clients.iter().map(keys).collect()
}

fn scan_snapshot(policy: &Policy) -> Result<Option<Snapshot>, EdgeError> {
    let Some(policy::Snapshot { dir, .. }) = &policy.snapshot else { return Ok(None) };
    let snapshot = match Snapshot::load(dir) {
        Ok(snapshot) => snapshot,
        Err(DiskError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(dir = %dir.display(), "there is no snapshot yet; it is shown as soon as there is one");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if snapshot.left_out > 0 {
        tracing::warn!(left_out = snapshot.left_out, "files of the snapshot are too many or too large");
    }
    tracing::info!(files = snapshot.len(), dir = %dir.display(), "snapshot");
    Ok(Some(snapshot))
}
