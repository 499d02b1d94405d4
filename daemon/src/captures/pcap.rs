//! The file: classic pcap of bare IP packets.
//!
//! Every message and every datagram is written as one UDP datagram over IPv4 or IPv6, with checksums that are right, so
//! that whoever reads the file finds nothing to complain of. What came by TCP or TLS is written as UDP too, one message a
//! datagram: the connection's own segments were never seen here.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// One datagram, or one message of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// When it came or went, in microseconds since the capture began.
    pub(super) at_us: u64,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) bytes: Box<[u8]>,
}

/// Microseconds, the byte order of whoever writes; here little-endian.
const MAGIC: u32 = 0xA1B2_C3D4;
/// Packets begin with their IP header.
const LINKTYPE_RAW: u32 = 101;
/// The longest packet there is.
const SNAP_LENGTH: u32 = 65_535;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
/// What goes into one UDP datagram over IPv4; a longer message, which only a stream can bring, is cut there.
const LONGEST_PAYLOAD: usize = SNAP_LENGTH as usize - IPV4_HEADER - UDP_HEADER;
const UDP: u8 = 17;
const HOP_LIMIT: u8 = 64;
const DO_NOT_FRAGMENT: u16 = 0x4000;

/// The file that holds `packets`, in their order. `began` is the time since 1970 from which theirs count.
pub(super) fn file_of<'a>(began: Duration, packets: impl Iterator<Item = &'a Packet>) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(MAGIC.to_le_bytes());
    file.extend(2_u16.to_le_bytes());
    file.extend(4_u16.to_le_bytes());
    // The time zone and the accuracy, which nobody states.
    file.extend([0; 8]);
    file.extend(SNAP_LENGTH.to_le_bytes());
    file.extend(LINKTYPE_RAW.to_le_bytes());
    for (number, packet) in packets.enumerate() {
        let at = began + Duration::from_micros(packet.at_us);
        let datagram = datagram(packet, number as u16);
        let length = u32::try_from(datagram.len()).unwrap_or(SNAP_LENGTH);
        // Seconds fit until 2106.
        file.extend((at.as_secs() as u32).to_le_bytes());
        file.extend(at.subsec_micros().to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend(datagram);
    }
    file
}

/// One IP packet. `number` tells those of IPv4 apart.
fn datagram(packet: &Packet, number: u16) -> Vec<u8> {
    let payload = &packet.bytes[..packet.bytes.len().min(LONGEST_PAYLOAD)];
    let udp_length = (UDP_HEADER + payload.len()) as u16;
    let mut udp = Vec::with_capacity(usize::from(udp_length));
    udp.extend(packet.source.port().to_be_bytes());
    udp.extend(packet.destination.port().to_be_bytes());
    udp.extend(udp_length.to_be_bytes());
    udp.extend([0; 2]);
    udp.extend(payload);

    let (header, pseudo_header) = match (packet.source.ip(), packet.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let addresses = [source.octets(), destination.octets()].concat();
            let mut header = Vec::with_capacity(IPV4_HEADER);
            header.extend([0x45, 0]);
            header.extend((IPV4_HEADER as u16 + udp_length).to_be_bytes());
            header.extend(number.to_be_bytes());
            header.extend(DO_NOT_FRAGMENT.to_be_bytes());
            header.extend([HOP_LIMIT, UDP, 0, 0]);
            header.extend(&addresses);
            let checksum = checksum(&[&header]);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            let [high, low] = udp_length.to_be_bytes();
            (header, [&addresses[..], &[0, UDP, high, low]].concat())
        }
        (source, destination) => {
            let addresses = [octets(source), octets(destination)].concat();
            let mut header = Vec::with_capacity(IPV6_HEADER);
            header.extend([0x60, 0, 0, 0]);
            header.extend(udp_length.to_be_bytes());
            header.extend([UDP, HOP_LIMIT]);
            header.extend(&addresses);
            let [high, low] = udp_length.to_be_bytes();
            let rest = [0, 0, high, low, 0, 0, 0, UDP];
            (header, [&addresses[..], &rest].concat())
        }
    };
    // A sum of zero is written as its other form; zero says that there is none (RFC 768).
    let sum = match checksum(&[&pseudo_header, &udp]) {
        0 => 0xFFFF,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    [header, udp].concat()
}

