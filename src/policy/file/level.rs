//! `[level]`: the ladder, and the floors known in advance.

use std::ops::Range;
use std::time::Duration;

use super::moment::moment;
use super::reader::{Problem, Report, Table, Value};
use super::values::{duration, duration_not_zero, is_token};
use super::{Named, Over};
use crate::policy::diagnose::Diagnostic;
use crate::policy::{Level, LevelPolicy, Mode, Origin, Route, Step, Threshold, Window};

/// Pressures that a level may be entered at: beyond, none is ever reached (see `PRESSURE_MAX`).
const ENTER: (f64, f64) = (0.05, 1.5);
/// Windows of the schedule are walked at every tick.
const WINDOWS_MAX: usize = 1000;
/// How long the pressure must last before it closes a shop whose policy wants that.
const STATIC_PRESSURE_FOR: Duration = Duration::from_secs(10);

/// What `[level]` says, and where it says `dry_run = true`.
pub(super) fn read(
    root: &mut Table<'_>,
    origins: &Named<Origin>,
    over: &mut Vec<Over>,
) -> (LevelPolicy, Option<Range<usize>>) {
    let mut policy = LevelPolicy::default();
    let Some(mut table) = root.take_table("level") else { return (policy, None) };
    policy.header = table.read("header", policy.header, header);
    let elevated = table.take("elevated");
    if let Some(value) = &elevated {
        policy.elevated = step(value, policy.elevated);
    }
    let degraded = table.take("degraded");
    if let Some(value) = &degraded {
        policy.degraded = step(value, policy.degraded);
    }
    if let (Some(value), true) =
        (degraded.or(elevated), policy.degraded.enter.pressure < policy.elevated.enter.pressure)
    {
        let (elevated, degraded) = (policy.elevated.enter.pressure, policy.degraded.enter.pressure);
        let message = format!("`degraded` is entered at {degraded}, before `elevated` at {elevated}");
        let help = "a worse level is entered at a higher pressure";
        value.report.add(value.error(message).label("the wrong way round").help(help));
    }
    if let Some(last) = table.take_table("static") {
        read_static(last, &mut policy);
    }
    if let Some(value) = table.take("schedule") {
        policy.schedule = schedule(&value, origins, over);
    }
    let dry_run = table.take("dry_run");
    policy.dry_run = dry_run.as_ref().and_then(Value::bool).unwrap_or(false);
    table.finish();
    let said = dry_run.filter(|_| policy.dry_run).map(|value| value.span);
    (policy, said)
}

/// Warns of actions that no level will bring: in a dry run, beyond what the schedule asks for.
pub(super) fn warn_of_dry_run(policy: &LevelPolicy, said: Option<Range<usize>>, routes: &[Route], report: &Report) {
    let Some(said) = said else { return };
    let reached = policy.schedule.iter().map(|w| w.at_least).max().unwrap_or_default();
    let names_one = |route: &&Route| {
        let at = |level: Level| route.mode.get(level as usize).copied().unwrap_or_default();
        let beyond = |level: &Level| *level > reached;
        Level::ALL.into_iter().filter(beyond).any(|level| at(level) != Mode::Newest && at(level) != at(level.below()))
    };
    let names: Vec<_> = routes.iter().filter(names_one).map(|r| format!("`{}`", r.name)).collect();
    if !names.is_empty() {
        let message = format!("nothing brings the levels at which {} would act", names.join(", "));
        let diagnostic = Diagnostic::warning(said, message).label("a dry run moves no level");
        report
            .add(diagnostic.help("only `seawall level pin` and `floor` do; write dry_run = false when it is earnest"));
    }
}

/// `level.elevated` and `level.degraded`; what is left out stays as it was.
fn step(value: &Value<'_>, was: Step) -> Step {
    let Some(mut table) = value.table() else { return was };
    let (enter_value, leave_value) = (table.take("enter"), table.take("leave"));
    table.finish();
    let enter = enter_value.as_ref().map_or(was.enter, |v| threshold(v, was.enter, ENTER));
    let leave = leave_value.as_ref().map_or(was.leave, |v| threshold(v, was.leave, (0.0, ENTER.1)));
    if leave.pressure >= enter.pressure {
        let (said, other) = match leave_value {
            Some(leave) => (leave, "leave.pressure must be below enter.pressure"),
            None => (enter_value.unwrap_or_else(|| value.clone()), "enter.pressure must be above leave.pressure"),
        };
        let label = format!("{other}: entered at {}, left below {}", enter.pressure, leave.pressure);
        let help = format!("leave room between them: leave = {{ pressure = {:.2} }}", enter.pressure * 0.6);
        said.wrong(Problem::new(label).help(help));
    }
    Step { enter, leave }
}

