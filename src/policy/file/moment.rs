//! Moments: a TOML date-time with its offset, as milliseconds since 1970 UTC.

use toml::value::{Datetime, Offset};

use super::reader::{Problem, Value};

const EXPECTED: &str = "a moment such as 2026-11-27T09:55:00+01:00";

/// A moment. Without an offset nobody knows which one is meant: the machine's zone is not the
/// author's, and twice a year an hour comes twice or not at all.
pub(super) fn moment(value: &Value<'_>) -> Option<u64> {
    let Some(written) = value.as_datetime() else {
        match value.as_str() {
            Some(text) if text.parse::<Datetime>().is_ok() => {
                value.wrong(Problem::new(format!("expected {EXPECTED}")).help(format!("write {text}, without quotes")));
            }
            _ => value.wrong_type(EXPECTED),
        }
        return None;
    };
    let problem = match (written.date, written.time, written.offset) {
        (Some(_), Some(_), Some(_)) => match unix_ms(written) {
            Some(ms) => return Some(ms),
            None => Problem::new("before 1970").help(format!("expected {EXPECTED}")),
        },
        (Some(_), Some(_), None) => Problem::new("which time zone?")
            .help(format!("add its offset: {written}Z for UTC, {written}+01:00 for one hour before it")),
        (Some(date), None, _) => {
            Problem::new("a day, and no time").help(format!("write the time too: {date}T09:55:00+01:00"))
        }
        _ => Problem::new(format!("expected {EXPECTED}")),
    };
    value.wrong(problem);
    None
}

/// The same from a text alone.
pub fn parse(text: &str) -> Option<u64> {
    unix_ms(&text.parse().ok()?)
}

fn unix_ms(written: &Datetime) -> Option<u64> {
    let (date, time) = (written.date?, written.time?);
    let offset_minutes = match written.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let minutes = i64::from(time.hour) * 60 + i64::from(time.minute) - offset_minutes;
    let seconds = days * 86_400 + minutes * 60 + i64::from(time.second.unwrap_or(0));
    let millis = seconds * 1000 + i64::from(time.nanosecond.unwrap_or(0) / 1_000_000);
    u64::try_from(millis).ok()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. A year is taken to begin in March, so
/// that the leap day is its last; 400 years have 146,097 days.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_whatever_its_offset() {
        let ms = |text: &str| unix_ms(&text.parse().unwrap());
        assert_eq!(ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(ms("2026-11-27T09:55:00+01:00"), Some(1_795_769_700_000));
        assert_eq!(ms("2026-11-27T03:25:00-05:30"), ms("2026-11-27T08:55:00Z"));
        assert_eq!(ms("2000-02-29T23:59:59.5Z"), Some(951_868_799_500));
        assert_eq!(ms("2000-03-01T00:00:00Z"), Some(951_868_800_000));
        assert_eq!(ms("2100-03-01T00:00:00Z"), Some(4_107_542_400_000));
        assert_eq!(ms("1969-12-31T23:59:59Z"), None);
    }
}
