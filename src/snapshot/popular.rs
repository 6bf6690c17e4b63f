//! The most requested pages, of which a snapshot should have all: counted in a bounded table, and written down
//! now and then.
//!
//! The count is space-saving (Metwally, Agrawal, El Abbadi 2005): one that is new takes the place of the least
//! counted, with its count. So whatever is asked for more often than once in [`COUNTED_MAX`] requests is in
//! the table.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::address::Address;

/// Pages that are counted.
pub const COUNTED_MAX: usize = 4096;
/// Pages that a snapshot is told of.
pub const TOLD_MAX: usize = 1000;
/// Bytes of one that is counted.
const LENGTH_MAX: usize = 512;
/// In `state.dir`.
const FILE: &str = "popular.json";

/// The table.
#[derive(Debug, Default)]
pub struct Popular {
    counts: HashMap<Address, u64>,
    by_count: BTreeSet<(u64, Address)>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    host: String,
    target: String,
    count: u64,
}

impl Popular {
    /// One more request.
    pub fn count(&mut self, address: Address) {
        if address.host.len() + address.target.len() > LENGTH_MAX {
            return;
        }
        let held = self.counts.get(&address).copied();
        let count = match held {
            Some(count) => {
                self.by_count.remove(&(count, address.clone()));
                count
            }
            None if self.counts.len() < COUNTED_MAX => 0,
            None => match self.by_count.pop_first() {
                Some((count, least)) => {
                    self.counts.remove(&least);
                    count
                }
                None => 0,
            },
        };
        self.counts.insert(address.clone(), count + 1);
        self.by_count.insert((count + 1, address));
    }

    /// The most requested ones, first the most.
    pub fn top(&self) -> impl Iterator<Item = (&Address, u64)> {
        self.by_count.iter().rev().map(|(count, address)| (address, *count))
    }

    /// Halves all counts, so that what was asked for long ago gives way.
    pub fn age(&mut self) {
        let rows = std::mem::take(&mut self.counts).into_iter().map(|(address, count)| (address, count / 2));
        self.counts = rows.filter(|(_, count)| *count > 0).collect();
        self.by_count = self.counts.iter().map(|(address, count)| (*count, address.clone())).collect();
    }

    /// As it is written down.
    ///
    /// # Errors
    /// None in practice.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let rows = self.top().take(TOLD_MAX);
        let rows: Vec<_> =
            rows.map(|(at, count)| Row { host: at.host.clone(), target: at.target.clone(), count }).collect();
        serde_json::to_vec(&rows)
    }

    /// What was written down; of nonsense, nothing.
    pub fn decode(bytes: &[u8]) -> Self {
        let rows: Vec<Row> = serde_json::from_slice(bytes).unwrap_or_default();
        let mut this = Self::default();
        for row in rows.into_iter().take(TOLD_MAX) {
            let address = Address { host: row.host, target: row.target };
            if this.counts.insert(address.clone(), row.count).is_none() {
                this.by_count.insert((row.count, address));
            }
        }
        this
    }
}

/// What an edge wrote down in this state directory.
pub fn recall(state_dir: &Path) -> Popular {
    Popular::decode(&std::fs::read(state_dir.join(FILE)).unwrap_or_default())
}

/// The most requested pages of it.
pub fn read(state_dir: &Path) -> Vec<Address> {
    recall(state_dir).top().map(|(address, _)| address.clone()).collect()
}

/// Writes it down, in one step.
///
/// # Errors
/// The disk's.
pub fn write(state_dir: &Path, bytes: &[u8]) -> io::Result<()> {
    super::disk::write_whole(&state_dir.join(FILE), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(i: usize) -> Address {
        Address { host: "h".to_owned(), target: format!("/{i}") }
    }

    #[test]
    fn what_is_asked_for_often_is_found_among_any_number_of_others() {
        let mut popular = Popular::default();
        for i in 0..10 * COUNTED_MAX {
            popular.count(at(1_000_000 + i));
            if i % 20 == 0 {
                popular.count(at(i % 100 / 20));
            }
        }
        assert!(popular.counts.len() <= COUNTED_MAX && popular.by_count.len() == popular.counts.len());
        let top: Vec<_> = popular.top().take(5).map(|(address, _)| address.clone()).collect();
        (0..5).for_each(|i| assert!(top.contains(&at(i)), "{top:?}"));
    }

    #[test]
    fn it_is_read_as_it_was_written_and_ages() {
        let mut popular = Popular::default();
        (0..4).for_each(|i| (0..=i).for_each(|_| popular.count(at(i))));
        let mut read = Popular::decode(&popular.encode().unwrap());
        assert!(read.top().eq(popular.top()));
        read.age();
        assert_eq!(read.top().map(|(_, n)| n).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(Popular::decode(b"nonsense").top().count(), 0);
    }
}
