//! A place for things that are named by a number: no allocation once it has grown, and a number is
//! never used twice, so a late message about what has gone can't hit another.

/// Low bits of a number say where, high bits which of those that were ever there.
const PLACE_BITS: u32 = 24;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;

#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<(u64, Option<T>)>,
    free: Vec<u64>,
    generation: u64,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), generation: 0 }
    }
}

impl<T> Slab<T> {
    /// Keeps a thing; answers its number. At most 2^24 at once: what uses a slab is bounded below that.
    pub(super) fn insert(&mut self, thing: T) -> u64 {
        self.generation += 1;
        let place = self.free.pop().unwrap_or(self.places.len() as u64);
        debug_assert!(place <= PLACE_MASK, "a slab is for what is bounded");
        let id = self.generation << PLACE_BITS | place;
        match self.places.get_mut(place as usize) {
            Some(slot) => *slot = (id, Some(thing)),
            None => self.places.push((id, Some(thing))),
        }
        id
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        self.places.get((id & PLACE_MASK) as usize).filter(|slot| slot.0 == id)?.1.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.places.get_mut((id & PLACE_MASK) as usize).filter(|slot| slot.0 == id)?.1.as_mut()
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let place = id & PLACE_MASK;
        let thing = self.places.get_mut(place as usize).filter(|slot| slot.0 == id)?.1.take()?;
        self.free.push(place);
        Some(thing)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.places.iter().filter_map(|(id, thing)| Some((*id, thing.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_used_twice() {
        let mut slab = Slab::default();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_ne!(first, second);
        assert_eq!(slab.remove(first), None);
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&'b')));
        assert_eq!(slab.iter().count(), 1);
    }
}
