//! The waiting room with ten million in line: a poll, a tick, the drawing of lots. The bars are 1 µs, 1 ms
//! and 1 ms a slice. Nothing is read or written: `cargo bench --bench room`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement that fails should say where, and reads the clock"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use seawall::clock::{Mono, Now};
use seawall::keys::Keys;
use seawall::policy::{self, file};
use seawall::waiting_room::{Presented, Room, Stub, Ticket, Visit};

const CROWD: u64 = 10_000_000;
const POLICY: &str = "[edge]\nlisten = '127.0.0.1:0'\n[origin.shop]\nservers = ['127.0.0.1:9']\n\
    [waiting_room.launch]\ncapacity = 4000\nadmit = '6000/min'\nmax_queue = 20000000\n\
    places_per_client = { ipv4 = 100000000, ipv6_64 = 100000000 }\n";

fn rules(more: &str) -> policy::WaitingRoom {
    let policy = file::parse(&format!("{POLICY}{more}"), Path::new(".")).policy.unwrap();
    policy.waiting_rooms.into_iter().next().unwrap()
}

/// Ten million numbers, drawn as fast as blocks of them are on disk.
fn full(rules: policy::WaitingRoom, now: &mut Now) -> Room {
    let mut room = Room::new(rules, [7; 32], *now);
    tick(&mut room, *now);
    room.set_paused(true);
    let stub = Stub { lane: 0, invitation: 0, issued_unix_s: 0 };
    let presented = Presented { stub: Some(stub), ..Presented::default() };
    let mut drawn = 0;
    while drawn < CROWD {
        match room.poll(presented, *now) {
            Visit::Queued { .. } => drawn += 1,
            _ => tick(&mut room, *now),
        }
    }
    room.set_paused(false);
    room
}

fn tick(room: &mut Room, now: Now) {
    let changes = room.tick(now);
    room.commit(&changes);
}

fn began() -> Now {
    Now { mono: Mono::from_nanos(1_000_000_000), unix_ms: 1_790_000_000_000 }
}

fn polls(c: &mut Criterion) {
    let mut now = began();
    let room = full(rules(""), &mut now);
    let face = room.face().clone();
    let mut lot = 1u64;
    let mut number = move || {
        lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        lot % CROWD + 1
    };
    c.bench_function("room: a poll among ten million", |b| {
        b.iter(|| face.poll(Ticket::new(0, black_box(number()), 0), Default::default(), now))
    });
    let keys = Keys::from_bytes(1, &[7; 32]);
    let text = Ticket::new(0, CROWD / 2, 0).encode(&keys, room.id());
    c.bench_function("room: a poll with its ticket verified and signed anew", |b| {
        b.iter(|| {
            let ticket = Ticket::parse(text.as_str().as_bytes(), &keys, room.id()).unwrap();
            let Some(Visit::Queued { ticket, .. }) = face.poll(ticket, Default::default(), now) else { panic!() };
            black_box(ticket.encode(&keys, room.id()))
        })
    });
}

fn ticks(c: &mut Criterion) {
    let mut now = began();
    let mut room = full(rules(""), &mut now);
    let mut took = Vec::with_capacity(1 << 20);
    c.bench_function("room: a tick with ten million in line", |b| {
        b.iter(|| {
            now = now.after(Duration::from_millis(100));
            let began = Instant::now();
            tick(&mut room, now);
            took.push(began.elapsed());
        })
    });
    took.sort_unstable();
    // One tick in ten recounts, one in six hundred turns the window; the very last are the machine's.
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "of {} ticks: p95 {:?} (recounts), p99.9 {:?} (turns of the window), p99.99 {:?}",
        took.len(),
        at(0.95),
        at(0.999),
        at(0.9999)
    );
}

fn draws(c: &mut Criterion) {
    let mut now = began();
    // Ten million come within the gathering; the clock goes to the opening then.
    let opens = "opens = 2026-09-21T16:00:00Z\ngather = '48h'\noutside = 'closed'\n";
    let mut room = full(rules(opens), &mut now);
    now = now.after(Duration::from_secs(48 * 3600));
    let (mut slices, mut worst, began) = (0u32, Duration::ZERO, Instant::now());
    loop {
        let slice = Instant::now();
        tick(&mut room, now);
        worst = worst.max(slice.elapsed());
        slices += 1;
        if !room.is_drawing() {
            break;
        }
    }
    println!("ten million lots: {:?} in {slices} ticks, the longest {worst:?}", began.elapsed());
    let face = room.face().clone();
    let mut number = 0;
    c.bench_function("room: a poll after the draw", |b| {
        b.iter(|| {
            number = (number + 7_919_777) % CROWD;
            face.poll(Ticket::new(0, number + 1, 0), Default::default(), now)
        })
    });
}

criterion_group!(room, polls, ticks, draws);
criterion_main!(room);
