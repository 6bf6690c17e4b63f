//! Streams that end with their visitor's session: an event stream or an upgrade has no end of its own.
//!
//! The front watches what it lends to pingora. HTTP/2 is pingora's whole; there each request runs within
//! a scope of its own, in which the decision says whom to watch.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::server::ShutdownWatch;
use tokio::sync::{oneshot, watch};

use super::{Answered, Ends, Proxy};
use crate::pipeline::room::Guest;

/// How often it is looked whether a stream has outlasted its visitor's session.
const CHECKED: Duration = Duration::from_secs(1);

type Watch = (Guest, Answered);

tokio::task_local! {
    static WATCH: parking_lot::Mutex<Option<oneshot::Sender<Watch>>>;
}

/// How long a connection that has asked for nothing yet is still served once the edge retires: its client
/// has sent its first request, or is about to.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Pingora's proxy for one HTTP/2 connection, each of its requests watched.
pub struct Streams {
    proxy: Arc<Proxy>,
    asked: watch::Sender<bool>,
}

impl Streams {
    pub fn new(proxy: Arc<Proxy>) -> Self {
        Self { proxy, asked: watch::Sender::new(false) }
    }

    /// True once the connection is to take no more streams, and to end with those it has (RFC 9113 §6.8).
    pub fn leaving(&self, ends: Ends) -> ShutdownWatch {
        let Ends { mut retiring, mut shutdown } = ends;
        let mut asked = self.asked.subscribe();
        let (leave, leaving) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = retiring.wait_for(|retiring| *retiring) => {}
                // The connection is over.
                () = leave.closed() => return,
            }
            tokio::select! {
                _ = asked.wait_for(|asked| *asked) => {}
                _ = shutdown.wait_for(|shutdown| *shutdown) => {}
                () = tokio::time::sleep(FIRST_REQUEST) => {}
            }
            leave.send_replace(true);
            leave.closed().await;
        });
        leaving
    }
}

#[async_trait]
impl HttpServerApp for Streams {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.asked.send_if_modified(|asked| !std::mem::replace(asked, true));
        let (tell, told) = oneshot::channel();
        let served = WATCH.scope(parking_lot::Mutex::new(Some(tell)), self.proxy.process_new_http(session, shutdown));
        let outstayed = async {
            match told.await {
                Ok((guest, answered)) => outstays(guest, &answered).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            served = served => served,
            () = outstayed => None,
        }
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }
}

/// The request that is being decided is this visitor's.
pub(super) fn watch(guest: Guest, answered: Answered) {
    // Outside of such a scope the front watches.
    let _ = WATCH.try_with(|watch| watch.lock().take().map(|tell| tell.send((guest, answered))));
}

/// Resolves when a stream has outlasted its visitor's session; anything else may end in its own time.
pub async fn outstays(guest: Guest, answered: &Answered) {
    loop {
        tokio::time::sleep(CHECKED).await;
        if answered.is_stream() && guest.is_over() {
            return;
        }
    }
}
