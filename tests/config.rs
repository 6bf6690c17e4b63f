//! The policies that people copy are good, and what they leave out has the defaults it should.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seawall::policy::{AccessLog, Admit, HostHeader, Limit, LogFormat, Mode, Patience, Policy, Queue, Ttl, file};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

#[test]
fn every_policy_to_start_from_is_good() {
    let mut seen = 0;
    for entry in std::fs::read_dir(dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        match file::load(&path) {
            Ok((_, warnings)) => assert!(warnings.diagnostics.is_empty(), "{warnings}"),
            Err(error) => panic!("{error}"),
        }
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} policies in config/");
}

#[test]
fn the_smallest_policy_has_the_defaults_that_protect() {
    let Policy { edge, admin, origins, caches, level, routes, log, keys_file, state_dir, cache_memory, .. } =
        file::load(&dir().join("smallest.toml")).unwrap().0;
    assert_eq!(edge.listen[0].address.to_string(), "0.0.0.0:8080");
    assert!(edge.threads.get() >= 1 && edge.trusted_proxies.is_empty());
    assert_eq!((edge.max_connections.get(), edge.max_connections_per_client.get()), (50_000, 256));
    let seconds = |n| Duration::from_secs(n);
    assert_eq!((edge.header_timeout, edge.body_timeout, edge.idle_timeout), (seconds(10), seconds(30), seconds(75)));
    assert_eq!((edge.body_min_rate, edge.max_header_size), (1024, 16 << 10));
    assert_eq!((edge.max_body_size, edge.buffer_body), (10 << 20, 64 << 10));
    assert_eq!(admin.listen.to_string(), "127.0.0.1:9180");
    assert_eq!((keys_file, state_dir), (dir().join("seawall.keys"), dir().join("state")));

    let origin = &origins[0];
    let servers: Vec<_> = origin.servers.iter().map(ToString::to_string).collect();
    assert_eq!((servers.as_slice(), origin.retries), (&["http://127.0.0.1:9000".to_owned()][..], 1));
    assert_eq!(
        (origin.connect_timeout, origin.response_timeout, origin.idle_timeout),
        (seconds(1), seconds(10), seconds(60))
    );
    assert!(origin.health.is_none() && origin.host_header == HostHeader::Pass);
    let concurrency = &origin.concurrency;
    let number = |n| NonZeroUsize::new(n).unwrap();
    assert_eq!(concurrency.limit, Limit::Adaptive { initial: number(20), min: number(2), max: number(1000) });
    assert_eq!((concurrency.queue, concurrency.max_streams), (Queue::Auto, 1000));
    let Patience { critical, normal, bulk } = concurrency.patience;
    assert_eq!((critical, normal, bulk), (seconds(2), seconds(1), Duration::from_millis(200)));

    assert_eq!((routes.len(), routes[0].name.as_str(), caches[0].name.as_str()), (1, "default", "default"));
    assert_eq!((caches[0].ttl, caches[0].stale_if_error, cache_memory), (Ttl::Origin, seconds(86400), 512 << 20));
    assert!(routes[0].cache.is_some() && routes[0].waiting_room.is_none());
    assert_eq!(routes[0].mode, [Mode::Pass, Mode::Pass, Mode::Pass, Mode::Newest]);
    assert_eq!((level.unreachable, level.probes, level.ramp), (seconds(5), 20, seconds(5)));
    assert_eq!(level.header.as_deref(), Some("Seawall-Level"));
    assert_eq!((log.format, log.access), (LogFormat::Json, AccessLog::Stdout));
}

#[test]
fn what_a_policy_says_is_what_it_gets() {
    let (policy, _) = file::load(&dir().join("shop-drop.toml")).unwrap();
    let room = &policy.waiting_rooms[0];
    assert_eq!((room.name.as_str(), room.capacity.get(), room.max_queue.get()), ("drop", 4000, 10_000_000));
    let Admit::Quota(admit) = room.admit else { panic!("{:?}", room.admit) };
    assert_eq!((admit.count.get(), admit.period.as_secs()), (600, 60));
    let limit = &policy.rate_limits[0];
    assert_eq!((limit.name.as_str(), limit.quota.count.get(), limit.burst.get()), ("per_address", 20, 100));
    assert_eq!(policy.rate_limits[1].burst.get(), 30, "left out, the burst is the quota's count");
    let pages = policy.routes.last().unwrap();
    assert_eq!(pages.mode, [Mode::Pass, Mode::Pass, Mode::Stale, Mode::Stale]);
    let checkout = &policy.routes[3];
    assert_eq!((checkout.name.as_str(), checkout.cache.is_none()), ("checkout", true));
    assert_eq!(checkout.mode, [Mode::Pass, Mode::Pass, Mode::Pass, Mode::Wait]);
}
