//! What a visitor reads to support, so that they can look a ticket up: `A-3M6Q-0`.
//!
//! A letter for the lane, the number in Crockford's base 32 (no I, L, O, U), and a check character.
//! The check catches every wrong character and every two that changed places: each character has
//! its own weight in GF(32), and the weighted sum is zero.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Crockford's digits, by value.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The digit of lane 0 is A; as many lanes as there are letters.
const LANE_BASE: u8 = 10;
/// Lanes that have a letter: the policy takes fewer.
pub const LANES_MAX: u8 = 32 - LANE_BASE;
/// Digits of the largest number.
const NUMBER_MAX: usize = 13;
/// Digits at least, so that most references have one shape.
const NUMBER_MIN: usize = 4;
/// Digits between two dashes.
const GROUP: usize = 4;
/// The lane's place in the weighted sum: beyond any digit's.
const LANE_PLACE: usize = 20;

/// A ticket, as support and its holder name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// 0: the line for everyone; below [`LANES_MAX`].
    pub lane: u8,
    pub number: u64,
}

/// Why a text is no reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("not a reference: a letter, digits and a check character, as in A-3M6Q-0")]
    Shape,
    #[error("a character is wrong, or two have changed places")]
    Check,
}

impl Reference {
    fn check(self) -> u8 {
        let mut number = self.number;
        let digits = std::iter::from_fn(|| {
            let digit = (number & 31) as u8;
            let more = number > 0;
            number >>= 5;
            more.then_some(digit)
        });
        let digits = digits.enumerate().fold(0, |sum, (place, digit)| sum ^ weighted(digit, place + 1));
        digits ^ weighted(LANE_BASE.saturating_add(self.lane) & 31, LANE_PLACE)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char(digit(LANE_BASE.saturating_add(self.lane)))?;
        let used = (64 - self.number.leading_zeros() as usize).div_ceil(5).max(NUMBER_MIN);
        for place in (0..used).rev() {
            if (place + 1).is_multiple_of(GROUP) || place + 1 == used {
                f.write_char('-')?;
            }
            f.write_char(digit((self.number >> (5 * place) & 31) as u8))?;
        }
        f.write_char('-')?;
        f.write_char(digit(self.check()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Takes what people write and say: either case, O for 0, I and L for 1, dashes anywhere or none.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let mut values = [0; NUMBER_MAX + 2];
        let mut len = 0;
        for c in text.chars().filter(|c| !matches!(c, '-' | '–' | ' ' | '\u{a0}')) {
            *values.get_mut(len).ok_or(ReferenceError::Shape)? = value(c).ok_or(ReferenceError::Shape)?;
            len += 1;
        }
        let [lane, digits @ .., check] = values.get(..len).unwrap_or_default() else {
            return Err(ReferenceError::Shape);
        };
        if digits.is_empty() {
            return Err(ReferenceError::Shape);
        }
        let lane = lane.checked_sub(LANE_BASE).ok_or(ReferenceError::Shape)?;
        let number = digits.iter().try_fold(0_u64, |sum, digit| Some(sum.checked_mul(32)? | u64::from(*digit)));
        let reference = Self { lane, number: number.ok_or(ReferenceError::Shape)? };
        if reference.check() == *check { Ok(reference) } else { Err(ReferenceError::Check) }
    }
}

fn digit(value: u8) -> char {
    DIGITS.get(usize::from(value & 31)).map_or('0', |d| char::from(*d))
}

fn value(c: char) -> Option<u8> {
    let c = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    };
    DIGITS.iter().position(|d| char::from(*d) == c).and_then(|at| u8::try_from(at).ok())
}

/// `digit` · xᵖˡᵃᶜᵉ in GF(2⁵) modulo x⁵ + x² + 1, of which x is a generator: 31 places that differ.
fn weighted(digit: u8, place: usize) -> u8 {
    (0..place).fold(digit, |value, _| if value & 16 == 0 { value << 1 } else { (value << 1 ^ 0b10_0101) & 31 })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(lane: u8, number: u64) -> Reference {
        Reference { lane, number }
    }

    #[test]
    fn it_is_short_and_has_one_shape() {
        let texts = [(0, 1), (0, 118_999), (1, 1_048_575), (2, 1_048_576), (8, u64::MAX)]
            .map(|(lane, number)| reference(lane, number).to_string());
        assert_eq!(texts, ["A-0001-N", "A-3M6Q-0", "B-ZZZZ-P", "C-1-0000-Z", "J-F-ZZZZ-ZZZZ-ZZZZ-V"]);
    }

    #[test]
    fn it_is_read_as_people_write_it() {
        let wanted = reference(0, 118_999);
        for text in ["A-3M6Q-0", "a3m6q0", " a 3m6q o ", "A–3M6Q–O", "A-0000-3M6Q-0"] {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
        }
        let ones = reference(1, 33).to_string();
        assert_eq!(ones.replace('1', "l").replace('0', "o").parse(), Ok(reference(1, 33)));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in
            ["", "A", "A-", "A-9", "3-3M6Q-0", "A-3U6Q-0", "A-ZZZZ-ZZZZ-ZZZZ-ZZZZ-9", "A-G-0000-0000-0000-0", "é"]
        {
            assert_eq!(text.parse::<Reference>(), Err(ReferenceError::Shape), "{text}");
        }
        assert_eq!("A-3M7Q-0".parse::<Reference>(), Err(ReferenceError::Check));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(lane in 0..LANES_MAX, number: u64) {
            prop_assert_eq!(reference(lane, number).to_string().parse(), Ok(reference(lane, number)));
        }

        #[test]
        fn a_wrong_character_is_noticed(lane in 0..LANES_MAX, number: u64, at: prop::sample::Index, other in 0_u8..32) {
            let text: Vec<char> = reference(lane, number).to_string().chars().filter(|c| *c != '-').collect();
            let at = at.index(text.len());
            let mut wrong = text.clone();
            wrong[at] = digit(other);
            prop_assume!(wrong != text);
            prop_assert!(wrong.iter().collect::<String>().parse::<Reference>().is_err());
        }

        #[test]
        fn two_that_changed_places_are_noticed(lane in 0..LANES_MAX, number: u64, at: prop::sample::Index) {
            let text: Vec<char> = reference(lane, number).to_string().chars().filter(|c| *c != '-').collect();
            let at = at.index(text.len() - 1);
            let mut wrong = text.clone();
            wrong.swap(at, at + 1);
            prop_assume!(wrong != text);
            prop_assert!(wrong.iter().collect::<String>().parse::<Reference>().is_err());
        }

        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _ = text.parse::<Reference>();
        }
    }
}
