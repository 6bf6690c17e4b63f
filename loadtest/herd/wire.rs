//! Requests and answers over one connection, with as little work as can be.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

const HEAD_MAX: usize = 16 << 10;
const READ: usize = 256 << 10;

pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes of its body.
    pub(crate) bytes: u64,
    /// All that Content-Length promised came.
    pub(crate) whole: bool,
}

impl Connection {
    pub(crate) async fn open(target: SocketAddr, from: Option<std::net::IpAddr>) -> io::Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        if let Some(from) = from {
            socket.bind((from, 0).into())?;
        }
        let stream = socket.connect(target).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: Vec::new() })
    }

    pub(crate) async fn send(&mut self, path: &str, fields: &str) -> io::Result<()> {
        self.request.clear();
        self.request.extend_from_slice(format!("GET {path} HTTP/1.1\r\nHost: herd.test\r\n{fields}\r\n").as_bytes());
        self.stream.write_all(&self.request).await
    }

    /// Reads an answer; its body is thrown away where it lies (`MSG_TRUNC`), so that a thousand large
    /// ones cost little here.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        let mut head = Vec::with_capacity(1024);
        let end = loop {
            if let Some(at) = head.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if head.len() > HEAD_MAX || self.stream.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let body = (head.len() - end) as u64;
        let text = String::from_utf8_lossy(head.get(..end).unwrap_or_default()).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<u64>().ok());
        let length = length.ok_or_else(|| io::Error::other("no content-length"))?;
        let mut bytes = body;
        while bytes < length {
            match self.discard(length - bytes).await {
                Ok(0) | Err(_) => break,
                Ok(n) => bytes += n as u64,
            }
        }
        Ok(Answer { status, bytes, whole: bytes == length })
    }

    async fn discard(&self, most: u64) -> io::Result<usize> {
        let most = usize::try_from(most).unwrap_or(READ).min(READ);
        let mut nowhere = [MaybeUninit::uninit(); READ];
        let nowhere = nowhere.get_mut(..most).unwrap_or_default();
        let socket = SockRef::from(&self.stream);
        self.stream.async_io(Interest::READABLE, || socket.recv_with_flags(nowhere, libc::MSG_TRUNC)).await
    }
}
