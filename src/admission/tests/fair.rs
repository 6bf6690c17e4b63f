//! Four places of 20 ms each, and who gets them while one client asks without end.

use std::collections::BTreeMap;

use super::*;
use crate::simulation::random::Random;

const GREEDY: u64 = 51;

/// A client's number as the shell gives it: a hash.
fn hashed(client: u64) -> u64 {
    Random::new(client).bits()
}

/// Of 50 polite clients and a greedy one, over ten seconds: `(asked, served)` by client.
fn storm(admission: &mut Admission, polite_per_second: f64, seed: u64) -> BTreeMap<u64, (u32, u32)> {
    let mut random = Random::new(seed);
    let mut tally: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    let (mut polite, mut greedy) = (Mono::ZERO, Mono::ZERO);
    let mut ends: Vec<(Mono, FlightId, u64)> = Vec::new();
    let mut waiting: HashMap<WaiterId, (u64, Mono)> = HashMap::new();
    for tick in 0..100_000_u64 {
        let now = Mono::from_nanos(tick * 100_000);
        let (due, rest) = ends.into_iter().partition::<Vec<_>, _>(|(at, ..)| *at <= now);
        ends = rest;
        for (_, flight, client) in due {
            tally.entry(client).or_default().1 += 1;
            admission.headed(flight, false, now);
            admission.release(flight, now);
        }
        let mut asks = Vec::new();
        while polite <= now {
            asks.push(random.below(50));
            polite = polite.after(random.gap(polite_per_second));
        }
        while greedy <= now {
            asks.push(GREEDY);
            greedy = greedy.after(random.gap(400.0));
        }
        for client in asks {
            tally.entry(client).or_default().0 += 1;
            match admission.admit(Ask { cohort: (client % 128) as u8, ..ask(Class::Normal, hashed(client)) }, now) {
                Admit::Granted(flight) => ends.push((now.after(Duration::from_millis(20)), flight, client)),
                Admit::Queued(id, deadline) => drop(waiting.insert(id, (client, deadline))),
                Admit::Refused(_) => {}
            }
        }
        waiting.retain(|id, (client, deadline)| match admission.claim(*id) {
            Claim::Granted(flight) => {
                ends.push((now.after(Duration::from_millis(20)), flight, *client));
                false
            }
            Claim::Refused(_) => false,
            Claim::Waiting if *deadline <= now => {
                admission.leave(*id, now);
                false
            }
            Claim::Waiting => true,
        });
        admission.take_woken();
    }
    tally
}

#[test]
fn one_who_asks_without_end_gets_what_the_polite_leave() {
    for seed in 1..4 {
        let mut admission = Admission::new(&policy(4, 64), &[]);
        let mut tally = storm(&mut admission, 157.0, seed);
        let (_, greedy) = tally.remove(&GREEDY).unwrap();
        let (asked, served) = tally.values().fold((0, 0), |(a, s), (asked, served)| (a + asked, s + served));
        let share = f64::from(served) / f64::from(asked);
        assert!(share > 0.99, "seed {seed}: polite {share}");
        assert!(greedy > 200, "seed {seed}: what is left is the greedy's: {greedy}");
    }
}

#[test]
fn where_the_polite_are_too_many_the_greedy_is_not_shut_out() {
    let mut admission = Admission::new(&policy(4, 64), &[]);
    let mut tally = storm(&mut admission, 400.0, 1);
    let (_, greedy) = tally.remove(&GREEDY).unwrap();
    let most = tally.values().map(|(_, served)| *served).max().unwrap();
    assert!(greedy > 20 && greedy < 2 * most, "greedy {greedy}, the luckiest polite {most}");
}
