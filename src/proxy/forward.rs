//! What the origin gets to see, and what the visitor gets to see of its answer.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::ALPN;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::proof::{self, ProofKey};
use super::{Door, Result};
use crate::cache::fill_request::nominated;
use crate::cache::status::CacheStatus;
use crate::cache::{tags, version};
use crate::clock::Now;
use crate::pipeline::client::is_trusted;
use crate::pipeline::passage::Passage;
use crate::pipeline::query;
use crate::pipeline::view::Field;
use crate::policy::{HostHeader, Server};

/// Fields by which a visitor could pose as a proxy, or steer an origin past a route's rules. From
/// trusted proxies the first three are taken up into ours.
const STRIPPED: [&str; 11] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-real-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-request-id",
    "seawall-ticket",
    "seawall-proof",
    version::FIELD,
];

/// A server as pingora asks it, with every timeout set. `anew`: on a connection of its own.
pub fn peer(door: &Door, session: &Session, passage: &Passage, server: &Server, anew: bool) -> Result<Box<HttpPeer>> {
    let policy = &passage.site.policy;
    let route = passage.route();
    let Some(origin) = policy.origins.get(route.origin.0) else {
        return Err(Error::explain(ErrorType::InternalError, "the route names no origin"));
    };
    let Some(address) = door.addresses.of(server) else {
        return Err(Error::explain(ErrorType::ConnectNoRoute, "the origin's name does not resolve").into_up());
    };
    let mut peer = HttpPeer::new(address, server.tls, server.host.clone());
    let answer = route.response_timeout.unwrap_or(origin.response_timeout);
    // An upgraded connection may rest as long as an idle one: its silence is no fault.
    let silence = if session.is_upgrade_req() || wants_events(session) { policy.edge.idle_timeout } else { answer };
    let options = &mut peer.options;
    options.connection_timeout = Some(origin.connect_timeout);
    options.total_connection_timeout = Some(origin.connect_timeout * 2);
    options.read_timeout = Some(silence);
    options.write_timeout = Some(policy.edge.body_timeout);
    options.idle_timeout = Some(origin.idle_timeout);
    options.alpn = ALPN::H1;
    if anew || !session.req_header().method.is_idempotent() {
        // A kept connection may be closed by the time the request arrives, and a request that may
        // have had an effect is not sent twice (RFC 9110 §9.2.2): it gets a new one. An idle time of
        // zero still leaves a moment in which another could take it, so no other asks for its group.
        peer.group_key = passage.id.lot().max(1);
        peer.options.idle_timeout = Some(Duration::ZERO);
    }
    Ok(Box::new(peer))
}

fn wants_events(session: &Session) -> bool {
    let accept = session.req_header().headers.get(header::ACCEPT);
    accept.is_some_and(|v| v.as_bytes().to_ascii_lowercase().split(|b| *b == b',').any(is_event_stream))
}

fn is_event_stream(range: &[u8]) -> bool {
    range.trim_ascii_start().starts_with(b"text/event-stream")
}

/// Writes down for the origin who asks, under which id, at which level; takes out what only
/// proxies may say and what is ours.
pub fn request(passage: &Passage, session: &Session, request: &mut RequestHeader, continued: bool) -> Result<()> {
    let policy = &passage.site.policy;
    let peer = session.client_addr().and_then(|a| a.as_inet()).map_or(passage.client, |a| a.ip().to_canonical());
    let chain = forwarded_chain(request, peer, &policy.edge.trusted_proxies);
    let host = request.headers.get(header::HOST).cloned();
    for name in STRIPPED {
        request.remove_header(name);
    }
    request.insert_header("X-Forwarded-For", chain)?;
    request.insert_header("X-Forwarded-Proto", passage.scheme.name())?;
    if let Some(host) = host {
        request.insert_header("Forwarded", forwarded(peer, passage, &host))?;
        request.insert_header("X-Forwarded-Host", host)?;
    }
    request.insert_header("X-Request-Id", passage.id.as_str())?;
    if let Some(name) = &policy.level.header {
        request.remove_header(name.as_str());
        request.insert_header(name.clone(), passage.level.name())?;
    }
    let origin = policy.origins.get(passage.route().origin.0);
    if let Some(HostHeader::Fixed(host)) = origin.map(|o| &o.host_header) {
        request.insert_header(header::HOST, host.as_str())?;
    } else if !request.headers.contains_key(header::HOST)
        && let Some(server) = origin.and_then(|o| o.servers.first())
    {
        // HTTP/1.0 may name no host, and it is as HTTP/1.1 that it goes on (RFC 9112 §3.2).
        request.insert_header(header::HOST, server.authority())?;
    }
    if continued {
        request.remove_header(&header::EXPECT);
    }
    without_pass(request)?;
    without_our_cookies(request)
}

