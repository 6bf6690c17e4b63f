//! A visitor: what each asks for, and what they do with what they hear. No socket, no clock.

use crate::clock::Moment;
use crate::judge::Drawn;
use crate::plan::{Ends, Group};
use crate::random::Random;
use crate::tally::Tally;

/// What the room gave may be so long.
pub(crate) const CARRIED_MAX: usize = 112;
/// Chance in when a page asks again, as the built-in page has it.
const JITTER: (f64, f64) = (0.85, 1.15);
/// How long one waits who gets no answer.
const AGAIN: (f64, f64) = (0.2, 0.6);
/// No position seen yet.
const NONE: u32 = u32::MAX;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// One's place.
    Place,
    /// A page of the journey, by its index.
    Page(u8),
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Told {
    /// The origin's page.
    Page,
    Place(Place),
    /// Come back.
    Refused {
        status: u16,
        retry_after: Option<f64>,
    },
    /// Nothing that one could understand.
    Unclear {
        status: u16,
    },
    /// No answer.
    Nothing,
}

/// A room's answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) state: State,
    pub(crate) position: Option<u32>,
    /// The middle of what was said, seconds.
    pub(crate) wait: Option<f64>,
    pub(crate) poll_after: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In line, drawn or not, paused or not, before the opening or after it.
    Waiting,
    Full,
    /// Sold out or closed.
    Over,
    Admitted,
}

/// What a visitor does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    AskAt(Moment),
    Leave(Why),
}

/// Why one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// Saw all pages.
    Through,
    NoShow,
    Impatient,
    /// Sold out or closed.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Has no number as far as one knows.
    New,
    /// Has a number.
    Waiting,
    Inside,
    Gone,
}

/// How a no-show stays away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum NoShow {
    No,
    /// Never asks again once there is a number.
    AtOnce,
    /// Leaves when this share of the way is left.
    At(f32),
}

/// An exchange, as its visitor sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) asked: Ask,
    pub(crate) sent: Moment,
    pub(crate) answered: Moment,
    pub(crate) told: Told,
}

#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// The cookie's value, or the field's.
    carried: [u8; CARRIED_MAX],
    carried_len: u8,
    pub(crate) group: u8,
    /// Which of the group.
    pub(crate) nth: u32,
    page: u8,
    stage: Stage,
    no_show: NoShow,
    came: Moment,
    leaves_queue: Moment,
    /// The exchange that brought the number.
    drawn_sent: Moment,
    drawn_answered: Moment,
    /// The last question that was still answered with a place in line.
    queued_sent: Moment,
    admitted: Moment,
    /// The last page asked for of which the origin knows.
    at_origin: Moment,
    first_position: u32,
    position: u32,
    /// What was said half the way, and when.
    estimate: f32,
    estimated: Moment,
    /// The origin has answered the last page: whatever comes of that answer, the session is over.
    over: bool,
}

const _: () = assert!(size_of::<Visitor>() <= 200, "there are a hundred thousand");

impl Visitor {
    pub(crate) fn new((index, nth): (u8, u32), group: &Group, came: Moment, random: &mut Random) -> Self {
        let no_show = match random.chance(group.no_shows) {
            false => NoShow::No,
            true if random.chance(0.5) => NoShow::AtOnce,
            true => NoShow::At(random.unit() as f32),
        };
        let patience = group.patience_seconds.map(|median| patience(median, random));
        let since = came.max(Moment::of_seconds(group.opens_seconds));
        Self {
            carried: [0; CARRIED_MAX],
            carried_len: 0,
            group: index,
            nth,
            page: 0,
            stage: Stage::New,
            no_show,
            came: since,
            leaves_queue: patience.map_or(Moment::NEVER, |seconds| since.after(seconds)),
            drawn_sent: Moment::NEVER,
            drawn_answered: Moment::NEVER,
            queued_sent: Moment::default(),
            admitted: Moment::NEVER,
            at_origin: Moment::default(),
            first_position: NONE,
            position: NONE,
            estimate: 0.0,
            estimated: Moment::NEVER,
            over: false,
        }
    }

    pub(crate) fn carried(&self) -> &[u8] {
        self.carried.get(..usize::from(self.carried_len)).unwrap_or_default()
    }

    /// Keeps what the room gave; false if it is too long.
    pub(crate) fn carry(&mut self, value: &[u8]) -> bool {
        let Some(to) = self.carried.get_mut(..value.len()) else { return false };
        to.copy_from_slice(value);
        self.carried_len = value.len() as u8;
        true
    }

    /// A page first; with what came of that, one's place until one is inside.
    pub(crate) fn asks(&self) -> Ask {
        match self.stage {
            Stage::Inside => Ask::Page(self.page),
            _ if self.carried_len == 0 => Ask::Page(self.page),
            _ => Ask::Place,
        }
    }

    pub(crate) fn is_inside(&self) -> bool {
        self.stage == Stage::Inside
    }

    /// A request of this visitor is at the origin.
    pub(crate) fn arrives(&mut self, at: Moment) {
        self.at_origin = self.at_origin.max(at);
    }

    /// The origin has answered the last page.
    pub(crate) fn is_served(&mut self) {
        self.over = true;
    }

    /// As the judge sees one who drew a number.
    pub(crate) fn drawn(&self, number: u32) -> Option<Drawn> {
        (self.drawn_sent != Moment::NEVER).then_some(Drawn {
            visitor: number,
            sent: self.drawn_sent,
            answered: self.drawn_answered,
            queued: self.queued_sent,
            admitted: self.admitted,
        })
    }

