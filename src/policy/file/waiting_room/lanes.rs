//! `waiting_room.NAME.lanes.LANE`: lines for the invited, beside the one for everyone.

use std::num::NonZeroU32;
use std::ops::Range;
use std::path::PathBuf;

use super::{Around, Hours};
use crate::policy::diagnose::Diagnostic;
use crate::policy::file::limits::narrow;
use crate::policy::file::moment::moment;
use crate::policy::file::reader::{Problem, Report, Table, Value};
use crate::policy::file::{FileKind, NamedFile, house, values};
use crate::policy::{LANES_MAX, Lane};

/// What the line without invitations is called wherever lanes are named.
const EVERYONE: &str = "everyone";
const WEIGHT_MAX: u64 = 1000;
/// More places than an invitation is ever worth: beyond it, `uses` is left out.
const USES_MAX: u64 = 1_000_000;

impl Around<'_> {
    /// A room's lanes, in the file's order.
    pub(super) fn lanes(&mut self, mut table: Table<'_>, hours: &Hours) -> Vec<Lane> {
        let lanes = table.take_all();
        if let Some((_, span, _)) = lanes.get(LANES_MAX) {
            let message = format!("more than {LANES_MAX} lanes in `{}`", table.path);
            table.report.add(Diagnostic::error(span.clone(), message).label("one too many"));
        }
        let lanes = lanes.into_iter().take(LANES_MAX);
        lanes.filter_map(|(name, span, value)| self.lane(name, span, &value, hours)).collect()
    }

    fn lane(&mut self, name: &str, span: Range<usize>, value: &Value<'_>, hours: &Hours) -> Option<Lane> {
        check_name(name, span, value.report);
        let mut table = value.table()?;
        let weight = table.read("weight", NonZeroU32::MIN, |v| v.integer(1, WEIGHT_MAX).and_then(narrow));
        let why = "the file of the key that signs invitations to it";
        let invitations = table.require("invitations", why, &format!("invitations = \"{name}.keys\""));
        let uses = table.take("uses").and_then(|v| v.integer(1, USES_MAX)).and_then(narrow);
        let opens_unix_ms = table.take("opens").and_then(|v| opens(&v, hours));
        table.finish();
        let invitations = invitations.and_then(|v| self.key_file(name, &v));
        Some(Lane { name: name.to_owned(), weight, invitations: invitations?, uses, opens_unix_ms })
    }

    /// A file that signs nothing else: what signs for one lane would else open another.
    fn key_file(&mut self, lane: &str, value: &Value<'_>) -> Option<PathBuf> {
        let path = house::path(value, self.base)?;
        let own = format!("give the lane a file of its own, such as \"{lane}.keys\": it is made on first use");
        let earlier = self.files.iter().find(|file| file.path == path).map(|file| file.span.clone());
        if path == self.keys_file {
            let diagnostic = value.error(format!("`{}` is the file of `keys.file`", value.path));
            value.report.add(diagnostic.label("signs tickets and sessions already").help(own));
        } else if let Some(earlier) = earlier {
            let diagnostic = value.error(format!("`{}` is a file that has another use", value.path));
            value.report.add(diagnostic.label("named twice").related(earlier, "first here").help(own));
        }
        self.files.push(NamedFile { path: path.clone(), kind: FileKind::OwnKeys, span: value.span.clone() });
        Some(path)
    }
}

fn check_name(name: &str, span: Range<usize>, report: &Report) {
    if name == EVERYONE {
        let diagnostic = Diagnostic::error(span, format!("no lane can be named `{EVERYONE}`"));
        report.add(diagnostic.label("the line for those without an invitation").help("give the lane another name"));
    } else if let Err(problem) = values::name(name) {
        report.add(Diagnostic::error(span, format!("`{name}` is no name for a lane")).label(problem.label));
    }
}

/// When the lane opens: not before places are given, and not after everyone else comes in.
fn opens(value: &Value<'_>, hours: &Hours) -> Option<u64> {
    let at = moment(value)?;
    let problem = match (hours.opens_unix_ms, hours.gathers_unix_ms, hours.closes_unix_ms) {
        (Some(opens), Some(gathers), _) if at < gathers => {
            let minutes = (opens - at).div_ceil(60_000);
            Problem::new("before the room begins to gather")
                .help(format!("make the room's gather at least \"{minutes}m\", or open the lane later"))
        }
        (Some(opens), ..) if at > opens => Problem::new("after the room has opened for everyone")
            .help("leave it out: the lane then opens with the room"),
        (None, _, Some(closes)) if at >= closes => {
            Problem::new("the room has closed by then").help("write a moment before `closes`")
        }
        _ => return Some(at),
    };
    value.wrong(problem);
    None
}
