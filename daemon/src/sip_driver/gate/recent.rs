//! A bounded table that forgets what was not asked for lately.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

/// Two halves: what was asked for since the last turn, and what before. When the young half is full, the old
/// one is forgotten and the young one becomes old. So everything costs one lookup, or two once a turn, and
/// whoever makes up keys only shortens the memory.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// A table of at most `bound` entries (2 and up).
    pub(super) fn new(bound: usize) -> Self {
        Self {
            half: (bound / 2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// The entry of `key`; where there is none, the one that `make` makes, if it does.
    pub(super) fn find(&mut self, key: K, make: impl FnOnce() -> Option<V>) -> Option<&mut V> {
        if self.young.len() >= self.half {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        match self.young.entry(key) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(place) => {
                let value = self.old.remove(place.key()).or_else(make)?;
                Some(place.insert(value))
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_bound_and_keeps_what_is_asked_for() {
        let mut recent = Recent::new(16);
        recent.find(-1, || Some("kept"));
        for key in 0..10_000 {
            recent.find(key, || Some("new"));
            assert_eq!(recent.find(-1, || None), Some(&mut "kept"));
            assert!(recent.len() <= 16);
        }
        assert_eq!(recent.find(3, || None), None);
    }

    #[test]
    fn a_look_that_makes_nothing_takes_no_place() {
        let mut recent = Recent::<u32, ()>::new(4);
        for key in 0..100 {
            assert_eq!(recent.find(key, || None), None);
        }
        assert_eq!(recent.len(), 0);
    }
}
