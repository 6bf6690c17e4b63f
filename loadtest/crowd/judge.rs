//! What can be proven of a room from outside.
//!
//! Visitors see positions, not numbers, so order is taken from moments. One drew a number before
//! another if the answer that brought it came before the other's question was sent; one was let in
//! before another if the admission was answered before the other sent a question that was still
//! answered with a place in line. Both together are an inversion. Who came before the opening has
//! drawn at it, and is in no order with the others who did.

use std::collections::BTreeMap;

use crate::clock::Moment;

/// The lots are drawn at the first tick after the opening, among all who have a number by then; on a busy
/// machine it is a late one.
const LOTS_SECONDS: f64 = 1.0;

/// The most that were inside at once, and when: of stays, those that end at a moment are over
/// before those that begin at it.
pub(crate) fn most_inside(stays: &[(Moment, Moment)]) -> (u32, Moment) {
    let mut changes: Vec<(Moment, bool)> =
        stays.iter().flat_map(|(from, until)| [(*from, true), (*until, false)]).collect();
    changes.sort_unstable();
    let (mut inside, mut most) = (0, (0, Moment::default()));
    for (at, comes) in changes {
        if comes {
            inside += 1;
            if inside > most.0 {
                most = (inside, at);
            }
        } else {
            inside -= 1;
        }
    }
    most
}

/// One who drew a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    pub(crate) visitor: u32,
    pub(crate) sent: Moment,
    pub(crate) answered: Moment,
    /// The last question still answered with a place in line.
    pub(crate) queued: Moment,
    /// When the answer came that let them in; `NEVER`: they were not.
    pub(crate) admitted: Moment,
}

impl Drawn {
    /// The same, seen as drawn at the opening if it may have been among the lots.
    pub(crate) fn not_before(mut self, opening: Moment) -> Self {
        let drawn = opening.after(LOTS_SECONDS);
        if opening > Moment::default() && self.sent < drawn {
            (self.sent, self.answered) = (opening, drawn);
        }
        self
    }
}

/// Those who provably drew earlier than one who was provably let in before them.
pub(crate) fn overtaken(line: &[Drawn]) -> Vec<u32> {
    let mut let_in: Vec<(Moment, Moment)> =
        line.iter().filter(|d| d.admitted != Moment::NEVER).map(|d| (d.admitted, d.sent)).collect();
    let_in.sort_unstable();
    // Of all let in so far, the one that drew last.
    let mut latest = Moment::default();
    for (_, sent) in &mut let_in {
        latest = latest.max(*sent);
        *sent = latest;
    }
    let overtaken = line.iter().filter(|d| {
        let before = let_in.partition_point(|(admitted, _)| *admitted < d.queued);
        before.checked_sub(1).and_then(|last| let_in.get(last)).is_some_and(|(_, sent)| *sent > d.answered)
    });
    overtaken.map(|d| d.visitor).collect()
}

/// The room's own figures at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) at: Moment,
    pub(crate) waiting: u32,
    pub(crate) inside: u32,
    pub(crate) reserved: u32,
    pub(crate) leased: u32,
    pub(crate) no_shows: u64,
    pub(crate) returns: u64,
    /// As the crowd knows them: in line, and no no-shows.
    pub(crate) willing: u32,
}

/// How the capacity was used.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Used {
    /// Inside, reserved and leased, at most.
    pub(crate) most: u32,
    /// From the first fill on, while anyone waited: seconds looked at …
    pub(crate) seconds: f64,
    /// … and the mean of what was inside, of the capacity …
    pub(crate) inside: f64,
    /// … reserved for those who were on their way, or never came …
    pub(crate) reserved: f64,
    /// … and free.
    pub(crate) free: f64,
    /// The least that was inside in any ten seconds.
    pub(crate) inside_min: f64,
}

/// As full as a room gets that is filled one by one.
const FULL: f64 = 0.99;
/// Between two samples at most; a longer gap is none (the edge was down).
const GAP_MAX: f64 = 1.0;

