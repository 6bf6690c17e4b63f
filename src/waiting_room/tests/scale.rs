//! What ten million take, and how good the estimate is.

use super::*;

/// Five crowds, each with a wait of many minutes: the estimate that is shown from half of the wait on is
/// off by at most 15 % in the middle of all.
#[test]
fn the_estimate_is_right_within_fifteen_percent_in_the_second_half_of_the_wait() {
    type Crowd = (&'static str, fn(u64) -> bool, f64, bool);
    let crowds: [Crowd; 5] = [
        ("steady, by a rate", |_| true, 0.0, true),
        ("by places, sessions of one length", |_| true, 0.0, false),
        ("a third gives up on the way", |_| true, 0.35, true),
        ("by places, and many give up", |_| true, 0.35, false),
        ("some never came at all", |n| n % 10 < 7, 0.0, false),
    ];
    for (name, stays, gives_up, by_rate) in crowds {
        let errors = errors_of(stays, gives_up, by_rate);
        let median = errors[errors.len() / 2];
        println!("{name}: median error {:.1} % of {} estimates", median * 100.0, errors.len());
        assert!(median <= 0.15, "{name}: {median}");
    }
}

fn errors_of(stays: fn(u64) -> bool, gives_up: f64, by_rate: bool) -> Vec<f64> {
    let mut p = policy(if by_rate { 100_000 } else { 100 });
    if by_rate {
        p.admit = per_minute(120);
    }
    p.session_idle = Duration::from_secs(30);
    let mut b = Bench::new(p);
    b.room.set_paused(true);
    b.tick();
    let count = 2400u64;
    let mut line: Vec<_> = (0..count).map(|_| b.arrive()).collect();
    b.room.set_paused(false);
    // Who gives up does so at a moment of their own within the half hour.
    let leaves = |n: u64| {
        let lot = blake3::hash(&n.to_le_bytes()).as_bytes()[0];
        (f64::from(lot) < 256.0 * gives_up).then_some(30 + u64::from(lot) * 37 % 1500)
    };
    let mut shown: Vec<Vec<(u64, u64)>> = vec![Vec::new(); line.len()];
    let mut came_in = vec![None; line.len()];
    let mut asks_at = vec![1u64; line.len()];
    for second in 1..5400u64 {
        b.pass(1);
        for (n, who) in line.iter_mut().enumerate() {
            let gone = leaves(n as u64).is_some_and(|at| second > at) || !stays(n as u64);
            if came_in[n].is_some() || gone || second < asks_at[n] {
                continue;
            }
            let visit = b.visit(who);
            if let Visit::Queued { place, .. } = visit {
                asks_at[n] = second + place.poll_after.as_secs().max(1);
            }
            match visit {
                Visit::Queued { place: Place { wait: Some((low, high)), .. }, .. } => {
                    let expected = (low.as_secs_f64() / 0.8 + (high.as_secs_f64() - 1.0) / 1.25) / 2.0;
                    // Each ten seconds count alike, though one asks more often near the front.
                    if shown[n].last().is_none_or(|(last, _)| last / 10 < second / 10) {
                        shown[n].push((second, expected as u64));
                    }
                }
                Visit::Inside { .. } => came_in[n] = Some(second),
                _ => {}
            }
        }
        if came_in.iter().zip(0u64..).all(|(at, n)| at.is_some() || !stays(n) || leaves(n).is_some()) {
            break;
        }
    }
    let mut errors = Vec::new();
    for (estimates, came) in shown.iter().zip(&came_in) {
        let Some(came) = *came else { continue };
        for (second, expected) in estimates.iter().filter(|(second, _)| *second * 2 >= came && came - *second >= 20) {
            let truth = (came - second) as f64;
            errors.push((*expected as f64 - truth).abs() / truth);
        }
    }
    errors.sort_by(f64::total_cmp);
    errors
}

/// Six bits a ticket and a count for each 512, whatever the crowd does; and the count of places by client.
#[test]
fn ten_million_tickets_fit_into_sixteen_mebibytes() {
    let chunks = 10_000_000usize.div_ceil(queue::CHUNK as usize) + 1;
    let of_queue = chunks * (queue::chunk_bytes() + size_of::<usize>());
    let census = census::Census::new(10_000_000);
    let bytes = of_queue + census.bytes();
    println!("{} KiB of tickets, {} KiB of the census", of_queue >> 10, census.bytes() >> 10);
    assert!(bytes <= 16 << 20, "{bytes}");
}
