//! Probes: do an origin's servers answer? Asked by the shell while the ladder wants to know.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use tokio::task::JoinSet;

use super::fetch::read_head;
use super::{Addresses, Door, attempts};
use crate::level::Probe;
use crate::pipeline::origin::Origin as State;
use crate::policy::{self, HostHeader, Server};

/// How long one probe may take over the origin's own connect timeout.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks origins' servers whether they answer.
pub struct Prober {
    connector: Connector,
}

impl Default for Prober {
    fn default() -> Self {
        Self { connector: Connector::new(None) }
    }
}

impl Prober {
    /// Asks all of an origin's servers at once: its health check's path, or `/`. What a health check
    /// finds is told to each server's state; the origin does as well as the best of them, and is
    /// known to do well as soon as one does.
    pub async fn ask(self: Arc<Self>, door: &Arc<Door>, origin: &Arc<State>, rules: policy::Origin) -> Probe {
        let rules = Arc::new(rules);
        let mut asked = JoinSet::new();
        for at in 0..rules.servers.len() {
            asked.spawn(self.clone().ask_and_tell(door.clone(), origin.clone(), rules.clone(), at));
        }
        let mut best = Probe::Unreachable;
        while let Some(told) = asked.join_next().await {
            match told {
                Ok(Probe::Passed) => {
                    asked.detach_all();
                    return Probe::Passed;
                }
                Ok(Probe::Failed) => best = Probe::Failed,
                Ok(Probe::Unreachable) | Err(_) => {}
            }
        }
        best
    }

    async fn ask_and_tell(
        self: Arc<Self>,
        door: Arc<Door>,
        origin: Arc<State>,
        rules: Arc<policy::Origin>,
        at: usize,
    ) -> Probe {
        let Some(server) = rules.servers.get(at) else { return Probe::Unreachable };
        let found = self.ask_one(&door.addresses, &rules, server).await;
        if rules.health.is_some() {
            let change = origin.servers.checked(server, found == Probe::Passed, door.clock.mono());
            attempts::log(&origin.name, change);
        }
        found
    }

    /// Without a health check any answer counts, since what `/` says is the site's own business.
    async fn ask_one(&self, addresses: &Addresses, origin: &policy::Origin, server: &Server) -> Probe {
        let Some(address) = addresses.of(server) else { return Probe::Unreachable };
        let mut peer = HttpPeer::new(address, server.tls, server.host.clone());
        peer.options.connection_timeout = Some(origin.connect_timeout);
        peer.options.total_connection_timeout = Some(origin.connect_timeout * 2);
        peer.options.read_timeout = Some(PATIENCE);
        peer.options.alpn = ALPN::H1;
        let patience = PATIENCE + origin.connect_timeout;
        let Ok(Ok(status)) = tokio::time::timeout(patience, status(&self.connector, &peer, origin, server)).await
        else {
            return Probe::Unreachable;
        };
        if origin.health.is_none() || status.is_success() || status.is_redirection() {
            Probe::Passed
        } else {
            Probe::Failed
        }
    }
}

async fn status(
    connector: &Connector,
    peer: &HttpPeer,
    origin: &policy::Origin,
    server: &Server,
) -> pingora::Result<StatusCode> {
    let path = origin.health.as_ref().map_or("/", |h| h.path.as_str());
    // A connection of its own: one that is kept would say nothing of whether new ones are possible.
    let (mut session, _) = connector.get_http_session(peer).await?;
    let host = match &origin.host_header {
        HostHeader::Fixed(host) => host.clone(),
        HostHeader::Pass => server.authority(),
    };
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(3))?;
    request.insert_header("Host", host)?;
    request.insert_header("User-Agent", concat!("seawall/", env!("CARGO_PKG_VERSION"), " (health check)"))?;
    request.insert_header("Connection", "close")?;
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    if let HttpSession::H1(h1) = &mut session {
        h1.read_timeout = Some(PATIENCE);
    }
    read_head(&mut session).await?;
    let status = session.response_header().map_or(StatusCode::BAD_GATEWAY, |r| r.status);
    session.shutdown().await;
    Ok(status)
}
