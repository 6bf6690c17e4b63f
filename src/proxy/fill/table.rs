//! The fills in flight.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::{Fill, Held, Reader};

/// Fills in flight at most; the next miss goes to the origin alone.
pub const MAX_FILLS: usize = 65_536;

/// The fills in flight, by key.
#[derive(Debug, Default)]
pub struct Fills {
    table: Mutex<HashMap<Box<[u8]>, Arc<Fill>>>,
    /// Bytes of the bodies they keep whole.
    held: Arc<AtomicU64>,
}

/// What became of joining a fill.
#[derive(Debug)]
pub enum Joined {
    /// This reader is the first: run this fill.
    Leads(Arc<Fill>, Reader),
    Follows(Reader),
    /// Too many fills in flight, this one no longer takes readers, or none was to begin: go alone.
    Alone,
}

impl Fills {
    /// Follows the fill of this key, if it is one that may be followed, or begins one in its place, where
    /// that is wanted.
    pub fn join(&self, key: &[u8], may_lead: bool, may_follow: impl Fn(&Fill) -> bool) -> Joined {
        let mut table = self.table.lock();
        if let Some(fill) = table.get(key).filter(|fill| may_follow(fill)) {
            return fill.follow().map_or(Joined::Alone, Joined::Follows);
        }
        if !may_lead || table.len() >= MAX_FILLS {
            return Joined::Alone;
        }
        let (fill, reader) = Fill::begin();
        table.insert(key.into(), fill.clone());
        Joined::Leads(fill, reader)
    }

    /// Takes a fill out of the table: new readers find the entry, or begin anew.
    pub fn remove(&self, key: &[u8], fill: &Arc<Fill>) {
        let mut table = self.table.lock();
        if table.get(key).is_some_and(|held| Arc::ptr_eq(held, fill)) {
            table.remove(key);
        }
    }

    /// For a fill that is going to keep its body.
    pub fn held(&self) -> Held {
        Held::new(&self.held)
    }

    /// Fills in flight.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Whether none is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
