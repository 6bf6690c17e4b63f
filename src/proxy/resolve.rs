//! Where the origins' servers are: names resolved at load and refreshed, so that no request waits
//! for DNS.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::policy::Server;

/// How often names are resolved again.
pub const REFRESH: Duration = Duration::from_secs(30);
/// How long one resolution may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Addresses by server; one that does not resolve keeps the address it had.
#[derive(Debug, Default)]
pub struct Addresses {
    known: ArcSwap<HashMap<(String, u16), SocketAddr>>,
}

impl Addresses {
    /// The address of a server, if its name has ever resolved.
    pub fn of(&self, server: &Server) -> Option<SocketAddr> {
        if let Ok(ip) = server.host.parse() {
            return Some(SocketAddr::new(ip, server.port));
        }
        self.known.load().get(&(server.host.clone(), server.port)).copied()
    }

    /// Resolves every name; answers those that don't resolve, with the error.
    pub async fn refresh(&self, servers: impl IntoIterator<Item = Server>) -> Vec<(Server, String)> {
        let (mut found_now, mut failed) = (HashMap::new(), Vec::new());
        for server in servers {
            if server.host.parse::<std::net::IpAddr>().is_ok() {
                continue;
            }
            let lookup = tokio::net::lookup_host((server.host.as_str(), server.port));
            let error = match tokio::time::timeout(PATIENCE, lookup).await {
                Ok(Ok(mut found)) => match found.next() {
                    Some(address) => {
                        found_now.insert((server.host.clone(), server.port), address);
                        continue;
                    }
                    None => "the name has no address".to_owned(),
                },
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the resolver did not answer in 5 s".to_owned(),
            };
            failed.push((server, error));
        }
        // Another may have found others meanwhile.
        self.known.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.extend(found_now.iter().map(|(server, address)| (server.clone(), *address)));
            known
        });
        failed
    }
}