/// From the samples, in order.
pub(crate) fn used(samples: &[Sample], capacity: u32) -> Used {
    let capacity = f64::from(capacity);
    let most = samples.iter().map(|s| s.inside + s.reserved + s.leased).max().unwrap_or_default();
    let filled = samples.iter().position(|s| f64::from(s.inside) >= FULL * capacity);
    // A room that never fills is looked at from when all was given.
    let filled = filled.or_else(|| samples.iter().position(|s| f64::from(s.inside + s.reserved) >= capacity));
    let looked_at = samples.get(filled.unwrap_or(samples.len())..).unwrap_or_default();
    let (mut seconds, mut inside, mut reserved) = (0.0, 0.0, 0.0);
    let mut tens: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (sample, next) in looked_at.iter().zip(looked_at.iter().skip(1)) {
        let lasts = next.at.since(sample.at);
        if sample.waiting == 0 || sample.willing == 0 || lasts > GAP_MAX {
            continue;
        }
        seconds += lasts;
        inside += lasts * f64::from(sample.inside);
        reserved += lasts * f64::from(sample.reserved + sample.leased);
        let ten = tens.entry(sample.at.seconds() as u32 / 10).or_default();
        *ten = (ten.0 + lasts, ten.1 + lasts * f64::from(sample.inside));
    }
    let share = |sum: f64| if seconds > 0.0 { sum / seconds / capacity } else { 0.0 };
    let whole = tens.values().filter(|(lasts, _)| *lasts > 5.0).map(|(lasts, sum)| sum / lasts / capacity);
    Used {
        most,
        seconds,
        inside: share(inside),
        reserved: share(reserved),
        free: if seconds > 0.0 { 1.0 - share(inside + reserved) } else { 0.0 },
        inside_min: whole.reduce(f64::min).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(visitor: u32, drew: u32, queued: u32, admitted: u32) -> Drawn {
        Drawn {
            visitor,
            sent: Moment(drew),
            answered: Moment(drew + 2),
            queued: Moment(queued),
            admitted: Moment(admitted),
        }
    }

    #[test]
    fn who_leaves_as_another_comes_makes_room() {
        let at = |from, until| (Moment(from), Moment(until));
        assert_eq!(most_inside(&[at(0, 10), at(10, 20), at(5, 12)]), (2, Moment(5)));
        assert_eq!(most_inside(&[]), (0, Moment(0)));
    }

    #[test]
    fn only_what_is_certain_is_an_inversion() {
        // The second drew later, and was in while the first still asked in vain.
        assert_eq!(overtaken(&[drawn(1, 0, 60, 70), drawn(2, 10, 0, 50)]), [1]);
        // Their questions crossed: nobody knows who drew first.
        assert!(overtaken(&[drawn(1, 0, 60, 70), drawn(2, 1, 0, 50)]).is_empty());
        // The first did not ask again in time.
        assert!(overtaken(&[drawn(1, 0, 40, 70), drawn(2, 10, 0, 50)]).is_empty());
        // Never let in is overtaken too.
        assert_eq!(overtaken(&[drawn(1, 0, 60, u32::MAX), drawn(2, 10, 0, 50)]), [1]);
    }

    #[test]
    fn the_gathered_are_before_those_who_come_later_and_in_no_order_among_themselves() {
        let opening = Moment::of_seconds(2.0);
        let line =
            |second| [drawn(1, 0, 600_000, 700_000), drawn(2, second, 0, 500_000)].map(|d| d.not_before(opening));
        assert!(overtaken(&line(10)).is_empty());
        assert!(overtaken(&line(210_000)).is_empty(), "perhaps a tick before the lots");
        assert_eq!(overtaken(&line(310_000)), [1]);
        assert_eq!(overtaken(&[drawn(1, 0, 60, 70), drawn(2, 10, 0, 50)].map(|d| d.not_before(Moment(0)))), [1]);
    }

    #[test]
    fn the_share_in_use_is_of_the_time_in_which_anyone_waited() {
        let sample = |s: f64, waiting, inside, reserved| Sample {
            at: Moment::of_seconds(s),
            waiting,
            inside,
            reserved,
            willing: waiting,
            ..Sample::default()
        };
        let samples = [
            sample(0.0, 5, 0, 10),
            sample(0.5, 5, 10, 0),
            sample(1.0, 5, 8, 1),
            sample(1.5, 0, 2, 0),
            sample(2.0, 0, 0, 0),
        ];
        let used = used(&samples, 10);
        assert_eq!((used.most, used.seconds), (10, 1.0));
        assert!((used.inside - 0.9).abs() < 1e-9 && (used.free - 0.05).abs() < 1e-9, "{used:?}");
    }
}
