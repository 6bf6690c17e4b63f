//! All ask at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::{Barrier, Semaphore};
use tokio::time::{Instant, timeout};

use crate::wire::Connection;

/// Connections opened at a time.
const OPENING: usize = 256;
/// Clients from one address.
const PER_ADDRESS: usize = 2_000;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[arg(long)]
    target: SocketAddr,
    #[arg(long)]
    path: String,
    /// How many ask
    #[arg(long)]
    clients: usize,
    /// How long each waits for its answer
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration)]
    patience: Duration,
}

enum Outcome {
    Answer { status: u16, whole: bool, bytes: u64, took: Duration },
    Failed(String),
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let args = Arc::new(args);
    let (opening, together) = (Arc::new(Semaphore::new(OPENING)), Arc::new(Barrier::new(args.clients)));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..args.clients {
        clients.spawn(client(Arc::clone(&args), number, Arc::clone(&opening), Arc::clone(&together)));
    }
    let (mut statuses, mut failed) = (BTreeMap::<u16, u64>::new(), BTreeMap::<String, u64>::new());
    let (mut broken, mut bytes, mut latency) = (0_u64, 0_u64, Histogram::<u64>::new(3)?);
    while let Some(outcome) = clients.join_next().await {
        match outcome? {
            Outcome::Answer { status, whole, bytes: of_this, took } => {
                bytes += of_this;
                if whole {
                    *statuses.entry(status).or_default() += 1;
                    latency.record(u64::try_from(took.as_micros())?)?;
                } else {
                    broken += 1;
                }
            }
            Outcome::Failed(why) => *failed.entry(why).or_default() += 1,
        }
    }
    let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "{}",
        json!({
            "whole": statuses, "broken": broken, "failed": failed, "bytes": bytes,
            "ms": { "p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0) },
        })
    );
    Ok(())
}

async fn client(args: Arc<Args>, number: usize, opening: Arc<Semaphore>, together: Arc<Barrier>) -> Outcome {
    let from = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + u32::try_from(number / PER_ADDRESS).unwrap_or(0));
    let connection = {
        let _turn = opening.acquire().await;
        Connection::open(args.target, Some(IpAddr::V4(from))).await
    };
    together.wait().await;
    let mut connection = match connection {
        Ok(connection) => connection,
        Err(e) => return Outcome::Failed(format!("connect: {e}")),
    };
    let began = Instant::now();
    if let Err(e) = connection.send(&args.path, "").await {
        return Outcome::Failed(format!("send: {e}"));
    }
    match timeout(args.patience, connection.answer()).await {
        Ok(Ok(answer)) => {
            Outcome::Answer { status: answer.status, whole: answer.whole, bytes: answer.bytes, took: began.elapsed() }
        }
        Ok(Err(e)) => Outcome::Failed(e.to_string()),
        Err(_) => Outcome::Failed("no answer in time".to_owned()),
    }
}
