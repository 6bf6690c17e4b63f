//! Handing over to a new process: another binary, or the same one, goes on with the sockets, the rooms
//! and the operator's orders of this one, and no request is lost between the two.
//!
//! The old process starts the new one with its listening sockets and one end of a pair of sockets. The
//! new one reads its policy and says `ready`; until then it may fail, and nothing has changed. The old
//! one then takes no more connections (new ones wait in the sockets' backlog), writes rooms and orders
//! down, lets go of them and says `yours`. The new one opens them, says `serving` and accepts. The old
//! one ends each connection with its next answer; what concerns a room it sends to the new process by
//! a redirect to the same URL. So a room has one owner at every moment.
//!
//! Does the new one fail before it serves, the old one takes everything back.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::{DRAIN_MAX, Edge};

/// Where the new process finds what it inherits: `CONTROL ADDRESS=FD …`.
const VARIABLE: &str = "SEAWALL_HAND_OVER";
/// How long either step of the new process may take.
const STEP_MAX: Duration = Duration::from_secs(30);

/// Why a hand-over did not happen. This process goes on, but where it says otherwise.
#[derive(Debug, Error)]
pub enum HandOverError {
    #[error("the new process can't be started: {0}")]
    Start(io::Error),
    #[error("the new process ended before it could serve; what it says is above")]
    Ended,
    #[error("the new process was not {said} within {STEP_MAX:?}")]
    Late { said: &'static str },
    /// Neither process serves.
    #[error("the new process did not serve, and rooms or sockets could not be taken back: {0}")]
    TakeBack(String),
}

/// What a process was given by the one before it.
#[derive(Debug, Default)]
pub struct Inherited {
    listeners: Vec<(SocketAddr, TcpListener)>,
    control: Option<UnixStream>,
}

impl Inherited {
    /// What the environment says; nothing, for a process that was started in any other way.
    ///
    /// # Errors
    /// The variable is set, and not by the process before this one.
    pub fn from_environment() -> io::Result<Self> {
        let Ok(value) = std::env::var(VARIABLE) else { return Ok(Self::default()) };
        let odd =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{VARIABLE}={value} is not of Seawall's making"));
        let mut words = value.split(' ');
        let control = words.next().and_then(|word| word.parse().ok()).ok_or_else(odd)?;
        let mut inherited = Self { listeners: Vec::new(), control: Some(UnixStream::from(own(control)?)) };
        for word in words {
            let (address, fd) = word.split_once('=').ok_or_else(odd)?;
            let (address, fd) = (address.parse().map_err(|_| odd())?, fd.parse().map_err(|_| odd())?);
            let socket = socket2::Socket::from(own(fd)?);
            if !socket.is_listener()? {
                return Err(odd());
            }
            inherited.listeners.push((address, socket.into()));
        }
        Ok(inherited)
    }

    /// The socket that was bound for this address, if there is one.
    pub(super) fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.listeners.iter().position(|(bound, _)| *bound == address)?;
        Some(self.listeners.remove(at).1)
    }

    /// Waits until the process before this one has let go of the rooms; at once where there is none.
    ///
    /// # Errors
    /// It is gone.
    pub async fn until_ours(self) -> io::Result<Successor> {
        let Some(control) = self.control else { return Ok(Successor(None)) };
        control.set_nonblocking(true)?;
        let mut control = BufReader::new(tokio::net::UnixStream::from_std(control)?);
        control.get_mut().write_all(b"ready\n").await?;
        let mut line = String::new();
        control.read_line(&mut line).await?;
        if line != "yours\n" {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the process before this one keeps the rooms"));
        }
        Ok(Successor(Some(control.into_inner())))
    }
}

/// A process that owns the rooms and has not served yet.
pub struct Successor(Option<tokio::net::UnixStream>);

impl Successor {
    /// Tells the process before this one, if there is one, that it may go.
    ///
    /// # Errors
    /// It is gone: then there is nobody to tell.
    pub async fn serves(self) -> io::Result<()> {
        let Some(mut control) = self.0 else { return Ok(()) };
        control.write_all(b"serving\n").await
    }
}

