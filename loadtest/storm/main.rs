//! An open-loop storm of many streams: visitors come when the plan says, however slow the answers.
//!
//! The plan is JSON on standard input (see [`plan::Plan`]), the figures are JSON on standard output.
//! HTTP/1.1 with keep-alive from the address that a stream names; Retry-After is not obeyed. Much
//! lighter than k6, with series over time, visitors with addresses of their own, and retries.
#![expect(clippy::disallowed_methods, reason = "a load generator measures real time")]

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until, timeout};

mod client;
mod plan;
mod tally;

use client::Client;
use plan::{Plan, Stream};
use tally::{Outcome, Tally};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let plan: Plan = serde_json::from_str(&text).context("no plan on standard input")?;
    let plan = Arc::new(plan);
    let open = Arc::new(AtomicUsize::new(0));
    // A moment later, so that no stream begins late.
    let began = Instant::now() + Duration::from_millis(50);
    let mut streams = tokio::task::JoinSet::new();
    for (number, stream) in plan.streams.iter().enumerate() {
        let storm = Arc::new(Storm {
            client: Client::new(&plan, stream, Arc::clone(&open)),
            tally: Tally::new(began),
            stream: stream.clone(),
            timeout: Duration::from_millis(plan.timeout_ms),
            good: Duration::from_millis(plan.good_ms),
        });
        streams.spawn(storm.run(began, number));
    }
    // Whoever changes the origin in the middle of the storm counts from this line.
    sleep_until(began).await;
    eprintln!("began");
    let mut figures = serde_json::Map::new();
    while let Some(ended) = streams.join_next().await {
        let (name, value) = ended??;
        figures.insert(name, value);
    }
    println!("{}", serde_json::json!({ "streams": figures, "connections": open.load(Ordering::Relaxed) }));
    Ok(())
}

/// One stream of visitors.
struct Storm {
    client: Client,
    tally: Tally,
    stream: Stream,
    timeout: Duration,
    good: Duration,
}

impl Storm {
    async fn run(self: Arc<Self>, began: Instant, number: usize) -> anyhow::Result<(String, serde_json::Value)> {
        let mut visits = tokio::task::JoinSet::new();
        for due in self.stream.arrivals(number) {
            let due = began + due;
            sleep_until(due).await;
            self.tally.came(due);
            visits.spawn(Arc::clone(&self).visit());
            // What has ended is forgotten at once: a long storm has millions.
            while visits.try_join_next().is_some() {}
        }
        while visits.join_next().await.is_some() {}
        Ok((self.stream.name.clone(), self.tally.figures()?))
    }

    /// One visitor: asks, and asks again at once as often as the stream's visitors do.
    async fn visit(self: Arc<Self>) {
        let began = Instant::now();
        let mut outcome = Outcome::Unsent;
        for _ in 0..=self.stream.retries {
            self.tally.asked();
            outcome = match timeout(self.timeout, self.client.get(&self.stream.path)).await {
                Ok(Ok(200)) if began.elapsed() <= self.good => Outcome::Good(began.elapsed()),
                Ok(Ok(200)) => Outcome::Slow(began.elapsed()),
                Ok(Ok(status @ (429 | 503))) => Outcome::Refused(status),
                Ok(Ok(status)) => Outcome::Failed(status.to_string()),
                Ok(Err(client::Error::Full)) => Outcome::Unsent,
                Ok(Err(error)) => Outcome::Failed(error.to_string()),
                Err(_) => Outcome::Failed("timeout".to_owned()),
            };
            if matches!(outcome, Outcome::Good(_) | Outcome::Slow(_) | Outcome::Unsent) {
                break;
            }
        }
        self.tally.left(outcome);
    }
}
