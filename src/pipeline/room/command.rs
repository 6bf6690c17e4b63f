//! What the origin says in `Seawall-Room`: `revoke`, `stock=N`, `close`.

use std::time::Duration;

use super::Room;
use super::operator::{By, Change};
use crate::waiting_room::Session;

/// One word of the origin's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Revoke,
    Stock(u64),
    Close,
}

impl Command {
    /// The words of a field that are known; the rest is left out.
    fn all(said: &str) -> impl Iterator<Item = Self> {
        said.split(',').map(str::trim).filter_map(|word| match word.split_once('=') {
            Some((name, left)) if name.trim().eq_ignore_ascii_case("stock") => {
                left.trim().parse().ok().map(Self::Stock)
            }
            Some(_) => None,
            None if word.eq_ignore_ascii_case("revoke") => Some(Self::Revoke),
            None if word.eq_ignore_ascii_case("close") => Some(Self::Close),
            None => None,
        })
    }
}

impl Room {
    /// Does what the origin says, as far as the policy allows; `session`: whose answer said it, if it
    /// is one visitor's alone.
    pub fn hear(&self, said: &str, session: Option<Session>) {
        let allowed = self.rules.load().policy.commands;
        let now = self.clock.now();
        for command in Command::all(said) {
            let change = match command {
                Command::Revoke => {
                    if let Some(session) = session.filter(|_| allowed.revoke) {
                        self.machine.lock().end_session(session, Duration::ZERO, now);
                    }
                    continue;
                }
                Command::Stock(left) if allowed.stock => Change::Stock(Some(left)),
                Command::Close if allowed.close => Change::Close,
                Command::Stock(_) | Command::Close => continue,
            };
            // Said with every answer, and acted upon when it is new.
            if self.orders.lock().hear(&change, &By::origin(said, now)) {
                if matches!(change, Change::Close | Change::Stock(Some(0))) {
                    tracing::warn!(room = self.name, said, "the origin ends admissions");
                }
                self.apply(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_taken_and_others_left_out() {
        let all = |said| Command::all(said).collect::<Vec<_>>();
        assert_eq!(all("revoke"), [Command::Revoke]);
        assert_eq!(all("Stock=12, close"), [Command::Stock(12), Command::Close]);
        assert_eq!(all("stock=-1, stock=, revoke=1, open, ,"), []);
    }
}
