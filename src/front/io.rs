//! The socket below a connection: plain, or TLS.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The socket.
pub enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    /// Whether ALPN chose HTTP/2.
    pub fn is_http2(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Lets its close be a reset.
    pub fn reset_by_close(&self) {
        let socket = match self {
            Self::Tcp(io) => SockRef::from(io),
            Self::Tls(io) => SockRef::from(io.get_ref().0),
        };
        // Where it fails, the connection is gone already.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}

/// Reads what has come, without the C library between: its calls are points of cancellation, which costs a
/// request three parts in a hundred.
fn poll_recv(io: &TcpStream, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    let room = buf.remaining();
    let came = ready!(poll_io(io, cx, Interest::READABLE, room, || {
        let (filled, _) = recv(io, buf.initialize_unfilled(), RecvFlags::empty())?;
        Ok(filled)
    }))?;
    buf.advance(came);
    Poll::Ready(Ok(()))
}

/// Sends as much as the socket takes; see [`poll_recv`].
fn poll_send(io: &TcpStream, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
    poll_io(io, cx, Interest::WRITABLE, data.len(), || Ok(send(io, data, SendFlags::NOSIGNAL)?))
}

/// Does what moves up to `most` bytes as soon as the socket is ready. Where fewer moved, the socket has no more
/// now (epoll(7), question 9), so the next one need not ask in vain.
fn poll_io(
    io: &TcpStream,
    cx: &mut Context<'_>,
    interest: Interest,
    most: usize,
    mut moves: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(if interest.is_readable() { io.poll_read_ready(cx) } else { io.poll_write_ready(cx) })?;
        let mut moved = None;
        let outcome = io.try_io(interest, || match moves() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Ok(count) if count > 0 && count < most => {
                moved = Some(count);
                Err(io::ErrorKind::WouldBlock.into())
            }
            outcome => outcome.map(Some),
        });
        match (moved, outcome) {
            (Some(count), _) | (None, Ok(Some(count))) => return Poll::Ready(Ok(count)),
            (None, Ok(None)) => {}
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            (None, Err(error)) => return Poll::Ready(Err(error)),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => poll_recv(io, cx, buf),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => poll_send(io, cx, data),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => {
                let most = data.iter().map(|part| part.len()).sum();
                poll_io(io, cx, Interest::WRITABLE, most, || {
                    Ok(sendmsg(&*io, data, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
                })
            }
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }
}

impl AsRawFd for Io {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(io) => io.as_raw_fd(),
            Self::Tls(io) => io.get_ref().0.as_raw_fd(),
        }
    }
}