/// Signs what the origin is about to see: the last thing that is done to a head.
pub fn prove(passage: &Passage, key: &ProofKey, now: Now, request: &mut RequestHeader) -> Result<()> {
    let host = request.headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let target = String::from_utf8_lossy(request.raw_path());
    let field = key.field(now.unix_ms / 1000, passage.id.as_str(), request.method.as_str(), host, &target);
    request.insert_header(proof::FIELD, field)
}

/// A pass or an invitation in a link is between the visitor and Seawall.
fn without_pass(request: &mut RequestHeader) -> Result<()> {
    let Some(query) = request.uri.query() else { return Ok(()) };
    let path = request.uri.path();
    let target = match query::without_ours(query) {
        Some(left) if left == query => return Ok(()),
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    request.set_raw_path(target.as_bytes())
}

/// The chain of addresses that trusted proxies told, and the peer.
fn forwarded_chain(request: &RequestHeader, peer: IpAddr, trusted: &[ipnet::IpNet]) -> String {
    let mut chain = String::new();
    if is_trusted(peer, trusted) {
        for told in request.headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()) {
            chain.push_str(told);
            chain.push_str(", ");
        }
    }
    chain + &peer.to_string()
}

/// RFC 7239 §4, of this hop alone.
fn forwarded(peer: IpAddr, passage: &Passage, host: &HeaderValue) -> String {
    let node = match peer {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("\"[{v6}]\""),
    };
    format!("for={node};proto={};host=\"{}\"", passage.scheme.name(), host.to_str().unwrap_or_default())
}

/// Tickets and sessions are between the visitor and Seawall. What is left goes in one line: HTTP/2
/// may bring cookies in crumbs (RFC 9113 §8.2.3).
fn without_our_cookies(request: &mut RequestHeader) -> Result<()> {
    let is_ours = |pair: &[u8]| pair.starts_with(b"seawall_") || pair.starts_with(b"__Host-seawall_");
    let lines: Vec<HeaderValue> = request.headers.get_all(header::COOKIE).iter().cloned().collect();
    let pairs = lines.iter().flat_map(|line| line.as_bytes().split(|b| *b == b';')).map(<[u8]>::trim_ascii);
    let (ours, theirs): (Vec<_>, Vec<_>) = pairs.filter(|pair| !pair.is_empty()).partition(|pair| is_ours(pair));
    if ours.is_empty() && lines.len() < 2 {
        return Ok(());
    }
    let theirs = theirs.join(&b"; "[..]);
    request.remove_header(&header::COOKIE);
    if !theirs.is_empty() {
        request.insert_header(header::COOKIE, theirs)?;
    }
    Ok(())
}

