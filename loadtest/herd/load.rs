//! One page of many after the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};

use crate::wire::Connection;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[arg(long)]
    target: SocketAddr,
    /// How many pages there are
    #[arg(long)]
    pages: u64,
    #[arg(long)]
    seconds: u64,
    /// Requests a second at most
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Fields of each request
    #[arg(long, default_value = "")]
    fields: String,
    /// Every page once, in order; else by lot
    #[arg(long)]
    once: bool,
}

#[derive(Default)]
struct Tally {
    asked: u64,
    outcomes: BTreeMap<String, u64>,
    latency: Option<Histogram<u64>>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let args = Arc::new(args);
    let tally = Arc::new(Mutex::new(Tally { latency: Some(Histogram::new(3)?), ..Tally::default() }));
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..args.connections {
        clients.spawn(client(Arc::clone(&args), number as u64, Arc::clone(&tally), began));
    }
    while clients.join_next().await.is_some() {}
    let tally = tally.lock();
    let ms = |quantile| tally.latency.as_ref().map(|h| h.value_at_quantile(quantile) as f64 / 1e3);
    println!(
        "{}",
        json!({
            "asked": tally.asked, "outcomes": tally.outcomes, "seconds": began.elapsed().as_secs_f64(),
            "ms": { "p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0) },
        })
    );
    Ok(())
}

async fn client(args: Arc<Args>, number: u64, tally: Arc<Mutex<Tally>>, began: Instant) {
    let end = began + Duration::from_secs(args.seconds);
    let every = Duration::try_from_secs_f64(args.connections as f64 / args.rate).unwrap_or_default();
    let mut due = began + every.mul_f64(number as f64 / args.connections as f64);
    let (mut connection, mut turn) = (None, number);
    loop {
        sleep_until(due).await;
        if Instant::now() >= end || (args.once && turn >= args.pages) {
            return;
        }
        // Late ones don't catch up: the rate is at most.
        due = (due + every).max(Instant::now());
        let lot = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let page = if args.once { turn } else { lot % args.pages };
        turn += args.connections as u64;
        let asked = Instant::now();
        let outcome = match timeout(PATIENCE, one(&args, &mut connection, page)).await {
            Ok(Ok(name)) => name,
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if outcome != "200" {
            connection = None;
        }
        let mut tally = tally.lock();
        tally.asked += 1;
        *tally.outcomes.entry(outcome).or_default() += 1;
        if let Some(latency) = &mut tally.latency {
            latency.saturating_record(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
    }
}

async fn one(args: &Args, held: &mut Option<Connection>, page: u64) -> std::io::Result<String> {
    let mut connection = match held.take() {
        Some(connection) => connection,
        None => Connection::open(args.target, None).await?,
    };
    connection.send(&format!("/page/{page}"), &args.fields).await?;
    let answer = connection.answer().await?;
    *held = Some(connection);
    Ok(if answer.whole { answer.status.to_string() } else { "broken".to_owned() })
}
