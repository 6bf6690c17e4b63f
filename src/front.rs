//! The front: accepts connections, reads HTTP/1 itself, and gives pingora only what needs an origin.

use std::io as sys;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub mod chunked;
pub mod connection;
pub mod connections;
pub mod errand;
pub mod head;
pub mod io;
mod lent;
pub mod render;
mod spare;
mod static_file;
pub mod stream;
pub mod tls;

use connection::Connection;
use connections::{Connections, Counted};
use io::Io;
use stream::Conn;

use crate::proxy::{Door, Streams};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long to wait after an accept that failed for want of files or memory.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Takes an address for listening. The port is bound when this returns: two edges on one port are
/// found out at start.
///
/// # Errors
/// The system's, with the address.
pub fn bind(address: SocketAddr) -> sys::Result<std::net::TcpListener> {
    let named = |e: sys::Error| {
        let hint = match e.kind() {
            sys::ErrorKind::AddrInUse => ": another program listens there; stop it, or change `listen`",
            sys::ErrorKind::PermissionDenied => ": ports below 1024 need root or CAP_NET_BIND_SERVICE",
            sys::ErrorKind::AddrNotAvailable => ": this machine has no such address",
            _ => "",
        };
        sys::Error::new(e.kind(), format!("can't listen on {address}: {e}{hint}"))
    };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).map_err(named)?;
    socket.set_reuse_address(true).map_err(named)?;
    socket.bind(&address.into()).map_err(named)?;
    socket.listen(BACKLOG).map_err(named)?;
    socket.set_nonblocking(true).map_err(named)?;
    Ok(socket.into())
}

/// Accepts on one listener until the edge retires.
pub async fn accept(listener: TcpListener, tls: Option<tls::Shared>, door: Arc<Door>, connections: Arc<Connections>) {
    let mut retiring = door.ends.retiring.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = retiring.wait_for(|retiring| *retiring) => return,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let site = door.site.load();
        site.telemetry.connections.inc();
        match connections.count(peer.ip().to_canonical(), &site.policy.edge) {
            Some(counted) => {
                let _ = tcp.set_nodelay(true);
                let tls = tls.as_ref().map(|shared| TlsAcceptor::from(shared.load_full()));
                tokio::spawn(serve(tcp, peer, tls, door.clone(), counted));
            }
            None => {
                site.telemetry.connections_refused.inc();
                tracing::debug!(%peer, "a connection over a cap was closed");
            }
        }
    }
}

async fn serve(tcp: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, door: Arc<Door>, counted: Counted) {
    let io = match tls {
        None => Io::Tcp(tcp),
        Some(acceptor) => {
            let patience = door.site.load().policy.edge.header_timeout;
            match tokio::time::timeout(patience, Box::pin(acceptor.accept(tcp))).await {
                Ok(Ok(stream)) => Io::Tls(Box::new(stream)),
                Ok(Err(error)) => return tracing::debug!(%peer, %error, "the TLS handshake failed"),
                Err(_) => return tracing::debug!(%peer, "the TLS handshake took too long"),
            }
        }
    };
    let mut conn = Box::new(Conn::new(io, peer));
    if !conn.is_http2() {
        return Connection::new(door, conn, counted).serve().await;
    }
    // Pingora would wait for it without an end (RFC 9113 §3.4).
    let patience = door.site.load().policy.edge.header_timeout;
    if !matches!(tokio::time::timeout(patience, preface(&mut conn)).await, Ok(Ok(true))) {
        return tracing::debug!(%peer, "no preface of HTTP/2 came");
    }
    let Some(proxy) = door.proxy() else { return };
    let streams = Arc::new(Streams::new(proxy.clone()));
    let leaving = streams.leaving(door.ends.clone());
    Box::pin(streams.process_new(conn, &leaving)).await;
    drop(counted);
}

/// Waits for as much as HTTP/2 begins with; false: the client has left.
async fn preface(conn: &mut Conn) -> sys::Result<bool> {
    const LENGTH: usize = 24;
    while conn.early().len() < LENGTH {
        if conn.fill().await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
