//! Asking for one page: of the origin that its route leads to, in its turn, and again where it is busy.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Clock;
use crate::pipeline::path;
use crate::pipeline::view::{BodyKind, Scheme, Version, View};
use crate::policy::{HostHeader, Policy, Quota, Route, RouteId, Server};
use crate::proxy::Addresses;
use crate::proxy::fetch::{Asking, Extent, FetchError, Fetcher};
use crate::route;
use crate::snapshot::address::{Address, Site};
use crate::snapshot::gate::{Gate, Pace};
use crate::snapshot::judge::{Head, Judged};
use crate::snapshot::left_out::Why;

/// How often a page is asked for whose origin is busy or breaks off.
const TRIES: u32 = 4;
/// How long the first rest is, where the origin does not say; each is twice the one before.
const REST: Duration = Duration::from_secs(1);
/// How long to connect elsewhere than where the policy says.
const CONNECT: Duration = Duration::from_secs(5);

/// Asks for pages.
pub struct Asker {
    policy: Policy,
    through: Option<Server>,
    addresses: Addresses,
    fetcher: Fetcher,
    gate: Gate,
    pace: Pace,
    patience: Duration,
    clock: Clock,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Got {
    pub head: Head,
    pub body: Bytes,
    /// When it was asked for, in milliseconds since 1970 UTC: what was purged or written since is not in it.
    pub asked_unix_ms: u64,
}

/// There is no answer, and why.
#[derive(Clone, Debug)]
pub struct Gone {
    pub why: Why,
    pub error: String,
}

impl Asker {
    /// `through`: ask there, whatever the routes say. `patience`: for one answer.
    pub async fn new(
        policy: Policy,
        through: Option<Server>,
        rate: Quota,
        patience: Duration,
        gate: Gate,
        clock: Clock,
    ) -> Self {
        let addresses = Addresses::default();
        let mut servers: Vec<_> = policy.origins.iter().flat_map(|origin| origin.servers.clone()).collect();
        servers.extend(through.clone());
        // One that does not resolve now is no more there than one that does not answer.
        let _ = addresses.refresh(servers).await;
        let pace = Pace::new(rate, Duration::ZERO);
        Self { policy, through, addresses, fetcher: Fetcher::default(), gate, pace, patience, clock }
    }

    /// How the origin calls itself, where no seed names a host.
    pub fn authority(&self) -> String {
        let own = |path| self.find("", path).and_then(|(_, route)| self.policy.origins.get(route.origin.0));
        let server = self.through.as_ref().or_else(|| own("/").and_then(|origin| origin.servers.first()));
        server.map_or_else(|| "localhost".to_owned(), Server::authority)
    }

    /// Who says whether there is time for a snapshot.
    pub fn gate(&mut self) -> &mut Gate {
        &mut self.gate
    }

    pub fn slow_down(&mut self, at_least: Duration) {
        self.pace.slow_down(at_least);
    }

    /// The route that a page takes.
    pub fn route_of(&self, site: &Site, address: &Address) -> Option<(RouteId, &Route)> {
        let host = if address.host.is_empty() { self.authority() } else { address.host.clone() };
        let scheme = if site.is_https(address) { Scheme::Https } else { Scheme::Http };
        self.find_as(scheme, &host, address)
    }

    fn find(&self, host: &str, path: &str) -> Option<(RouteId, &Route)> {
        let address = Address { host: host.to_owned(), target: path.to_owned() };
        self.find_as(Scheme::Http, host, &address)
    }

    fn find_as(&self, scheme: Scheme, host: &str, address: &Address) -> Option<(RouteId, &Route)> {
        let path = path::normalise(address.path()).ok()?;
        let view = View {
            method: "GET",
            version: Version::Http11,
            scheme,
            host,
            path: &path,
            raw_path: address.path(),
            query: address.query(),
            fields: &[],
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            trusted: false,
            body: BodyKind::None,
        };
        route::find(&self.policy, &view, |_| false)
    }

    /// Asks for a page in its turn; of one that is busy, again after a rest.
    pub async fn get(&mut self, site: &Site, address: &Address, body: Extent) -> Result<Got, Gone> {
        let mut rest = REST;
        for tries_left in (0..TRIES).rev() {
            tokio::time::sleep(self.pace.turn(self.clock.mono())).await;
            let pause = match self.ask(site, address, body).await {
                Ok(got) => match got.head.judge() {
                    Judged::Later(after) if tries_left > 0 => after.unwrap_or(rest),
                    Judged::Later(_) => {
                        let error = format!("{address} says {}", got.head.status);
                        return Err(Gone { why: Why::Unreachable, error });
                    }
                    _ => return Ok(got),
                },
                Err(FetchError::Unreachable(_)) if tries_left > 0 => rest,
                Err(error) => {
                    let why = match error {
                        FetchError::Unreachable(_) => Why::Unreachable,
                        FetchError::Slow(_) => Why::Slow,
                        FetchError::TooLarge(_) => Why::TooLarge,
                    };
                    return Err(Gone { why, error: error.to_string() });
                }
            };
            tokio::time::sleep(pause).await;
            rest *= 2;
        }
        Err(Gone { why: Why::Unreachable, error: "no answer".to_owned() })
    }

    /// Asks the origin's servers one after another until one can be reached.
    async fn ask(&mut self, site: &Site, address: &Address, body: Extent) -> Result<Got, FetchError> {
        let no_route = || FetchError::Unreachable("no route leads to an origin".to_owned());
        let (id, origin) = self.route_of(site, address).map(|(id, route)| (id, route.origin.0)).ok_or_else(no_route)?;
        let permit = self.gate.enter(id, self.clock).await;
        let asked_unix_ms = self.clock.now().unix_ms;
        let origin = self.policy.origins.get(origin).ok_or_else(no_route)?;
        let servers = self.through.as_ref().map_or(origin.servers.as_slice(), std::slice::from_ref);
        let mut answer = Err(FetchError::Unreachable("the origin's name does not resolve".to_owned()));
        for server in servers {
            let Some(socket) = self.addresses.of(server) else { continue };
            let own = server.authority();
            let host = match &origin.host_header {
                HostHeader::Fixed(host) if self.through.is_none() => host,
                _ if address.host.is_empty() => &own,
                _ => &address.host,
            };
            let asking = Asking {
                server,
                address: socket,
                host,
                visited: Some(address.host.as_str()).filter(|host| !host.is_empty()),
                target: &address.target,
                is_https: site.is_https(address),
                connect_timeout: if self.through.is_some() { CONNECT } else { origin.connect_timeout },
                patience: self.patience,
                body,
            };
            answer = self.fetcher.get(&asking).await;
            if !matches!(answer, Err(FetchError::Unreachable(_))) {
                break;
            }
        }
        if let Some(permit) = &permit {
            let overloaded = answer.as_ref().map_or(true, |(head, _)| matches!(head.status, 429 | 503));
            permit.headed(overloaded, self.clock.mono());
        }
        answer.map(|(head, body)| Got { head, body, asked_unix_ms })
    }
}