/// An address as IPv6 has it; one of IPv4 is mapped (RFC 4291 section 2.5.5.2).
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address),
    }
}

/// The Internet checksum (RFC 1071) of pieces, all of whole words but the last.
fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for piece in pieces {
        for word in piece.chunks(2) {
            let low = word.get(1).copied().unwrap_or(0);
            sum += u64::from(u16::from_be_bytes([word[0], low]));
        }
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(source: &str, destination: &str, bytes: &[u8]) -> Packet {
        Packet {
            at_us: 1_500_000,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            bytes: bytes.into(),
        }
    }

    #[test]
    fn an_ipv4_packet_is_whole_with_its_time_and_its_sums() {
        let packet = packet("192.0.2.1:5060", "198.51.100.2:5070", b"abc");
        let file = file_of(Duration::from_secs(1_700_000_000), [&packet].into_iter());
        assert_eq!(
            file[..24],
            [
                0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 101,
                0, 0, 0
            ]
        );
        assert_eq!(file[24..28], 1_700_000_001_u32.to_le_bytes());
        assert_eq!(file[28..32], 500_000_u32.to_le_bytes());
        assert_eq!(file[32..40], [31, 0, 0, 0, 31, 0, 0, 0]);
        let ip = &file[40..];
        assert_eq!(ip[..4], [0x45, 0, 0, 31]);
        assert_eq!(
            checksum(&[&ip[..20]]),
            0,
            "a header with its sum sums to nothing"
        );
        assert_eq!(ip[12..20], [192, 0, 2, 1, 198, 51, 100, 2]);
        assert_eq!(ip[20..26], [0x13, 0xC4, 0x13, 0xCE, 0, 11]);
        assert_eq!(checksum(&[&ip[12..20], &[0, 17, 0, 11], &ip[20..]]), 0);
        assert_eq!(&ip[28..], b"abc");
    }

    #[test]
    fn an_ipv6_packet_has_its_own_pseudo_header() {
        let packet = packet("[2001:db8::1]:5060", "[2001:db8::2]:5070", b"abcd");
        let file = file_of(Duration::ZERO, [&packet].into_iter());
        let ip = &file[40..];
        assert_eq!(ip.len(), 40 + 8 + 4);
        assert_eq!(ip[..8], [0x60, 0, 0, 0, 0, 12, 17, 64]);
        let pseudo = [0, 0, 0, 12, 0, 0, 0, 17];
        assert_eq!(checksum(&[&ip[8..40], &pseudo, &ip[40..]]), 0);
    }

    #[test]
    fn a_message_too_long_for_a_datagram_is_cut_and_still_whole() {
        let packet = packet("192.0.2.1:1", "192.0.2.2:2", &[0x5A; 70_000]);
        let file = file_of(Duration::ZERO, [&packet].into_iter());
        assert_eq!(file.len(), 24 + 16 + 65_535);
        assert_eq!(file[42..44], [0xFF, 0xFF]);
        assert_eq!(checksum(&[&file[40..60]]), 0);
    }

    #[test]
    fn a_sum_of_zero_is_written_as_all_ones() {
        // Found by counting: with this payload the sum is zero.
        let with = |word: u16| {
            let packet = packet("0.0.0.1:1", "0.0.0.1:1", &word.to_be_bytes());
            let ip = datagram(&packet, 0);
            u16::from_be_bytes([ip[26], ip[27]])
        };
        assert!((0..=u16::MAX).all(|word| with(word) != 0));
        assert!((0..=u16::MAX).any(|word| with(word) == 0xFFFF));
    }
}
