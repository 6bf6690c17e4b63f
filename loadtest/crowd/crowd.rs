//! The crowd at work: whose moment has come asks, and is put off until the next one.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::clock::{Clock, Moment};
use crate::judge::{self, Drawn, Sample};
use crate::lines::{self, Answer, Lines};
use crate::plan::{Carry, Connections, Plan};
use crate::random::Random;
use crate::tally::Tally;
use crate::visitor::{Ask, Heard, Next, Place, State, Told, Visitor};

/// How finely the crowd keeps time.
const STEP: Duration = Duration::from_millis(2);
/// How long one waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Crowd {
    pub(crate) plan: Plan,
    clock: Clock,
    lines: Lines,
    in_flight: Semaphore,
    visitors: RefCell<Vec<Visitor>>,
    due: RefCell<BinaryHeap<Reverse<(Moment, u32)>>>,
    tally: RefCell<Tally>,
    random: RefCell<Random>,
    samples: RefCell<Vec<Sample>>,
    /// By group: how many have come, and their invitations.
    come: RefCell<Vec<u32>>,
    invitations: Vec<Vec<String>>,
    cookie: String,
    at_origin: Cell<u32>,
    at_origin_most: Cell<u32>,
}

/// The room's JSON.
#[derive(Deserialize)]
struct Json<'a> {
    state: &'a str,
    position: Option<u64>,
    wait_seconds: Option<Wait>,
    poll_after_seconds: Option<f64>,
}

#[derive(Deserialize)]
struct Wait {
    low: f64,
    high: f64,
}

impl Crowd {
    pub(crate) fn new(plan: Plan, clock: Clock) -> anyhow::Result<Self> {
        let invitations = plan.groups.iter().map(|group| {
            let Some(path) = &group.invitations else { return Ok(Vec::new()) };
            Ok(std::fs::read_to_string(path)?.lines().map(str::to_owned).collect())
        });
        Ok(Self {
            clock,
            lines: Lines::new(&plan),
            in_flight: Semaphore::new(plan.in_flight_max),
            visitors: RefCell::default(),
            due: RefCell::default(),
            tally: RefCell::new(Tally::new(&plan)?),
            random: RefCell::new(Random::new(plan.seed)),
            samples: RefCell::default(),
            come: RefCell::new(vec![0; plan.groups.len()]),
            invitations: invitations.collect::<anyhow::Result<_>>()?,
            cookie: format!("seawall_{}", plan.room),
            at_origin: Cell::default(),
            at_origin_most: Cell::default(),
            plan,
        })
    }

    /// Until all have gone, or the time is over.
    pub(crate) async fn run(self: &Rc<Self>) -> anyhow::Result<()> {
        let mut arriving = self.plan.arriving()?.into_iter().peekable();
        let mut told = 0;
        loop {
            let now = self.clock.before();
            while let Some((came, group)) = arriving.next_if(|(came, _)| *came <= now) {
                self.arrive(came, group);
            }
            while let Some(Reverse((due, number))) = self.next_due(now) {
                tokio::task::spawn_local(Rc::clone(self).act(number, due));
            }
            let gone = self.tally.borrow().gone();
            let all = arriving.peek().is_none() && gone == self.visitors.borrow().len() as u64;
            if all || now.seconds() > self.plan.seconds_max {
                return Ok(());
            }
            if self.clock.passed().as_secs() > told {
                told = self.clock.passed().as_secs();
                self.tell(now);
            }
            sleep(STEP).await;
        }
    }

    pub(crate) fn sample(&self, mut sample: Sample) {
        sample.willing = self.tally.borrow().willing;
        self.samples.borrow_mut().push(sample);
    }

    /// A request has reached the origin.
    pub(crate) fn at_origin(&self, visitor: u32) {
        if let Some(visitor) = self.visitors.borrow_mut().get_mut(visitor as usize) {
            visitor.arrives(self.clock.before());
        }
        self.at_origin.set(self.at_origin.get() + 1);
        self.at_origin_most.set(self.at_origin_most.get().max(self.at_origin.get()));
    }

