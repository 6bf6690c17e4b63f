//! Asking an origin for one page, for nobody in particular: what a snapshot is taken with.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use crate::policy::Server;
use crate::snapshot::judge::Head;

/// Interim answers before an answer, at most.
const INTERIM_MAX: usize = 8;
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(10);

/// Asks origins' servers, over connections that are kept.
pub struct Fetcher {
    connector: Connector,
}

/// What is asked for, and of whom.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    pub server: &'a Server,
    pub address: SocketAddr,
    /// The Host field.
    pub host: &'a str,
    /// The host as visitors ask for it, where that is known.
    pub visited: Option<&'a str>,
    pub target: &'a str,
    /// As visitors ask for it.
    pub is_https: bool,
    pub connect_timeout: Duration,
    /// For the whole answer.
    pub patience: Duration,
    pub body: Extent,
}

/// How much of a body is wanted, in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// All of it. A larger one is an error.
    Whole(u64),
    /// So many at most: what comes behind them is not read.
    First(u64),
}

impl Extent {
    const fn bytes(self) -> u64 {
        match self {
            Self::Whole(bytes) | Self::First(bytes) => bytes,
        }
    }
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Unreachable(String),
    #[error("the answer did not end within {0:?}")]
    Slow(Duration),
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
}

impl From<Box<Error>> for FetchError {
    fn from(error: Box<Error>) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Self { connector: Connector::new(None) }
    }
}

impl Fetcher {
    /// Asks for a page without cookies, and not in a content coding.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn get(&self, asking: &Asking<'_>) -> Result<(Head, Bytes), FetchError> {
        let patience = asking.patience + asking.connect_timeout;
        match tokio::time::timeout(patience, self.exchange(asking)).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::Slow(asking.patience)),
        }
    }

    async fn exchange(&self, asking: &Asking<'_>) -> Result<(Head, Bytes), FetchError> {
        let mut peer = HttpPeer::new(asking.address, asking.server.tls, asking.server.host.clone());
        peer.options.connection_timeout = Some(asking.connect_timeout);
        peer.options.total_connection_timeout = Some(asking.connect_timeout * 2);
        peer.options.read_timeout = Some(asking.patience);
        peer.options.idle_timeout = Some(IDLE);
        peer.options.alpn = ALPN::H1;
        let (mut session, reused) = self.connector.get_http_session(&peer).await?;
        let asked = ask(&mut session, asking).await;
        if asked.is_err() && reused {
            // A kept connection may be closed by the time the request arrives.
            peer.options.idle_timeout = Some(Duration::ZERO);
            peer.group_key = u64::MAX;
            (session, _) = self.connector.get_http_session(&peer).await?;
            ask(&mut session, asking).await?;
        } else {
            asked?;
        }
        let head = head_of(&session);
        let length = head.field("content-length").and_then(|length| length.parse::<u64>().ok());
        let mut body = BytesMut::new();
        let most = asking.body.bytes();
        let is_refused = |length: u64| length > most && matches!(asking.body, Extent::Whole(_));
        if length.is_some_and(is_refused) {
            return Err(FetchError::TooLarge(most));
        }
        while let Some(piece) = session.read_response_body().await? {
            body.extend_from_slice(&piece);
            if is_refused(body.len() as u64) {
                return Err(FetchError::TooLarge(most));
            }
            if body.len() as u64 > most {
                body.truncate(usize::try_from(most).unwrap_or(usize::MAX));
                session.shutdown().await;
                return Ok((head, body.freeze()));
            }
        }
        if length.is_some_and(|length| length != body.len() as u64) {
            return Err(FetchError::Unreachable("the body was cut".to_owned()));
        }
        self.connector.release_http_session(session, &peer, Some(IDLE)).await;
        Ok((head, body.freeze()))
    }
}

async fn ask(session: &mut HttpSession, asking: &Asking<'_>) -> Result<(), Box<Error>> {
    let mut request = RequestHeader::build("GET", asking.target.as_bytes(), Some(8))?;
    request.insert_header("Host", asking.host)?;
    request.insert_header("User-Agent", concat!("seawall/", env!("CARGO_PKG_VERSION"), " (snapshot)"))?;
    request.insert_header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")?;
    request.insert_header("Accept-Encoding", "identity")?;
    let scheme = if asking.is_https { "https" } else { "http" };
    request.insert_header("X-Forwarded-Proto", scheme)?;
    if let Some(host) = asking.visited {
        // As visitors' requests have them: some sites know by these alone which of them is meant.
        request.insert_header("X-Forwarded-Host", host)?;
        request.insert_header("Forwarded", format!("proto={scheme};host=\"{host}\""))?;
    }
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    if let HttpSession::H1(h1) = session {
        h1.read_timeout = Some(asking.patience);
    }
    read_head(session).await
}

/// Reads the head of the answer, past those that only say that it is to come (RFC 9110 §15.2).
pub(super) async fn read_head(session: &mut HttpSession) -> pingora::Result<()> {
    for _ in 0..=INTERIM_MAX {
        session.read_response_header().await?;
        let status = session.response_header().map(|response| response.status);
        match status {
            // Nobody asked for another protocol.
            Some(StatusCode::SWITCHING_PROTOCOLS) => break,
            Some(status) if status.is_informational() => {}
            _ => return Ok(()),
        }
    }
    Error::e_explain(ErrorType::InvalidHTTPHeader, "interim answers without an end, or another protocol")
}

/// The head that came. What is no UTF-8 in a field is replaced: a cookie is one in whatever letters it is written.
fn head_of(session: &HttpSession) -> Head {
    let Some(response) = session.response_header() else { return Head::default() };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields = response.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    Head { status: response.status.as_u16(), fields }
}
