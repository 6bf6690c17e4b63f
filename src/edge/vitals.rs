//! Measures the edge itself: how late its tasks run, its share of the processor and of the memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Edge;
use crate::clock::Mono;
use crate::overload::{Vitals, Watch};
use crate::pipeline::site::Site;

/// How often the edge is measured.
const EVERY: Duration = Duration::from_millis(100);
/// A task that sleeps for so long and wakes later shows how late all the others are.
const NAP: Duration = Duration::from_millis(10);

/// Measures for as long as the edge runs, and tells every request.
pub(super) async fn keep_vitals(edge: Arc<Edge>) {
    let memory = memory_limit();
    let mut watch = Watch::default();
    let (mut spent, mut measured) = (cpu_time(), edge.clock.mono());
    let mut before = edge.door.site.load().condition.strain();
    loop {
        let lag = lag_over(&edge, measured).await;
        let site = edge.door.site.load_full();
        let (used, now) = (cpu_time(), edge.clock.mono());
        let threads = site.policy.edge.threads.get() as f64;
        let cpu = used.saturating_sub(spent).as_secs_f64() / (now.since(measured).as_secs_f64() * threads);
        (spent, measured) = (used, now);
        let resident = resident();
        let connections = edge.connections.len() as f64 / site.policy.edge.max_connections.get() as f64;
        let mut vitals = Vitals { connections, memory: memory_share(&site, resident, memory), cpu, lag, resident };
        let strain = watch.learn(&vitals, now);
        vitals.lag = watch.lag();
        site.condition.tell(strain, &vitals);
        if std::mem::replace(&mut before, strain) != strain {
            let lag_ms = vitals.lag.as_millis();
            let Vitals { connections, memory, cpu, .. } = vitals;
            tracing::warn!(strain = strain.name(), lag_ms, cpu, memory, connections, "the edge's own strain moved");
        }
    }
}

/// The latest that a nap ended, over [`EVERY`].
async fn lag_over(edge: &Edge, since: Mono) -> Duration {
    let mut latest = Duration::ZERO;
    loop {
        let asleep = edge.clock.mono();
        tokio::time::sleep(NAP).await;
        let now = edge.clock.mono();
        latest = latest.max(now.since(asleep).saturating_sub(NAP));
        if now.since(since) >= EVERY {
            return latest;
        }
    }
}

/// The share of its memory that the edge takes. What the cache holds is bounded by the policy and
/// meant to be full, so neither it nor the place set aside for it counts.
fn memory_share(site: &Site, resident: u64, limit: Option<u64>) -> f64 {
    let Some(limit) = limit else { return 0.0 };
    let cache = site.store.stats();
    match limit.checked_sub(cache.bytes_max) {
        Some(left) if left > 0 => resident.saturating_sub(cache.bytes) as f64 / left as f64,
        _ => resident as f64 / limit.max(1) as f64,
    }
}

/// Processor time of all threads so far.
fn cpu_time() -> Duration {
    // SAFETY: an rusage of zeros is a valid one, and the call writes nothing but it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let time = |t: libc::timeval| {
        Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(t.tv_usec).unwrap_or(0))
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Bytes resident; 0 where the system does not say.
fn resident() -> u64 {
    read(Path::new("/proc/self/status")).and_then(|text| kib_of(&text, "VmRSS:")).unwrap_or(0)
}

/// Bytes that the process may take: its cgroup's limit, else the machine's memory.
fn memory_limit() -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| kib_of(&text, "MemTotal:"));
    let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&own).into_iter().filter_map(|file| read(&file)?.trim().parse().ok());
    limits.chain(machine).min()
}

/// The files that hold limits on this process's memory: of its own cgroup and of all above it.
fn limit_files(own: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in own.lines() {
        // "hierarchy:controllers:path"; in version 2 both of the first are empty or 0.
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|c| c == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let own = Path::new(root).join(path.trim_start_matches('/'));
        files.extend(own.ancestors().take_while(|dir| dir.starts_with(root)).map(|dir| dir.join(name)));
    }
    files
}

/// The value of a line such as `VmRSS:     1234 kB`, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_a_process_are_its_cgroups_and_all_above() {
        let files: Vec<_> = ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]
            .map(|dir| PathBuf::from(dir).join("memory.max"))
            .into();
        assert_eq!(limit_files("0::/a/b\n"), files);
        let old = limit_files("11:cpu,cpuacct:/x\n4:memory:/\n1:name=systemd:/x\n");
        assert_eq!(old, [PathBuf::from("/sys/fs/cgroup/memory/memory.limit_in_bytes")]);
        assert!(limit_files("nonsense").is_empty());
    }

    #[test]
    fn this_process_can_be_measured() {
        assert!(resident() > 1 << 20 && memory_limit() > Some(resident()));
        assert!(cpu_time() > Duration::ZERO);
        assert_eq!(kib_of("Name:\tx\nVmRSS:\t    1234 kB\n", "VmRSS:"), Some(1234 * 1024));
        assert_eq!(kib_of("VmRSS: many kB\n", "VmRSS:"), None);
    }
}
