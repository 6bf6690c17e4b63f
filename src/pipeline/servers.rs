//! An origin's servers, as requests use them: an attempt holds its server, and drop gives it back.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::balance::{Change, Failure, Outcome, Picked, Servers, Status, lots};
use crate::clock::Mono;
use crate::policy::{self, Server};

/// The servers of `[origin.NAME]`; outlives the policy that named them.
#[derive(Debug)]
pub struct Pool {
    servers: Mutex<Servers>,
}

/// An attempt at a server, which has one more in flight as long as this lives.
#[derive(Debug)]
pub struct Attempt {
    pool: Arc<Pool>,
    picked: Picked,
}

impl Pool {
    pub fn new(policy: &policy::Origin) -> Self {
        Self { servers: Mutex::new(Servers::new(&policy.servers)) }
    }

    /// Takes over a new policy.
    pub fn configure(&self, policy: &policy::Origin, now: Mono) {
        self.servers.lock().configure(&policy.servers, policy.health.is_some(), now);
    }

    /// The first attempt of a request. `seed`: another for each.
    pub fn first(self: &Arc<Self>, seed: u64, now: Mono) -> Option<Attempt> {
        let mut servers = self.servers.lock();
        servers.request(now);
        let picked = servers.pick(None, lots(seed), now)?;
        Some(Attempt { pool: self.clone(), picked })
    }

    /// Learns what a health check found.
    pub fn checked(&self, server: &Server, passed: bool, now: Mono) -> Option<Change> {
        self.servers.lock().checked(server, passed, now)
    }

    /// Each server as it stands, in the policy's order.
    pub fn status(&self, now: Mono) -> Vec<Status> {
        self.servers.lock().status(now).collect()
    }

    /// Retries made so far, and those that the budget did not allow.
    pub fn retries(&self) -> (u64, u64) {
        self.servers.lock().retries()
    }
}

impl Attempt {
    pub fn server(&self) -> &Server {
        &self.picked.server
    }

    /// Tells what became of it.
    pub fn learn(&self, outcome: Outcome, now: Mono) -> Option<Change> {
        self.pool.servers.lock().learn(&self.picked, outcome, now)
    }

    /// Whether the request may be tried once more, after this failure.
    pub fn may_retry(&self, failure: Failure, now: Mono) -> bool {
        self.pool.servers.lock().retry(self.picked.id, failure, now)
    }

    /// The next attempt after this one, which failed: elsewhere if there is another server.
    pub fn next(self, seed: u64, now: Mono) -> Option<Self> {
        let picked = self.pool.servers.lock().pick(Some(self.picked.id), lots(seed), now)?;
        Some(Self { pool: self.pool.clone(), picked })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.pool.servers.lock().leave(self.picked.id);
    }
}
