//! The access log: a line a request, JSON or text, written by a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use super::Record;
use crate::policy::LogFormat;

/// Lines that may wait for the disk; the next ones are lost, and counted.
const LINES_WAITING: usize = 65_536;

/// Where lines go. The last clone's guard writes what waits when it is dropped.
pub struct AccessLog {
    format: LogFormat,
    queue: NonBlocking,
    lost: Counter,
    _writer: WorkerGuard,
}

impl AccessLog {
    /// A log into a file, which is appended to.
    ///
    /// # Errors
    /// The file can't be opened for writing.
    pub fn file(path: &Path, format: LogFormat) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::to(Reopened { file, path: path.to_owned() }, format))
    }

    /// A log to standard output.
    pub fn stdout(format: LogFormat) -> Self {
        Self::to(io::stdout(), format)
    }

    fn to(sink: impl Write + Send + 'static, format: LogFormat) -> Self {
        let lost = Counter::default();
        let sink = Counting { sink, lost: lost.clone(), failing: false, lines: 0, gathered: Vec::new() };
        let (queue, writer) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LINES_WAITING)
            .thread_name("access-log")
            .finish(sink);
        Self { format, queue, lost, _writer: writer }
    }

    /// Lines that were lost on the way to the disk.
    pub fn lost(&self) -> Counter {
        self.lost.clone()
    }

    /// Queues a line; never waits.
    pub fn write(&self, record: &Record<'_>) {
        let mut line = Vec::with_capacity(384);
        match self.format {
            LogFormat::Json => json(record, &mut line),
            LogFormat::Text => text(record, &mut line),
        }
        line.push(b'\n');
        let before = self.queue.error_counter().dropped_lines();
        let _ = self.queue.clone().write(&line);
        let dropped = self.queue.error_counter().dropped_lines().saturating_sub(before);
        self.lost.inc_by(dropped.min(1) as u64);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    id: &'a str,
    client: std::net::IpAddr,
    method: &'a str,
    host: &'a str,
    target: &'a str,
    version: &'a str,
    status: u16,
    reason: &'a str,
    route: &'a str,
    level: &'a str,
    class: &'a str,
    bytes: u64,
    took_seconds: f64,
    queued_seconds: f64,
    user_agent: &'a str,
    referer: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

fn json(record: &Record<'_>, out: &mut Vec<u8>) {
    let line = Line {
        time: time(record.unix_ms),
        id: record.id,
        client: record.client,
        method: record.method,
        host: record.host,
        target: record.target,
        version: record.version,
        status: record.status,
        reason: record.reason.label(),
        route: record.route,
        level: record.level,
        class: record.class,
        bytes: record.bytes,
        took_seconds: micros(record.took),
        queued_seconds: micros(record.queued),
        user_agent: record.user_agent,
        referer: record.referer,
        detail: record.detail,
    };
    // Strings and numbers always serialise.
    let _ = serde_json::to_writer(out, &line);
}

fn text(record: &Record<'_>, out: &mut Vec<u8>) {
    let _ = write!(
        out,
        "{} {} {} {} {}{} {} {} route={} level={} class={} bytes={} took={:.6} queued={:.6} id={}{}{}",
        time(record.unix_ms),
        record.client,
        record.version,
        record.method,
        Clean(record.host),
        Clean(record.target),
        record.status,
        record.reason.label(),
        record.route,
        record.level,
        record.class,
        record.bytes,
        record.took.as_secs_f64(),
        record.queued.as_secs_f64(),
        record.id,
        if record.detail.is_empty() { "" } else { " detail=" },
        record.detail,
    );
}

fn micros(d: std::time::Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e6
}

/// RFC 3339 in UTC with milliseconds.
pub fn time(unix_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms);
    humantime::format_rfc3339_millis(at).to_string()
}

/// A visitor's text without what could forge a line.
struct Clean<'a>(&'a str);

impl std::fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| if c.is_control() { f.write_str("?") } else { write!(f, "{c}") })
    }
}

/// Bytes gathered for one write at most.
const GATHER: usize = 64 << 10;

/// Gathers the lines that wait into one write; counts those the sink could not take, says so once,
/// and once when it is well again.
struct Counting<W: Write> {
    sink: W,
    lost: Counter,
    failing: bool,
    lines: u64,
    gathered: Vec<u8>,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(line);
        self.lines += 1;
        if self.gathered.len() >= GATHER {
            self.flush()?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        if lines == 0 {
            return Ok(());
        }
        let outcome = self.sink.write_all(&self.gathered).and_then(|()| self.sink.flush());
        self.gathered.clear();
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the access log is written again");
                }
            }
            Err(error) => {
                self.lost.inc_by(lines);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the access log can't be written; lines are lost and counted, requests go on");
                }
            }
        }
        // An error here would end the writer's thread.
        Ok(())
    }
}

impl<W: Write> Drop for Counting<W> {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// A log file that follows its name: after a rotation by renaming, the next line makes a new file.
struct Reopened {
    file: File,
    path: std::path::PathBuf,
}

impl Reopened {
    fn follow(&mut self) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let here = self.file.metadata()?;
        let named = std::fs::metadata(&self.path);
        let same = named.is_ok_and(|named| named.ino() == here.ino() && named.dev() == here.dev());
        if !same {
            self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        }
        Ok(())
    }
}

impl Write for Reopened {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.follow()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::reason::Reason;

    fn record() -> Record<'static> {
        Record {
            unix_ms: 1_795_000_000_123,
            id: "00000000000000ab",
            client: [192, 0, 2, 7].into(),
            method: "GET",
            host: "shop.example",
            target: "/a\n\"b",
            version: "HTTP/1.1",
            route: "pages",
            level: "normal",
            class: "critical",
            reason: Reason::Hit,
            status: 200,
            bytes: 1024,
            took: Duration::from_micros(250),
            queued: Duration::ZERO,
            user_agent: "x\"y",
            referer: "",
            detail: "",
        }
    }

    #[test]
    fn a_json_line_is_one_object_whatever_the_visitor_sent() {
        let mut line = Vec::new();
        json(&record(), &mut line);
        assert!(!line.contains(&b'\n'));
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["time"], "2026-11-18T11:06:40.123Z");
        assert_eq!(value["target"], "/a\n\"b");
        assert_eq!(value["reason"], "hit");
        assert_eq!(value["class"], "critical");
    }

    #[test]
    fn a_text_line_stays_one_line() {
        let mut line = Vec::new();
        text(&record(), &mut line);
        let line = String::from_utf8(line).unwrap();
        assert!(line.contains(" GET shop.example/a?\"b 200 hit route=pages level=normal class=critical"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let log = AccessLog::file(Path::new("/dev/full"), LogFormat::Text).unwrap();
        for _ in 0..10 {
            log.write(&record());
        }
        let lost = log.lost();
        drop(log);
        assert_eq!(lost.get(), 10);
    }

    #[test]
    fn a_rotated_log_goes_on_under_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let mut sink =
            Reopened { file: OpenOptions::new().create(true).append(true).open(&path).unwrap(), path: path.clone() };
        sink.write_all(b"one\n").unwrap();
        std::fs::rename(&path, dir.path().join("access.log.1")).unwrap();
        sink.write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }
}
