//! The legs of one media thread, found by id, walked in order.

use std::collections::HashMap;

/// Names a leg for the life of the process: never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LegId {
    thread: u16,
    serial: u64,
}

impl LegId {
    pub(super) fn new(thread: usize, serial: u64) -> Self {
        Self {
            thread: u16::try_from(thread).unwrap_or(u16::MAX),
            serial,
        }
    }

    /// As the 64 bits that epoll carries for us.
    pub(super) fn as_token(self) -> u64 {
        self.serial
    }

    /// The same of the leg's second socket; [`first_of`] leads back.
    pub(super) fn as_rtcp_token(self) -> u64 {
        self.serial | RTCP
    }
}

/// The bit that tells a leg's second socket from its first: no process has so many legs in its life.
const RTCP: u64 = 1 << 63;

/// The token of the leg's first socket, and whether `token` was the second's.
pub(super) fn first_of(token: u64) -> (u64, bool) {
    (token & !RTCP, token & RTCP != 0)
}

/// Values by leg, densely packed: a tick walks one array; a removal moves the last one into the gap.
#[derive(Debug)]
pub(super) struct LegTable<T> {
    entries: Vec<(LegId, T)>,
    index_by_token: HashMap<u64, usize>,
}

impl<T> Default for LegTable<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            index_by_token: HashMap::new(),
        }
    }
}

impl<T> LegTable<T> {
    pub(super) fn insert(&mut self, id: LegId, value: T) {
        self.index_by_token
            .insert(id.as_token(), self.entries.len());
        self.entries.push((id, value));
    }

    pub(super) fn remove(&mut self, id: LegId) -> Option<T> {
        let index = self.index_by_token.remove(&id.as_token())?;
        let (_, value) = self.entries.swap_remove(index);
        if let Some((moved, _)) = self.entries.get(index) {
            self.index_by_token.insert(moved.as_token(), index);
        }
        self.give_back_room();
        Some(value)
    }

    /// A leg is some kilobytes: what a burst of them needed is not kept through the quiet hours after it.
    fn give_back_room(&mut self) {
        let legs = self.entries.len();
        if legs < self.entries.capacity() / 4 {
            self.entries.shrink_to(legs * 2);
            self.index_by_token.shrink_to(legs * 2);
        }
    }

    pub(super) fn get_mut(&mut self, token: u64) -> Option<&mut T> {
        let index = *self.index_by_token.get(&token)?;
        self.entries.get_mut(index).map(|(_, value)| value)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (LegId, &mut T)> {
        self.entries.iter_mut().map(|(id, value)| (*id, value))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_keeps_the_others_reachable() {
        let ids: Vec<LegId> = (0..5).map(|serial| LegId::new(0, serial)).collect();
        let mut table = LegTable::default();
        for id in &ids {
            table.insert(*id, id.serial);
        }
        assert_eq!(table.remove(ids[1]), Some(1));
        assert_eq!(table.remove(ids[4]), Some(4));
        assert_eq!(table.remove(ids[1]), None);
        for serial in [0, 2, 3] {
            assert_eq!(table.get_mut(serial), Some(&mut { serial }));
        }
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn room_for_many_is_given_back_when_they_have_gone() {
        let mut table = LegTable::default();
        let ids: Vec<LegId> = (0..1_000).map(|serial| LegId::new(0, serial)).collect();
        for id in &ids {
            table.insert(*id, [0; 64]);
        }
        for id in &ids[1..] {
            table.remove(*id);
        }
        assert!(
            table.entries.capacity() < 16,
            "{}",
            table.entries.capacity()
        );
        assert!(table.get_mut(0).is_some());
    }
}
