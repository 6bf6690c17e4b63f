//! Pingora's "client" of a fill.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::fill::{Fill, Pace};

/// Says the request, and swallows the answer as fast as the fill's
/// readers allow.
pub(super) struct Sink {
    head: Bytes,
    fill: Arc<Fill>,
    /// How long a reader may hold up the others without getting on.
    patience: Duration,
    held_up: Option<HeldUp>,
}

/// Since when the slowest holds up the others.
struct HeldUp {
    over: Pin<Box<Sleep>>,
    since: Pace,
}

impl Sink {
    pub(super) fn new(head: Bytes, fill: Arc<Fill>, patience: Duration) -> Self {
        Self { head, fill, patience, held_up: None }
    }

    /// Ready when the readers have room for more. Those who leave none for too long are cut off.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let room = self.fill.poll_room(cx);
            let pace = self.fill.pace();
            if self.held_up.as_ref().is_some_and(|held| pace.is_kept_since(&held.since)) {
                self.held_up = None;
            }
            if room.is_ready() {
                return room;
            }
            let patience = self.patience;
            let held = self.held_up.get_or_insert_with(|| HeldUp { over: Box::pin(sleep(patience)), since: pace });
            ready!(held.over.as_mut().poll(cx));
            self.held_up = None;
            self.fill.cut_slowest();
        }
    }
}

impl AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let head = &mut self.get_mut().head;
        if head.is_empty() {
            // Its end is the task's end.
            return Poll::Pending;
        }
        let take = head.len().min(buf.remaining());
        buf.put_slice(head.get(..take).unwrap_or_default());
        head.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_room(cx));
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

#[async_trait]
impl Shutdown for Sink {
    async fn shutdown(&mut self) {}
}

impl UniqueID for Sink {
    fn id(&self) -> i32 {
        -1
    }
}

impl Ssl for Sink {}

impl GetTimingDigest for Sink {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Sink {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Sink {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[async_trait]
impl Peek for Sink {}
