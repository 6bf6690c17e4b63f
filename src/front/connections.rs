//! How many connections there are, and whose.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::pipeline::client::{is_trusted, one_client};
use crate::policy::Edge;

/// From this share of `max_connections` on, connections are given up sooner (percent).
const CROWDED_PERCENT: usize = 80;

/// All connections of the edge.
#[derive(Debug, Default)]
pub struct Connections {
    all: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
    none_left: Notify,
}

/// One connection; dropped, it counts no more.
#[derive(Debug)]
pub struct Counted {
    connections: Arc<Connections>,
    client: Option<IpAddr>,
}

impl Connections {
    /// Counts one more; none where a cap is reached. A trusted proxy brings many visitors, so only
    /// the cap over all holds for it.
    pub fn count(self: &Arc<Self>, client: IpAddr, edge: &Edge) -> Option<Counted> {
        if self.all.fetch_add(1, Ordering::Relaxed) >= edge.max_connections.get() {
            self.one_less();
            return None;
        }
        if is_trusted(client, &edge.trusted_proxies) {
            return Some(Counted { connections: self.clone(), client: None });
        }
        let client = one_client(client);
        let mut by_client = self.by_client.lock();
        let held = by_client.entry(client).or_default();
        if *held >= edge.max_connections_per_client.get() {
            drop(by_client);
            self.one_less();
            return None;
        }
        *held += 1;
        Some(Counted { connections: self.clone(), client: Some(client) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether so many are held that idle ones must go.
    pub fn crowded(&self, edge: &Edge) -> bool {
        self.len() >= edge.max_connections.get() * CROWDED_PERCENT / 100
    }

    /// Resolves when there is none.
    pub async fn until_none(&self) {
        loop {
            let news = self.none_left.notified();
            if self.is_empty() {
                return;
            }
            news.await;
        }
    }

    fn one_less(&self) {
        if self.all.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none_left.notify_waiters();
        }
    }
}

impl Counted {
    /// The table it is counted in.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            let mut by_client = self.connections.by_client.lock();
            if let Some(held) = by_client.get_mut(&client) {
                *held -= 1;
                if *held == 0 {
                    by_client.remove(&client);
                }
            }
        }
        self.connections.one_less();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::file;

    #[test]
    fn a_client_with_a_network_of_its_own_is_one_client() {
        let text = "[edge]\nlisten = [\"127.0.0.1:0\"]\nmax_connections_per_client = 2\n\
            [origin.a]\nservers = [\"127.0.0.1:9\"]\n";
        let edge = file::parse(text, std::path::Path::new(".")).policy.unwrap().edge;
        let connections = Arc::new(Connections::default());
        let count = |address: &str| connections.count(address.parse().unwrap(), &edge);
        let held: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(count).into_iter().collect();
        assert!(held.iter().all(Option::is_some) && count("2001:db8::3").is_none());
        assert!(count("2001:db8:0:1::3").is_some() && count("192.0.2.1").is_some());
        drop(held);
        assert!(connections.is_empty() && count("2001:db8::3").is_some());
    }
}