    /// The origin answers it; whether it is the last page of this visitor's journey.
    pub(crate) fn leaves_origin(&self, visitor: u32, page: u8) -> bool {
        self.at_origin.set(self.at_origin.get().saturating_sub(1));
        let mut visitors = self.visitors.borrow_mut();
        let Some(visitor) = visitors.get_mut(visitor as usize) else { return false };
        let pages = self.plan.groups.get(usize::from(visitor.group)).map_or(0, |group| group.journey.len());
        let last = usize::from(page) + 1 >= pages;
        if last {
            visitor.is_served();
        }
        last
    }

    fn arrive(&self, came: Moment, index: u8) {
        let Some(group) = self.plan.groups.get(usize::from(index)) else { return };
        let mut visitors = self.visitors.borrow_mut();
        let number = visitors.len() as u32;
        let mut come = self.come.borrow_mut();
        let Some(nth) = come.get_mut(usize::from(index)) else { return };
        visitors.push(Visitor::new((index, *nth), group, came, &mut self.random.borrow_mut()));
        *nth += 1;
        self.tally.borrow_mut().came();
        self.due.borrow_mut().push(Reverse((came, number)));
    }

    fn next_due(&self, now: Moment) -> Option<Reverse<(Moment, u32)>> {
        let mut due = self.due.borrow_mut();
        due.peek().is_some_and(|Reverse((at, _))| *at <= now).then(|| due.pop()).flatten()
    }

    /// One question, and what comes of it.
    async fn act(self: Rc<Self>, number: u32, due: Moment) {
        let Ok(_permit) = self.in_flight.acquire().await else { return };
        let Some((asked, request)) = self.request(number) else { return };
        let sent = self.clock.before();
        self.tally.borrow_mut().asked(asked, due, sent);
        let answer = timeout(PATIENCE, self.lines.exchange(number, &request)).await;
        let answered = self.clock.after();
        let told = match answer {
            Ok(Ok(answer)) => {
                self.tally.borrow_mut().answered(asked, answered.since(sent));
                self.keep(number, &answer);
                told(&answer)
            }
            Ok(Err(error)) => self.fail(error.name(), answered),
            Err(_) => self.fail("timeout", answered),
        };
        self.go_on(number, Heard { asked, sent, answered, told });
    }

    fn go_on(&self, number: u32, heard: Heard) {
        let mut visitors = self.visitors.borrow_mut();
        let Some(visitor) = visitors.get_mut(number as usize) else { return };
        let Some(group) = self.plan.groups.get(usize::from(visitor.group)) else { return };
        let (mut tally, mut random) = (self.tally.borrow_mut(), self.random.borrow_mut());
        match visitor.hear(heard, group, self.plan.ends, &mut tally, &mut random) {
            Next::AskAt(at) => self.due.borrow_mut().push(Reverse((at, number))),
            Next::Leave(_) => self.lines.hang_up(number),
        }
    }

    fn fail(&self, what: &'static str, at: Moment) -> Told {
        self.tally.borrow_mut().failed(what, at);
        Told::Nothing
    }

