//! As much of Ogg (RFC 3533) and of Opus in it (RFC 7845) as opus-tools need: one stream, packets below 64 KiB.

/// Names the only stream.
const SERIAL: u32 = 1;

/// A file of `packets`, each of `duration` samples at 48 kHz, which is what positions count in at any rate.
pub(crate) fn write_opus(packets: &[Vec<u8>], duration: u64) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01".to_vec();
    // No pre-skip, 16 kHz in, no gain, mono.
    head.extend([0, 0]);
    head.extend(16_000_u32.to_le_bytes());
    head.extend([0, 0, 0]);
    let mut tags = b"OpusTags".to_vec();
    tags.extend(7_u32.to_le_bytes());
    tags.extend(b"offhook");
    tags.extend(0_u32.to_le_bytes());
    let mut file = page(2, 0, 0, &head);
    file.extend(page(0, 0, 1, &tags));
    for (number, packet) in (1_u32..).zip(packets) {
        let is_last = number as usize == packets.len();
        let flags = if is_last { 4 } else { 0 };
        file.extend(page(
            flags,
            u64::from(number) * duration,
            number + 1,
            packet,
        ));
    }
    file
}

/// A page with one packet.
fn page(flags: u8, granule: u64, number: u32, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(granule.to_le_bytes());
    page.extend(SERIAL.to_le_bytes());
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    let whole = packet.len() / 255;
    page.push(whole as u8 + 1);
    page.extend(std::iter::repeat_n(255, whole));
    page.push((packet.len() % 255) as u8);
    page.extend(packet);
    let checksum = checksum(&page);
    page[22..26].copy_from_slice(&checksum.to_le_bytes());
    page
}

/// CRC-32 by the plain polynomial, highest bit first, from zero.
fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc: u32, _| {
            let polynomial = if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
            crc << 1 ^ polynomial
        })
    })
}

/// The audio packets of a file, without its two headers.
pub(crate) fn read_opus(file: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = vec![Vec::new()];
    let mut rest = file;
    while rest.len() > 27 {
        assert_eq!(&rest[..4], b"OggS");
        let segments = usize::from(rest[26]);
        let (lacing, mut payload) = rest[27..].split_at(segments);
        for length in lacing {
            let (piece, later) = payload.split_at(usize::from(*length));
            packets.last_mut().expect("one at least").extend(piece);
            payload = later;
            if *length < 255 {
                packets.push(Vec::new());
            }
        }
        rest = payload;
    }
    packets.retain(|packet| !packet.is_empty());
    assert!(packets[0].starts_with(b"OpusHead") && packets[1].starts_with(b"OpusTags"));
    packets.split_off(2)
}
