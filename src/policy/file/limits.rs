//! `[cache.NAME]` and `[cache_store]`, and bounds that several sections share.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::Named;
use super::reader::{Problem, Table, Value};
use super::values::{duration, duration_not_zero, size};
use crate::policy::{Cache, RequestDirectives, Ttl};

const MAX_OBJECT: usize = 8 << 20;
/// Seconds.
const NEGATIVE_TTL: u64 = 1;
const TTL_WORDS: &str = "a time such as \"1s\", \"origin\" (only what it gives) or \"heuristic\"";
const VARY_COOKIES_MAX: usize = 8;
const CACHE_MEMORY: u64 = 512 << 20;
/// Keys a limit may hold, visitors a room may queue: what one machine's memory can carry.
pub(super) const ENTRIES_MAX: u64 = 100_000_000;

/// `cache_store.memory`.
pub(super) fn cache_memory(root: &mut Table<'_>) -> u64 {
    let Some(mut table) = root.take_table("cache_store") else { return CACHE_MEMORY };
    let memory = table.read("memory", CACHE_MEMORY, |value| {
        let bytes = value.parse("a size such as \"512MiB\"", size)?;
        if bytes < 1 << 20 {
            value.wrong(Problem::new("expected at least \"1MiB\""));
        }
        Some(bytes)
    });
    table.finish();
    memory
}

/// `[cache.NAME]`.
pub(super) fn caches(root: &mut Table<'_>, memory: u64) -> Named<Cache> {
    Named::read(root, "cache", |name, mut table| {
        let ttl = table.read("ttl", Ttl::Origin, ttl);
        let override_value = table.take("override");
        let override_origin = override_value.as_ref().and_then(Value::bool).unwrap_or(false);
        if let (Some(value), true, Ttl::Origin | Ttl::Heuristic) = (override_value, override_origin, ttl) {
            value.wrong(Problem::new("there is no ttl to override the origin with").help("add: ttl = \"1s\""));
        }
        let time = |table: &mut Table<'_>, key, default| {
            table.read(key, Duration::from_secs(default), |v| v.parse("a duration", duration))
        };
        let stale_while_revalidate = time(&mut table, "stale_while_revalidate", 0);
        let stale_if_error = time(&mut table, "stale_if_error", 86400);
        let ignore_cookies = patterns(table.take("ignore_cookies"));
        let vary_cookies = vary_cookies(table.take("vary_cookies"));
        let request_directives = table.read("request_directives", RequestDirectives::Normal, request_directives);
        let strip_set_cookie = table.read("strip_set_cookie", false, Value::bool);
        let ignore_query = patterns(table.take("ignore_query"));
        let compress = table.read("compress", true, Value::bool);
        let negative_ttl = time(&mut table, "negative_ttl", NEGATIVE_TTL);
        let default = max_object_default(memory);
        let max_object = table.read("max_object", default, |value| max_object(value, memory));
        let read_your_writes = table.read("read_your_writes", false, Value::bool);
        table.finish();
        Some(Cache {
            name,
            ttl,
            override_origin,
            stale_while_revalidate,
            stale_if_error,
            ignore_cookies,
            vary_cookies,
            request_directives,
            strip_set_cookie,
            ignore_query,
            compress,
            negative_ttl,
            max_object,
            read_your_writes,
        })
    })
}

/// The cache of the route that stands for a policy without routes: what the origin itself allows.
pub(super) fn implicit_cache(name: &str, memory: u64) -> Cache {
    Cache {
        name: name.to_owned(),
        ttl: Ttl::Origin,
        override_origin: false,
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::from_secs(86400),
        ignore_cookies: Vec::new(),
        vary_cookies: Vec::new(),
        request_directives: RequestDirectives::Normal,
        strip_set_cookie: false,
        ignore_query: Vec::new(),
        compress: true,
        negative_ttl: Duration::from_secs(NEGATIVE_TTL),
        max_object: max_object_default(memory),
        read_your_writes: false,
    }
}

fn ttl(value: &Value<'_>) -> Option<Ttl> {
    if value.as_str() == Some("origin") {
        return Some(Ttl::Origin);
    }
    if value.as_str() == Some("heuristic") {
        return Some(Ttl::Heuristic);
    }
    let time = |text: &str| duration_not_zero(text).map_err(|problem| problem.help(TTL_WORDS));
    value.parse("a duration, \"origin\" or \"heuristic\"", time).map(Ttl::Fixed)
}

fn request_directives(value: &Value<'_>) -> Option<RequestDirectives> {
    const EXPECTED: &str = "\"normal\", \"always\" or \"never\"";
    match value.string(EXPECTED)? {
        "normal" => return Some(RequestDirectives::Normal),
        "always" => return Some(RequestDirectives::Always),
        "never" => return Some(RequestDirectives::Never),
        _ => value.wrong(Problem::new(format!("expected {EXPECTED}"))),
    }
    None
}

/// Their values are part of every key: few, and each named whole.
fn vary_cookies(value: Option<Value<'_>>) -> Vec<String> {
    let Some(value) = value else { return Vec::new() };
    let read = |v: Value<'_>| {
        v.parse("a cookie's name", |text| {
            let is_name = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"=;,*\"".contains(&b));
            if is_name { Ok(text.to_owned()) } else { Err(Problem::new("expected a cookie's whole name")) }
        })
    };
    let names: Vec<_> = value.one_or_many().into_iter().filter_map(read).collect();
    if names.len() > VARY_COOKIES_MAX {
        value.wrong(Problem::new(format!("expected at most {VARY_COOKIES_MAX} names")));
    }
    names
}

fn max_object(value: &Value<'_>, memory: u64) -> Option<usize> {
    let bytes = value.parse("a size such as \"8MiB\"", size)?;
    if bytes == 0 || bytes > memory {
        let label = format!("expected something between 1B and cache_store.memory ({} MiB)", memory >> 20);
        value.wrong(Problem::new(label));
    }
    bytes.try_into().ok()
}

fn max_object_default(memory: u64) -> usize {
    usize::try_from(memory).unwrap_or(MAX_OBJECT).min(MAX_OBJECT)
}

fn patterns(value: Option<Value<'_>>) -> Vec<String> {
    let Some(value) = value else { return Vec::new() };
    let read = |v: Value<'_>| {
        v.parse("a name, with `*` for any letters", |text| match text {
            "" => Err(Problem::new("expected a name, with `*` for any letters")),
            _ => Ok(text.to_owned()),
        })
    };
    value.one_or_many().into_iter().filter_map(read).collect()
}

pub(super) fn narrow(n: u64) -> Option<NonZeroU32> {
    u32::try_from(n).ok().and_then(NonZeroU32::new)
}

pub(super) fn size_of(n: u64) -> Option<NonZeroUsize> {
    usize::try_from(n).ok().and_then(NonZeroUsize::new)
}
