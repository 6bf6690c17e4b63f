//! A client of the second door: HTTP/2 over TLS.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{Answer, PATIENCE};

/// A connection, with a runtime of its own.
pub struct H2 {
    runtime: Arc<Runtime>,
    send: SendRequest<Pieces>,
}

/// A body given piece by piece.
pub struct Pieces(mpsc::UnboundedReceiver<Bytes>, bool);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|p| Ok(Frame::data(p))))
    }

    fn is_end_stream(&self) -> bool {
        self.1
    }
}

/// A request whose answer has not been waited for.
pub struct Asked {
    runtime: Arc<Runtime>,
    task: tokio::task::JoinHandle<hyper::Result<Response<Incoming>>>,
}

impl H2 {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self::connect_on(&Arc::new(runtime), address)
    }

    /// On a runtime shared with others: for many connections.
    #[track_caller]
    pub fn connect_on(runtime: &Arc<Runtime>, address: SocketAddr) -> Self {
        let send = runtime.block_on(async {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(super::certificate().0.as_bytes()).unwrap()).unwrap();
            let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols = vec![b"h2".to_vec()];
            let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
            tokio::spawn(connection);
            send
        });
        Self { runtime: runtime.clone(), send }
    }

    #[track_caller]
    pub fn get(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, path, fields, &[]).answer()
    }

    /// Begins a request with a whole body.
    pub fn ask(&mut self, method: Method, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Asked {
        let (pieces, request) = self.begin(method, path, fields, body.is_empty());
        for piece in body.chunks(16 << 10) {
            // A refusal may come first, and then nobody wants the rest.
            let _ = pieces.send(Bytes::copy_from_slice(piece));
        }
        request
    }

    /// Begins a request whose body comes piece by piece; dropped, the sender ends it.
    pub fn begin(
        &mut self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        bodyless: bool,
    ) -> (mpsc::UnboundedSender<Bytes>, Asked) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut request = Request::builder().method(method).uri(format!("https://localhost{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Pieces(receiver, bodyless)).unwrap();
        let mut send = self.send.clone();
        let task = self.runtime.spawn(async move {
            send.ready().await?;
            send.send_request(request).await
        });
        (sender, Asked { runtime: self.runtime.clone(), task })
    }
}

impl Asked {
    /// The answer, whole.
    #[track_caller]
    pub fn answer(self) -> Answer {
        self.try_answer().expect("a whole answer")
    }

    pub fn try_answer(self) -> hyper::Result<Answer> {
        let Self { runtime, task } = self;
        runtime.block_on(async {
            let whole = async {
                let response = task.await.unwrap()?;
                let (head, body) = response.into_parts();
                let text = |v: &http::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
                let fields = head.headers.iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
                let body = body.collect().await?.to_bytes().to_vec();
                Ok(Answer { status: head.status.as_u16(), version: "HTTP/2".to_owned(), fields, body })
            };
            tokio::time::timeout(PATIENCE, whole).await.expect("an answer in time")
        })
    }

    /// Gives the request up: the stream is reset.
    pub fn leave(self) {
        self.task.abort();
    }
}
