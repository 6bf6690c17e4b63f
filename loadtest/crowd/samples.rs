//! The room's own figures, each tenth of a second, from the admin listener.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::Clock;
use crate::crowd::Crowd;
use crate::judge::Sample;

const EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(2);

/// Samples until the end. What cannot be had is left out: the edge may be down.
pub(crate) async fn take(admin: SocketAddr, clock: Clock, crowd: Rc<Crowd>) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if let Ok(Ok(status)) = timeout(PATIENCE, status(admin)).await
            && let Some(sample) = sample(&status, &crowd.plan.room, clock)
        {
            crowd.sample(sample);
        }
    }
}

async fn status(admin: SocketAddr) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(8192);
    stream.read_to_end(&mut bytes).await?;
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
    Ok(serde_json::from_slice(bytes.get(body + 4..).unwrap_or_default())?)
}

fn sample(status: &Value, room: &str, clock: Clock) -> Option<Sample> {
    let rooms = status.get("waiting_rooms")?.as_array()?;
    let room = rooms.iter().find(|r| r.get("name").and_then(Value::as_str) == Some(room))?;
    let of = |key: &str| room.get(key).and_then(Value::as_u64);
    let small = |key: &str| of(key).and_then(|n| u32::try_from(n).ok());
    Some(Sample {
        at: clock.after(),
        waiting: small("waiting")?.saturating_add(small("returning")?),
        inside: small("inside")?,
        reserved: small("reserved")?,
        leased: small("leased")?,
        no_shows: of("no_shows_total")?,
        returns: of("returns_total")?,
        willing: 0,
    })
}
