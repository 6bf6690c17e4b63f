//! A connection lent to pingora for one request.
//!
//! After a failure pingora drops the connection, even where the request was answered whole and the
//! next one could follow. So it gets no connection, but a loan: whatever becomes of it, the
//! connection comes home, and the front decides.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Conn;
use crate::proxy::Answered;

/// Where a lent connection comes back to.
#[derive(Clone, Default)]
pub struct Home(Arc<Mutex<Option<Box<Conn>>>>);

impl Home {
    /// Lends a connection out.
    ///
    /// `told`: where the end of the answer's body may be the end of the connection (HTTP/1.0); if it
    /// then breaks off, that is a reset.
    pub fn lend(&self, conn: Box<Conn>, told: Option<Answered>) -> Lent {
        Lent { conn: Some(conn), home: self.clone(), told }
    }

    /// The connection, once the loan has ended; none if pingora has shut it down.
    pub fn take(&self) -> Option<Box<Conn>> {
        self.0.lock().take()
    }
}

/// The loan. Dropped, the connection is home.
pub struct Lent {
    conn: Option<Box<Conn>>,
    home: Home,
    told: Option<Answered>,
}

impl Lent {
    fn conn(&mut self) -> io::Result<Pin<&mut Conn>> {
        self.conn.as_deref_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn break_off(&self) {
        if let (Some(conn), Some(true)) = (&self.conn, self.told.as_ref().map(Answered::is_broken)) {
            conn.reset_by_close();
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.break_off();
        *self.home.0.lock() = self.conn.take();
    }
}

impl AsyncRead for Lent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().conn()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().conn()?.poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().conn()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().conn()?.poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Lent {
    async fn shutdown(&mut self) {
        self.break_off();
        if let Some(mut conn) = self.conn.take() {
            conn.shutdown().await;
        }
    }
}

impl UniqueID for Lent {
    fn id(&self) -> i32 {
        self.conn.as_ref().map_or(-1, |conn| conn.id())
    }
}

/// HTTP/1 alone is lent out.
impl Ssl for Lent {}

impl GetTimingDigest for Lent {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Lent {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Lent {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.conn.as_ref().and_then(|conn| conn.get_socket_digest())
    }
}

#[async_trait]
impl Peek for Lent {}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("conn", &self.conn).finish_non_exhaustive()
    }
}