    /// What is asked for, and the request's bytes.
    fn request(&self, number: u32) -> Option<(Ask, Vec<u8>)> {
        let visitors = self.visitors.borrow();
        let visitor = visitors.get(number as usize)?;
        let group = self.plan.groups.get(usize::from(visitor.group))?;
        let asked = visitor.asks();
        let mut request = Vec::with_capacity(512);
        let written = match asked {
            Ask::Place => write!(request, "GET /.seawall/room/{}", self.plan.room),
            Ask::Page(page) => write!(request, "GET {}", group.journey.get(usize::from(page))?),
        };
        let invitations = self.invitations.get(usize::from(visitor.group))?;
        if visitor.carried().is_empty()
            && let Some(nth) = (visitor.nth as usize).checked_rem(invitations.len())
            && let Some(invitation) = invitations.get(nth)
        {
            let _ = write!(request, "?seawall_invite={invitation}");
        }
        let _ = write!(request, " HTTP/1.1\r\nHost: room.example\r\nAccept: application/json\r\n");
        if let Ask::Page(page) = asked {
            let _ = write!(request, "X-Visitor: {number}/{page}\r\n");
        }
        match self.plan.connections {
            Connections::Virtual => {
                let address = lines::address(10, number / self.plan.per_address.max(1));
                let _ = write!(request, "X-Forwarded-For: {address}\r\n");
            }
            Connections::Own => {}
            Connections::Closing => request.extend_from_slice(b"Connection: close\r\n"),
        }
        if !visitor.carried().is_empty() {
            let _ = match self.plan.carry {
                Carry::Cookie => write!(request, "Cookie: {}=", self.cookie),
                Carry::Field => write!(request, "Seawall-Ticket: "),
            };
            request.extend_from_slice(visitor.carried());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        written.ok().map(|()| (asked, request))
    }

    /// Keeps the cookie, or the field, that an answer brings.
    fn keep(&self, number: u32, answer: &Answer) {
        let value = match (self.plan.carry, &answer.cookie, &answer.ticket) {
            (Carry::Field, _, Some(ticket)) => ticket,
            (Carry::Cookie, Some((name, value)), _) if *name == self.cookie => value,
            (Carry::Cookie, Some(_), _) => return self.tally.borrow_mut().foreign(),
            _ => return,
        };
        let mut visitors = self.visitors.borrow_mut();
        if visitors.get_mut(number as usize).is_some_and(|visitor| !visitor.carry(value.as_bytes())) {
            self.tally.borrow_mut().foreign();
        }
    }

    fn tell(&self, now: Moment) {
        let mut said = self.tally.borrow().progress();
        let inside = self.visitors.borrow().iter().filter(|visitor| visitor.is_inside()).count();
        if let Some(said) = said.as_object_mut() {
            said.insert("seconds".to_owned(), now.seconds().into());
            said.insert("inside".to_owned(), inside.into());
        }
        println!("{}", serde_json::json!({ "progress": said }));
    }

    /// All that was seen, and what follows from it.
    pub(crate) fn figures(&self) -> serde_json::Value {
        let visitors = self.visitors.borrow();
        let mut tally = self.tally.borrow_mut();
        visitors.iter().for_each(|visitor| visitor.close(&mut tally));
        let mut lines: BTreeMap<&str, Vec<Drawn>> = BTreeMap::new();
        for (number, visitor) in (0..).zip(visitors.iter()) {
            let Some(group) = self.plan.groups.get(usize::from(visitor.group)) else { continue };
            let Some(drawn) = visitor.drawn(number) else { continue };
            let opens = Moment::of_seconds(group.opens_seconds);
            lines.entry(&group.lane).or_default().push(drawn.not_before(opens));
        }
        let overtaken: Vec<u32> = lines.values().flat_map(|line| judge::overtaken(line)).collect();
        let drawn: usize = lines.values().map(Vec::len).sum();
        let (most, when) = judge::most_inside(&tally.stays);
        let samples = self.samples.borrow();
        let last = samples.last().copied().unwrap_or_default();
        let mut figures = tally.figures();
        let more = serde_json::json!({
            "seconds": self.clock.before().seconds(),
            "drawn": drawn, "overtaken": overtaken.len(),
            "overtaken_examples": overtaken.iter().take(5).collect::<Vec<_>>(),
            "inside_most": most, "inside_most_at": when.seconds(),
            "at_origin_most": self.at_origin_most.get(),
            "capacity": self.plan.capacity,
            "used": judge::used(&samples, self.plan.capacity),
            "samples": samples.len(),
            "no_shows_at_room": last.no_shows, "returns_at_room": last.returns,
            "connections_opened": self.lines.opened.get(), "connections_open": self.lines.open(),
            "visitor_bytes": size_of::<Visitor>(),
        });
        if let (Some(figures), serde_json::Value::Object(more)) = (figures.as_object_mut(), more) {
            figures.extend(more);
        }
        figures
    }
}

/// What an answer says.
fn told(answer: &Answer) -> Told {
    if answer.from_origin && answer.status == 200 {
        return Told::Page;
    }
    let Ok(json) = serde_json::from_slice::<Json<'_>>(&answer.body) else {
        return match answer.status {
            status @ (429 | 503) => Told::Refused { status, retry_after: answer.retry_after },
            status => Told::Unclear { status },
        };
    };
    let state = match json.state {
        "queued" | "paused" | "before" => State::Waiting,
        "full" => State::Full,
        "sold_out" | "closed" => State::Over,
        "admitted" => State::Admitted,
        _ => return Told::Unclear { status: answer.status },
    };
    Told::Place(Place {
        state,
        position: json.position.map(|position| u32::try_from(position).unwrap_or(u32::MAX - 1)),
        wait: json.wait_seconds.map(|wait| (wait.low + wait.high) / 2.0),
        poll_after: json.poll_after_seconds.or(answer.retry_after).unwrap_or(2.0),
    })
}
