//! Who comes when: the crowd in waves, each for its opening.

use std::iter::Peekable;
use std::time::Duration;

use crate::policy::{Policy, WaitingRoom};
use crate::simulation::crowd::{Arrivals, Arriving};

/// Waves at most: two for each line of a room.
pub const WAVES_MAX: usize = 64;
/// The name of the line for everyone.
pub const EVERYONE: &str = "everyone";

/// A part of the crowd that comes together.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// The lane they have invitations for, as the policy names it; none: the line for everyone.
    pub lane: Option<String>,
    pub visitors: u32,
    pub arrivals: Arrivals,
    /// Since the day began.
    pub begins: Duration,
    pub over: Duration,
    /// When their line opens: who comes earlier waits from then on.
    pub opens: Duration,
}

/// A crowd as a person asks for it.
#[derive(Clone, Debug)]
pub struct Crowd {
    pub visitors: u32,
    pub arrivals: Arrivals,
    /// In which time they come who come after an opening.
    pub over: Duration,
    /// The share of each line that comes before its opening.
    pub gathered: f64,
    /// Of the visitors, how many have invitations for which lane.
    pub invited: Vec<(String, u32)>,
    /// When the day begins, milliseconds since 1970 UTC; none: with the first gathering.
    pub from_unix_ms: Option<u64>,
}

/// Why there is no such crowd.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no lane `{0}`; {1}")]
    NoLane(String, String),
    #[error("{invited} are invited, but only {visitors} come")]
    TooManyInvited { invited: u64, visitors: u32 },
    #[error("at most {0} lanes", WAVES_MAX / 2)]
    TooManyLanes,
}

impl Crowd {
    /// When the day begins, and who comes in it. `otherwise_unix_ms`: the beginning where neither the
    /// crowd nor the policy says one.
    pub fn waves(&self, policy: &Policy, otherwise_unix_ms: u64) -> Result<(u64, Vec<Wave>), Error> {
        if self.invited.len() > WAVES_MAX / 2 - 1 {
            return Err(Error::TooManyLanes);
        }
        let invited: u64 = self.invited.iter().map(|(_, n)| u64::from(*n)).sum();
        let others = u32::try_from(u64::from(self.visitors).saturating_sub(invited)).unwrap_or(0);
        if invited > u64::from(self.visitors) {
            return Err(Error::TooManyInvited { invited, visitors: self.visitors });
        }
        let release = policy.waiting_rooms.iter().find(|room| room.opens_unix_ms.is_some());
        let begins = self.from_unix_ms.or_else(|| release.and_then(gathers)).unwrap_or(otherwise_unix_ms);
        let mut waves = Vec::new();
        let hours = Hours::of(release, release.and_then(|room| room.opens_unix_ms), begins);
        self.line(None, others, hours, &mut waves);
        for (name, visitors) in &self.invited {
            let Some((room, opens)) = find_lane(policy, name) else {
                return Err(Error::NoLane(name.clone(), lanes(policy)));
            };
            self.line(Some(name), *visitors, Hours::of(Some(room), opens, begins), &mut waves);
        }
        Ok((begins, waves))
    }

    /// The waves of one line: those who gather, more and more of them, and those who come after.
    fn line(&self, lane: Option<&String>, visitors: u32, hours: Hours, waves: &mut Vec<Wave>) {
        let Hours { gathers, opens } = hours;
        let gathering = opens.saturating_sub(gathers);
        let share = if gathering.is_zero() { 0.0 } else { self.gathered.clamp(0.0, 1.0) };
        let early = (f64::from(visitors) * share).round() as u32;
        let wave =
            |visitors, arrivals, begins, over| Wave { lane: lane.cloned(), visitors, arrivals, begins, over, opens };
        let early = [
            wave(early, Arrivals::Ramp, gathers, gathering),
            wave(visitors - early.min(visitors), self.arrivals, opens, self.over),
        ];
        waves.extend(early.into_iter().filter(|wave| wave.visitors > 0));
    }
}

/// Of a line, since the day began.
#[derive(Clone, Copy, Debug)]
struct Hours {
    gathers: Duration,
    opens: Duration,
}

impl Hours {
    fn of(room: Option<&WaitingRoom>, opens_unix_ms: Option<u64>, begins_unix_ms: u64) -> Self {
        let since = |unix_ms: Option<u64>| {
            Duration::from_millis(unix_ms.map_or(0, |unix_ms| unix_ms.saturating_sub(begins_unix_ms)))
        };
        Self { gathers: since(room.and_then(gathers)), opens: since(opens_unix_ms) }
    }
}

/// When a room first gives places.
fn gathers(room: &WaitingRoom) -> Option<u64> {
    let gather_ms = u64::try_from(room.gather.as_millis()).unwrap_or(u64::MAX);
    Some(room.opens_unix_ms?.saturating_sub(gather_ms))
}

