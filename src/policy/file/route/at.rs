//! `route.at.LEVEL`: what a route does at each level.

use super::super::nearest;
use super::super::reader::{Problem, Table, Value};
use crate::policy::{Level, Mode};

/// Which actions this route has the means for.
pub(super) struct Allowed {
    pub(super) stale: bool,
    pub(super) wait: bool,
    pub(super) snapshot: bool,
    pub(super) files: bool,
}

pub(super) fn at_levels(mut table: Table<'_>, allowed: &Allowed) -> [Mode; 4] {
    let own = Level::ALL.map(|level| table.take(level.name()).and_then(|value| action(&value, allowed)));
    table.finish();
    modes(own, allowed.files)
}

fn action(value: &Value<'_>, allowed: &Allowed) -> Option<Mode> {
    const ACTIONS: &str = "\"pass\", \"stale\", \"snapshot\", \"wait\" or \"refuse\"";
    let written = value.string(ACTIONS)?;
    let (mode, missing) = match written {
        "pass" => (Mode::Pass, None),
        "stale" | "snapshot" if allowed.files => {
            (Mode::Pass, Some(("files are served at every level", "write \"pass\", \"wait\" or \"refuse\"")))
        }
        "stale" => (Mode::Stale, (!allowed.stale).then_some(("this route has no cache", "add: cache = \"NAME\""))),
        "snapshot" => (
            Mode::Snapshot,
            (!allowed.snapshot).then_some(("there is no [snapshot]", "add:\n[snapshot]\ndir = \"snapshot\"")),
        ),
        "wait" => {
            (Mode::Wait, (!allowed.wait).then_some(("this route has no waiting room", "add: waiting_room = \"NAME\"")))
        }
        "refuse" => (Mode::Refuse, None),
        _ => {
            let problem = Problem::new(format!("expected {ACTIONS}"));
            let near = nearest(written, ["pass", "stale", "snapshot", "wait", "refuse"]);
            value.wrong(match near {
                Some(near) => problem.help(format!("did you mean \"{near}\"?")),
                None => problem,
            });
            return None;
        }
    };
    if let Some((label, help)) = missing {
        value.report.add(value.error(format!("`{}` cannot be \"{written}\"", value.path)).label(label).help(help));
    }
    Some(mode)
}

/// A level without its own action takes the one below it; at `static`, where nothing at all is
/// named, the newest copy held. Files are their own copy.
pub(super) fn modes(own: [Option<Mode>; 4], has_files: bool) -> [Mode; 4] {
    let nothing_named = own.iter().all(Option::is_none);
    let mut below = Mode::Pass;
    let mut modes = own.map(|mode| {
        below = mode.unwrap_or(below);
        below
    });
    if let ([.., last], true) = (&mut modes, nothing_named && !has_files) {
        *last = Mode::Newest;
    }
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_without_an_action_takes_the_one_below() {
        assert_eq!(modes([None; 4], false), [Mode::Pass, Mode::Pass, Mode::Pass, Mode::Newest]);
        assert_eq!(modes([None; 4], true), [Mode::Pass; 4]);
        assert_eq!(
            modes([None, Some(Mode::Stale), None, None], false),
            [Mode::Pass, Mode::Stale, Mode::Stale, Mode::Stale]
        );
        assert_eq!(
            modes([None, None, None, Some(Mode::Refuse)], false),
            [Mode::Pass, Mode::Pass, Mode::Pass, Mode::Refuse]
        );
    }
}
