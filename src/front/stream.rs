//! One visitor's connection, as the front reads it and as pingora is shown it.
//!
//! [`Conn`] is pingora's `IO` over our own socket. While pingora has it, it is shown exactly one
//! message: bytes after it stay here in a bounded buffer, so that pipelining works; the client's
//! leaving passes through. Small writes are joined until flush, so that head and body leave in one.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

mod digests;

use super::chunked::Scanner;
use super::io::Io;
use super::spare;
use crate::pipeline::view::BodyKind;

/// Writes up to this size wait for the next one or for flush.
const JOIN: usize = 4096;
/// Bytes of requests that came too early, kept while pingora has the connection.
const EARLY_MAX: usize = 16 << 10;
/// What one read may bring.
const READ: usize = 16 << 10;
/// How often the pace of a body is looked at.
const PACE_EVERY: Duration = Duration::from_secs(5);

/// What pingora may see of what comes in.
enum Gate {
    /// Everything: an upgrade, or HTTP/2.
    Open,
    /// What is left of one message.
    Message(Left),
}

enum Left {
    Nothing,
    Bytes(u64),
    Chunks(Scanner),
}

/// A connection.
pub struct Conn {
    io: Io,
    peer: SocketAddr,
    /// Bytes that came and that nobody has read yet.
    early: BytesMut,
    /// The head, shown to pingora before anything else.
    replay: Bytes,
    gate: Gate,
    /// Writes that wait for flush.
    out: BytesMut,
    pace: Option<Pace>,
    /// For so long the client may take nothing of what is written, while pingora has the connection.
    patience: Option<Duration>,
    /// Runs since it takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// The message asks for another protocol; what follows it belongs to that, if a 101 comes.
    upgrade: bool,
    eof: bool,
}

/// The rate that a body must keep while its request holds a place at the origin.
struct Pace {
    bytes_per_second: u64,
    came: u64,
    check: Pin<Box<Sleep>>,
}

impl Conn {
    pub fn new(io: Io, peer: SocketAddr) -> Self {
        Self {
            io,
            peer,
            early: BytesMut::new(),
            replay: Bytes::new(),
            gate: Gate::Open,
            out: BytesMut::new(),
            pace: None,
            patience: None,
            stalled: None,
            upgrade: false,
            eof: false,
        }
    }

