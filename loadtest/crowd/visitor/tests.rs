use super::*;
use crate::plan::Plan;

const PLAN: &str = r#"{ "edge": "127.0.0.1:1", "origin": "127.0.0.1:2", "room": "r", "capacity": 1,
    "idle_seconds": 10, "seconds_max": 60, "groups": [{ "visitors": 1, "over_seconds": 1,
    "journey": ["/a", "/b"], "think_seconds": 2 }] }"#;

struct Visit {
    plan: Plan,
    tally: Tally,
    random: Random,
    visitor: Visitor,
    at: u32,
}

impl Visit {
    fn of(no_shows: f64, seed: u64) -> Self {
        let mut plan: Plan = serde_json::from_str(PLAN).unwrap();
        plan.groups[0].no_shows = no_shows;
        let mut random = Random::new(seed);
        let visitor = Visitor::new((0, 0), &plan.groups[0], Moment(0), &mut random);
        Self { tally: Tally::new(&plan).unwrap(), plan, random, visitor, at: 0 }
    }

    fn hear(&mut self, told: Told) -> Next {
        self.at += 1000;
        let asked = self.visitor.asks();
        let heard = Heard { asked, sent: Moment(self.at), answered: Moment(self.at + 10), told };
        self.visitor.arrives(Moment(self.at + 1));
        self.visitor.hear(heard, &self.plan.groups[0], Ends::Revoke, &mut self.tally, &mut self.random)
    }

    fn place(&mut self, state: State, position: Option<u32>) -> Next {
        self.hear(Told::Place(Place { state, position, wait: None, poll_after: 2.0 }))
    }
}

#[test]
fn a_visitor_gets_a_stub_a_number_a_turn_and_the_pages() {
    let mut visit = Visit::of(0.0, 1);
    assert_eq!(visit.visitor.asks(), Ask::Page(0));
    assert!(matches!(visit.place(State::Waiting, None), Next::AskAt(_)));
    assert!(visit.visitor.carry(b"stub") && !visit.visitor.carry(&[b'x'; CARRIED_MAX + 1]));
    assert!(visit.visitor.drawn(0).is_none(), "a stub is no number");
    assert_eq!(visit.visitor.asks(), Ask::Place);
    let Next::AskAt(at) = visit.place(State::Waiting, Some(7)) else { panic!() };
    assert!((1.6..2.4).contains(&at.since(Moment(2000))));
    assert_eq!(visit.visitor.drawn(0).unwrap().sent, Moment(2000));
    assert_eq!(visit.tally.willing, 1);
    assert_eq!(visit.place(State::Admitted, None), Next::AskAt(Moment(3010)));
    assert_eq!((visit.visitor.asks(), visit.tally.willing), (Ask::Page(0), 0));
    assert!(matches!(visit.hear(Told::Page), Next::AskAt(_)));
    assert_eq!(visit.visitor.asks(), Ask::Page(1));
    assert_eq!(visit.hear(Told::Page), Next::Leave(Why::Through));
    assert_eq!(visit.tally.stays, [(Moment(3010), Moment(5001))], "from the admission's answer to the last question");
}

#[test]
fn a_no_show_takes_a_number_and_stays_away() {
    for seed in 0..20 {
        let mut visit = Visit::of(1.0, seed);
        visit.place(State::Waiting, None);
        visit.visitor.carry(b"stub");
        let gone = |next| next == Next::Leave(Why::NoShow);
        assert!(gone(visit.place(State::Waiting, Some(9))) || gone(visit.place(State::Waiting, Some(0))));
        assert_eq!(visit.tally.willing, 0);
    }
}

#[test]
fn whose_last_page_was_answered_is_through_even_if_the_answer_is_lost() {
    let mut visit = Visit::of(0.0, 1);
    visit.hear(Told::Page);
    visit.visitor.is_served();
    assert_eq!(visit.hear(Told::Nothing), Next::Leave(Why::Through));
}

#[test]
fn a_risen_position_and_a_lost_session_are_noted() {
    let mut visit = Visit::of(0.0, 1);
    visit.visitor.carry(b"stub");
    visit.place(State::Waiting, Some(5));
    visit.place(State::Waiting, Some(6));
    visit.place(State::Admitted, None);
    visit.place(State::Waiting, Some(4));
    let figures = visit.tally.figures();
    assert_eq!((&figures["rises"], &figures["sent_back"]), (&1.into(), &1.into()));
}
