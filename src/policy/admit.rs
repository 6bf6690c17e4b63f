//! How fast a room lets in, as people write it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::file::quota;
use super::{Admit, Quota};

impl fmt::Display for Quota {
    /// As the policy writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(Duration, &str); 4] = [
            (Duration::from_secs(1), "s"),
            (Duration::from_secs(60), "min"),
            (Duration::from_secs(3600), "h"),
            (Duration::from_secs(86_400), "d"),
        ];
        match UNITS.iter().find(|(period, _)| *period == self.period) {
            Some((_, unit)) => write!(f, "{}/{unit}", self.count),
            None => write!(f, "{} in {}", self.count, humantime::format_duration(self.period)),
        }
    }
}

impl fmt::Display for Admit {
    /// As the policy writes it; `none` where it says nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsPlacesComeFree => f.write_str("none"),
            Self::Auto => f.write_str("auto"),
            Self::Quota(quota) => quota.fmt(f),
        }
    }
}

impl FromStr for Admit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::AsPlacesComeFree),
            "auto" => Ok(Self::Auto),
            _ => quota(text).map(Self::Quota).map_err(|instead| format!("{instead}, or \"auto\" or \"none\"")),
        }
    }
}

impl Serialize for Admit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Admit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(count in 1u32..=1_000_000, unit in "s|min|h|d") {
            let text = format!("{count}/{unit}");
            let admit: Admit = text.parse().unwrap();
            prop_assert_eq!(admit.to_string(), text);
        }
    }

    #[test]
    fn the_two_words_are_read_and_the_rest_is_told_what_to_write() {
        for word in ["auto", "none"] {
            assert_eq!(word.parse::<Admit>().unwrap().to_string(), word);
        }
        assert_eq!(
            "120".parse::<Admit>().unwrap_err(),
            "say the time: \"120/s\" or \"120/min\", or \"auto\" or \"none\""
        );
        assert_eq!(
            "fast".parse::<Admit>().unwrap_err(),
            "expected a quota such as \"20/s\", \"120/min\" or \"500/h\", or \"auto\" or \"none\""
        );
    }
}
