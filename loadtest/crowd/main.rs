//! A crowd for a waiting room: visitors by the hundred thousand, over real connections, and the
//! origin behind the room in the same process, so that one clock sees both.
//!
//! The plan is JSON on standard input (see [`plan::Plan`]). On standard output: a line of JSON a
//! second, `{"progress": …}`, and at the end `{"figures": …}`. Each visitor comes, gets a stub, draws
//! a number, asks for the place when told to, sees the pages of a journey, and goes. What the figures
//! prove is said in [`judge`].
#![expect(clippy::disallowed_methods, reason = "a load generator measures real time")]

use std::io::Read as _;
use std::rc::Rc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

// The simulation's own, so that both crowds come alike.
#[path = "../../src/simulation/crowd.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod arrivals;
mod clock;
mod crowd;
mod judge;
mod lines;
mod origin;
mod plan;
#[path = "../../src/simulation/random.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod random;
mod samples;
mod tally;
mod visitor;

use clock::Clock;
use crowd::Crowd;
use plan::Plan;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let plan: Plan = serde_json::from_str(&text).context("no plan on standard input")?;
    rlimit::increase_nofile_limit(u64::MAX)?;
    LocalSet::new().run_until(run(plan)).await
}

async fn run(plan: Plan) -> anyhow::Result<()> {
    let listener = TcpListener::bind(plan.origin).await.context("the origin can't listen")?;
    let (admin, clock) = (plan.admin, Clock::start());
    let crowd = Rc::new(Crowd::new(plan, clock)?);
    spawn_local(origin::serve(listener, Rc::clone(&crowd)));
    if let Some(admin) = admin {
        spawn_local(samples::take(admin, clock, Rc::clone(&crowd)));
    }
    crowd.run().await?;
    println!("{}", serde_json::json!({ "figures": crowd.figures() }));
    Ok(())
}