/// Whether an answer holds its connection for long, and no place.
pub fn is_stream(response: &ResponseHeader) -> bool {
    let kind = response.headers.get(header::CONTENT_TYPE);
    response.status.as_u16() == 101
        || kind.is_some_and(|v| v.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"))
}

/// Tells the route's room what the origin says to it.
pub fn hear_room(passage: &Passage, response: &ResponseHeader) {
    let said = response.headers.get_all("seawall-room").iter().filter_map(|v| v.to_str().ok());
    let Some(id) = passage.route().waiting_room else { return };
    for said in said {
        match &passage.visit {
            Some(visit) => visit.guest().hear(said),
            None => passage.site.room(id).hear(said, None),
        }
    }
}

/// Adds to the origin's answer what is the edge's to say.
pub fn response(passage: &mut Passage, session: &mut Session, response: &mut ResponseHeader) -> Result<()> {
    if response.status.as_u16() != 101 {
        without_the_connections(response);
    }
    response.remove_header("seawall-room");
    for name in tags::HIDDEN {
        response.remove_header(name);
    }
    for (name, value) in passage.common_fields() {
        response.append_header(HeaderName::from_static(name), value.as_str())?;
    }
    if let Some(why) = passage.copy.forwarded {
        let status = CacheStatus::Forward { why, status: None, stored: false, collapsed: false };
        response.append_header("Cache-Status", status.to_string())?;
    }
    // HTTP/1.0 knows no chunks: the body ends with the connection (RFC 9112 §6.3).
    if session.req_header().version == http::Version::HTTP_10 {
        response.remove_header(&header::TRANSFER_ENCODING);
        if response.headers.get(header::CONTENT_LENGTH).is_none() {
            session.set_keepalive(None);
        }
    }
    Ok(())
}

/// Removes what the origin says to us alone; how the body is framed is pingora's to rewrite, whatever is nominated.
fn without_the_connections(response: &mut ResponseHeader) {
    let said: Vec<Field<'_>> =
        response.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
    let mut gone = nominated(&said);
    gone.extend(response.headers.keys().map(|name| name.as_str().to_owned()).filter(|name| is_hop_by_hop(name)));
    let is_framing =
        |name: &&String| matches!(name.as_str(), "connection" | "transfer-encoding" | "content-length" | "trailer");
    for name in gone.iter().filter(|name| !is_framing(name)) {
        response.remove_header(name.as_str());
    }
}

/// Fields that belong to one connection (RFC 9110 §7.6.1) and are never passed on or kept.
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&str]) -> Option<String> {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for line in lines {
            request.append_header("cookie", *line).unwrap();
        }
        without_our_cookies(&mut request).unwrap();
        assert!(request.headers.get_all("cookie").iter().count() < 2);
        request.headers.get("cookie").map(|v| v.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_that_is_no_text_hides_no_ticket() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.append_header("cookie", &b"a=\xff; seawall_x=1"[..]).unwrap();
        without_our_cookies(&mut request).unwrap();
        assert_eq!(request.headers.get("cookie").unwrap().as_bytes(), b"a=\xff");
    }

    #[test]
    fn the_origin_never_sees_a_pass() {
        let target = |target: &str| {
            let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
            without_pass(&mut request).unwrap();
            String::from_utf8(request.raw_path().to_vec()).unwrap()
        };
        assert_eq!(target("/a?x=1&seawall_pass=abc&y"), "/a?x=1&y");
        assert_eq!(target("/a?seawall_pass=abc"), "/a");
        assert_eq!(target("/a?seawall_invite=abc&b"), "/a?b");
        assert_eq!(target("/a?x=seawall_pass"), "/a?x=seawall_pass");
    }

    #[test]
    fn the_origin_never_sees_a_ticket() {
        assert_eq!(cookies(&["a=1; seawall_launch=xyz; b=2"]).as_deref(), Some("a=1; b=2"));
        assert_eq!(cookies(&["__Host-seawall_launch=xyz"]), None);
        assert_eq!(cookies(&["a=1", "b=2"]).as_deref(), Some("a=1; b=2"));
        assert_eq!(cookies(&["a=1"]).as_deref(), Some("a=1"));
        assert_eq!(cookies(&["a=1", "seawall_x=1", "b=2"]).as_deref(), Some("a=1; b=2"));
    }
}
