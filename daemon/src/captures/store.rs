//! What is kept of one call: the newest packets, up to a bound.

use std::collections::VecDeque;
use std::time::Duration;

use super::pcap::{self, Packet};

/// How much of a call's RTP and RTCP is kept, in bytes: about two and a half minutes of G.711.
pub const MEDIA_BYTES: usize = 4 << 20;
/// How much of its SIP is kept, in bytes. It has room of its own: a long call's audio does not push out its INVITE.
pub const SIGNALLING_BYTES: usize = 512 << 10;

/// A capture as it is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The pcap file.
    pub file: Vec<u8>,
    /// Packets in it.
    pub packets: usize,
    /// Packets that are not in it: older ones that made room, and those that found no way here.
    pub dropped: u64,
}

/// Packets with a bound; the oldest make room.
#[derive(Debug)]
pub(super) struct Kept {
    packets: VecDeque<Packet>,
    bytes: usize,
    most_bytes: usize,
    dropped: u64,
}

impl Kept {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            packets: VecDeque::new(),
            bytes: 0,
            most_bytes,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, packet: Packet) {
        self.bytes += size_of_packet(&packet);
        self.packets.push_back(packet);
        while self.bytes > self.most_bytes
            && let Some(oldest) = self.packets.pop_front()
        {
            self.bytes -= size_of_packet(&oldest);
            self.dropped += 1;
        }
    }

    /// So many were lost on their way here.
    pub(super) fn note_lost(&mut self, lost: u64) {
        self.dropped += lost;
    }
}

/// What a packet takes in memory, about.
fn size_of_packet(packet: &Packet) -> usize {
    size_of::<Packet>() + packet.bytes.len()
}

/// Everything kept of one call.
#[derive(Debug)]
pub(super) struct Store {
    /// The time since 1970 from which packets' times count.
    pub(super) began: Duration,
    pub(super) signalling: Kept,
    pub(super) media: Kept,
}

impl Store {
    pub(super) fn new(began: Duration) -> Self {
        Self {
            began,
            signalling: Kept::new(SIGNALLING_BYTES),
            media: Kept::new(MEDIA_BYTES),
        }
    }

    /// All of it as a file, by time.
    pub(super) fn save(&self) -> Saved {
        let all = self.signalling.packets.iter().chain(&self.media.packets);
        let mut packets: Vec<&Packet> = all.collect();
        packets.sort_by_key(|packet| packet.at_us);
        Saved {
            packets: packets.len(),
            file: pcap::file_of(self.began, packets.into_iter()),
            dropped: self.signalling.dropped + self.media.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn packet(at_us: u64, length: usize) -> Packet {
        Packet {
            at_us,
            source: SocketAddr::from(([192, 0, 2, 1], 1)),
            destination: SocketAddr::from(([192, 0, 2, 2], 2)),
            bytes: vec![at_us as u8; length].into(),
        }
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let mut kept = Kept::new(10 * (size_of::<Packet>() + 100));
        for n in 0..25 {
            kept.push(packet(n, 100));
        }
        assert_eq!(kept.dropped, 15);
        assert_eq!(kept.packets.len(), 10);
        assert_eq!(kept.packets[0], packet(15, 100));
        // One that is larger than everything is not kept either.
        kept.push(packet(99, 1 << 20));
        assert_eq!((kept.packets.len(), kept.bytes), (0, 0));
        assert_eq!(kept.dropped, 26);
    }

    #[test]
    fn audio_does_not_push_out_signalling_and_all_is_saved_by_time() {
        let mut store = Store::new(Duration::from_secs(5));
        store.signalling.push(packet(1, 500));
        for n in 0..100_000 {
            store.media.push(packet(10 + n, 172));
        }
        store.media.note_lost(3);
        store.signalling.push(packet(60_000, 400));
        let saved = store.save();
        let kept = MEDIA_BYTES / (size_of::<Packet>() + 172);
        assert_eq!(saved.packets, kept + 2);
        assert_eq!(saved.dropped, 100_000 - kept as u64 + 3);
        let time = |at: usize| u32::from_le_bytes(saved.file[at..at + 4].try_into().unwrap());
        assert_eq!((time(24), time(28), time(32)), (5, 1, 528));
        let mut at = 24;
        let mut last = 0;
        while at < saved.file.len() {
            let us = time(at) * 1_000_000 + time(at + 4);
            assert!(us >= last);
            last = us;
            at += 16 + time(at + 8) as usize;
        }
        assert_eq!(at, saved.file.len());
    }
}