    pub(crate) fn hear(
        &mut self,
        heard: Heard,
        group: &Group,
        ends: Ends,
        tally: &mut Tally,
        random: &mut Random,
    ) -> Next {
        let again = |after: f64| Next::AskAt(heard.answered.after(after));
        let next = match heard.told {
            told if self.over && told != Told::Page => Next::Leave(Why::Through),
            Told::Page => self.see(heard, group, tally, random),
            Told::Place(place) => self.learn(place, heard, tally, random),
            Told::Refused { status, retry_after } => {
                tally.refused(status);
                let after = retry_after.unwrap_or(1.0);
                again(between((after, 2.0 * after), random))
            }
            Told::Unclear { status } => {
                tally.unclear(status);
                again(1.0)
            }
            Told::Nothing => again(between(AGAIN, random)),
        };
        if let Next::Leave(why) = next {
            self.leave(why, ends, tally);
        }
        next
    }

    /// A page of the journey.
    fn see(&mut self, heard: Heard, group: &Group, tally: &mut Tally, random: &mut Random) -> Next {
        if self.stage != Stage::Inside {
            self.come_in(heard, tally);
        }
        self.page += 1;
        if usize::from(self.page) >= group.journey.len() {
            return Next::Leave(Why::Through);
        }
        let think = group.think_seconds;
        Next::AskAt(heard.answered.after(between((think / 2.0, think * 1.5), random)))
    }

    fn come_in(&mut self, heard: Heard, tally: &mut Tally) {
        tally.came_in(self.group, heard.answered.since(self.came), self.stage == Stage::Waiting);
        self.waits_no_more(tally);
        if self.estimated != Moment::NEVER {
            tally.estimated(f64::from(self.estimate), heard.answered.since(self.estimated));
        }
        self.stage = Stage::Inside;
        self.admitted = heard.answered;
        // No later than when the room let them in.
        self.at_origin = heard.sent;
    }

    fn learn(&mut self, place: Place, heard: Heard, tally: &mut Tally, random: &mut Random) -> Next {
        match place.state {
            State::Admitted => {
                if self.stage != Stage::Inside {
                    self.come_in(heard, tally);
                }
                return Next::AskAt(heard.answered);
            }
            State::Over => return Next::Leave(Why::Over),
            State::Full => {
                tally.full();
                return Next::AskAt(heard.answered.after(between((place.poll_after, 2.0 * place.poll_after), random)));
            }
            State::Waiting => {}
        }
        if self.stage == Stage::Inside {
            // Was inside, and is told to queue.
            tally.sent_back(self.admitted, self.at_origin);
            (self.position, self.first_position) = (NONE, NONE);
            self.waits(tally);
        }
        self.queued_sent = heard.sent;
        self.note(place, heard, tally);
        if self.stays_away() {
            return Next::Leave(Why::NoShow);
        }
        if heard.answered >= self.leaves_queue {
            return Next::Leave(Why::Impatient);
        }
        let after = place.poll_after * between(JITTER, random);
        Next::AskAt(heard.answered.after(after).min(self.leaves_queue.max(heard.answered)))
    }

    fn note(&mut self, place: Place, heard: Heard, tally: &mut Tally) {
        // The first touch is answered with a stub, and the next one, which bears it, with a number. A
        // gathering shows no positions.
        let drawn = place.position.is_some() || heard.asked == Ask::Place;
        if drawn && self.stage == Stage::New {
            self.waits(tally);
            (self.drawn_sent, self.drawn_answered) = (heard.sent, heard.answered);
        }
        let Some(position) = place.position else { return };
        if self.position != NONE && position > self.position {
            tally.rose(self.position, position);
        }
        if self.first_position == NONE {
            self.first_position = position;
        }
        self.position = position;
        if self.estimated == Moment::NEVER
            && position <= self.first_position / 2
            && let Some(wait) = place.wait
        {
            (self.estimate, self.estimated) = (wait as f32, heard.answered);
        }
    }

    fn waits(&mut self, tally: &mut Tally) {
        self.stage = Stage::Waiting;
        tally.willing += u32::from(self.no_show == NoShow::No);
    }

    fn waits_no_more(&self, tally: &mut Tally) {
        if self.stage == Stage::Waiting {
            tally.willing -= u32::from(self.no_show == NoShow::No);
        }
    }

    fn stays_away(&self) -> bool {
        match self.no_show {
            NoShow::No => false,
            NoShow::AtOnce => self.stage == Stage::Waiting,
            NoShow::At(share) => {
                self.position != NONE && f64::from(self.position) <= f64::from(share) * f64::from(self.first_position)
            }
        }
    }

    fn leave(&mut self, why: Why, ends: Ends, tally: &mut Tally) {
        if self.stage == Stage::Inside {
            tally.was_inside(self.admitted, self.at_origin, ends == Ends::Idle);
        }
        self.waits_no_more(tally);
        tally.left(why);
        self.stage = Stage::Gone;
    }

    /// At the end of the run: who is still inside was so until now.
    pub(crate) fn close(&self, tally: &mut Tally) {
        if self.stage == Stage::Inside {
            tally.was_inside(self.admitted, self.at_origin, false);
        }
    }
}

fn between((low, high): (f64, f64), random: &mut Random) -> f64 {
    low + (high - low) * random.unit()
}

/// As the simulation's crowd has it.
fn patience(median: f64, random: &mut Random) -> f64 {
    let median = std::time::Duration::try_from_secs_f64(median).unwrap_or_default();
    crate::arrivals::Patience { median }.draw(random).as_secs_f64()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]
mod tests;
