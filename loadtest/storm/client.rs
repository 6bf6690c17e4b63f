//! Kept-alive connections from one address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::plan::{Plan, Stream};

pub(crate) struct Client {
    target: SocketAddr,
    host: String,
    from: Option<IpAddr>,
    /// The one used last comes first, as in every pool: what is not needed grows old.
    idle: Mutex<Vec<Connection>>,
    /// Connections of all clients.
    open: Arc<AtomicUsize>,
    open_max: usize,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no connection left")]
    Full,
    #[error("connect")]
    Connect(#[from] std::io::Error),
    #[error("cut off")]
    CutOff(#[from] hyper::Error),
    #[error("bad request")]
    Request(#[from] http::Error),
}

struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
    _counted: Counted,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A visitor who gives up closes: nothing reads on behind their back.
        self.driver.abort();
    }
}

/// One of the connections there may be; dropped, another may take its place.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Client {
    pub(crate) fn new(plan: &Plan, stream: &Stream, open: Arc<AtomicUsize>) -> Self {
        Self {
            target: plan.target,
            host: plan.target.to_string(),
            from: stream.from,
            idle: Mutex::new(Vec::new()),
            open,
            open_max: plan.connections_max,
        }
    }

    /// The answer's status, when its body has been read. A kept connection that the server closed in
    /// the same moment is no failure: as every browser does, the request is sent over a new one.
    pub(crate) async fn get(&self, path: &str) -> Result<u16, Error> {
        let kept = self.idle.lock().pop();
        if let Some(kept) = kept
            && !kept.sender.is_closed()
        {
            match self.exchange(kept, path).await {
                Err(Error::CutOff(error)) if error.is_canceled() || error.is_incomplete_message() => {}
                answered => return answered,
            }
        }
        let fresh = self.connect().await?;
        self.exchange(fresh, path).await
    }

    async fn exchange(&self, mut connection: Connection, path: &str) -> Result<u16, Error> {
        let request = Request::get(path).header(header::HOST, &self.host).body(Empty::new())?;
        let answer = connection.sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        if connection.sender.ready().await.is_ok() {
            self.idle.lock().push(connection);
        }
        Ok(status)
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let others = self.open.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&self.open));
        if others >= self.open_max {
            return Err(Error::Full);
        }
        let socket = if self.target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = self.from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(self.target).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // How it ended is told to whoever waits for the answer.
            let _ = driver.await;
        });
        Ok(Connection { sender, driver, _counted: counted })
    }
}
