//! Lifetimes a little apart, so that what was fetched together is not fetched again together.

use std::time::Duration;

/// At most so large a share of a lifetime (one in so many) is taken off.
const SHARE: u32 = 20;
/// Shorter lifetimes stay as they are: what is renewed each second is never far apart.
const LEAST: Duration = Duration::from_secs(2);

/// A lifetime shorter by up to a twentieth, never longer: by how much is settled by the key and by a
/// number that is another one each time.
pub fn shorten(lifetime: Duration, key: &[u8], random: u64) -> Duration {
    if lifetime < LEAST {
        return lifetime;
    }
    // FNV-1a, and a round of mixing: keys alike must not be taken alike.
    let hash = key
        .iter()
        .fold(random ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let lot = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    // Of 65,536 parts; the product stays within what a Duration holds.
    lifetime - (lifetime / SHARE).mul_f64(lot as f64 / 65_536.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_lifetime_is_never_longer_and_hardly_shorter(ms in 0..u64::MAX / 2_000_000, key: [u8; 8], random: u64) {
            let lifetime = Duration::from_millis(ms);
            let shorter = shorten(lifetime, &key, random);
            prop_assert!(shorter <= lifetime && shorter >= lifetime / 20 * 19);
            prop_assert_eq!(shorten(lifetime, &key, random), shorter, "the same lot, the same lifetime");
        }
    }

    #[test]
    fn pages_fetched_in_one_moment_are_fetched_again_over_time() {
        let minute = Duration::from_secs(60);
        let mut tenths = [0; 30];
        for page in 0..3000_u32 {
            let early = minute - shorten(minute, format!("/page/{page}").as_bytes(), 7);
            tenths[(early.as_millis() / 100) as usize] += 1;
        }
        assert!(tenths.iter().all(|n| (60..=140).contains(n)), "of 100 in each tenth of a second: {tenths:?}");
    }

    #[test]
    fn what_lives_for_a_second_lives_for_a_second() {
        assert_eq!(shorten(Duration::from_secs(1), b"k", 9), Duration::from_secs(1));
    }
}
