//! Values that are written as strings: durations, sizes, quotas, rates, names.

use std::num::NonZeroU32;
use std::time::Duration;

use super::reader::Problem;
use crate::policy::Quota;

/// Longest duration a policy may name. Far beyond use; keeps sums of times from overflowing.
const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 86400);
/// What a quota may come to: one every microsecond. Faster, a limiter's intervals round to nothing.
const QUOTA_PER_SECOND_MAX: u64 = 1_000_000;

const DURATION: &str = "expected a duration such as \"250ms\", \"10s\", \"5m\" or \"1h\"";
const SIZE: &str = "expected a size such as \"64KiB\" or \"1MiB\"";
const QUOTA: &str = "expected a quota such as \"20/s\", \"120/min\" or \"500/h\"";

/// `250ms`, `10s`, `5m`, `1h`, `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    let problem = || Problem::new(DURATION);
    let (number, unit) = number_and_unit(text).ok_or_else(problem)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(problem().help(duration_hint(number, unit))),
    };
    let whole = number.checked_mul(millis).map(Duration::from_millis).filter(|d| *d <= DURATION_MAX);
    whole.ok_or_else(|| Problem::new("longer than ten years").help("write at most \"3650d\""))
}

fn duration_hint(number: u64, unit: &str) -> String {
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" => return format!("say the unit: \"{number}s\" or \"{number}ms\""),
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        "ms" | "msec" | "millis" | "milliseconds" => "ms",
        _ => return "the units are ms, s, m, h and d, one of them in a value".to_owned(),
    };
    format!("write \"{number}{unit}\"")
}

/// A duration that is not zero.
pub(super) fn duration_not_zero(text: &str) -> Result<Duration, Problem> {
    let value = duration(text)?;
    if value.is_zero() {
        Err(Problem::new("must be longer than zero").help("write a duration such as \"10s\""))
    } else {
        Ok(value)
    }
}

/// `512B`, `64KiB`, `10MiB`, `2GiB`, in bytes.
pub(super) fn size(text: &str) -> Result<u64, Problem> {
    let problem = || Problem::new(SIZE);
    let (number, unit) = number_and_unit(text).ok_or_else(problem)?;
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(problem().help(size_hint(number, unit))),
    };
    let limit = u64::MAX >> 24;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes <= limit);
    bytes.ok_or_else(|| Problem::new("larger than any machine").help("write a size such as \"64KiB\" or \"2GiB\""))
}

fn size_hint(number: u64, unit: &str) -> String {
    match unit.trim().to_ascii_lowercase().as_str() {
        "" => format!("say the unit: \"{number}B\", \"{number}KiB\" or \"{number}MiB\""),
        "b" | "bytes" => format!("write \"{number}B\""),
        "k" | "kb" | "kib" => format!("write \"{number}KiB\" (1024 bytes each)"),
        "m" | "mb" | "mib" => format!("write \"{number}MiB\" (1024 × 1024 bytes each)"),
        "g" | "gb" | "gib" => format!("write \"{number}GiB\""),
        _ => "the units are B, KiB, MiB and GiB".to_owned(),
    }
}

/// `1KiB/s`, in bytes a second.
pub(super) fn byte_rate(text: &str) -> Result<u64, Problem> {
    let problem = || Problem::new("expected a size a second such as \"1KiB/s\"");
    match text.split_once('/') {
        Some((amount, "s")) => size(amount),
        Some(_) => Err(problem()),
        None => Err(problem().help(format!("write \"{text}/s\""))),
    }
}

/// `20/s`, `120/min`, `500/h`.
pub(super) fn quota(text: &str) -> Result<Quota, Problem> {
    let problem = || Problem::new(QUOTA);
    let Some((count, unit)) = text.split_once('/') else {
        let number = text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty();
        return Err(if number {
            problem().help(format!("say the time: \"{text}/s\" or \"{text}/min\""))
        } else {
            problem()
        });
    };
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "d" => 86400,
        "m" | "minute" => return Err(problem().help(format!("write \"{count}/min\""))),
        "sec" | "second" => return Err(problem().help(format!("write \"{count}/s\""))),
        "hour" => return Err(problem().help(format!("write \"{count}/h\""))),
        _ => return Err(problem().help("the times are s, min, h and d")),
    };
    let count = count.parse::<u32>().map_err(|_| problem())?;
    let count = NonZeroU32::new(count)
        .ok_or_else(|| Problem::new("must let at least one through").help("write at least \"1/d\""))?;
    if u64::from(count.get()) > QUOTA_PER_SECOND_MAX * seconds {
        return Err(Problem::new("more than a million a second").help("write at most \"1000000/s\""));
    }
    Ok(Quota { count, period: Duration::from_secs(seconds) })
}

/// `20%`, from 1 to 100.
pub(super) fn percent(text: &str) -> Result<u8, Problem> {
    let problem = || Problem::new("expected a share such as \"20%\", from 1 % to 100 %");
    let Some(number) = text.strip_suffix('%') else {
        let bare = text.parse::<u8>().is_ok();
        return Err(if bare { problem().help(format!("write \"{text}%\"")) } else { problem() });
    };
    number.trim_end().parse().ok().filter(|n| (1..=100).contains(n)).ok_or_else(problem)
}

/// A name of a section or a route: it stands in URLs, logs and metrics.
pub(super) fn name(text: &str) -> Result<String, Problem> {
    let fits = (1..=64).contains(&text.len());
    if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Ok(text.to_owned());
    }
    Err(Problem::new("expected a name of letters, digits, `-` and `_`, 64 at most"))
}

/// A field name or a method (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Digits and what follows them; none without digits or with more than fit.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
        result.unwrap_err().help.unwrap_or_default()
    }

    #[test]
    fn durations() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86400)));
        assert_eq!(hint(duration("10")), "say the unit: \"10s\" or \"10ms\"");
        assert_eq!(hint(duration("10 seconds")), "write \"10s\"");
        for bad in ["", "s", "-1s", "1.5s", "1h30m", "99999999999999999999s", "18446744073709551615h", "4000d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(duration_not_zero("0s").is_err());
    }

    #[test]
    fn sizes() {
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("0B"), Ok(0));
        assert_eq!(byte_rate("1KiB/s"), Ok(1024));
        assert_eq!(hint(size("10MB")), "write \"10MiB\" (1024 × 1024 bytes each)");
        assert_eq!(hint(byte_rate("1KiB")), "write \"1KiB/s\"");
        for bad in ["", "KiB", "18446744073709551615GiB", "1.5MiB", "1KiB/min"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quotas() {
        let minute = Quota { count: NonZeroU32::new(120).unwrap(), period: Duration::from_secs(60) };
        assert_eq!(quota("120/min"), Ok(minute));
        assert_eq!(hint(quota("120/m")), "write \"120/min\"");
        assert_eq!(hint(quota("20")), "say the time: \"20/s\" or \"20/min\"");
        for bad in ["0/s", "/s", "20/", "-1/s", "2000000/s", "5000000000/h"] {
            assert!(quota(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares() {
        assert_eq!((percent("20%"), percent("100%")), (Ok(20), Ok(100)));
        assert_eq!(hint(percent("20")), "write \"20%\"");
        for bad in ["0%", "101%", "-1%", "%", "2.5%"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_tokens() {
        assert!(name("per_visitor-2").is_ok());
        assert!(name("").is_err() && name("a b").is_err() && name("é").is_err());
        assert!(is_token("X-Seawall") && !is_token("a b") && !is_token("") && !is_token("a:"));
    }
}
