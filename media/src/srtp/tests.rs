use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_no_replay_protection, srtp_no_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::*;

const SSRC: u32 = 0xdead_beef;

fn key(suite: SrtpSuite, seed: u8) -> MasterKey {
    let random = std::array::from_fn(|index| (index as u8).wrapping_mul(7) ^ seed);
    MasterKey::from_random(suite, &random)
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x81, 202, 0, 2]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend([1, 2, b'a', 0]);
    packet
}

fn protected(sender: &mut SrtpSender, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + MAXIMUM_OVERHEAD, 0);
    let length = sender
        .protect_rtp(&mut buffer, plain.len())
        .unwrap()
        .unwrap();
    buffer.truncate(length);
    buffer
}

fn protected_report(sender: &mut SrtpSender, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + MAXIMUM_OVERHEAD, 0);
    let length = sender
        .protect_rtcp(&mut buffer, plain.len())
        .unwrap()
        .unwrap();
    buffer.truncate(length);
    buffer
}

fn opened(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<Vec<u8>, Unproven> {
    let mut buffer = packet.to_vec();
    let length = receiver.open_rtp(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn opened_report(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<Vec<u8>, Unproven> {
    let mut buffer = packet.to_vec();
    let length = receiver.open_rtcp(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

/// Another implementation with the same key.
fn other(suite: SrtpSuite, seed: u8) -> Context {
    let profile = match suite {
        SrtpSuite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        SrtpSuite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpSuite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        SrtpSuite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    use base64::Engine;
    let bytes = base64::prelude::BASE64_STANDARD
        .decode(key(suite, seed).to_base64())
        .unwrap();
    let (master, salt) = bytes.split_at(suite.key_bytes());
    let provider = rtc_crypto::default_provider().unwrap();
    Context::new(
        master,
        salt,
        profile,
        Some(srtp_no_replay_protection()),
        Some(srtcp_no_replay_protection()),
        provider.crypto(),
    )
    .unwrap()
}

#[test]
fn another_implementation_opens_what_we_protect_and_we_open_what_it_protects() {
    for suite in SrtpSuite::ALL {
        let (mut ours, mut theirs) = (SrtpSender::new(&key(suite, 1)), other(suite, 1));
        let (mut receiver, mut sender) = (SrtpReceiver::new(&key(suite, 2)), other(suite, 2));
        // Over a roll-over of the numbers.
        for n in 65_530..65_545_u32 {
            let plain = rtp(SSRC, n as u16, &n.to_be_bytes().repeat(40));
            let packet = protected(&mut ours, &plain);
            assert_eq!(packet.len(), plain.len() + suite.rtp_tag_bytes());
            assert_ne!(packet[12..40], plain[12..40]);
            assert_eq!(&*theirs.decrypt_rtp(&packet).unwrap(), &plain, "{suite}");
            let packet = sender.encrypt_rtp(&plain).unwrap();
            assert_eq!(opened(&mut receiver, &packet), Ok(plain), "{suite}");

            let plain = report(SSRC);
            let packet = protected_report(&mut ours, &plain);
            assert_eq!(&*theirs.decrypt_rtcp(&packet).unwrap(), &plain, "{suite}");
            let packet = sender.encrypt_rtcp(&plain).unwrap();
            assert_eq!(opened_report(&mut receiver, &packet), Ok(plain), "{suite}");
        }
    }
}

#[test]
fn a_header_with_contributors_and_an_extension_stays_readable_and_is_proven() {
    let mut plain = vec![0x92, 0x80, 0, 7, 0, 0, 0, 1];
    plain.extend(SSRC.to_be_bytes());
    plain.extend([1; 8]);
    plain.extend([0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
    plain.extend(b"what is said");
    for suite in SrtpSuite::ALL {
        let packet = protected(&mut SrtpSender::new(&key(suite, 3)), &plain);
        assert_eq!(packet[..28], plain[..28], "{suite}");
        assert_ne!(packet[28..40], plain[28..40], "{suite}");
        let theirs = other(suite, 3).decrypt_rtp(&packet).unwrap();
        assert_eq!(&*theirs, &plain, "{suite}");
        let mut receiver = SrtpReceiver::new(&key(suite, 3));
        assert_eq!(opened(&mut receiver, &packet), Ok(plain.clone()), "{suite}");
    }
}

#[test]
fn a_changed_bit_anywhere_another_key_and_a_repeated_packet_are_dropped() {
    for suite in SrtpSuite::ALL {
        let packet = protected(
            &mut SrtpSender::new(&key(suite, 4)),
            &rtp(SSRC, 9, b"secret"),
        );
        let mut receiver = SrtpReceiver::new(&key(suite, 4));
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                opened(&mut receiver, &changed).is_err(),
                "{suite} bit {bit}"
            );
        }
        let mut stranger = SrtpReceiver::new(&key(suite, 5));
        assert_eq!(opened(&mut stranger, &packet), Err(Unproven::Forged));
        // The forgeries have left nothing behind.
        assert!(opened(&mut receiver, &packet).is_ok(), "{suite}");
        assert_eq!(opened(&mut receiver, &packet), Err(Unproven::Replayed));

        let packet = protected_report(&mut SrtpSender::new(&key(suite, 4)), &report(SSRC));
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                opened_report(&mut receiver, &changed).is_err(),
                "{suite} bit {bit}"
            );
        }
        assert!(opened_report(&mut receiver, &packet).is_ok(), "{suite}");
        assert_eq!(
            opened_report(&mut receiver, &packet),
            Err(Unproven::Replayed)
        );
    }
}

#[test]
fn packets_out_of_order_across_a_roll_over_are_opened_once_each() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let mut sender = SrtpSender::new(&key(suite, 6));
    let mut receiver = SrtpReceiver::new(&key(suite, 6));
    let packets: Vec<_> = (0..70_000_u32)
        .map(|n| protected(&mut sender, &rtp(SSRC, (n + 65_000) as u16, b"x")))
        .collect();
    for pair in packets.chunks(20) {
        for packet in pair.iter().rev() {
            assert!(opened(&mut receiver, packet).is_ok());
        }
    }
    for old in [0, 35_000, 69_999] {
        assert!(opened(&mut receiver, &packets[old]).is_err());
    }
}

#[test]
fn wound_51_numbers_that_begin_anew_in_one_source_are_followed_after_half_a_second() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let mut receiver = SrtpReceiver::new(&key(suite, 7));
    let mut before = SrtpSender::new(&key(suite, 7));
    for sequence in 5_000..5_100 {
        let packet = protected(&mut before, &rtp(SSRC, sequence, b"before"));
        assert!(opened(&mut receiver, &packet).is_ok());
    }
    let mut after = SrtpSender::new(&key(suite, 7));
    let heard: Vec<bool> = (100..200)
        .map(|sequence| {
            let packet = protected(&mut after, &rtp(SSRC, sequence, b"after"));
            opened(&mut receiver, &packet).is_ok()
        })
        .collect();
    assert_eq!(heard.iter().position(|heard| *heard), Some(24));
    assert!(heard[24..].iter().all(|heard| *heard));
}

/// As a leg opens what comes from its far end.
fn opened_in_two(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<Vec<u8>, Unproven> {
    match opened(receiver, packet) {
        Err(Unproven::Forged) => {
            let mut again = packet.to_vec();
            let length = receiver.open_rtp_begun_anew(&mut again)?;
            again.truncate(length);
            Ok(again)
        }
        outcome => outcome,
    }
}

#[test]
fn wound_51_numbers_that_begin_anew_across_a_roll_over() {
    for suite in SrtpSuite::ALL {
        // Nearest to the new numbers is the roll-over to come, or one that was long ago.
        for (first, count, anew) in [(59_900, 101, 100), (65_000, 20_000, 40_000)] {
            let mut receiver = SrtpReceiver::new(&key(suite, 7));
            let mut before = SrtpSender::new(&key(suite, 7));
            for number in first..first + count {
                let packet = protected(&mut before, &rtp(SSRC, number as u16, b"before"));
                assert!(opened_in_two(&mut receiver, &packet).is_ok(), "{suite}");
            }
            let mut after = SrtpSender::new(&key(suite, 7));
            let packets: Vec<_> = (anew..anew + 100)
                .map(|number| rtp(SSRC, number, b"after"))
                .map(|plain| (protected(&mut after, &plain), plain))
                .collect();
            let heard: Vec<bool> = packets
                .iter()
                .map(|(packet, plain)| opened_in_two(&mut receiver, packet).as_ref() == Ok(plain))
                .collect();
            let first_heard = heard.iter().position(|heard| *heard);
            assert_eq!(first_heard, Some(24), "{suite} {anew}");
            assert!(heard[24..].iter().all(|heard| *heard), "{suite} {anew}");
            for (again, _) in &packets[24..] {
                let repeated = opened_in_two(&mut receiver, again);
                assert_eq!(repeated, Err(Unproven::Replayed), "{suite} {anew}");
            }
        }
    }
}

#[test]
fn what_is_forged_stays_so_wherever_its_number_may_belong() {
    for suite in SrtpSuite::ALL {
        let mut receiver = SrtpReceiver::new(&key(suite, 7));
        let mut sender = SrtpSender::new(&key(suite, 7));
        for number in [65_000, 10_000, 40_000_u16] {
            let packet = protected(&mut sender, &rtp(SSRC, number, b"ours"));
            assert!(opened(&mut receiver, &packet).is_ok());
        }
        let mut wrong = SrtpSender::new(&key(suite, 8));
        for number in [100, 30_000, 40_001, 65_500_u16] {
            let packet = protected(&mut wrong, &rtp(SSRC, number, b"theirs"));
            assert_eq!(
                opened_in_two(&mut receiver, &packet),
                Err(Unproven::Forged),
                "{suite} {number}"
            );
        }
        // A source nobody has heard of begins in one place only.
        let mut unknown = protected(&mut wrong, &rtp(1, 100, b"theirs"));
        assert_eq!(
            receiver.open_rtp_begun_anew(&mut unknown),
            Err(Unproven::Forged)
        );
        let packet = protected(&mut sender, &rtp(SSRC, 40_001, b"ours"));
        assert!(opened(&mut receiver, &packet).is_ok());
    }
}

#[test]
fn a_source_that_changes_is_followed_and_sources_without_proof_are_not_remembered() {
    let suite = SrtpSuite::AesCm128HmacSha1_32;
    let mut receiver = SrtpReceiver::new(&key(suite, 8));
    let first = protected(&mut SrtpSender::new(&key(suite, 8)), &rtp(1, 60_000, b"a"));
    assert!(opened(&mut receiver, &first).is_ok());
    for ssrc in 2..10_000 {
        let forged = rtp(ssrc, 1, &[0; 20]);
        assert_eq!(opened(&mut receiver, &forged), Err(Unproven::Forged));
    }
    let second = protected(&mut SrtpSender::new(&key(suite, 8)), &rtp(2, 1, b"b"));
    assert!(opened(&mut receiver, &second).is_ok());
    assert_eq!(opened(&mut receiver, &first), Err(Unproven::Replayed));
}

#[test]
fn a_packet_without_room_behind_it_and_bytes_that_are_none_are_left_alone() {
    for suite in SrtpSuite::ALL {
        let mut sender = SrtpSender::new(&key(suite, 9));
        let mut tight = rtp(SSRC, 1, b"x");
        let length = tight.len();
        assert_eq!(sender.protect_rtp(&mut tight, length), Ok(None));
        assert_eq!(tight, rtp(SSRC, 1, b"x"));
        assert_eq!(sender.protect_rtp(&mut [0; 64], 40), Ok(None));
        assert_eq!(sender.protect_rtcp(&mut [0; 64], 4), Ok(None));
        assert_eq!(sender.protect_rtp(&mut [0x80; 8], 64), Ok(None));
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_dropped_without_a_panic(
        packet in proptest::collection::vec(any::<u8>(), 0..80),
        which in 0..4_usize,
    ) {
        let mut receiver = SrtpReceiver::new(&key(SrtpSuite::ALL[which], 10));
        prop_assert!(opened(&mut receiver, &packet).is_err());
        prop_assert!(opened_report(&mut receiver, &packet).is_err());
    }

    #[test]
    fn a_number_belongs_where_it_is_nearest(
        start in any::<u16>(),
        steps in proptest::collection::vec(1..20_000_u32, 1..40),
    ) {
        let suite = SrtpSuite::AeadAes128Gcm;
        let mut sender = SrtpSender::new(&key(suite, 11));
        let mut receiver = SrtpReceiver::new(&key(suite, 11));
        let mut number = u32::from(start);
        for step in steps {
            let packet = protected(&mut sender, &rtp(SSRC, number as u16, b"x"));
            prop_assert!(opened(&mut receiver, &packet).is_ok());
            number = number.wrapping_add(step);
        }
    }
}
