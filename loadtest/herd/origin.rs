//! An origin whose paths say how it answers, and that counts what it was asked.
//!
//! - `/cacheable/…` after `--delay`: a page for everyone, for ten minutes
//! - `/fails/…` after `--delay`: a 503
//! - `/private/…` after `--delay`: a page with no-store
//! - `/page/N` at once: `--page` bytes, for everyone, without a lifetime of its own
//! - `/large/MIB[/die]` after `--delay`: so many MiB at `--rate`; with `die` the connection breaks half-way
//! - `/stats`: by the path's first part, how often and how many at once, and the least time between two

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

const PIECE: usize = 64 << 10;
const BACKLOG: u32 = 4096;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    delay: Duration,
    /// Bytes of a page
    #[arg(long, default_value_t = 8192)]
    page: usize,
    /// MiB a second of a large answer
    #[arg(long, default_value_t = 64.0)]
    rate: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Count {
    requests: u64,
    at_once: u64,
    most_at_once: u64,
    least_between_ms: Option<u64>,
    #[serde(skip)]
    last: Option<Instant>,
}

#[derive(Debug)]
struct Origin {
    args: Args,
    page: Bytes,
    counts: Mutex<BTreeMap<String, Count>>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let socket = if args.listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(args.listen)?;
    let listener = socket.listen(BACKLOG)?;
    let page = text(args.page);
    let origin = Arc::new(Origin { args, page, counts: Mutex::default() });
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let origin = Arc::clone(&origin);
        let service = service_fn(move |request| answer(Arc::clone(&origin), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// So many bytes that can be compressed as text can.
fn text(bytes: usize) -> Bytes {
    let words = "the quick brown fox jumps over the lazy dog and reads <p class=\"news\">what is new today</p>\n";
    words.bytes().cycle().take(bytes).collect()
}

/// Counts one as long as it is worked on.
struct Working {
    origin: Arc<Origin>,
    kind: String,
}

impl Working {
    fn begin(origin: &Arc<Origin>, kind: &str) -> Self {
        let now = Instant::now();
        let mut counts = origin.counts.lock();
        let count = counts.entry(kind.to_owned()).or_default();
        count.requests += 1;
        count.at_once += 1;
        count.most_at_once = count.most_at_once.max(count.at_once);
        if let Some(last) = count.last.replace(now) {
            let between = u64::try_from((now - last).as_millis()).unwrap_or(u64::MAX);
            count.least_between_ms = Some(count.least_between_ms.map_or(between, |least| least.min(between)));
        }
        Self { origin: Arc::clone(origin), kind: kind.to_owned() }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(count) = self.origin.counts.lock().get_mut(&self.kind) {
            count.at_once -= 1;
        }
    }
}

type Answer = Response<BoxBody<Bytes, io::Error>>;

async fn answer(origin: Arc<Origin>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let mut parts = path.split('/').skip(1);
    let kind = parts.next().unwrap_or_default();
    if kind == "stats" {
        let stats = serde_json::to_vec(&*origin.counts.lock()).unwrap_or_default();
        return Ok(whole(StatusCode::OK, "no-store", stats.into()));
    }
    let working = Working::begin(&origin, kind);
    if kind == "page" {
        let page = origin.page.clone();
        return Ok(whole(StatusCode::OK, "", page));
    }
    sleep(origin.args.delay).await;
    Ok(match kind {
        "cacheable" => whole(StatusCode::OK, "max-age=600", origin.page.clone()),
        "private" => whole(StatusCode::OK, "no-store", origin.page.clone()),
        "large" => {
            let mib: usize = parts.next().and_then(|n| n.parse().ok()).unwrap_or(1);
            large(working, mib << 20, parts.next() == Some("die"))
        }
        _ => whole(StatusCode::SERVICE_UNAVAILABLE, "", Bytes::from_static(b"down\n")),
    })
}

fn whole(status: StatusCode, cache_control: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::from(body).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/html"));
    if !cache_control.is_empty() {
        fields.insert(header::CACHE_CONTROL, header::HeaderValue::from_static(cache_control));
    }
    answer
}

/// A body that comes at a rate, and may break off.
struct Large {
    working: Working,
    left: usize,
    /// What is left when it breaks off.
    dies_at: Option<usize>,
    piece: Bytes,
    began: Instant,
    sent: usize,
    pause: std::pin::Pin<Box<tokio::time::Sleep>>,
}

fn large(working: Working, bytes: usize, dies: bool) -> Answer {
    let began = Instant::now();
    let body = Large {
        working,
        left: bytes,
        dies_at: dies.then_some(bytes / 2),
        piece: text(PIECE),
        began,
        sent: 0,
        pause: Box::pin(sleep(Duration::ZERO)),
    };
    let mut answer = Response::new(body.boxed());
    answer.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("max-age=600"));
    answer
}

impl Body for Large {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return None.into();
        }
        if this.dies_at.is_some_and(|at| this.left <= at) {
            return Some(Err(io::ErrorKind::ConnectionAborted.into())).into();
        }
        std::task::ready!(this.pause.as_mut().poll(cx));
        let piece = this.piece.slice(..PIECE.min(this.left));
        this.left -= piece.len();
        this.sent += piece.len();
        let rate = this.working.origin.args.rate * f64::from(1 << 20);
        let due = Duration::try_from_secs_f64(this.sent as f64 / rate).unwrap_or_default();
        this.pause.as_mut().reset(this.began + due);
        Some(Ok(Frame::data(piece))).into()
    }
}
