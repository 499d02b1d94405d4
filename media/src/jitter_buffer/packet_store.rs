//! Where packets wait for their turn, by sequence number, in memory taken once.
//!
//! Payloads lie one after the other in a ring of bytes and are overwritten by age, so memory is sized in
//! audio time whatever the packet time is: 4 KiB hold half a second of G.711 in packets of 10 or of
//! 60 ms. What was overwritten before its turn is gone as if it had been lost.

use super::PayloadKind;

/// Packets remembered. A power of two.
const SLOTS: usize = 64;

/// A packet in the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// The extended sequence number.
    pub(super) sequence: i64,
    /// Where its audio begins, in units.
    pub(super) position: i64,
    /// How much audio it holds, in units; 0 for one that carries none.
    pub(super) duration: u32,
    /// What its payload is.
    pub(super) kind: PayloadKind,
    /// Where its payload begins: bytes ever written before it.
    start: u64,
    length: u16,
}

/// The packets that wait.
#[derive(Debug)]
pub(super) struct PacketStore {
    slots: Box<[Option<Waiting>; SLOTS]>,
    bytes: Box<[u8]>,
    written: u64,
}

impl PacketStore {
    /// How far apart the sequence numbers of waiting packets may lie.
    pub(super) const SPAN: i64 = SLOTS as i64;

    pub(super) fn new(capacity_bytes: usize) -> Self {
        Self {
            slots: Box::new([None; SLOTS]),
            bytes: vec![0; capacity_bytes].into_boxed_slice(),
            written: 0,
        }
    }

    /// Keeps a packet, in place of one [`Self::SPAN`] older. `false` when its payload is too large.
    pub(super) fn insert(
        &mut self,
        sequence: i64,
        position: i64,
        duration: u32,
        kind: PayloadKind,
        payload: &[u8],
    ) -> bool {
        let capacity = self.bytes.len();
        let Ok(length) = u16::try_from(payload.len()) else {
            return false;
        };
        if payload.len() > capacity {
            return false;
        }
        // A payload is never split: one that would be starts over at the front.
        let offset = (self.written % capacity as u64) as usize;
        if offset + payload.len() > capacity {
            self.written += (capacity - offset) as u64;
        }
        let start = self.written;
        let offset = (start % capacity as u64) as usize;
        self.bytes[offset..offset + payload.len()].copy_from_slice(payload);
        self.written += payload.len() as u64;
        let waiting = Waiting {
            sequence,
            position,
            duration,
            kind,
            start,
            length,
        };
        self.slots[slot_of(sequence)] = Some(waiting);
        true
    }

    /// The packet numbered `sequence`, if it waits.
    pub(super) fn get(&self, sequence: i64) -> Option<&Waiting> {
        self.slots[slot_of(sequence)].as_ref().filter(|waiting| {
            waiting.sequence == sequence && self.written - waiting.start <= self.bytes.len() as u64
        })
    }

    /// The payload of a packet that waits.
    pub(super) fn payload(&self, waiting: &Waiting) -> &[u8] {
        let offset = (waiting.start % self.bytes.len() as u64) as usize;
        &self.bytes[offset..offset + usize::from(waiting.length)]
    }

    /// The waiting packet with the lowest number from `from` to `through`.
    pub(super) fn first(&self, from: i64, through: i64) -> Option<&Waiting> {
        (from..=through.min(from + Self::SPAN - 1)).find_map(|sequence| self.get(sequence))
    }
}

fn slot_of(sequence: i64) -> usize {
    sequence.rem_euclid(SLOTS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CodecKind;

    const KIND: PayloadKind = PayloadKind::Audio(CodecKind::Pcmu);

    #[test]
    fn a_payload_is_kept_until_the_ring_comes_round() {
        let mut store = PacketStore::new(1_000);
        for n in 0..6 {
            assert!(store.insert(n, n * 160, 160, KIND, &[n as u8; 160]));
        }
        let first = *store.get(0).unwrap();
        assert_eq!(store.payload(&first), [0; 160]);
        // The seventh does not fit behind the sixth and goes to the front, over the first.
        assert!(store.insert(6, 960, 160, KIND, &[6; 160]));
        assert!(store.get(0).is_none());
        let second = *store.get(1).unwrap();
        assert_eq!(store.payload(&second), [1; 160]);
        assert_eq!(store.first(0, 6).unwrap().sequence, 1);
    }

    #[test]
    fn a_number_one_span_later_takes_the_place() {
        let mut store = PacketStore::new(4_096);
        assert!(store.insert(3, 0, 160, KIND, &[1]));
        assert!(store.insert(3 + PacketStore::SPAN, 0, 160, KIND, &[2]));
        assert!(store.get(3).is_none());
        assert!(store.get(3 + PacketStore::SPAN).is_some());
    }

    #[test]
    fn a_payload_larger_than_the_store_is_refused() {
        let mut store = PacketStore::new(100);
        assert!(!store.insert(1, 0, 160, KIND, &[0; 101]));
    }
}
