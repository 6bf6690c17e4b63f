//! `[origin.NAME]`.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::address::{is_host, server};
use super::reader::{Problem, Table, Value};
use super::values::{duration, duration_not_zero};
use super::{Named, route};
use crate::policy::diagnose::Diagnostic;
use crate::policy::{Class, Concurrency, Health, HostHeader, Limit, Origin, Patience, Queue, RETRIES_MAX, Server};

/// More in flight, in the queue or as streams than one node can hold.
const IN_FLIGHT_MAX: u64 = 1_000_000;
/// Servers of one origin: each is looked at when a request is sent to one.
const SERVERS_MAX: usize = 256;

pub(super) fn read(root: &mut Table<'_>) -> Named<Origin> {
    let found_before = root.report.len();
    let origins = Named::read(root, "origin", one);
    if origins.items.is_empty() && root.report.len() == found_before && !root.has("files") {
        let message = "there is no origin: nothing to protect";
        let help = "add:\n[origin.shop]\nservers = [\"127.0.0.1:9000\"]";
        root.report.add(root.error(message).help(help));
    }
    origins
}

fn one(name: String, mut table: Table<'_>) -> Option<Origin> {
    let servers = servers(&mut table);
    let seconds = |table: &mut Table<'_>, key, default| {
        table.read(key, Duration::from_secs(default), |v| v.parse("a duration", duration_not_zero))
    };
    let connect_timeout = seconds(&mut table, "connect_timeout", 1);
    let response_timeout = seconds(&mut table, "response_timeout", 10);
    let idle_timeout = seconds(&mut table, "idle_timeout", 60);
    let retries = table.read("retries", 1, |v| v.integer(0, RETRIES_MAX.into()).and_then(|n| n.try_into().ok()));
    let health = table.take_table("health").and_then(health);
    let host_header = table.read("host_header", HostHeader::Pass, host_header);
    let concurrency = concurrency(&mut table);
    table.finish();
    Some(Origin {
        name,
        servers: servers?,
        connect_timeout,
        response_timeout,
        idle_timeout,
        retries,
        health,
        host_header,
        concurrency: concurrency?,
    })
}

/// All of them; one named twice is one.
fn servers(table: &mut Table<'_>) -> Option<Vec<Server>> {
    let value = table.require("servers", "where the origin is", "servers = [\"127.0.0.1:9000\"]")?;
    let items = value.one_or_many();
    if items.is_empty() {
        value.wrong(Problem::new("expected at least one server, such as \"127.0.0.1:9000\""));
        return None;
    }
    if items.len() > SERVERS_MAX {
        value.wrong(Problem::new(format!("expected at most {SERVERS_MAX} servers")));
        return None;
    }
    let mut servers: Vec<(Server, Value<'_>)> = Vec::with_capacity(items.len());
    let mut good = true;
    for item in items {
        let Some(server) = item.parse("a server such as \"127.0.0.1:9000\"", server) else {
            good = false;
            continue;
        };
        match servers.iter().find(|(known, _)| *known == server) {
            Some((_, first)) => table.report.add(
                Diagnostic::warning(item.span.clone(), format!("`{}` names {server} twice", item.path))
                    .label("counts once")
                    .related(first.span.clone(), "named here first")
                    .help("leave it out; a server gets no larger share by being named twice"),
            ),
            None => servers.push((server, item)),
        }
    }
    good.then(|| servers.into_iter().map(|(server, _)| server).collect())
}

fn health(mut table: Table<'_>) -> Option<Health> {
    let path = table.require("path", "what to ask the origin for", "path = \"/healthz\"");
    let path = path.and_then(|v| v.parse("a path such as \"/healthz\"", route::origin_path));
    let every = table.read("every", Duration::from_secs(2), |v| v.parse("a duration", duration_not_zero));
    table.finish();
    Some(Health { path: path?, every })
}

fn host_header(value: &Value<'_>) -> Option<HostHeader> {
    value.parse("\"pass\" or a host", |text| {
        let host = match text.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            _ => text,
        };
        match text {
            "pass" => Ok(HostHeader::Pass),
            _ if is_host(host) => Ok(HostHeader::Fixed(text.to_owned())),
            _ => Err(Problem::new("expected \"pass\" or a host such as \"shop.internal\"")),
        }
    })
}

const LIMIT: Limit = Limit::Adaptive {
    initial: NonZeroUsize::MIN.saturating_add(19),
    min: NonZeroUsize::MIN.saturating_add(1),
    max: NonZeroUsize::MIN.saturating_add(999),
};
const PATIENCE: Patience =
    Patience { critical: Duration::from_secs(2), normal: Duration::from_secs(1), bulk: Duration::from_millis(200) };
