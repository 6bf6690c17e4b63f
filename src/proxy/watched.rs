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
use tokio::sync::oneshot;

use super::{Answered, Proxy};
use crate::pipeline::room::Guest;

/// How often it is looked whether a stream has outlasted its visitor's session.
const CHECKED: Duration = Duration::from_secs(1);

type Watch = (Guest, Answered);

tokio::task_local! {
    static WATCH: parking_lot::Mutex<Option<oneshot::Sender<Watch>>>;
}

/// Pingora's proxy for HTTP/2, each of its requests watched.
pub struct Streams(pub Arc<Proxy>);

#[async_trait]
impl HttpServerApp for Streams {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let (tell, told) = oneshot::channel();
        let served = WATCH.scope(parking_lot::Mutex::new(Some(tell)), self.0.process_new_http(session, shutdown));
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
        self.0.server_options()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.0.h2_options()
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
