//! Floors known in advance: the hour of the sale, the minute of the results.

use crate::clock::Now;
use crate::policy::{Level, Window};

/// The windows that hold for one origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule(Vec<Window>);

impl Schedule {
    pub(super) fn new(windows: &[Window], origin: &str) -> Self {
        let holds = |window: &&Window| window.origin.as_deref().is_none_or(|name| name == origin);
        Self(windows.iter().filter(holds).cloned().collect())
    }

    /// The level asked for at this moment, by the worst of the windows that are open.
    pub(super) fn floor(&self, now: Now) -> Level {
        let open = |w: &&Window| (w.from_unix_ms..w.until_unix_ms).contains(&now.unix_ms);
        self.0.iter().filter(open).map(|w| w.at_least).max().unwrap_or_default()
    }

    /// The window that opens next.
    pub(super) fn next(&self, now: Now) -> Option<&Window> {
        self.0.iter().filter(|w| w.from_unix_ms > now.unix_ms).min_by_key(|w| w.from_unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Level::{Degraded, Elevated, Normal};

    fn window(at_least: Level, from: u64, until: u64, origin: Option<&str>) -> Window {
        Window { at_least, from_unix_ms: from, until_unix_ms: until, origin: origin.map(str::to_owned) }
    }

    fn at(unix_ms: u64) -> Now {
        Now { unix_ms, ..Now::default() }
    }

    #[test]
    fn of_several_open_windows_the_worst_holds() {
        let windows = [
            window(Elevated, 100, 300, None),
            window(Degraded, 200, 250, Some("shop")),
            window(Level::Static, 0, 1000, Some("blog")),
        ];
        let schedule = Schedule::new(&windows, "shop");
        let floors = [99, 100, 200, 249, 250, 299, 300].map(|ms| schedule.floor(at(ms)));
        assert_eq!(floors, [Normal, Elevated, Degraded, Degraded, Elevated, Elevated, Normal]);
    }

    #[test]
    fn the_next_one_is_the_first_that_has_not_begun() {
        let windows = [window(Elevated, 300, 400, None), window(Degraded, 200, 250, None)];
        let schedule = Schedule::new(&windows, "shop");
        assert_eq!(schedule.next(at(100)).map(|w| w.from_unix_ms), Some(200));
        assert_eq!(schedule.next(at(200)).map(|w| w.from_unix_ms), Some(300));
        assert_eq!(schedule.next(at(300)), None);
    }
}