const MAX_STREAMS: usize = 1000;

fn concurrency(origin: &mut Table<'_>) -> Option<Concurrency> {
    let Some(value) = origin.take("concurrency") else {
        return Some(Concurrency { limit: LIMIT, queue: Queue::Auto, patience: PATIENCE, max_streams: MAX_STREAMS });
    };
    let mut table = value.table()?;
    let fixed = match table.take("mode") {
        None => false,
        Some(value) => match value.string("\"adaptive\" or \"fixed\"")? {
            "fixed" => true,
            "adaptive" => false,
            _ => {
                value.wrong(Problem::new("expected \"adaptive\" or \"fixed\""));
                return None;
            }
        },
    };
    let limit = if fixed { fixed_limit(&mut table) } else { adaptive_limit(&mut table) };
    let queue = table.read("queue", Queue::Auto, queue_length);
    let patience = table.read("patience", PATIENCE, patience);
    let max_streams = table.read("max_streams", MAX_STREAMS, |v| v.integer(0, IN_FLIGHT_MAX).and_then(size));
    table.finish();
    Some(Concurrency { limit: limit?, queue, patience, max_streams })
}

fn fixed_limit(table: &mut Table<'_>) -> Option<Limit> {
    for key in ["initial", "min", "max"] {
        if let Some(value) = table.take(key) {
            value.wrong(Problem::new("mode \"fixed\" has one number").help("write limit = 40, or mode = \"adaptive\""));
        }
    }
    let limit = table.require("limit", "how many requests in flight the origin carries", "limit = 40")?;
    limit.integer(1, IN_FLIGHT_MAX).and_then(non_zero).map(Limit::Fixed)
}

fn adaptive_limit(table: &mut Table<'_>) -> Option<Limit> {
    if let Some(value) = table.take("limit") {
        let help = "add mode = \"fixed\", or write max, which it never goes over";
        value.wrong(Problem::new("mode \"adaptive\" finds the limit itself").help(help));
    }
    let Limit::Adaptive { initial, min, max } = LIMIT else { return None };
    let number = |v: &Value<'_>| v.integer(1, IN_FLIGHT_MAX).and_then(non_zero);
    let (max_value, min_value, initial_value) = (table.take("max"), table.take("min"), table.take("initial"));
    let max = max_value.as_ref().map_or(Some(max), number)?;
    let low = min_value.as_ref().map_or(Some(min.min(max)), number)?;
    let begin = initial_value.as_ref().map_or(Some(initial.clamp(low, max.max(low))), number)?;
    if let Some(value) = min_value.filter(|_| low > max) {
        value.wrong(Problem::new("more than max").help(format!("max is {max}: make min smaller or max larger")));
    }
    if let Some(value) = initial_value.filter(|_| begin < low || begin > max) {
        value.wrong(Problem::new(format!("expected a number between min, {low}, and max, {max}")));
    }
    Some(Limit::Adaptive { initial: begin, min: low, max })
}

fn queue_length(value: &Value<'_>) -> Option<Queue> {
    if value.as_str().is_none() {
        return value.integer(0, IN_FLIGHT_MAX).and_then(size).map(Queue::Places);
    }
    value.parse("a number or a multiple of the limit", |text| {
        let times = text.strip_suffix('x').and_then(|n| n.parse().ok()).filter(|n| *n <= 1000);
        times.map(Queue::Times).ok_or_else(|| {
            let problem = Problem::new("expected a multiple of the limit such as \"3x\", or a whole number");
            if text.parse::<u32>().is_ok() { problem.help(format!("write {text} or \"{text}x\"")) } else { problem }
        })
    })
}

/// One duration for all classes, or a table. Zero: who finds no place is refused.
fn patience(value: &Value<'_>) -> Option<Patience> {
    if !value.is_table() {
        let all = value.parse("a duration", duration)?;
        return Some(Patience { critical: all, normal: all, bulk: all });
    }
    let mut table = value.table()?;
    let mut of = |class: Class| table.read(class.name(), PATIENCE.of(class), |v| v.parse("a duration", duration));
    let patience = Patience { critical: of(Class::Critical), normal: of(Class::Normal), bulk: of(Class::Bulk) };
    table.finish();
    Some(patience)
}

fn size(n: u64) -> Option<usize> {
    usize::try_from(n).ok()
}

fn non_zero(n: u64) -> Option<NonZeroUsize> {
    usize::try_from(n).ok().and_then(NonZeroUsize::new)
}
