//! A fragile shop: a real HTTP server that does well up to its capacity and collapses beyond it.
//!
//! What is modelled is an application server with a few workers and an endless backlog: requests
//! wait in front of the workers without bound, every request in flight slows the others down
//! (locks, memory, a database's connections), a worker is held while a body trickles in, and a
//! visitor who has given up is served all the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::pages;
use crate::clock::Clock;

/// What the shop can carry, and how it fails.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Requests worked on at once.
    pub workers: u32,
    /// The time a worker takes while nobody else is in flight.
    pub service: Duration,
    /// How much slower it gets for each further `workers` requests in flight: at 0.5, a page takes
    /// half as long again when as many requests wait as are worked on.
    pub collapse: f64,
}

impl Shape {
    /// 4 workers × 20 ms: 200 requests/s, collapsing.
    pub const FRAGILE: Self = Self { workers: 4, service: Duration::from_millis(20), collapse: 0.5 };

    /// Requests a second at best.
    pub fn capacity(&self) -> f64 {
        f64::from(self.workers) / self.service.as_secs_f64()
    }

    fn service_at(&self, in_flight: usize) -> Duration {
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX).max(self.workers);
        let load = f64::from(in_flight) / f64::from(self.workers);
        self.service.mul_f64(1.0 + self.collapse * (load - 1.0))
    }
}

/// What the shop has counted since it opened. Style sheets, `/healthz` and `/stats` don't count.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stats {
    /// Requests that came.
    pub requests: u64,
    /// Requests answered.
    pub served: u64,
    /// Requests waiting or worked on now.
    pub in_flight: usize,
    /// The most that ever were.
    pub peak_in_flight: usize,
    /// Orders taken.
    pub orders: u64,
}

/// A shop that is open.
#[derive(Debug)]
pub struct ShopHandle {
    /// Where it listens.
    pub addr: SocketAddr,
    floor: Arc<Floor>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl ShopHandle {
    /// What it has counted so far.
    pub fn stats(&self) -> Stats {
        self.floor.stats()
    }

    /// Forgets the peak, so that the next storm is measured by itself.
    pub fn reset_peak(&self) {
        self.floor.peak.store(self.floor.in_flight.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Closes the shop: nobody waits for a backlog that may take minutes.
    pub async fn shutdown(self) {
        self.floor.workers.close();
        let _ = self.stop.send(true);
        self.server.abort();
        // Aborted on purpose: the outcome says nothing.
        let _ = self.server.await;
    }
}

/// Opens and closes shops.
#[derive(Debug)]
pub struct Shop;

impl Shop {
    /// Opens a shop on a listener that the caller has bound.
    pub fn start(listener: TcpListener, shape: Shape) -> anyhow::Result<ShopHandle> {
        let addr = listener.local_addr()?;
        let floor = Arc::new(Floor::new(shape));
        let (stop, mut stopped) = watch::channel(false);
        let router = router(Arc::clone(&floor))?;
        let listener = listener.tap_io(|stream| {
            // Without it, loopback answers may wait 40 ms for an acknowledgement.
            let _ = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            let closing = async move {
                let _ = stopped.changed().await;
            };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(closing).await {
                tracing::error!(%error, "the demo shop stopped");
            }
        });
        Ok(ShopHandle { addr, floor, stop, server })
    }
}

fn router(floor: Arc<Floor>) -> anyhow::Result<Router> {
    let worked = pages::router(Arc::clone(&floor))?.layer(middleware::from_fn_with_state(Arc::clone(&floor), work));
    let cheap = Router::new()
        .route("/healthz", get(async || "well\n"))
        .route("/stats", get(async |State(floor): State<Arc<Floor>>| axum::Json(floor.stats())))
        .route("/assets/shop.css", get(pages::style))
        .with_state(floor);
    Ok(worked.merge(cheap))
}

/// Every page takes a worker, as it would in an application that renders each one anew.
async fn work(State(floor): State<Arc<Floor>>, request: Request, next: Next) -> Response {
    // On its own task, because an application server rarely notices that the visitor has left:
    // the work in its backlog is done all the same, for nobody.
    let served = tokio::spawn(async move { floor.serve(request, next).await }).await;
    served.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The workers, and those in front of them.
#[derive(Debug)]
pub(super) struct Floor {
    shape: Shape,
    clock: Clock,
    workers: Semaphore,
    /// How much longer than asked each idle worker's last sleep took.
    lags: Mutex<Vec<Duration>>,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    requests: AtomicU64,
    served: AtomicU64,
    orders: AtomicU64,
}

impl Floor {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            clock: Clock::start(),
            workers: Semaphore::new(shape.workers as usize),
            lags: Mutex::new(Vec::with_capacity(shape.workers as usize)),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            served: AtomicU64::new(0),
            orders: AtomicU64::new(0),
        }
    }

    /// Counts an order and gives its number.
    pub(super) fn order(&self) -> u64 {
        self.orders.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Ordering::Relaxed),
            served: self.served.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::SeqCst),
            peak_in_flight: self.peak.load(Ordering::SeqCst),
            orders: self.orders.load(Ordering::Relaxed),
        }
    }

    async fn serve(&self, request: Request, next: Next) -> Response {
        let _inside = self.enter();
        let Ok(_worker) = self.workers.acquire().await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        // The body is read in here: a slow upload holds its worker, as it does in real life.
        let response = next.run(request).await;
        self.labour().await;
        self.served.fetch_add(1, Ordering::Relaxed);
        response
    }

    /// Takes the time a page takes. Timers wake up to a millisecond late, which would cost the
    /// shop a twentieth of its capacity: a worker makes good on its next page what it overslept.
    async fn labour(&self) {
        let service = self.shape.service_at(self.in_flight.load(Ordering::SeqCst));
        let lag = self.lags.lock().pop().unwrap_or_default();
        let asked = service.saturating_sub(lag);
        let began = self.clock.mono();
        tokio::time::sleep(asked).await;
        let overslept = self.clock.mono().since(began).saturating_sub(asked);
        self.lags.lock().push(overslept.min(self.shape.service / 4));
    }

    fn enter(&self) -> Inside<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
        Inside(self)
    }
}

/// One request in flight; dropped, it is none.
struct Inside<'a>(&'a Floor);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_with_nobody_waiting_is_as_fast_as_it_can_be() {
        assert_eq!(Shape::FRAGILE.service_at(1), Duration::from_millis(20));
        assert_eq!(Shape::FRAGILE.service_at(4), Duration::from_millis(20));
        assert!((Shape::FRAGILE.capacity() - 200.0).abs() < f64::EPSILON);
    }

    #[test]
    fn every_request_in_flight_slows_the_others_down() {
        assert_eq!(Shape::FRAGILE.service_at(8), Duration::from_millis(30));
        assert_eq!(Shape::FRAGILE.service_at(404), Duration::from_millis(1020));
    }
}
