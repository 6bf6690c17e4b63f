//! `seawall demo`: a fragile shop, a rush on it, and the same rush with Seawall in between.
//!
//! Shop, edge and crowd are all real and speak HTTP over loopback; the crowd has a thread of its
//! own. The edge is started by the caller, who knows how ([`run`]'s `start_edge`).

mod crowd;
mod pages;
mod policy;
mod progress;
pub mod shop;
mod table;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::crowd::{Figures, Storm};
use self::policy::Addresses;
use self::shop::{Shape, Shop, ShopHandle, Stats};

const SHAPE: Shape = Shape::FRAGILE;
/// How long the edge may take until it accepts.
const EDGE_STARTS_WITHIN: Duration = Duration::from_secs(10);

/// Shows what Seawall does: a shop that collapses under load, alone and protected.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Only opens the shop behind Seawall at http://127.0.0.1:8080, with a crowd that keeps the
    /// waiting room busy, to walk through it in a browser; until Ctrl-C.
    #[arg(long)]
    pub open: bool,
    /// Seconds of storm in all four parts together; the last answers take a few more.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(6..=3_600))]
    pub seconds: u32,
    /// The same seed sends the same crowd.
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// Prints the figures as JSON; progress goes to standard error.
    #[arg(long)]
    pub json: bool,
    /// Only opens the bare shop, for other tools to storm it; until Ctrl-C.
    #[arg(long, hide = true, conflicts_with_all = ["open", "json"])]
    pub origin_only: bool,
    /// Where the bare shop listens.
    #[arg(long, hide = true, value_name = "ADDRESS", default_value = "127.0.0.1:9000", requires = "origin_only")]
    pub listen: SocketAddr,
}

/// The edge that the demo asks for.
#[derive(Clone, Debug)]
pub struct EdgeSpec {
    /// A policy file, ready to be run: relative paths in it are relative to it, as ever.
    pub policy: PathBuf,
    /// `edge.listen` in it.
    pub listen: SocketAddr,
    /// `admin.listen` in it.
    pub admin: SocketAddr,
}

/// An edge that has been started.
pub struct RunningEdge {
    /// Where visitors arrive.
    pub address: SocketAddr,
    /// Ends it; resolves when it has ended.
    pub stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// One storm's outcome: what the crowd saw, and what the shop did.
#[derive(Clone, Copy, Debug, serde::Serialize)]
struct Outcome {
    seconds: f64,
    crowd: Figures,
    shop: Stats,
}

/// Both storms on one side.
#[derive(Clone, Copy, Debug, serde::Serialize)]
struct Side {
    flash_crowd: Outcome,
    overload: Outcome,
}

/// Runs the demo. `start_edge` starts an edge with the policy it is given; it is called once the
/// shop behind it is open, and not at all for the bare shop alone.
///
/// # Errors
/// When something can't be started: a port in use, a directory that can't be written.
pub async fn run<F, Fut>(args: Args, start_edge: F) -> anyhow::Result<()>
where
    F: FnOnce(EdgeSpec) -> Fut,
    Fut: Future<Output = anyhow::Result<RunningEdge>>,
{
    let stop = interrupted()?;
    if args.origin_only {
        return origin_only(args.listen, stop).await;
    }
    let seed = match args.seed {
        Some(seed) => seed,
        None => u64::from(getrandom::u32()?),
    };
    let demo = Demo { seed, json: args.json, seconds: f64::from(args.seconds), stop };
    if args.open { demo.open(start_edge).await } else { demo.compare(start_edge).await }
}

/// Turns true at Ctrl-C or TERM.
fn interrupted() -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
        let _ = sender.send(true);
    });
    Ok(receiver)
}

async fn origin_only(listen: SocketAddr, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let shop = open_shop(listen).await?;
    println!("The bare shop listens on http://{} ({:.0} requests/s at best)", shop.addr, SHAPE.capacity());
    let _ = stop.wait_for(|stopped| *stopped).await;
    shop.shutdown().await;
    Ok(())
}

async fn open_shop(listen: SocketAddr) -> anyhow::Result<ShopHandle> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("the shop cannot listen on {listen}"))?;
    Shop::start(listener, SHAPE)
}

struct Demo {
    seed: u64,
    json: bool,
    seconds: f64,
    stop: watch::Receiver<bool>,
}

impl Demo {
    /// Both storms on the bare shop, then on the protected one, and the table.
    async fn compare<F, Fut>(&self, start_edge: F) -> anyhow::Result<()>
    where
        F: FnOnce(EdgeSpec) -> Fut,
        Fut: Future<Output = anyhow::Result<RunningEdge>>,
    {
        self.say(&table::opening(SHAPE, &self.flash_crowd(), &self.overload(), self.seed));
        let Some(bare) = self.bare().await? else { return self.interrupted() };
        let directory = Directory::new()?;
        let addresses = Addresses { edge: free_port()?, admin: free_port()?, origin: free_port()? };
        let shop = open_shop(addresses.origin).await?;
        let edge = self.start(&directory, addresses, start_edge).await?;
        let protected = self.storms("Seawall", edge.address, &shop).await;
        edge.stop.await;
        shop.shutdown().await;
        let Some(protected) = protected? else { return self.interrupted() };
        if self.json {
            println!("{}", table::json(SHAPE, self.seed, bare, protected)?);
        } else {
            println!("{}", table::closing(SHAPE, &bare, &protected));
        }
        Ok(())
    }

