//! From a media thread to the captures' thread: a ring of bytes, made once, and never waited for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use super::pcap::Packet;

/// How much a ring holds, in bytes: a second of a flood, several of a call.
pub(super) const RING_BYTES: usize = 256 << 10;
/// Time, flags, address, port, packets lost before this one, and length.
const HEADER_BYTES: usize = 8 + 1 + 16 + 2 + 4 + 2;
const SENT: u8 = 1;
const RTCP: u8 = 2;
const IPV4: u8 = 4;

/// Which way a datagram went, and by which of a leg's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Whether we sent it.
    pub sent: bool,
    /// Whether it went by the socket that RTCP has for itself.
    pub rtcp_socket: bool,
}

/// The media thread's end: notes datagrams. Costs a copy each; a full ring costs the datagram, which is counted.
#[derive(Debug)]
pub struct CaptureTap {
    ring: rtrb::Producer<u8>,
    began: Instant,
    lost: u32,
}

/// The other end.
#[derive(Debug)]
pub(super) struct TapReader {
    ring: rtrb::Consumer<u8>,
    rtp: SocketAddr,
    rtcp: SocketAddr,
}

/// A pair of ends for a leg whose sockets are bound where `rtp` and `rtcp` say.
pub(super) fn tap(began: Instant, rtp: SocketAddr, rtcp: SocketAddr) -> (CaptureTap, TapReader) {
    let (producer, consumer) = rtrb::RingBuffer::new(RING_BYTES);
    let tap = CaptureTap {
        ring: producer,
        began,
        lost: 0,
    };
    let reader = TapReader {
        ring: consumer,
        rtp,
        rtcp,
    };
    (tap, reader)
}

impl CaptureTap {
    /// Notes one datagram as it was on the wire, to or from `remote`.
    pub fn note(&mut self, way: Way, bytes: &[u8], remote: SocketAddr, at: Instant) {
        let Ok(length) = u16::try_from(bytes.len()) else {
            return;
        };
        let Ok(mut chunk) = self.ring.write_chunk(HEADER_BYTES + bytes.len()) else {
            self.lost = self.lost.saturating_add(1);
            return;
        };
        let at_us = at.saturating_duration_since(self.began).as_micros() as u64;
        let (ip, family) = match remote.ip() {
            IpAddr::V4(ip) => (ip.to_ipv6_mapped().octets(), IPV4),
            IpAddr::V6(ip) => (Ipv6Addr::octets(&ip), 0),
        };
        let flag = |is: bool, flag| if is { flag } else { 0 };
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&at_us.to_le_bytes());
        header[8] = family | flag(way.sent, SENT) | flag(way.rtcp_socket, RTCP);
        header[9..25].copy_from_slice(&ip);
        header[25..27].copy_from_slice(&remote.port().to_le_bytes());
        header[27..31].copy_from_slice(&self.lost.to_le_bytes());
        header[31..33].copy_from_slice(&length.to_le_bytes());
        self.lost = 0;
        let (first, second) = chunk.as_mut_slices();
        let mut at = 0;
        for piece in [&header[..], bytes] {
            at = copy_into(first, second, at, piece);
        }
        chunk.commit_all();
    }
}

/// Copies `piece` to where `at` is in two slices that follow one another, and answers where it ends.
fn copy_into(first: &mut [u8], second: &mut [u8], at: usize, piece: &[u8]) -> usize {
    let in_first = first.len().saturating_sub(at).min(piece.len());
    let (here, there) = piece.split_at(in_first);
    if !here.is_empty() {
        first[at..at + here.len()].copy_from_slice(here);
    }
    if !there.is_empty() {
        let from = (at + in_first) - first.len();
        second[from..from + there.len()].copy_from_slice(there);
    }
    at + piece.len()
}

