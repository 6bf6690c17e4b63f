//! Probes: does an origin's server answer? Asked by the shell while the ladder wants to know.

use std::time::Duration;

use http::StatusCode;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;

use super::Addresses;
use crate::level::Probe;
use crate::policy::{HostHeader, Origin, Server};

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
    /// Asks an origin's server once: its health check's path, or `/`.
    ///
    /// Without a health check any answer counts, since what `/` says is the site's own business.
    pub async fn ask(&self, addresses: &Addresses, origin: &Origin) -> Probe {
        let Some(address) = addresses.of(&origin.server) else { return Probe::Unreachable };
        let mut peer = HttpPeer::new(address, origin.server.tls, origin.server.host.clone());
        peer.options.connection_timeout = Some(origin.connect_timeout);
        peer.options.total_connection_timeout = Some(origin.connect_timeout * 2);
        peer.options.read_timeout = Some(PATIENCE);
        peer.options.alpn = ALPN::H1;
        let patience = PATIENCE + origin.connect_timeout;
        let Ok(Ok(status)) = tokio::time::timeout(patience, status(&self.connector, &peer, origin)).await else {
            return Probe::Unreachable;
        };
        if origin.health.is_none() || status.is_success() || status.is_redirection() {
            Probe::Passed
        } else {
            Probe::Failed
        }
    }
}

async fn status(connector: &Connector, peer: &HttpPeer, origin: &Origin) -> pingora::Result<StatusCode> {
    let path = origin.health.as_ref().map_or("/", |h| h.path.as_str());
    // A connection of its own: one that is kept would say nothing of whether new ones are possible.
    let (mut session, _) = connector.get_http_session(peer).await?;
    let host = match &origin.host_header {
        HostHeader::Fixed(host) => host.clone(),
        HostHeader::Pass => authority(&origin.server),
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
    session.read_response_header().await?;
    let status = session.response_header().map_or(StatusCode::BAD_GATEWAY, |r| r.status);
    session.shutdown().await;
    Ok(status)
}

/// The server as a Host field names it (RFC 9110 §7.2): without the scheme's own port.
fn authority(server: &Server) -> String {
    let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
    let default = if server.tls { 443 } else { 80 };
    if server.port == default { host } else { format!("{host}:{}", server.port) }
}
