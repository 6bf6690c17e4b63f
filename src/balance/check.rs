//! What a server's health check has found so far.

/// Failed checks in a row by which a server goes out.
const BAD: u8 = 3;
/// Good ones in a row by which it comes back.
const GOOD: u8 = 2;

/// What one more check changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    /// The server goes out.
    Bad,
    /// It may come back.
    Good,
}

/// A server's checks. One that has never passed says more about the check than about the server,
/// and never counts against it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Check {
    has_passed: bool,
    bad: bool,
    /// Checks in a row that speak against how it stands.
    run: u8,
}

impl Check {
    /// Learns of one more; `may_go`: the server may go out.
    pub(super) fn learn(&mut self, passed: bool, may_go: bool) -> Verdict {
        self.has_passed |= passed;
        if passed != self.bad || !self.has_passed {
            self.run = 0;
            return Verdict::Same;
        }
        self.run = self.run.saturating_add(1);
        let (enough, verdict) =
            if self.bad { (self.run >= GOOD, Verdict::Good) } else { (self.run >= BAD && may_go, Verdict::Bad) };
        if !enough {
            return Verdict::Same;
        }
        self.bad = !self.bad;
        self.run = 0;
        verdict
    }

    pub(super) fn is_bad(&self) -> bool {
        self.bad
    }
}