/// A lane's room, and when it opens.
fn find_lane<'a>(policy: &'a Policy, name: &str) -> Option<(&'a WaitingRoom, Option<u64>)> {
    policy.waiting_rooms.iter().find_map(|room| {
        let lane = room.lanes.iter().find(|lane| lane.name == name)?;
        Some((room, lane.opens_unix_ms.or(room.opens_unix_ms)))
    })
}

fn lanes(policy: &Policy) -> String {
    let names = policy.waiting_rooms.iter().flat_map(|room| &room.lanes).map(|lane| lane.name.as_str());
    let names: Vec<_> = names.collect();
    if names.is_empty() { "the policy has none".to_owned() } else { format!("the policy has {}", names.join(", ")) }
}

/// The visitors of all waves, in the order in which they come.
#[derive(Debug)]
pub struct Coming {
    waves: Vec<(Duration, Peekable<Arriving>)>,
}

impl Coming {
    pub fn new(waves: &[Wave], seed: u64) -> Self {
        let waves = (0..).zip(waves).map(|(index, wave)| {
            let arriving = Arriving::new(wave.arrivals, wave.visitors, wave.over, seed ^ index);
            (wave.begins, arriving.peekable())
        });
        Self { waves: waves.collect() }
    }

    /// The wave of the next visitor, if there is one by then.
    pub fn next_by(&mut self, passed: Duration) -> Option<usize> {
        let next = |(index, (begins, arriving)): (usize, &mut (Duration, Peekable<Arriving>))| {
            Some((arriving.peek()?.1 + *begins, index))
        };
        let (when, index) = self.waves.iter_mut().enumerate().filter_map(next).min()?;
        if when > passed {
            return None;
        }
        self.waves.get_mut(index)?.1.next().map(|_| index)
    }

    /// Whether all have come.
    pub fn is_over(&mut self) -> bool {
        self.waves.iter_mut().all(|(_, arriving)| arriving.peek().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::file;

    const RELEASE: &str = r#"
[edge]
listen = ["127.0.0.1:0"]
[origin.shop]
servers = ["127.0.0.1:9"]
[waiting_room.release]
capacity = 100
opens = 2026-11-27T10:00:00+01:00
gather = "45m"
outside = "closed"
lanes.fans = { weight = 4, invitations = "fans.keys", opens = 2026-11-27T09:30:00+01:00 }
[[route]]
name = "all"
waiting_room = "release"
"#;
    const OPENS: u64 = 1_795_770_000_000;

    fn crowd() -> Crowd {
        Crowd {
            visitors: 1_000,
            arrivals: Arrivals::Flash,
            over: Duration::from_secs(600),
            gathered: 0.6,
            invited: vec![("fans".to_owned(), 100)],
            from_unix_ms: None,
        }
    }

    fn policy(text: &str) -> Policy {
        file::parse(text, std::path::Path::new(".")).policy.unwrap()
    }

    #[test]
    fn a_day_begins_with_the_gathering_and_each_line_comes_for_its_opening() {
        let (begins, waves) = crowd().waves(&policy(RELEASE), 0).unwrap();
        assert_eq!(begins, OPENS - 45 * 60_000);
        let of = |w: &Wave| (w.lane.is_some(), w.visitors, w.begins.as_secs() / 60, w.over.as_secs() / 60);
        let expected = [(false, 540, 0, 45), (false, 360, 45, 10), (true, 60, 0, 15), (true, 40, 15, 10)];
        assert_eq!(waves.iter().map(of).collect::<Vec<_>>(), expected);
        assert_eq!(waves.iter().map(|w| w.opens.as_secs() / 60).collect::<Vec<_>>(), [45, 45, 15, 15]);
    }

    #[test]
    fn a_day_may_begin_later_and_then_nobody_gathers_for_what_is_open() {
        let late = Crowd { from_unix_ms: Some(OPENS + 1), ..crowd() };
        let (begins, waves) = late.waves(&policy(RELEASE), 0).unwrap();
        assert_eq!((begins, waves.len()), (OPENS + 1, 2));
        assert!(waves.iter().all(|wave| wave.begins.is_zero() && wave.opens.is_zero()));
    }

    #[test]
    fn a_crowd_that_cannot_be_says_why() {
        let says = |crowd: Crowd| crowd.waves(&policy(RELEASE), 0).unwrap_err().to_string();
        let press = vec![("press".to_owned(), 1)];
        assert_eq!(says(Crowd { invited: press, ..crowd() }), "there is no lane `press`; the policy has fans");
        assert!(says(Crowd { visitors: 99, ..crowd() }).contains("100 are invited, but only 99 come"));
    }

    #[test]
    fn all_come_in_the_order_of_their_moments() {
        let (_, waves) = crowd().waves(&policy(RELEASE), 0).unwrap();
        let mut coming = Coming::new(&waves, 1);
        let mut came = vec![0; waves.len()];
        for second in 0..3_600 {
            while let Some(wave) = coming.next_by(Duration::from_secs(second)) {
                came[wave] += 1;
                assert!(waves[wave].begins <= Duration::from_secs(second));
            }
        }
        assert!(coming.is_over());
        assert_eq!(came, [540, 360, 60, 40]);
    }
}
