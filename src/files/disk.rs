//! Work that waits for a disk, on threads of its own and on no more of them than are allowed.

use std::io;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Threads that wait for disks at once. A disk that hangs (a network's, say) takes these, and leaves the rest
/// of the runtime's to others.
static THREADS: Semaphore = Semaphore::const_new(64);
/// How long a request waits for one of them, and for the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does this on one of the threads.
///
/// # Errors
/// Its own; `TimedOut` where the disk takes too long: the thread stays with it.
pub async fn wait<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let done = async {
        let thread = THREADS.acquire().await.map_err(io::Error::other)?;
        let work = move || {
            let result = work();
            drop(thread);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    };
    tokio::time::timeout(PATIENCE, done).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_it_comes_to_is_told_and_its_thread_given_back() {
        assert_eq!(wait(|| Ok(1)).await.unwrap(), 1);
        let failed: io::Result<()> = wait(|| Err(io::ErrorKind::NotFound.into())).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
        let many: Vec<_> = (0..200).map(|n| tokio::spawn(wait(move || Ok(n)))).collect();
        for (n, done) in many.into_iter().enumerate() {
            assert_eq!(done.await.unwrap().unwrap(), n);
        }
    }
}
