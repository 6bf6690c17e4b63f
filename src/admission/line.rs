//! The line for an origin's places: by class, by route, by client.
//!
//! Between classes a stride scheduler shares what comes free as 16 : 4 : 1 (Waldspurger & Weihl,
//! 1995): a class that was idle goes next, one that floods the line gets its weight and no more.
//! Within a class the clients take turns, each with a flow of its own, so that one who asks a
//! hundred times waits behind itself; and one who has had far more than the others of late
//! ([`super::heavy`]) goes when no other is left, and makes room first. Routes matter only where one
//! has all the places that it may have: the others go on.
//!
//! Normally first come, first served. Under overload the newest goes first, since those who have
//! waited longest are the likeliest to have given up (Facebook's adaptive LIFO, "Fail at scale",
//! ACM Queue 2015).

use std::collections::{HashMap, VecDeque};

use super::WaiterId;
use super::slab::Slab;
use crate::policy::Class;

/// Steps of the stride scheduler: the inverse of the weights 16, 4 and 1.
const STRIDES: [u64; 3] = [1, 4, 16];
/// Flows looked at to find the longest one.
const VICTIMS_MAX: usize = 64;

/// One who waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) class: Class,
    pub(super) kind: usize,
    pub(super) client: u64,
    /// This client has had more than its share of late.
    pub(super) heavy: bool,
}

#[derive(Debug)]
struct Entry {
    waiter: Waiter,
    flow: u64,
    older: Option<u64>,
    newer: Option<u64>,
}

/// Those of one client who wait for one route in one class, in order of arrival.
#[derive(Debug)]
struct Flow {
    key: (Class, usize, u64),
    oldest: Option<u64>,
    newest: Option<u64>,
    len: usize,
    /// It has a turn.
    turning: bool,
    heavy: bool,
}

/// The flows of one route in one class, each with the number of its turn: those of light clients,
/// and of heavy ones, who go when no light one is left.
#[derive(Debug)]
struct Ring {
    kind: usize,
    turns: [VecDeque<(i64, u64)>; 2],
    /// Those who wait: of light clients and of heavy ones.
    waiting: [usize; 2],
}

impl Ring {
    fn len(&self) -> usize {
        self.waiting.iter().sum()
    }

    fn waiting(&mut self, heavy: bool) -> &mut usize {
        let [light, heavies] = &mut self.waiting;
        if heavy { heavies } else { light }
    }

    fn of(&mut self, heavy: bool) -> &mut VecDeque<(i64, u64)> {
        let [light, heavies] = &mut self.turns;
        if heavy { heavies } else { light }
    }

    /// Whose turn it is: whether a heavy one's, and its number, of which the least is next.
    fn first(&self, newest_first: bool) -> Option<(bool, i64)> {
        let [light, heavies] = &self.turns;
        let (heavy, turns) = if light.is_empty() { (true, heavies) } else { (false, light) };
        let turn = match newest_first {
            true => turns.back().map(|(turn, _)| -turn),
            false => turns.front().map(|(turn, _)| *turn),
        };
        turn.map(|turn| (heavy, turn))
    }
}

#[derive(Debug, Default)]
struct Group {
    rings: Vec<Ring>,
    waiting: usize,
    /// Virtual time at which its next one is due.
    pass: u64,
}

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Line {
    entries: Slab<Entry>,
    flows: Slab<Flow>,
    by_key: HashMap<(Class, usize, u64), u64>,
    groups: [Group; 3],
    /// The pass of the class that was served last.
    virtual_time: u64,
    turn_first: i64,
    turn_last: i64,
}

