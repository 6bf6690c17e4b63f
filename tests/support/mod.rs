//! The built binary in front of real origins, on ports of its own; everything started here ends
//! when it is dropped, and the edge's log is shown when its test fails.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails should say where; no test uses all of this"
)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tempfile::TempDir;

pub mod client;
pub mod doors;
pub mod h2;
pub mod nginx;
pub mod origin;

pub use client::{Answer, Client};
pub use doors::{Door, doors};
pub use h2::H2;
pub use nginx::Nginx;
pub use origin::{Origin, Request};

pub const SEAWALL: &str = env!("CARGO_BIN_EXE_seawall");
/// How long anything may take before a test gives up: far longer than it ever does.
pub const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

/// A running edge, with both doors, and the directory that its policy, keys and state are in.
pub struct Edge {
    child: Child,
    /// The process that has taken over from `child`, and those that it took over from.
    successors: Vec<u32>,
    log: Arc<Mutex<String>>,
    dir: Arc<TempDir>,
    /// HTTP/1 in the clear.
    pub address: SocketAddr,
    /// TLS with HTTP/2.
    pub tls: SocketAddr,
    pub admin: SocketAddr,
}

/// A policy with both doors on free ports. `edge` are lines of `[edge]`, `rest` is what follows.
pub fn policy(edge: &str, rest: &str) -> String {
    format!(
        "[edge]\nlisten = [\"127.0.0.1:0\", {{ address = \"[::1]:0\", tls = \"public\" }}]\nthreads = 2\n\
         max_connections_per_client = 2000\n{edge}\n\
         [tls.public]\ncertificates = [{{ cert = \"edge.pem\", key = \"edge.key\" }}]\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n{rest}"
    )
}

/// `[origin.site]` with so many places.
pub fn origin(address: SocketAddr, limit: usize) -> String {
    format!(
        "[origin.site]\nservers = [\"{address}\"]\n[origin.site.concurrency]\nmode = \"fixed\"\nlimit = {limit}\n\
         patience = \"30s\"\nqueue = 1000\n"
    )
}

/// Waits until it is so.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        if so() {
            return;
        }
        std::thread::sleep(STEP);
    }
    panic!("still not so after {PATIENCE:?}: {what}");
}

/// A certificate for localhost, made once, as PEM: the certificate and its key.
pub fn certificate() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    })
}

