//! `seawall run`: the edge, until a signal ends it.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{demo, fail};
use crate::edge::hand_over::{HandOverError, Inherited};
use crate::edge::{Edge, EdgeError, prepare};

/// Serves by a policy. HUP reads it again, QUIT hands over to a new process, TERM and INT let what is
/// in flight end first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy file
    #[arg(default_value = "seawall.toml")]
    policy: PathBuf,
}

/// Runs `seawall run`.
pub fn run(args: &Args) -> ExitCode {
    start_logging();
    take_small_pages();
    let mut inherited = match Inherited::from_environment() {
        Ok(inherited) => inherited,
        Err(error) => return fail(error),
    };
    let prepared = match prepare(&args.policy, &mut inherited) {
        Ok(prepared) => prepared,
        Err(error @ EdgeError::Policy(_)) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
        Err(error) => return fail(error),
    };
    if !prepared.warnings.diagnostics.is_empty() {
        eprintln!("{}", prepared.warnings.render(std::io::stderr().is_terminal()));
    }
    raise_file_limit(prepared.policy.edge.max_connections.get());
    let runtime = match runtime(prepared.policy.edge.threads.get()) {
        Ok(runtime) => runtime,
        Err(error) => return fail(format_args!("no threads: {error}")),
    };
    let outcome = runtime.block_on(async {
        let signals = Signals::install().map_err(EdgeError::Listen)?;
        let loaded = prepared.load().await?;
        let successor = inherited.until_ours().await.map_err(EdgeError::HandOver)?;
        let edge = Edge::start(loaded)?;
        successor.serves().await.map_err(EdgeError::HandOver)?;
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        let addresses: Vec<_> = edge.addresses().iter().map(ToString::to_string).collect();
        tracing::info!(listen = addresses.join(", "), admin = %edge.admin_address(), "serving");
        let ended = signals.until_ended(&edge).await;
        if !matches!(ended, Ended::HandedOver) {
            // Who has handed over has ended its connections already, and has no say any more.
            let _ = sd_notify::notify(&[NotifyState::Stopping]);
            edge.drain().await;
        }
        tracing::info!("ended");
        Ok::<_, EdgeError>(ended)
    });
    match outcome {
        Ok(Ended::Told | Ended::HandedOver) => ExitCode::SUCCESS,
        Ok(Ended::Broken(error)) => fail(error),
        Err(error) => fail(error),
    }
}

/// What the edge is told by signals; heard from before it says that it serves, since one that nobody
/// hears would kill it.
struct Signals {
    hangup: Signal,
    quit: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// Why the edge ends.
enum Ended {
    /// TERM or INT.
    Told,
    /// QUIT: another process serves.
    HandedOver,
    /// QUIT: neither process could go on.
    Broken(HandOverError),
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Handles them until one ends the edge.
    async fn until_ended(mut self, edge: &Arc<Edge>) -> Ended {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => reload(edge).await,
                _ = self.quit.recv() => match edge.hand_over().await {
                    Ok(()) => return Ended::HandedOver,
                    // Whoever watches over this process starts it anew: that is better than one that is deaf.
                    Err(error @ HandOverError::TakeBack(_)) => return Ended::Broken(error),
                    Err(error) => tracing::error!(%error, "not handed over, this process goes on"),
                },
                _ = self.terminate.recv() => return Ended::Told,
                _ = self.interrupt.recv() => return Ended::Told,
            }
        }
    }
}

async fn reload(edge: &Edge) {
    match edge.reload().await {
        Ok(reloaded) => {
            if !reloaded.warnings.diagnostics.is_empty() {
                eprintln!("{}", reloaded.warnings.render(false));
            }
            for key in reloaded.needs_restart {
                tracing::warn!(key, "changed in the file, and takes effect only after a restart");
            }
            tracing::info!("policy reloaded");
        }
        Err(error) => {
            tracing::error!("policy not reloaded, the one before stays in force");
            eprintln!("{error}");
        }
    }
}

/// Runs `seawall demo`.
pub fn demo(args: demo::Args) -> ExitCode {
    raise_file_limit(0);
    let runtime = match runtime(std::thread::available_parallelism().map_or(2, std::num::NonZero::get)) {
        Ok(runtime) => runtime,
        Err(error) => return fail(format_args!("no threads: {error}")),
    };
    let outcome = runtime.block_on(demo::run(args, async |spec: demo::EdgeSpec| {
        let edge = Edge::start(prepare(&spec.policy, &mut Inherited::default())?.load().await?)?;
        let address = edge.addresses().first().copied().unwrap_or(spec.listen);
        Ok(demo::RunningEdge { address, stop: Box::pin(async move { edge.drain().await }) })
    }));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("{error:#}")),
    }
}

fn runtime(threads: usize) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name("seawall").enable_all().build()
}

/// Logs to standard error, as SEAWALL_LOG says.
fn start_logging() {
    let filter = EnvFilter::try_from_env("SEAWALL_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("info,{}", crate::proxy::QUIET)));
    let colors = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colors).init();
}

/// Says that the program has begun anew, so that it does so once.
const BEGUN_ANEW: &str = "SEAWALL_BEGUN_ANEW";

/// Has memory given by the page, not by 2 MiB, as some kernels do unasked: with those, several MiB more are
/// resident than are used, and `cache_store.memory` is a bound that an operator counts on.
///
/// The allocator took its first pages before `main`, so the program begins anew, which the kernel's setting
/// outlives. Where it can't, the pages taken from now on are small.
fn take_small_pages() {
    let are_small = rustix::thread::transparent_huge_pages_are_disabled().unwrap_or(true);
    // A sandbox may take the setting and not keep it.
    if are_small || std::env::var_os(BEGUN_ANEW).is_some() {
        return;
    }
    let error = match rustix::thread::disable_transparent_huge_pages(true) {
        Ok(()) => std::env::current_exe().map_or_else(|error| error, |program| begin_anew(&program)),
        Err(error) => error.into(),
    };
    tracing::debug!(%error, "the first pages of memory may be huge ones");
}

/// Returns only where that failed.
fn begin_anew(program: &Path) -> std::io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.into());
    Command::new(program).arg0(name).args(arguments).env(BEGUN_ANEW, "1").exec()
}

/// Each visitor takes a file, and each request to the origin one more.
fn raise_file_limit(connections: usize) {
    let wanted = (connections as u64).saturating_mul(2).saturating_add(1024);
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < wanted && connections > 0 => {
            tracing::warn!(limit, wanted, "the limit on open files is below what max_connections may need");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit on open files could not be raised"),
    }
}
