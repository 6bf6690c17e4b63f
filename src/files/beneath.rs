//! Opens what lies beneath a root, and nothing else.
//!
//! The kernel resolves the whole path in the one call that opens it (`openat2`, `RESOLVE_BENEATH`), so that
//! no link that is swapped between a check and an open leads out. Where it can't (before Linux 5.6, or where
//! a sandbox forbids it), names are walked one by one and no link is followed at all.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat, openat2};
use rustix::io::Errno;

use super::Stamp;

/// A pipe without a writer opens at once, and a terminal does not become ours.
const TO_READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// Times that a path is resolved again because a directory on it was moved meanwhile.
const TRIES: usize = 16;

/// What a name stands for.
#[derive(Debug)]
pub enum Opened {
    Regular(File, Stamp),
    Directory,
    /// Nothing, something that leads out, or that is neither a file nor a directory.
    Nothing,
}

/// A root, as it is now.
pub struct Root(OwnedFd);

impl Root {
    /// Opened anew for each look, so that a root that is a link may be swapped for the next release.
    ///
    /// # Errors
    /// The system's: it is not there, or no directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Opens what lies at `relative`: names with slashes between, or nothing for the root itself.
    ///
    /// # Errors
    /// The system's, where it can't tell: no files are left, the disk fails.
    pub fn look(&self, relative: &str) -> io::Result<Opened> {
        if relative.is_empty() {
            return Ok(Opened::Directory);
        }
        let opened = match beneath(self.0.as_fd(), relative) {
            Err(Errno::NOSYS | Errno::PERM) => walk(self.0.as_fd(), relative),
            opened => opened,
        };
        match opened {
            Ok(fd) => {
                let file = File::from(fd);
                let meta = file.metadata()?;
                Ok(match meta.file_type() {
                    kind if kind.is_file() => Opened::Regular(file, stamp(&meta)),
                    kind if kind.is_dir() => Opened::Directory,
                    _ => Opened::Nothing,
                })
            }
            Err(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::LOOP
                | Errno::XDEV
                | Errno::NAMETOOLONG
                | Errno::ACCESS
                | Errno::NXIO
                | Errno::NODEV
                | Errno::INVAL
                | Errno::AGAIN,
            ) => Ok(Opened::Nothing),
            Err(error) => Err(error.into()),
        }
    }
}

/// What tells a file from what it is later.
pub fn stamp(meta: &std::fs::Metadata) -> Stamp {
    let seconds = u128::try_from(meta.mtime()).unwrap_or(0);
    let nanos = u128::try_from(meta.mtime_nsec()).unwrap_or(0);
    Stamp { device: meta.dev(), inode: meta.ino(), size: meta.size(), modified_ns: seconds * 1_000_000_000 + nanos }
}

fn beneath(root: BorrowedFd<'_>, relative: &str) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..TRIES {
        match openat2(root, relative, TO_READ, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
    openat2(root, relative, TO_READ, Mode::empty(), how)
}

fn walk(root: BorrowedFd<'_>, relative: &str) -> Result<OwnedFd, Errno> {
    let through = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (directories, name) = relative.rsplit_once('/').unwrap_or(("", relative));
    let mut at: Option<OwnedFd> = None;
    for directory in directories.split('/').filter(|name| !name.is_empty()) {
        at = Some(openat(at.as_ref().map_or(root, AsFd::as_fd), directory, through, Mode::empty())?);
    }
    openat(at.as_ref().map_or(root, AsFd::as_fd), name, TO_READ | OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with all that may stand in one, and a secret beside it.
    fn site() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/c.txt"), "inside").unwrap();
        std::fs::write(dir.path().join("secret"), "outside").unwrap();
        symlink("a/b/c.txt", root.join("within")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(dir.path().join("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("/dev/zero", root.join("zero")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o644),
            0,
        )
        .unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let opened = Root::open(&root).unwrap();
        (dir, opened)
    }

    const LEADS_NOWHERE: [&str; 13] = [
        "out",
        "absolute",
        "up/secret",
        "up",
        "loop",
        "magic/etc/passwd",
        "zero",
        "pipe",
        "socket",
        "none",
        "a/b/c.txt/d",
        "../secret",
        "/etc/passwd",
    ];

    #[test]
    fn nothing_outside_the_root_is_opened_and_no_pipe_waited_for() {
        let (_dir, root) = site();
        assert!(matches!(root.look("a/b/c.txt"), Ok(Opened::Regular(_, stamp)) if stamp.size == 6));
        assert!(matches!(root.look("within"), Ok(Opened::Regular(..))));
        assert!(matches!(root.look("a"), Ok(Opened::Directory)));
        assert!(matches!(root.look(""), Ok(Opened::Directory)));
        for path in LEADS_NOWHERE {
            assert!(matches!(root.look(path), Ok(Opened::Nothing)), "{path}");
        }
        assert!(matches!(root.look(&"x".repeat(5000)), Ok(Opened::Nothing)));
    }

    #[test]
    fn without_openat2_no_link_is_followed() {
        let (_dir, root) = site();
        assert!(walk(root.0.as_fd(), "a/b/c.txt").is_ok());
        for path in ["out", "absolute", "up/secret", "loop", "magic/etc/passwd", "zero", "within"] {
            assert!(walk(root.0.as_fd(), path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_link_that_is_swapped_in_meanwhile_leads_nowhere() {
        let (dir, root) = site();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("c.txt"), "a secret outside").unwrap();
        let (shown, next) = (dir.path().join("root/shown"), dir.path().join("root/next"));
        std::thread::scope(|scope| {
            let swaps = scope.spawn(|| {
                for target in ["../outside", "a/b"].into_iter().cycle().take(4_000) {
                    symlink(target, &next).unwrap();
                    std::fs::rename(&next, &shown).unwrap();
                }
            });
            while !swaps.is_finished() {
                let opened = root.look("shown/c.txt");
                assert!(!matches!(opened, Ok(Opened::Regular(_, stamp)) if stamp.size != 6), "outside");
            }
        });
        // Whoever else moves directories on this machine may be why the system can't be sure at once.
        let found = (0..1_000).any(|_| matches!(root.look("shown/c.txt"), Ok(Opened::Regular(..))));
        assert!(found, "it is inside in the end");
    }

    #[test]
    fn a_root_that_is_a_link_may_be_swapped() {
        let dir = tempfile::tempdir().unwrap();
        for release in ["1", "2"] {
            std::fs::create_dir(dir.path().join(release)).unwrap();
        }
        std::fs::write(dir.path().join("2/new"), "").unwrap();
        let current = dir.path().join("current");
        symlink("1", &current).unwrap();
        assert!(matches!(Root::open(&current).unwrap().look("new"), Ok(Opened::Nothing)));
        std::fs::remove_file(&current).unwrap();
        symlink("2", &current).unwrap();
        assert!(matches!(Root::open(&current).unwrap().look("new"), Ok(Opened::Regular(..))));
    }
}
