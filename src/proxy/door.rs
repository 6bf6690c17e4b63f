//! What both doors share, and how it ends.

use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use tokio::sync::Semaphore;

use super::{Addresses, Hooks, ProofKey, attempts, encoding, fill, second_door};
use crate::clock::Clock;
use crate::pipeline::answer::RequestId;
use crate::pipeline::site::Site;
use crate::tally::Tally;

/// How connections end, when the edge does.
#[derive(Clone, Debug)]
pub struct Ends {
    /// True: each with its next answer, and no new ones are taken.
    pub retiring: ShutdownWatch,
    /// True: idle ones too. Never before the other.
    pub shutdown: ShutdownWatch,
}

impl Ends {
    /// Whether an answer is the last of its connection.
    pub fn retiring(&self) -> bool {
        says(&self.retiring)
    }

    /// Whether an idle connection is to end.
    pub fn shut_down(&self) -> bool {
        says(&self.shutdown)
    }
}

/// What a watch says, which begins with no. Asked with every request, so its lock is left alone as long as nothing
/// was ever said.
fn says(watch: &ShutdownWatch) -> bool {
    !matches!(watch.has_changed(), Ok(false)) && *watch.borrow()
}

/// What both doors share.
pub struct Door {
    /// The policy in force, with the state its names are bound to.
    pub site: ArcSwap<Site>,
    pub clock: Clock,
    /// Signs what goes to an origin.
    pub(super) proof: ProofKey,
    pub fills: fill::Fills,
    /// Where the origins' servers are.
    pub addresses: Addresses,
    pub ends: Ends,
    /// Turns to encode a body.
    pub(super) encoding: Arc<Semaphore>,
    proxy: std::sync::OnceLock<Arc<Proxy>>,
    ids: Tally,
    seed: u64,
}

/// Pingora's proxy with our hooks.
pub type Proxy = HttpProxy<Hooks>;

impl Door {
    pub fn new(
        site: Arc<Site>,
        clock: Clock,
        proof: ProofKey,
        addresses: Addresses,
        ends: Ends,
        seed: u64,
    ) -> Arc<Self> {
        let threads = site.policy.edge.threads.get();
        let door = Arc::new(Self {
            site: ArcSwap::new(site),
            clock,
            proof,
            fills: fill::Fills::default(),
            addresses,
            ends,
            encoding: Arc::new(Semaphore::new(encoding::at_once(threads))),
            proxy: std::sync::OnceLock::new(),
            ids: Tally::default(),
            seed,
        });
        let conf = Arc::new(ServerConf { threads, max_retries: attempts::MAX, ..ServerConf::default() });
        let mut proxy = http_proxy(&conf, Hooks { door: Arc::downgrade(&door) });
        proxy.server_options = Some(second_door::options(&door));
        let _ = door.proxy.set(Arc::new(proxy));
        door
    }

    /// The proxy behind both doors.
    pub fn proxy(&self) -> Option<&Arc<Proxy>> {
        self.proxy.get()
    }

    /// The next request's id. Multiplied by an odd constant, neighbours look unlike.
    pub fn request_id(&self) -> RequestId {
        RequestId::new(self.ids.number().wrapping_add(self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}