/// A descriptor that the process before this one left open for us.
fn own(fd: RawFd) -> io::Result<OwnedFd> {
    set_close_on_exec(fd, true)?;
    // SAFETY: it is open, as the call above has shown, and named to nobody but us, once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_close_on_exec(fd: RawFd, on: bool) -> io::Result<()> {
    // SAFETY: fcntl takes any number; one that is not open is an error.
    let set = unsafe { libc::fcntl(fd, libc::F_SETFD, if on { libc::FD_CLOEXEC } else { 0 }) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Edge {
    /// Starts the new process by the command line of this one, gives it everything, and ends what is
    /// left here. When this returns well, nothing is left to be done, and nothing may be written any more.
    ///
    /// # Errors
    /// [`HandOverError`]: this process goes on as before, but for [`HandOverError::TakeBack`].
    pub async fn hand_over(self: &Arc<Self>) -> Result<(), HandOverError> {
        let (mut child, control) = self.spawn_successor().map_err(HandOverError::Start)?;
        let pid = child.id().unwrap_or_default();
        tracing::info!(pid, "handing over");
        let mut control = BufReader::new(control);
        let given = match hear(&mut control, "ready").await {
            Ok(()) => {
                self.let_go().await;
                let _ = control.get_mut().write_all(b"yours\n").await;
                hear(&mut control, "serving").await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = given {
            let _ = child.kill().await;
            self.take_back()?;
            return Err(error);
        }
        tracing::info!(pid, "handed over");
        // systemd follows the new process from here on; without systemd this is nothing.
        let _ = sd_notify::notify(&[NotifyState::MainPid(pid)]);
        // A visitor who is idle there must not be still at the origin here.
        let idle = self.door.site.load().policy.waiting_rooms.iter().map(|room| room.session_idle).min();
        self.end_connections(DRAIN_MAX.min(idle.unwrap_or(DRAIN_MAX))).await;
        self.stop.send_replace(true);
        Ok(())
    }

    fn spawn_successor(&self) -> io::Result<(tokio::process::Child, tokio::net::UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let site = self.door.site.load();
        let visitors = site.policy.edge.listen.iter().map(|l| l.address).zip(&self.sockets.visitors);
        let sockets: Vec<_> = visitors
            .chain([(site.policy.admin.listen, &self.sockets.admin)])
            .map(|(address, listener)| (address, listener.as_raw_fd()))
            .collect();
        let mut variable = theirs.as_raw_fd().to_string();
        for (address, fd) in &sockets {
            variable.push_str(&format!(" {address}={fd}"));
        }
        let inherits: Vec<RawFd> = sockets.iter().map(|(_, fd)| *fd).chain([theirs.as_raw_fd()]).collect();
        // By the name it was called by: what has been installed there since is what takes over.
        let mut args = std::env::args_os();
        let program = args.next().unwrap_or_else(|| OsString::from("seawall"));
        let mut command = std::process::Command::new(program);
        command.args(args).env(VARIABLE, variable).stdin(Stdio::null());
        // SAFETY: between fork and exec only fcntl is called, and nothing is allocated.
        unsafe {
            command.pre_exec(move || inherits.iter().try_for_each(|fd| set_close_on_exec(*fd, false)));
        }
        let child = tokio::process::Command::from(command).spawn()?;
        Ok((child, tokio::net::UnixStream::from_std(ours)?))
    }

    /// Takes no more connections, and owns no room, no order and no purge after this.
    async fn let_go(&self) {
        self.retire.send_replace(true);
        let accepting: Vec<_> = self.accepting.lock().drain(..).collect();
        for task in accepting {
            task.abort();
            let _ = task.await;
        }
        // Changes that had begun are made and written down; from here on they are refused.
        drop(self.changing.write().await);
        self.door.site.load().rooms().iter().for_each(|room| room.set_away(true));
        self.release_rooms().await;
        self.write_orders();
    }

    /// Goes on as if nothing had been.
    fn take_back(self: &Arc<Self>) -> Result<(), HandOverError> {
        if !self.draining() {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| HandOverError::TakeBack(error.to_string());
        let site = self.door.site.load();
        self.release.send_replace(false);
        for keeper in self.rooms.lock().values_mut() {
            keeper.take_back(&site.policy).map_err(|e| failed(&e))?;
        }
        self.keep_rooms();
        self.retire.send_replace(false);
        self.accept_all().map_err(|e| failed(&e))
    }
}

async fn hear(control: &mut BufReader<tokio::net::UnixStream>, said: &'static str) -> Result<(), HandOverError> {
    let mut line = String::new();
    match tokio::time::timeout(STEP_MAX, control.read_line(&mut line)).await {
        Ok(Ok(_)) if line.trim_end() == said => Ok(()),
        Ok(_) => Err(HandOverError::Ended),
        Err(_) => Err(HandOverError::Late { said }),
    }
}