    /// The address at the other end of the socket.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub fn is_tls(&self) -> bool {
        matches!(self.io, Io::Tls(_))
    }

    /// Whether ALPN chose HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.io.is_http2()
    }

    /// Lets its end be a failure to the client, where a body's end is told by the connection's alone.
    pub fn reset_by_close(&self) {
        self.io.reset_by_close();
    }

    /// Bytes that came and wait to be read.
    pub fn early(&mut self) -> &mut BytesMut {
        &mut self.early
    }

    /// Puts back what was taken from [`Conn::early`], but for what is used up.
    pub fn unread(&mut self, mut bytes: BytesMut, used: usize) {
        bytes.advance(used.min(bytes.len()));
        self.early = bytes;
    }

    /// Where the front writes its own answers; [`Conn::poll_send`] sends them.
    pub fn out(&mut self) -> &mut BytesMut {
        if self.out.capacity() == 0 {
            self.out = spare::take();
        }
        &mut self.out
    }

    /// Reads what has come into [`Conn::early`]; zero is the end. The buffer is as large as what
    /// came: an idle connection holds none.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        thread_local! {
            static SCRATCH: std::cell::RefCell<Box<[u8]>> = std::cell::RefCell::new(vec![0; READ].into_boxed_slice());
        }
        let Self { io, early, eof, .. } = self;
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            ready!(Pin::new(io).poll_read(cx, &mut buf))?;
            let came = buf.filled();
            *eof |= came.is_empty();
            if early.capacity() == 0 {
                *early = spare::take();
            }
            early.extend_from_slice(came);
            Poll::Ready(Ok(came.len()))
        })
    }

    /// Reads more into [`Conn::early`]; zero is the end.
    pub async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Gives back the buffers of a connection that has nothing to say.
    pub fn rest(&mut self) {
        if self.early.is_empty() {
            spare::give(std::mem::take(&mut self.early));
        }
        spare::give(std::mem::take(&mut self.out));
    }

    /// Sends what waits in [`Conn::out`] and then `body`, in one write where the socket takes it.
    pub async fn send(&mut self, body: &mut Bytes) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_send(cx, body)).await
    }

    /// See [`Conn::send`].
    pub fn poll_send(&mut self, cx: &mut Context<'_>, body: &mut Bytes) -> Poll<io::Result<()>> {
        let Self { io, out, .. } = self;
        let mut io = Pin::new(io);
        while !out.is_empty() || !body.is_empty() {
            let sent = if body.is_empty() {
                ready!(io.as_mut().poll_write(cx, out))?
            } else if out.is_empty() {
                ready!(io.as_mut().poll_write(cx, body))?
            } else {
                let parts = [io::IoSlice::new(out), io::IoSlice::new(body)];
                ready!(io.as_mut().poll_write_vectored(cx, &parts))?
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let head = sent.min(out.len());
            out.advance(head);
            body.advance(sent - head);
        }
        io.poll_flush(cx)
    }

    /// Shows pingora one message from here on: `head`, then its body as it comes. Of an `upgrade`
    /// everything, once a 101 is written.
    pub fn show_message(&mut self, head: Bytes, body: BodyKind, upgrade: bool) {
        self.replay = head;
        self.upgrade = upgrade;
        self.gate = Gate::Message(match body {
            BodyKind::None => Left::Nothing,
            BodyKind::Length(n) => Left::Bytes(n),
            BodyKind::Stream => Left::Chunks(Scanner::default()),
        });
    }

    /// From here on a body must bring so many bytes a second.
    pub fn keep_pace(&mut self, bytes_per_second: u64) {
        let check = Box::pin(tokio::time::sleep(PACE_EVERY));
        self.pace = (bytes_per_second > 0).then_some(Pace { bytes_per_second, came: 0, check });
    }

    /// From here on a client that takes nothing for so long is given up, whoever writes: pingora sets a deadline for
    /// bodies alone.
    pub fn limit_stalls(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    /// What came of a write, before which so many bytes waited; an error if the client has taken nothing for too long.
    fn poll_stall<T>(
        &mut self,
        cx: &mut Context<'_>,
        waited: usize,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(patience) = self.patience else { return written };
        if written.is_ready() || self.out.len() < waited {
            self.stalled = None;
        }
        if written.is_ready() {
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }

    /// Takes the connection back after pingora's turn. False: its message was not read to the end,
    /// and what follows can't be told apart.
    pub fn take_back(&mut self) -> bool {
        self.pace = None;
        (self.patience, self.stalled) = (None, None);
        self.upgrade = false;
        let whole = match &self.gate {
            Gate::Message(Left::Nothing) => true,
            Gate::Message(Left::Bytes(n)) => *n == 0,
            Gate::Message(Left::Chunks(scanner)) => scanner.is_done(),
            Gate::Open => false,
        };
        self.gate = Gate::Open;
        whole && self.replay.is_empty() && !self.eof
    }

    /// The message is over: bytes that come now are the next request's, and wait. Only the client's
    /// leaving is told.
    fn poll_past_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.eof {
                return Poll::Ready(Ok(()));
            }
            if self.early.len() >= EARLY_MAX {
                return Poll::Pending;
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Reads what the message still owes into `buf`.
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            match self.poll_fill(cx) {
                Poll::Ready(read) => {
                    // Zero is the client's leaving, in the middle of a body.
                    if read? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending => return self.poll_pace(cx),
            }
        }
        let room = buf.remaining().min(self.early.len());
        let take = match &mut self.gate {
            Gate::Message(Left::Bytes(n)) => {
                let take = room.min(usize::try_from(*n).unwrap_or(usize::MAX));
                *n -= take as u64;
                take
            }
            Gate::Message(Left::Chunks(scanner)) => {
                let bytes = self.early.get(..room).unwrap_or_default();
                scanner.advance(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?
            }
            Gate::Message(Left::Nothing) | Gate::Open => room,
        };
        if let Some(pace) = &mut self.pace {
            pace.came += take as u64;
        }
        buf.put_slice(&self.early.split_to(take));
        if matches!(self.gate, Gate::Open) && self.early.is_empty() {
            // What comes from now on goes past it.
            spare::give(std::mem::take(&mut self.early));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(pace) = &mut self.pace else { return Poll::Pending };
        while pace.check.as_mut().poll(cx).is_ready() {
            if pace.came < pace.bytes_per_second.saturating_mul(PACE_EVERY.as_secs()) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the body comes too slowly")));
            }
            pace.came = 0;
            pace.check = Box::pin(tokio::time::sleep(PACE_EVERY));
        }
        Poll::Pending
    }

    fn message_is_over(&self) -> bool {
        match &self.gate {
            Gate::Open => false,
            Gate::Message(Left::Nothing) => true,
            Gate::Message(Left::Bytes(n)) => *n == 0,
            Gate::Message(Left::Chunks(scanner)) => scanner.is_done(),
        }
    }
}

impl AsyncRead for Conn {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.replay.is_empty() {
            let take = this.replay.len().min(buf.remaining());
            buf.put_slice(&this.replay.split_to(take));
            return Poll::Ready(Ok(()));
        }
        if this.message_is_over() {
            return this.poll_past_end(cx);
        }
        if matches!(this.gate, Gate::Open) && this.early.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        this.poll_body(cx, buf)
    }
}

impl Conn {
    /// Takes some of `data`: kept until flush where it is little, so that head and body leave in one.
    fn poll_take(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let Self { io, out, gate, upgrade, .. } = self;
        // Pingora writes a head in one piece.
        if *upgrade && data.starts_with(b"HTTP/1.1 101 ") {
            *upgrade = false;
            *gate = Gate::Open;
        }
        if out.len() + data.len() <= JOIN {
            out.extend_from_slice(data);
            return Poll::Ready(Ok(data.len()));
        }
        let mut io = Pin::new(io);
        loop {
            if out.is_empty() {
                return io.as_mut().poll_write(cx, data);
            }
            let sent = ready!(io.as_mut().poll_write_vectored(cx, &[io::IoSlice::new(out), io::IoSlice::new(data)]))?;
            let head = sent.min(out.len());
            out.advance(head);
            if sent > head {
                return Poll::Ready(Ok(sent - head));
            }
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let waited = this.out.len();
        let written = this.poll_take(cx, data);
        this.poll_stall(cx, waited, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let waited = this.out.len();
        let sent = this.poll_send(cx, &mut Bytes::new());
        this.poll_stall(cx, waited, sent)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut *this).poll_flush(cx))?;
        let shut = Pin::new(&mut this.io).poll_shutdown(cx);
        this.poll_stall(cx, 0, shut)
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("peer", &self.peer).finish_non_exhaustive()
    }
}
