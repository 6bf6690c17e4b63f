//! Who does something when: a wheel of moments, so that ten million can wait for their next one.

use std::time::Duration;

use crate::clock::Mono;

/// How fine the wheel is.
pub const STEP: Duration = Duration::from_millis(10);

/// Steps in one turn of the wheel: nothing is put off by more than 327 s.
const STEPS: u64 = 1 << 15;

/// Numbers by the moment at which they come up, in the order in which they were put there.
#[derive(Debug)]
pub struct Wheel {
    steps: Vec<Vec<u32>>,
    at: u64,
}

impl Default for Wheel {
    fn default() -> Self {
        Self { steps: vec![Vec::new(); STEPS as usize], at: 0 }
    }
}

impl Wheel {
    /// `number` comes up at `when`: at the next step if that has passed, and after the longest time
    /// there is if it is further away.
    pub fn put(&mut self, number: u32, when: Mono) {
        let step = when.as_nanos().div_ceil(STEP.as_nanos() as u64).clamp(self.at + 1, self.at + STEPS - 1);
        if let Some(step) = self.steps.get_mut((step % STEPS) as usize) {
            step.push(number);
        }
    }

    /// Goes on by one step: who comes up then, and when that is.
    pub fn turn(&mut self) -> (Mono, Vec<u32>) {
        self.at += 1;
        let due = self.steps.get_mut((self.at % STEPS) as usize).map(std::mem::take).unwrap_or_default();
        (Mono::from_nanos(self.at * STEP.as_nanos() as u64), due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_up_once_at_its_moment() {
        let mut wheel = Wheel::default();
        let at = |ms| Mono::ZERO.after(Duration::from_millis(ms));
        wheel.put(1, at(25));
        wheel.put(2, at(30));
        wheel.put(3, at(0));
        assert_eq!(wheel.turn(), (at(10), vec![3]));
        assert_eq!(wheel.turn(), (at(20), vec![]));
        wheel.put(4, at(20));
        assert_eq!(wheel.turn(), (at(30), vec![1, 2, 4]));
        wheel.put(5, Mono::from_nanos(u64::MAX));
        let mut due = Vec::new();
        for _ in 0..STEPS - 1 {
            due.extend(wheel.turn().1);
        }
        assert_eq!(due, [5]);
    }
}