impl TapReader {
    /// Whether the leg is gone, or its tap; what it left is still to be read.
    pub(super) fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// Takes everything that waits. The number says how many were lost before the packet.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Packet, u64)) {
        while let Some((header, length)) = self.header() {
            let Ok(chunk) = self.ring.read_chunk(HEADER_BYTES + length) else {
                // A header is written together with what follows it.
                return;
            };
            let (first, second) = chunk.as_slices();
            let in_first = first.get(HEADER_BYTES..).unwrap_or_default();
            let skipped = HEADER_BYTES.saturating_sub(first.len());
            let bytes = [in_first, second.get(skipped..).unwrap_or_default()].concat();
            chunk.commit_all();
            let remote = address_in(&header);
            let local = match header[8] & RTCP {
                0 => self.rtp,
                _ => self.rtcp,
            };
            let (source, destination) = match header[8] & SENT {
                0 => (remote, local),
                _ => (local, remote),
            };
            let packet = Packet {
                at_us: u64::from_le_bytes(part(&header, 0)),
                source,
                destination,
                bytes: bytes.into(),
            };
            take(packet, u64::from(u32::from_le_bytes(part(&header, 27))));
        }
    }

    /// The next packet's header, left in its place, and how many bytes follow it.
    fn header(&mut self) -> Option<([u8; HEADER_BYTES], usize)> {
        let chunk = self.ring.read_chunk(HEADER_BYTES).ok()?;
        let (first, second) = chunk.as_slices();
        let mut header = [0; HEADER_BYTES];
        let (here, there) = header.split_at_mut(first.len());
        here.copy_from_slice(first);
        there.copy_from_slice(second);
        let length = u16::from_le_bytes(part(&header, 31));
        Some((header, usize::from(length)))
    }
}

fn part<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| header[at + index])
}

fn address_in(header: &[u8; HEADER_BYTES]) -> SocketAddr {
    let ip = Ipv6Addr::from(part::<16>(header, 9));
    let port = u16::from_le_bytes(part(header, 25));
    let ip = match header[8] & IPV4 {
        0 => IpAddr::V6(ip),
        _ => ip.to_canonical(),
    };
    SocketAddr::new(ip, port)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HEARD: Way = Way {
        sent: false,
        rtcp_socket: false,
    };

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_noted_is_read_with_its_time_its_way_and_its_addresses() {
        let began = Instant::now();
        let (rtp, rtcp) = (address("192.0.2.1:4000"), address("192.0.2.1:4001"));
        let (mut tap, mut reader) = tap(began, rtp, rtcp);
        let (four, six) = (address("198.51.100.2:5000"), address("[2001:db8::2]:5001"));
        tap.note(HEARD, b"one", four, began + Duration::from_micros(1_234));
        let way = Way {
            sent: true,
            rtcp_socket: true,
        };
        tap.note(way, b"", six, began);
        let mut seen = Vec::new();
        reader.drain(|packet, lost| seen.push((packet, lost)));
        let packet = |at_us, source, destination, bytes: &[u8]| Packet {
            at_us,
            source,
            destination,
            bytes: bytes.into(),
        };
        assert_eq!(
            seen,
            [
                (packet(1_234, four, rtp, b"one"), 0),
                (packet(0, rtcp, six, b""), 0)
            ]
        );
        assert!(!reader.is_abandoned());
        drop(tap);
        assert!(reader.is_abandoned());
    }

    #[test]
    fn a_full_ring_loses_the_newest_and_the_next_one_says_how_many() {
        let began = Instant::now();
        let local = address("192.0.2.1:4000");
        let (mut tap, mut reader) = tap(began, local, local);
        let remote = address("192.0.2.2:4000");
        let room = RING_BYTES / (HEADER_BYTES + 1_000);
        for n in 0..room + 7 {
            tap.note(HEARD, &[n as u8; 1_000], remote, began);
        }
        let mut count = 0;
        reader.drain(|packet, lost| {
            assert_eq!(packet.bytes[..], [count as u8; 1_000]);
            assert_eq!(lost, 0);
            count += 1;
        });
        assert_eq!(count, room);
        tap.note(HEARD, b"after", remote, began);
        let mut after = Vec::new();
        reader.drain(|packet, lost| after.push((packet.bytes, lost)));
        assert_eq!(after, [(b"after"[..].into(), 7)]);
    }

    #[test]
    fn packets_across_the_rings_seam_are_whole() {
        let began = Instant::now();
        let local = address("192.0.2.1:4000");
        let (mut tap, mut reader) = tap(began, local, local);
        for n in 0..20_000_usize {
            let bytes = vec![n as u8; n % 211];
            tap.note(HEARD, &bytes, local, began);
            let mut seen = 0;
            reader.drain(|packet, _| {
                assert_eq!(packet.bytes[..], bytes[..]);
                assert_eq!(packet.source, local);
                seen += 1;
            });
            assert_eq!(seen, 1);
        }
    }
}