fn threshold(value: &Value<'_>, was: Threshold, (min, max): (f64, f64)) -> Threshold {
    let Some(mut table) = value.table() else { return was };
    let pressure = table.read("pressure", was.pressure, |v| v.number(min, max));
    let lasting = table.read("for", was.lasting, |v| v.parse("a duration", duration));
    table.finish();
    Threshold { pressure, lasting }
}

fn read_static(mut table: Table<'_>, policy: &mut LevelPolicy) {
    if let Some(mut enter) = table.take_table("enter") {
        policy.unreachable =
            enter.read("unreachable", policy.unreachable, |v| v.parse("a duration", duration_not_zero));
        let pressure = enter.take("pressure").and_then(|v| v.number(ENTER.0, ENTER.1));
        let lasting = enter.take("for");
        if let (Some(value), None) = (&lasting, pressure) {
            value.wrong(Problem::new("there is no pressure that it would be for").help("add: pressure = 1.5"));
        }
        let lasting = lasting.and_then(|v| v.parse("a duration", duration)).unwrap_or(STATIC_PRESSURE_FOR);
        policy.static_pressure = pressure.map(|pressure| Threshold { pressure, lasting });
        enter.finish();
    }
    if let Some(mut leave) = table.take_table("leave") {
        let probes = leave.read("probes", u64::from(policy.probes), |v| v.integer(1, 10_000));
        policy.probes = u32::try_from(probes).unwrap_or(u32::MAX);
        policy.ramp = leave.read("for", policy.ramp, |v| v.parse("a duration", duration_not_zero));
        leave.finish();
    }
    table.finish();
}

fn schedule(value: &Value<'_>, origins: &Named<Origin>, over: &mut Vec<Over>) -> Vec<Window> {
    if value.is_table() {
        let diagnostic = value.error("the schedule is a list of tables").label("expected double brackets");
        value.report.add(diagnostic.help("write [[level.schedule]]"));
        return Vec::new();
    }
    let list = value.list();
    if let Some(extra) = list.get(WINDOWS_MAX) {
        extra.report.add(extra.error(format!("more than {WINDOWS_MAX} windows")).label("one too many"));
        return Vec::new();
    }
    list.iter().filter_map(|item| window(item, origins, over)).collect()
}

fn window(value: &Value<'_>, origins: &Named<Origin>, over: &mut Vec<Over>) -> Option<Window> {
    let mut table = value.table()?;
    let at_least = table.require("at_least", "the level it is for", "at_least = \"elevated\"");
    let from = table.require("from", "when it begins", "from = 2026-11-27T09:55:00+01:00");
    let until_value = table.require("until", "when it ends", "until = 2026-11-27T11:00:00+01:00");
    let origin = table.take("origin");
    table.finish();
    let at_least = at_least.and_then(|v| level(&v));
    let from_unix_ms = from.and_then(|v| moment(&v));
    let until_unix_ms = until_value.as_ref().and_then(moment);
    if let (Some(from), Some(until), Some(value)) = (from_unix_ms, until_unix_ms, until_value) {
        if until <= from {
            value.wrong(Problem::new("ends before it begins").help("write a moment after `from`"));
        }
        over.push(Over { span: value.span, what: "this window of the schedule", unix_ms: until });
    }
    let origin = match origin {
        Some(value) => Some(origins.refer(&value, "origin").and(value.as_str())?.to_owned()),
        None => None,
    };
    Some(Window { at_least: at_least?, from_unix_ms: from_unix_ms?, until_unix_ms: until_unix_ms?, origin })
}

fn level(value: &Value<'_>) -> Option<Level> {
    const LEVELS: &str = "\"elevated\", \"degraded\" or \"static\"";
    let written = value.string(LEVELS)?;
    let found = Level::ALL.into_iter().find(|level| level.name() == written && *level != Level::Normal);
    if found.is_none() {
        let problem = Problem::new(format!("expected {LEVELS}"));
        value.wrong(match super::nearest(written, ["elevated", "degraded", "static"]) {
            Some(near) => problem.help(format!("did you mean \"{near}\"?")),
            None => problem,
        });
    }
    found
}

/// A field name, or false for none.
fn header(value: &Value<'_>) -> Option<Option<String>> {
    if value.as_bool() == Some(false) {
        return Some(None);
    }
    value.parse("a field name, or false", |text| match is_token(text) {
        true => Ok(Some(text.to_owned())),
        false => Err(Problem::new("expected a field name such as \"Seawall-Level\", or false")),
    })
}