/// Whether a route may have a place now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// It has so many that others who wait go first.
    Last,
    Shut,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.waiting).sum()
    }

    /// Those who wait and are not of a heavy client, for these routes.
    pub(super) fn light(&self, of: impl Fn(usize) -> bool) -> usize {
        let rings = self.groups.iter().flat_map(|group| &group.rings).filter(|ring| of(ring.kind));
        rings.map(|ring| ring.len().saturating_sub(ring.waiting.last().copied().unwrap_or_default())).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.waiting == 0)
    }

    /// Those of each class who wait for these routes.
    pub(super) fn waiting(&self, of: impl Fn(usize) -> bool) -> [usize; 3] {
        self.groups
            .each_ref()
            .map(|group| group.rings.iter().filter(|ring| ring.len() > 0 && of(ring.kind)).map(Ring::len).sum())
    }

    /// How many of this client wait for this route.
    pub(super) fn of_client(&self, waiter: &Waiter) -> usize {
        let flow = self.by_key.get(&(waiter.class, waiter.kind, waiter.client));
        flow.and_then(|id| self.flows.get(*id)).map_or(0, |flow| flow.len)
    }

    /// How many of so many who wait go before one who comes now to this class, as far as its share goes.
    pub(super) fn ahead(waiting: [usize; 3], class: Class) -> f64 {
        let weight = |c: Class| 1.0 / STRIDES.get(c as usize).map_or(1.0, |s| *s as f64);
        let of = |c: Class| waiting.get(c as usize).map_or(0.0, |n| *n as f64);
        let own = of(class);
        let others: f64 = Class::ALL
            .into_iter()
            .filter(|c| *c != class)
            .map(|c| {
                // While this class's own are served, another class gets its weight in turns, if it has so many.
                ((own + 1.0) * weight(c) / weight(class)).min(of(c))
            })
            .sum();
        own + others
    }

    pub(super) fn join(&mut self, waiter: Waiter) -> WaiterId {
        let key = (waiter.class, waiter.kind, waiter.client);
        let flow = match self.by_key.get(&key) {
            Some(flow) => {
                let flow = *flow;
                self.weigh(flow, waiter.heavy);
                flow
            }
            None => self.open(key, waiter.heavy),
        };
        let newest = self.flows.get(flow).and_then(|f| f.newest);
        let id = self.entries.insert(Entry { waiter, flow, older: newest, newer: None });
        if let Some(before) = newest.and_then(|n| self.entries.get_mut(n)) {
            before.newer = Some(id);
        }
        if let Some(flow) = self.flows.get_mut(flow) {
            flow.newest = Some(id);
            flow.oldest.get_or_insert(id);
            flow.len += 1;
        }
        if let Some(group) = self.groups.get_mut(waiter.class as usize) {
            if group.waiting == 0 {
                // One that was idle has saved nothing up, and owes nothing.
                group.pass = group.pass.max(self.virtual_time);
            }
            group.waiting += 1;
            if let Some(ring) = group.rings.iter_mut().find(|ring| ring.kind == waiter.kind) {
                *ring.waiting(waiter.heavy) += 1;
            }
        }
        WaiterId(id)
    }

    /// Takes one out; none if they are not in line.
    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Waiter> {
        let entry = self.entries.remove(id.0)?;
        if let Some(older) = entry.older.and_then(|o| self.entries.get_mut(o)) {
            older.newer = entry.newer;
        }
        if let Some(newer) = entry.newer.and_then(|n| self.entries.get_mut(n)) {
            newer.older = entry.older;
        }
        if let Some(flow) = self.flows.get_mut(entry.flow) {
            flow.len -= 1;
            if flow.oldest == Some(id.0) {
                flow.oldest = entry.newer;
            }
            if flow.newest == Some(id.0) {
                flow.newest = entry.older;
            }
            if flow.len == 0 {
                self.close(entry.flow);
            }
        }
        if let Some(group) = self.groups.get_mut(entry.waiter.class as usize) {
            group.waiting -= 1;
            if let Some(ring) = group.rings.iter_mut().find(|ring| ring.kind == entry.waiter.kind) {
                *ring.waiting(entry.waiter.heavy) -= 1;
            }
        }
        Some(entry.waiter)
    }

    pub(super) fn contains(&self, id: WaiterId) -> bool {
        self.entries.get(id.0).is_some()
    }

    /// Takes out who goes next, of those whose class and route, asked of `gate`, may have a place.
    pub(super) fn next(
        &mut self,
        newest_first: bool,
        gate: impl Fn(usize, usize) -> Gate,
    ) -> Option<(WaiterId, Waiter)> {
        let (class, ring, found) = self.due(newest_first, &gate)?;
        let other = match found {
            // A route that has nearly all places lets others go first, only not what matters least.
            Gate::Last => self.due(newest_first, |at, kind| match gate(at, kind) {
                Gate::Open if at <= class.max(Class::Normal as usize) => Gate::Open,
                _ => Gate::Shut,
            }),
            _ => None,
        };
        let (class, ring) = other.map_or((class, ring), |(class, ring, _)| (class, ring));
        let group = self.groups.get_mut(class)?;
        self.virtual_time = group.pass;
        group.pass += STRIDES.get(class)?;
        // Who was due and had to stand back, with all the places that its routes may have, saves
        // nothing up: else what matters least would have its whole share before anybody else's turn.
        for waiting in self.groups.iter_mut().filter(|group| group.waiting > 0) {
            waiting.pass = waiting.pass.max(self.virtual_time);
        }
        let ring = self.groups.get_mut(class)?.rings.get_mut(ring)?;
        let (heavy, _) = ring.first(newest_first)?;
        let turns = ring.of(heavy);
        let (_, flow) = if newest_first { turns.pop_back()? } else { turns.pop_front()? };
        let state = self.flows.get_mut(flow)?;
        state.turning = state.len > 1;
        if state.turning {
            // Served: behind all others, whichever end is served first.
            if newest_first {
                self.turn_first -= 1;
                turns.push_front((self.turn_first, flow));
            } else {
                self.turn_last += 1;
                turns.push_back((self.turn_last, flow));
            }
        }
        let flow = self.flows.get(flow)?;
        let id = WaiterId(if newest_first { flow.newest? } else { flow.oldest? });
        self.remove(id).map(|waiter| (id, waiter))
    }

    /// The class and the ring whose turn it is, of those that `gate` doesn't shut, and its gate.
    fn due(&self, newest_first: bool, gate: impl Fn(usize, usize) -> Gate) -> Option<(usize, usize, Gate)> {
        let of_group = |(class, group): (usize, &Group)| {
            let rings = group.rings.iter().enumerate().map(|(at, ring)| (at, ring, gate(class, ring.kind)));
            let open = rings.filter(|(_, _, gate)| *gate != Gate::Shut);
            let first = open
                .filter_map(|(at, ring, gate)| Some((ring.first(newest_first)?, at, gate)))
                .min_by_key(|(turn, ..)| *turn);
            first.map(|(_, at, gate)| (group.pass, class, at, gate))
        };
        let due = self.groups.iter().enumerate().filter(|(_, group)| group.waiting > 0).filter_map(of_group);
        due.min_by_key(|(pass, class, ..)| (*pass, *class)).map(|(_, class, ring, gate)| (class, ring, gate))
    }

    /// Who, of those that wait for these routes, should make room for one more of this class and client: one of
    /// the least important class, or of its own alone; of the client that has most in line. None if that is the
    /// newcomer.
    pub(super) fn victim(
        &self,
        newcomer: &Waiter,
        own_class: bool,
        newest_first: bool,
        of: impl Fn(usize) -> bool,
    ) -> Option<WaiterId> {
        let of = |ring: &&Ring| ring.len() > 0 && of(ring.kind);
        let own = newcomer.class as usize;
        let classes = self.groups.iter().skip(own).take(if own_class { 1 } else { self.groups.len() });
        let group = classes.rev().find(|group| group.rings.iter().any(|ring| of(&ring)))?;
        let flows = group.rings.iter().filter(of).flat_map(|ring| ring.turns.iter().rev().flatten()).take(VICTIMS_MAX);
        let flows = flows.filter_map(|(turn, id)| Some((*turn, self.flows.get(*id)?)));
        // Of equals the one whose turn is oldest: under overload it is the one that waits in vain.
        let (_, longest) = flows.max_by_key(|(turn, flow)| (flow.heavy, flow.len, -*turn))?;
        let lower = longest.key.0 != newcomer.class;
        if newcomer.heavy && !longest.heavy && !lower {
            return None;
        }
        if newest_first {
            // The newcomer takes the oldest's place, unless nobody has more in line than itself.
            let worth = lower
                || longest.heavy
                || longest.len > self.of_client(newcomer)
                || longest.len == 1
                || longest.key.2 == newcomer.client;
            return longest.oldest.filter(|_| worth).map(WaiterId);
        }
        let worth = lower || longest.heavy && !newcomer.heavy || longest.len > self.of_client(newcomer) + 1;
        longest.newest.filter(|_| worth).map(WaiterId)
    }

    /// All of them, in no order.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (WaiterId, &Waiter)> {
        self.entries.iter().map(|(id, entry)| (WaiterId(id), &entry.waiter))
    }

    fn open(&mut self, key: (Class, usize, u64), heavy: bool) -> u64 {
        let id = self.flows.insert(Flow { key, oldest: None, newest: None, len: 0, turning: true, heavy });
        self.by_key.insert(key, id);
        if let Some(group) = self.groups.get_mut(key.0 as usize)
            && group.rings.iter().all(|ring| ring.kind != key.1)
        {
            group.rings.push(Ring { kind: key.1, turns: Default::default(), waiting: [0; 2] });
        }
        self.turn_last += 1;
        let turn = (self.turn_last, id);
        if let Some(turns) = self.turns(key, heavy) {
            turns.push_back(turn);
        }
        id
    }

    fn turns(&mut self, (class, kind, _): (Class, usize, u64), heavy: bool) -> Option<&mut VecDeque<(i64, u64)>> {
        let ring = self.groups.get_mut(class as usize)?.rings.iter_mut().find(|ring| ring.kind == kind)?;
        Some(ring.of(heavy))
    }

    /// A client has become heavy, or is so no longer.
    fn weigh(&mut self, id: u64, heavy: bool) {
        let Some(flow) = self.flows.get_mut(id).filter(|flow| flow.heavy != heavy) else { return };
        flow.heavy = heavy;
        let key = flow.key;
        let turn = self.turns(key, !heavy).and_then(|turns| {
            let at = turns.iter().position(|(_, flow)| *flow == id)?;
            turns.remove(at)
        });
        if let Some(turn) = turn
            && let Some(turns) = self.turns(key, heavy)
        {
            // Where its number belongs: the numbers of a ring rise.
            let at = turns.partition_point(|(other, _)| *other < turn.0);
            turns.insert(at, turn);
        }
    }

    fn close(&mut self, id: u64) {
        let Some(flow) = self.flows.remove(id) else { return };
        self.by_key.remove(&flow.key);
        if !flow.turning {
            return;
        }
        if let Some(turns) = self.turns(flow.key, flow.heavy)
            && let Some(at) = turns.iter().position(|(_, flow)| *flow == id)
        {
            turns.remove(at);
        }
    }
}
