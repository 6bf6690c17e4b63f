//! Whether an origin can be reached at all, from requests and probes.

use std::time::Duration;

use crate::clock::Mono;

/// What a request found out about its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It answered, whatever the status.
    Reached,
    /// No connection, or it broke or timed out before an answer.
    Unreachable,
}

/// What a probe found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The health check answered with success; without a check, the origin answered at all.
    Passed,
    /// The origin answered, but the health check not with success. Bad, unless the check has never
    /// passed: then the check is what is wrong.
    Failed,
    /// No answer.
    Unreachable,
}

/// What is known of an origin's being there.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) checked: bool,
    check: CheckHistory,
    /// Set by the first failed contact since the last success.
    failing_since: Option<Mono>,
    /// Good probes in a row.
    good_run: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckHistory {
    Untried,
    NeverPassed,
    HasPassed,
}

impl Reach {
    pub(super) fn new(checked: bool) -> Self {
        Self { checked, check: CheckHistory::Untried, failing_since: None, good_run: 0 }
    }

    /// Takes over a reloaded policy: a new check has no history.
    pub(super) fn configure(&mut self, checked: bool) {
        if checked != self.checked {
            self.check = CheckHistory::Untried;
        }
        self.checked = checked;
    }

    pub(super) fn observe(&mut self, contact: Contact, now: Mono) {
        match contact {
            // The way back from static is by probes alone: one lucky request is no recovery.
            Contact::Reached => self.failing_since = None,
            Contact::Unreachable => self.failed(now),
        }
    }

    pub(super) fn probe(&mut self, probe: Probe, now: Mono) {
        self.check = match (probe, self.check) {
            (Probe::Passed, _) | (_, CheckHistory::HasPassed) => CheckHistory::HasPassed,
            (Probe::Failed, _) => CheckHistory::NeverPassed,
            (Probe::Unreachable, history) => history,
        };
        match probe {
            Probe::Passed => self.passed(),
            Probe::Failed if self.check == CheckHistory::NeverPassed => self.passed(),
            Probe::Failed | Probe::Unreachable => self.failed(now),
        }
    }

    /// How long nothing but failures has been heard; none while it answers.
    pub(super) fn failing(&self, now: Mono) -> Option<Duration> {
        self.failing_since.map(|since| now.since(since))
    }

    /// Nothing but failures has been heard since the last answer.
    pub(super) fn is_failing(&self) -> bool {
        self.failing_since.is_some()
    }

    /// Good probes in a row.
    pub(super) fn good_run(&self) -> u32 {
        self.good_run
    }

    /// Counts good probes from here.
    pub(super) fn begin_run(&mut self) {
        self.good_run = 0;
    }

    pub(super) fn check_never_passed(&self) -> bool {
        self.checked && self.check == CheckHistory::NeverPassed
    }

    fn failed(&mut self, now: Mono) {
        self.failing_since.get_or_insert(now);
        self.good_run = 0;
    }

    fn passed(&mut self) {
        self.failing_since = None;
        self.good_run = self.good_run.saturating_add(1);
    }
}