    /// The shop anew for each storm: the backlog of the first would still be there at the second.
    async fn bare(&self) -> anyhow::Result<Option<Side>> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let shop = open_shop(any).await?;
        let flash_crowd = self.storm("bare shop", "flash crowd", self.flash_crowd(), shop.addr, &shop).await;
        shop.shutdown().await;
        let Some(flash_crowd) = flash_crowd? else { return Ok(None) };
        let shop = open_shop(any).await?;
        let overload = self.storm("bare shop", "overload", self.overload(), shop.addr, &shop).await;
        shop.shutdown().await;
        Ok(overload?.map(|overload| Side { flash_crowd, overload }))
    }

    async fn storms(&self, side: &str, target: SocketAddr, shop: &ShopHandle) -> anyhow::Result<Option<Side>> {
        let Some(flash_crowd) = self.storm(side, "flash crowd", self.flash_crowd(), target, shop).await? else {
            return Ok(None);
        };
        shop.reset_peak();
        let overload = self.storm(side, "overload", self.overload(), target, shop).await?;
        Ok(overload.map(|overload| Side { flash_crowd, overload }))
    }

    /// One storm to its end; none if it was interrupted.
    async fn storm(
        &self,
        side: &str,
        name: &str,
        storm: Storm,
        target: SocketAddr,
        shop: &ShopHandle,
    ) -> anyhow::Result<Option<Outcome>> {
        let raging = crowd::unleash(storm, target, self.seed, self.stop.clone())?;
        let tally = progress::watch(&format!("{side}, {name}"), storm.lasts(), raging, shop).await?;
        if *self.stop.borrow() {
            return Ok(None);
        }
        Ok(Some(Outcome { seconds: storm.lasts().as_secs_f64(), crowd: tally.figures(), shop: shop.stats() }))
    }

    /// Shop and edge at known addresses, and a crowd that keeps the room busy.
    async fn open<F, Fut>(&self, start_edge: F) -> anyhow::Result<()>
    where
        F: FnOnce(EdgeSpec) -> Fut,
        Fut: Future<Output = anyhow::Result<RunningEdge>>,
    {
        let directory = Directory::new()?;
        let addresses = Addresses::in_the_file()?;
        let shop = open_shop(addresses.origin).await?;
        let edge = self.start(&directory, addresses, start_edge).await?;
        println!("{}", table::open(addresses));
        // Somewhat more than are let in: the queue grows until as many lose patience as come.
        let day = Duration::from_secs(24 * 3_600);
        let crowd =
            Storm::FlashCrowd { visitors_per_second: 30.0, arriving: day, scraper_per_second: 10.0, lasts: day };
        let raging = crowd::unleash(crowd, edge.address, self.seed, self.stop.clone());
        let watched = match raging {
            Ok(raging) => progress::watch("open, until Ctrl-C", day, raging, &shop).await.map(drop),
            Err(error) => Err(error),
        };
        edge.stop.await;
        shop.shutdown().await;
        watched
    }

    async fn start<F, Fut>(&self, directory: &Directory, at: Addresses, start_edge: F) -> anyhow::Result<RunningEdge>
    where
        F: FnOnce(EdgeSpec) -> Fut,
        Fut: Future<Output = anyhow::Result<RunningEdge>>,
    {
        let policy = policy::write(&directory.0, at)?;
        let edge = start_edge(EdgeSpec { policy, listen: at.edge, admin: at.admin }).await?;
        let address = edge.address;
        let accepting = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let started = tokio::time::timeout(EDGE_STARTS_WITHIN, accepting).await;
        started.with_context(|| format!("the edge does not accept on {address}"))?;
        Ok(edge)
    }

    /// A third of the time for each crowd: most come at the start, as they do at a drop.
    fn flash_crowd(&self) -> Storm {
        let lasts = self.seconds / 3.0;
        Storm::FlashCrowd {
            visitors_per_second: 45.0,
            arriving: Duration::from_secs_f64(lasts * 0.4),
            scraper_per_second: 40.0,
            lasts: Duration::from_secs_f64(lasts),
        }
    }

    fn overload(&self) -> Storm {
        let lasts = Duration::from_secs_f64(self.seconds / 6.0);
        Storm::Overload { requests_per_second: SHAPE.capacity() * 10.0, lasts }
    }

    fn say(&self, text: &str) {
        if self.json { eprintln!("{text}") } else { println!("{text}") }
    }

    fn interrupted(&self) -> anyhow::Result<()> {
        self.say("Interrupted: shop, edge and crowd are closed. Without both halves there is nothing to compare.");
        Ok(())
    }
}

/// A port that was free a moment ago: the policy names its ports beforehand.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The demo's files: policy, keys, state, snapshot. Gone with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("seawall-demo-{}-{:08x}", std::process::id(), getrandom::u32()?));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory) {
        tracing::warn!(%error, directory = %directory.display(), "the demo's files stay behind");
    }
}
