//! What a purge takes with a million entries held, and what a hit takes before and after purges.
//! Nothing is read or written: `cargo bench --bench purge`.

#![allow(clippy::unwrap_used, reason = "a measurement that fails should say where")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use seawall::cache::entry::Entry;
use seawall::cache::freshness::{ResponseParts, Terms};
use seawall::cache::purge::{Mark, Names, Purge, Purges, Stored, Tags, Target, tag_name};
use seawall::cache::store::Store;
use seawall::clock::{Mono, Now};

const ENTRIES: u32 = 1_000_000;

fn at(us: u64) -> Now {
    Now { mono: Mono::from_nanos(us * 1000), unix_ms: 1_795_000_000_000 + us / 1000 }
}

/// A shop's page: four segments, five tags.
fn entry(store: &Store, n: u32) -> Arc<Entry> {
    let terms = Terms { fresh_for: Duration::from_secs(86_400), ..Terms::default() };
    let path = format!("/shop/shoes/{}/{n}", n % 1000);
    let tags = [format!("p{n}"), format!("c{}", n % 1000), "shoes".into(), "shop".into(), format!("v{}", n % 50)];
    let tags = tags.map(|tag| tag_name(tag.as_bytes()));
    let names = Names::of("shop.example", &path, std::iter::empty());
    let mark = Mark::new(store.purges().stamp(at(1).mono), &names, &tags, Tags::Named);
    let head = ResponseParts { status: 200, fields: &[] };
    Arc::new(Entry::new(&head, Bytes::from_static(b"page"), terms, at(1)).marked(mark))
}

fn full() -> Store {
    let store = Store::new(4 << 30);
    for n in 0..ENTRIES {
        store.insert(n.to_be_bytes().into(), entry(&store, n), &[], Mono::ZERO);
    }
    store
}

/// Hits of entries in an order that no cache of the processor foresees.
fn hits(c: &mut Criterion, name: &str, store: &Store, among: u32) {
    let mut n = 0_u32;
    c.bench_function(name, |b| {
        b.iter(|| {
            n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            black_box(store.get(&(n % among).to_be_bytes())).is_some()
        });
    });
}

fn purge(c: &mut Criterion) {
    let store = full();
    hits(c, "hit, 1 M entries, no purge yet", &store, ENTRIES);
    let mut us = 10;
    c.bench_function("purge of a tag, 1 M entries", |b| {
        b.iter(|| {
            us += 1;
            let tag = Target::Tag(format!("x{}", us % 10_000).into_bytes().into());
            black_box(store.purge(&Purge { target: tag, soft: false }, at(us)))
        });
    });
    // Each entry is looked up once after a purge; from then on it remembers.
    (0..ENTRIES).for_each(|n| assert!(store.get(&n.to_be_bytes()).is_some()));
    hits(c, "hit, 1 M entries, after 10,000 purges", &store, ENTRIES);
    c.bench_function("hit, the first after a purge", |b| {
        let mut n = 0_u32;
        b.iter(|| {
            n = (n + 1) % 1000;
            if n == 0 {
                us += 1;
                store.purge(&Purge { target: Target::Tag(b"other"[..].into()), soft: false }, at(us));
            }
            black_box(store.get(&n.to_be_bytes())).is_some()
        });
    });
    let shoes = Target::Tag(b"shoes"[..].into());
    store.purge(&Purge { target: shoes, soft: false }, at(us + 1));
    assert!((0..ENTRIES).all(|n| store.get(&n.to_be_bytes()).is_none()), "all million are gone");
}

/// What the question alone takes, of a page's names, with 10,000 purges of others behind it.
fn verdict(c: &mut Criterion) {
    let purges = Purges::new(at(0));
    let mark = |us| {
        let tags = ["p7", "c7", "shoes", "shop", "v7"].map(|tag| tag_name(tag.as_bytes()));
        let names = Names::of("shop.example", "/shop/shoes/7/7", std::iter::empty());
        Mark::new(purges.stamp(at(us).mono), &names, &tags, Tags::Named)
    };
    let old = mark(1);
    for n in 0..10_000 {
        let target = Target::Tag(format!("x{n}").into_bytes().into());
        purges.purge(&Purge { target, soft: false }, at(10 + n));
    }
    let new = mark(20_000);
    c.bench_function("verdict, newer than all purges", |b| b.iter(|| purges.verdict(black_box(&new))));
    c.bench_function("verdict, older, looked up before", |b| b.iter(|| purges.verdict(black_box(&old))));
    c.bench_function("verdict, older, looked up now", |b| {
        b.iter(|| purges.look_up(black_box(old.stamp()), old.names(), old.tags()));
    });
    let stored = Stored {
        host: None,
        path: "/shop/shoes/7/7",
        query: None,
        names: old.names(),
        tags: old.tags(),
        stamp: old.stamp(),
    };
    c.bench_function("a snapshot's file, older", |b| b.iter(|| purges.is_hidden(black_box(&stored))));
}

criterion_group!(benches, verdict, purge);
criterion_main!(benches);
