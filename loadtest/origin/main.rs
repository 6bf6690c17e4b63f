//! An origin to storm: a modelled application server whose capacity is exact and can be changed.
//!
//! A few workers, each a thread that sleeps for the time a page takes, behind an endless backlog.
//! As in a real server, nobody notices that a visitor has left: what waits in the backlog is worked
//! on all the same. Its control has a port of its own, so that it answers while the origin is dead:
//!
//! - `POST /control`: JSON of [`Change`]; what is left out stays.
//! - `GET /stats`: JSON of [`counts::Stats`].
//!
//! On the origin itself every path takes a worker, but `/healthz`, which is free, and `…/payment…`,
//! which waits for somebody else's server and holds nothing here.
#![expect(clippy::disallowed_methods, reason = "a model of a server in real time")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

mod counts;
mod workers;

use counts::Counts;
use workers::{Shape, Workers};

const CONTROL_BODY_MAX: usize = 4096;
const BACKLOG: u32 = 4096;

#[derive(Parser, Debug)]
#[command(about = "An origin to storm")]
struct Args {
    /// Where requests arrive
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Where it is controlled: POST /control, GET /stats
    #[arg(long, default_value = "127.0.0.1:9001")]
    control: SocketAddr,
    /// Requests worked on at once
    #[arg(long, default_value_t = 4)]
    workers: u32,
    /// The time a page takes while no more requests are in flight than there are workers
    #[arg(long, default_value = "20ms", value_parser = humantime::parse_duration)]
    service: Duration,
    /// How much slower it gets for each further `workers` requests in flight; 0: not at all
    #[arg(long, default_value_t = 0.0)]
    collapse: f64,
    /// Sigma of a lognormal distribution of the time a page takes, whose mean stays; 0: always the same
    #[arg(long, default_value_t = 0.0)]
    lognormal: f64,
    /// How long a path with /payment in it waits for the payment provider
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    payment: Duration,
}

/// What `POST /control` takes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Change {
    workers: Option<u32>,
    service_ms: Option<f64>,
    collapse: Option<f64>,
    lognormal: Option<f64>,
    payment_ms: Option<u64>,
    /// From now on, for so long, nothing is answered; what became ready comes all at once after it.
    pause_ms: Option<u64>,
    /// True: nothing listens, and every connection is reset.
    dead: Option<bool>,
    /// Counts begin anew.
    reset: bool,
}

#[derive(Debug)]
struct Origin {
    workers: Arc<Workers>,
    counts: Arc<Counts>,
    payment: watch::Sender<Duration>,
    dead: watch::Sender<bool>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let shape =
        Shape { workers: args.workers, service: args.service, collapse: args.collapse, lognormal: args.lognormal };
    let counts = Arc::new(Counts::new());
    let origin = Arc::new(Origin {
        workers: Workers::start(shape, Arc::clone(&counts)),
        counts,
        payment: watch::Sender::new(args.payment),
        dead: watch::Sender::new(false),
    });
    let control = listen(args.control)?;
    tokio::spawn(controlled(control, Arc::clone(&origin)));
    loop {
        origin.dead.subscribe().wait_for(|dead| !dead).await?;
        let listener = listen(args.listen)?;
        serve(&listener, &origin).await;
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| format!("cannot listen on {address}"))?;
    Ok(socket.listen(BACKLOG)?)
}

/// Takes connections until the origin is dead.
async fn serve(listener: &TcpListener, origin: &Arc<Origin>) {
    let mut death = origin.dead.subscribe();
    loop {
        tokio::select! {
            _ = death.wait_for(|dead| *dead) => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(stream, Arc::clone(origin)));
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, origin: Arc<Origin>) {
    // Without it, loopback answers may wait 40 ms for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut death = origin.dead.subscribe();
    let service = service_fn(move |request| answer(Arc::clone(&origin), request));
    let mut served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = &mut served => {}
        _ = death.wait_for(|dead| *dead) => {
            // Closed without lingering: the other end sees a reset, as when a process is killed.
            let stream = served.into_parts().io.into_inner();
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}

async fn answer(origin: Arc<Origin>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/healthz" {
        return Ok(text(StatusCode::OK, "well\n"));
    }
    let arrival = origin.counts.arrival(&path);
    let _ = request.into_body().collect().await;
    if path.contains("/payment") {
        let wait = *origin.payment.borrow();
        tokio::time::sleep(wait).await;
        arrival.served();
        return Ok(text(StatusCode::OK, "paid\n"));
    }
    if !origin.workers.work(arrival).await {
        return Ok(text(StatusCode::INTERNAL_SERVER_ERROR, "no worker left\n"));
    }
    Ok(text(StatusCode::OK, "a page that is made anew for everyone\n"))
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

async fn controlled(listener: TcpListener, origin: Arc<Origin>) {
    while let Ok((stream, _)) = listener.accept().await {
        let origin = Arc::clone(&origin);
        let service = service_fn(move |request| control(Arc::clone(&origin), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn control(origin: Arc<Origin>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, serde_json::Error> {
    let asked = (request.method().clone(), request.uri().path().to_owned());
    Ok(match (&asked.0, asked.1.as_str()) {
        (&Method::GET, "/stats") => json(StatusCode::OK, &origin.counts.stats())?,
        (&Method::POST, "/control") => {
            let body = Limited::new(request.into_body(), CONTROL_BODY_MAX).collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            match serde_json::from_slice::<Change>(&body) {
                Ok(change) => {
                    origin.apply(&change);
                    json(StatusCode::OK, &origin.counts.stats())?
                }
                Err(error) => json(StatusCode::BAD_REQUEST, &error.to_string())?,
            }
        }
        _ => json(StatusCode::NOT_FOUND, &"POST /control or GET /stats")?,
    })
}

fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Full<Bytes>>, serde_json::Error> {
    let mut response = Response::new(Full::from(serde_json::to_vec(value)?));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Origin {
    fn apply(&self, change: &Change) {
        if change.reset {
            self.counts.reset();
        }
        self.workers.reshape(|shape| {
            shape.workers = change.workers.unwrap_or(shape.workers);
            if let Some(ms) = change.service_ms {
                shape.service = Duration::try_from_secs_f64(ms / 1e3).unwrap_or(shape.service);
            }
            shape.collapse = change.collapse.unwrap_or(shape.collapse);
            shape.lognormal = change.lognormal.unwrap_or(shape.lognormal);
        });
        if let Some(ms) = change.payment_ms {
            self.payment.send_replace(Duration::from_millis(ms));
        }
        if let Some(ms) = change.pause_ms {
            self.workers.pause(Duration::from_millis(ms));
        }
        if let Some(dead) = change.dead {
            self.dead.send_replace(dead);
        }
    }
}