impl Edge {
    /// Starts one by a policy; see [`policy`].
    #[track_caller]
    pub fn start(edge: &str, rest: &str) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), &policy(edge, rest))
    }

    /// In a directory that may already hold keys, state, a snapshot.
    #[track_caller]
    pub fn start_in(dir: Arc<TempDir>, policy: &str) -> Self {
        write_policy(dir.path(), policy);
        Self::spawn(dir, &[])
    }

    /// With variables in its environment.
    #[track_caller]
    pub fn start_with(policy: &str, environment: &[(&str, &str)]) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        write_policy(dir.path(), policy);
        Self::spawn(dir, environment)
    }

    #[track_caller]
    fn spawn(dir: Arc<TempDir>, environment: &[(&str, &str)]) -> Self {
        let mut child = run(dir.path())
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (told, heard) = std::sync::mpsc::channel();
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(serving) = line.split_once("serving listen=") {
                    let _ = told.send(serving.1.to_owned());
                }
                let mut log = lines.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let Ok(serving) = heard.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("the edge does not serve:\n{}", log.lock().unwrap());
        };
        let (listen, admin) = serving.split_once(" admin=").unwrap();
        let mut listen = listen.trim_matches('"').split(", ").map(|a| a.parse().unwrap());
        let (address, tls) = (listen.next().unwrap(), listen.next().unwrap());
        Self { child, successors: Vec::new(), log, dir, address, tls, admin: admin.trim().parse().unwrap() }
    }

    /// Ends it by a signal and starts it anew in the same directory: same policy, keys and state.
    #[track_caller]
    pub fn restart(mut self, signal: i32) -> Self {
        self.signal(signal);
        self.wait();
        Self::spawn(self.dir.clone(), &[])
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: a plain system call, to a process that this test started and that has not ended.
        let sent = unsafe { libc::kill(self.pid() as libc::pid_t, signal) };
        assert_eq!(sent, 0);
    }

    /// The process that serves.
    pub fn pid(&self) -> u32 {
        self.successors.last().copied().unwrap_or_else(|| self.child.id())
    }

    /// Hands over to a new process, which is the one that is spoken to from then on. The old one may
    /// still be ending its connections.
    #[track_caller]
    pub fn hand_over(&mut self) {
        let handed = |log: &str| log.matches("handed over pid=").count();
        let before = handed(&self.log());
        self.signal(libc::SIGQUIT);
        eventually("it has handed over", || handed(&self.log()) > before);
        let log = self.log();
        let (_, pid) = log.rsplit_once("handed over pid=").unwrap();
        self.successors.push(pid.split_whitespace().next().unwrap().parse().unwrap());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        for pid in self.successors.drain(..) {
            eventually("the process that took over has ended", || !is_alive(pid));
        }
        let mut status = None;
        eventually("the edge has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for the end of the process that was started first, where another has taken over.
    #[track_caller]
    pub fn wait_for_the_first(&mut self) {
        eventually("the process that handed over has ended", || self.child.try_wait().unwrap().is_some());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str, fields: &str) -> Answer {
        self.connect().get(path, fields)
    }

    /// One request to the admin listener.
    #[track_caller]
    pub fn ask_admin(&self, path: &str) -> Answer {
        Client::connect(self.admin).get(path, "")
    }

    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        self.ask_admin("/api/v1/status").json()
    }

    /// The level of the first origin.
    #[track_caller]
    pub fn level(&self) -> String {
        self.status()["origins"][0]["level"].as_str().unwrap().to_owned()
    }

    /// A number of the first origin's.
    #[track_caller]
    pub fn figure(&self, name: &str) -> u64 {
        self.status()["origins"][0][name].as_u64().unwrap()
    }

    /// How many requests had this outcome so far.
    #[track_caller]
    pub fn count(&self, reason: &str) -> u64 {
        self.status()["requests"][reason].as_u64().unwrap_or_default()
    }

    /// Another verb of the command line, against this edge.
    pub fn cli(&self, args: &[&str]) -> Output {
        Command::new(SEAWALL).args(args).args(["--admin", &self.admin.to_string()]).output().unwrap()
    }

    /// A verb that needs no running edge, in this one's directory: what it prints.
    #[track_caller]
    pub fn cli_offline(&self, args: &[&str]) -> String {
        let output = Command::new(SEAWALL).args(args).current_dir(self.dir()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Resident memory, in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// Whether a process runs; one that nobody has waited for yet does not.
fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

impl Drop for Edge {
    fn drop(&mut self) {
        for pid in self.successors.iter().filter(|pid| is_alive(**pid)) {
            // SAFETY: a plain system call, to a process that this test's edge has started.
            unsafe { libc::kill(*pid as libc::pid_t, libc::SIGKILL) };
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("── the edge's log ──\n{}", self.log.lock().unwrap_or_else(|e| e.into_inner()));
        }
    }
}

pub fn write_policy(dir: &Path, policy: &str) {
    let (cert, key) = certificate();
    std::fs::write(dir.join("edge.pem"), cert).unwrap();
    std::fs::write(dir.join("edge.key"), key).unwrap();
    std::fs::write(dir.join("seawall.toml"), policy).unwrap();
}

/// `seawall run` in a directory.
pub fn run(dir: &Path) -> Command {
    let mut command = Command::new(SEAWALL);
    command.arg("run").arg(dir.join("seawall.toml")).current_dir(dir).stdin(Stdio::null());
    command.env("SEAWALL_LOG", "info,pingora_core=off,pingora_proxy=off,seawall=debug");
    command
}
