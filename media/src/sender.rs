//! From mixed frames to RTP packets.
//!
//! The sender owns the outgoing stream: its SSRC, sequence numbers and timestamps, the encoder, and the
//! packet being filled. Frames of 10 ms go in; after each packet time a datagram is ready. It keeps no
//! time of its own: the leg tells it of slots that passed without a frame, and the timestamps move on.
//!
//! ```text
//! frame (10 ms), or a press's tones ─ fill ─ encode, or ready-made silence ─ RTP header ─► datagram
//! ```

use rtp_rs::{RtpPacketBuilder, Seq};

use crate::codec::{Codec, CodecError, Encoder};
use crate::control::Digit;
use crate::digit_sender::DigitSender;
use crate::mixer::MixedFrame;
use crate::telephone_event::TelephoneEvent;

/// Where an outgoing stream begins. All three should be random (RFC 3550 section 5.1); the caller
/// chooses them, so that a test can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStart {
    /// The stream's source identifier.
    pub ssrc: u32,
    /// The first packet's sequence number.
    pub sequence: u16,
    /// The first packet's timestamp.
    pub timestamp: u32,
}

/// The outgoing half of a leg.
#[derive(Debug)]
pub struct Sender {
    codec: Codec,
    encoder: Encoder,
    digits: DigitSender,
    unsent_digits: u64,
    next: StreamStart,
    /// Set on the first packet and after a gap of unsent silence (RFC 3551 section 4.1).
    marker_due: bool,
    frame: Box<[i16]>,
    filled: usize,
    audible: bool,
    /// Packets of silence in a row.
    silent_run: u32,
    /// What the encoder last made of silence, and its length.
    payload: Box<[u8]>,
    payload_length: usize,
    datagram: Box<[u8]>,
    datagram_length: usize,
    packets: u64,
    octets: u64,
    failures: u64,
}

/// What a pushed frame led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The packet needs more frames.
    Partly,
    /// The packet is complete and waits in [`Sender::datagram`].
    Complete,
    /// The packet time is over and nothing needs to be sent (Opus DTX).
    Unsent,
}

/// RFC 3550 section 5.1, without CSRCs and extensions.
const RTP_HEADER_BYTES: usize = 12;
/// After this many packets of silence a codec with memory has settled, and its last payload is sent
/// again instead of encoding zeros.
const SETTLED_AFTER: u32 = 10;

impl Sender {
    /// A stream that begins at `start`.
    ///
    /// # Errors
    /// [`CodecError`] when the codec's library refuses.
    pub fn new(codec: &Codec, start: StreamStart) -> Result<Self, CodecError> {
        let payload_bytes = longest_payload(codec);
        Ok(Self {
            codec: *codec,
            encoder: Encoder::new(codec)?,
            digits: DigitSender::new(None, codec.sample_rate_hz()),
            unsent_digits: 0,
            next: start,
            marker_due: true,
            frame: vec![0; codec.samples_per_frame()].into(),
            filled: 0,
            audible: false,
            silent_run: 0,
            payload: vec![0; payload_bytes].into(),
            payload_length: 0,
            datagram: vec![0; RTP_HEADER_BYTES + payload_bytes].into(),
            datagram_length: 0,
            packets: 0,
            octets: 0,
            failures: 0,
        })
    }

    /// Goes on with another codec or packet time (a re-INVITE): SSRC, sequence and timestamps continue, and
    /// what was filled of a packet goes into the first new one, where it is of the same sample rate and leaves
    /// room for the next 10 ms.
    ///
    /// # Errors
    /// [`CodecError`] when the codec's library refuses; the stream is unchanged.
    pub fn switch_to(&mut self, codec: &Codec) -> Result<(), CodecError> {
        let mut other = Self::new(codec, self.next)?;
        let tick = codec.samples_per_tick();
        if tick == self.codec.samples_per_tick() {
            let kept = self.filled.min(other.frame.len() - tick);
            let left_out = self.filled - kept;
            other.frame[..kept].copy_from_slice(&self.frame[left_out..self.filled]);
            other.filled = kept;
            other.audible = self.audible;
            other.skip_ms((left_out / tick * 10) as u32);
        }
        other.marker_due = self.marker_due;
        other.unsent_digits = self.unsent_digits;
        if codec.sample_rate_hz() == self.codec.sample_rate_hz() {
            std::mem::swap(&mut other.digits, &mut self.digits);
        } else {
            // What is made for one rate is at another pitch in the other.
            other.unsent_digits += self.digits.waiting() as u64;
            other.digits = DigitSender::new(self.digits.format(), codec.sample_rate_hz());
        }
        (other.packets, other.octets, other.failures) = (self.packets, self.octets, self.failures);
        *self = other;
        Ok(())
    }

    /// How digits are sent from now on. Where that changes, presses that wait are dropped and counted.
    pub fn set_telephone_event(&mut self, format: Option<TelephoneEvent>) {
        if self.digits.format() != format {
            self.unsent_digits += self.digits.waiting() as u64;
            self.digits = DigitSender::new(format, self.codec.sample_rate_hz());
        }
    }

    /// Presses a key, after those pressed before.
    pub fn press(&mut self, digit: Digit, duration_ms: u32) {
        if !self.digits.press(digit, duration_ms) {
            self.unsent_digits += 1;
        }
    }

    /// Presses that could not be sent.
    #[must_use]
    pub fn unsent_digits(&self) -> u64 {
        self.unsent_digits
    }

    /// The next 10 ms of the packet, to be written before [`push`](Self::push).
    pub fn slot(&mut self) -> &mut [i16] {
        let samples = self.codec.samples_per_tick();
        &mut self.frame[self.filled..self.filled + samples]
    }

    /// The last 10 ms that were pushed.
    #[must_use]
    pub fn last_tick(&self) -> &[i16] {
        let end = match self.filled {
            0 => self.frame.len(),
            filled => filled,
        };
        &self.frame[end - self.codec.samples_per_tick()..end]
    }

    /// Takes the frame in [`slot`](Self::slot), or a press's tones in its place.
    pub fn push(&mut self, mixed: MixedFrame) -> Filled {
        let samples = self.codec.samples_per_tick();
        let slot = &mut self.frame[self.filled..self.filled + samples];
        if self.digits.sound(slot) {
            self.audible = true;
        } else {
            match mixed {
                MixedFrame::Audio => self.audible = true,
                MixedFrame::Silence => slot.fill(0),
            }
        }
        self.filled += samples;
        if self.filled < self.frame.len() {
            return Filled::Partly;
        }
        let audible = std::mem::take(&mut self.audible);
        self.filled = 0;
        self.finish_packet(audible)
    }

    fn finish_packet(&mut self, audible: bool) -> Filled {
        if self.press_instead() {
            return Filled::Complete;
        }
        self.silent_run = if audible {
            0
        } else {
            self.silent_run.saturating_add(1)
        };
        let ready_made = if audible {
            None
        } else {
            self.encoder.silence()
        };
        let payload = match ready_made {
            Some(silence) => silence,
            None => {
                if self.silent_run <= SETTLED_AFTER || !self.encoder.repeats_silence() {
                    match self.encoder.encode(&self.frame, &mut self.payload) {
                        Ok(length) => self.payload_length = length,
                        Err(_) => {
                            self.payload_length = 0;
                            self.failures += 1;
                        }
                    }
                }
                &self.payload[..self.payload_length]
            }
        };
        let timestamp = self.next.timestamp;
        self.next.timestamp = timestamp.wrapping_add(self.codec.timestamp_step());
        if payload.is_empty() {
            self.marker_due = true;
            return Filled::Unsent;
        }
        let octets = payload.len() as u64;
        let packet = RtpPacketBuilder::new()
            .payload_type(self.codec.payload_type_send.get())
            .ssrc(self.next.ssrc)
            .sequence(Seq::from(self.next.sequence))
            .timestamp(timestamp)
            .marked(std::mem::take(&mut self.marker_due))
            .payload(payload)
            .build_into(&mut self.datagram);
        self.datagram_length = packet.expect("the buffer holds a header and the longest payload");
        self.count_packet(octets);
        Filled::Complete
    }

    /// While a key is pressed: builds its event in place of the packet's audio.
    fn press_instead(&mut self) -> bool {
        let ptime_ms = u32::from(self.codec.ptime_ms);
        let Some(event) = self.digits.next(self.next.timestamp, ptime_ms) else {
            return false;
        };
        self.next.timestamp = self
            .next
            .timestamp
            .wrapping_add(self.codec.timestamp_step());
        // Nobody heard what would have been here: the encoder begins its silence anew.
        self.silent_run = 0;
        let packet = RtpPacketBuilder::new()
            .payload_type(event.payload_type)
            .ssrc(self.next.ssrc)
            .sequence(Seq::from(self.next.sequence))
            .timestamp(event.timestamp)
            .marked(event.marked)
            .payload(&event.payload)
            .build_into(&mut self.datagram);
        self.datagram_length = packet.expect("the buffer holds a header and an event");
        self.count_packet(event.payload.len() as u64);
        true
    }

    fn count_packet(&mut self, octets: u64) {
        self.next.sequence = self.next.sequence.wrapping_add(1);
        self.packets += 1;
        self.octets += octets;
    }

    /// The datagram completed last.
    #[must_use]
    pub fn datagram(&self) -> &[u8] {
        &self.datagram[..self.datagram_length]
    }

    /// Lets `milliseconds` pass without sending: the clock ran on though no frame was taken.
    pub fn skip_ms(&mut self, milliseconds: u32) {
        let units = (self.codec.clock_rate_hz() / 1000).wrapping_mul(milliseconds);
        self.next.timestamp = self.next.timestamp.wrapping_add(units);
    }

    /// Goes on as another source: ours was somebody else's too (RFC 3550 section 8.2).
    pub fn change_ssrc(&mut self, ssrc: u32) {
        self.next.ssrc = ssrc;
    }

    /// Packets and payload octets sent.
    #[must_use]
    pub fn sent(&self) -> (u64, u64) {
        (self.packets, self.octets)
    }

    /// Frames the encoder refused; none are expected.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// The stream's SSRC, and the sequence number and timestamp of the packet to come.
    #[must_use]
    pub fn position(&self) -> StreamStart {
        self.next
    }
}

/// Enough for any frame of the codec: two bytes a sample, and what 20 ms at the highest bitrate or 60 ms at the
/// usual ones need for Opus (RFC 6716 allows a frame 1,275 bytes).
fn longest_payload(codec: &Codec) -> usize {
    codec
        .kind
        .maximum_payload_bytes()
        .min((codec.samples_per_frame() * 2).max(1275))
}

#[cfg(test)]
mod tests {
    use rtp_rs::RtpReader;

    use super::*;
    use crate::codec::{CodecKind, Decoder};

    const START: StreamStart = StreamStart {
        ssrc: 0xCAFE,
        sequence: 65_534,
        timestamp: u32::MAX - 100,
    };

    fn packets(sender: &mut Sender, frames: &[Option<Vec<i16>>]) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        for frame in frames {
            let mixed = match frame {
                Some(samples) => {
                    sender.slot().copy_from_slice(samples);
                    MixedFrame::Audio
                }
                None => MixedFrame::Silence,
            };
            if sender.push(mixed) == Filled::Complete {
                datagrams.push(sender.datagram().to_vec());
            }
        }
        datagrams
    }

    #[test]
    fn numbers_run_on_across_silence_and_wrap_around_and_only_the_first_packet_is_marked() {
        let mut sender = Sender::new(&Codec::new(CodecKind::Pcmu), START).unwrap();
        let frames: Vec<_> = (0..12)
            .map(|index| (index % 5 == 0).then(|| vec![500; 80]))
            .collect();
        let datagrams = packets(&mut sender, &frames);
        assert_eq!(datagrams.len(), 6);
        for (index, datagram) in datagrams.iter().enumerate() {
            let packet = RtpReader::new(datagram).unwrap();
            let index = index as u32;
            assert_eq!(
                u16::from(packet.sequence_number()),
                65_534u16.wrapping_add(index as u16)
            );
            assert_eq!(
                packet.timestamp(),
                (u32::MAX - 100).wrapping_add(160 * index)
            );
            assert_eq!((packet.ssrc(), packet.payload_type()), (0xCAFE, 0));
            assert_eq!(packet.mark(), index == 0);
            assert_eq!(packet.payload().len(), 160);
        }
    }

    #[test]
    fn silence_in_g711_is_the_codecs_own_zero() {
        for (kind, zero) in [(CodecKind::Pcmu, 0xFF), (CodecKind::Pcma, 0xD5)] {
            let mut sender = Sender::new(&Codec::new(kind), START).unwrap();
            let datagrams = packets(&mut sender, &[None, None]);
            assert_eq!(datagrams[0][12..], [zero; 160]);
        }
    }

    #[test]
    fn half_a_packet_of_silence_beside_speech_is_zeros_and_not_what_was_there_before() {
        let mut sender = Sender::new(&Codec::new(CodecKind::Pcmu), START).unwrap();
        packets(&mut sender, &[Some(vec![9000; 80]), Some(vec![9000; 80])]);
        let datagrams = packets(&mut sender, &[Some(vec![9000; 80]), None]);
        assert_eq!(datagrams[0][12 + 80..], [0xFF; 80]);
        assert_ne!(datagrams[0][12], 0xFF);
    }

    #[test]
    fn every_packet_time_fills_its_packet() {
        for ptime_ms in [10, 20, 30, 40, 50, 60] {
            let codec = Codec {
                ptime_ms,
                ..Codec::new(CodecKind::Pcma)
            };
            let mut sender = Sender::new(&codec, START).unwrap();
            let datagrams = packets(&mut sender, &vec![Some(vec![100; 80]); 60]);
            assert_eq!(datagrams.len(), 600 / usize::from(ptime_ms));
            assert_eq!(datagrams[0].len(), 12 + 8 * usize::from(ptime_ms));
        }
    }

    #[test]
    fn a_codec_change_keeps_the_numbers_going() {
        let mut sender = Sender::new(&Codec::new(CodecKind::Pcmu), START).unwrap();
        packets(&mut sender, &[None, None, None]);
        let before = sender.position();
        sender.switch_to(&Codec::new(CodecKind::Pcma)).unwrap();
        assert_eq!(sender.position(), before);
        let datagrams = packets(&mut sender, &[None, None]);
        let packet = RtpReader::new(&datagrams[0]).unwrap();
        assert_eq!((packet.payload_type(), packet.mark()), (8, false));
    }

    #[test]
    fn long_silence_in_opus_is_not_encoded_again_and_decodes_to_silence_and_clean_speech_after() {
        let codec = Codec::new(CodecKind::Opus);
        let mut sender = Sender::new(&codec, START).unwrap();
        let tone = |index: usize| -> Vec<i16> {
            (0..160)
                .map(|sample| {
                    let time = (index * 160 + sample) as f32 / 16_000.0;
                    (8000.0 * (std::f32::consts::TAU * 400.0 * time).sin()) as i16
                })
                .collect()
        };
        let mut frames: Vec<_> = (0..50).map(|index| Some(tone(index))).collect();
        frames.extend(vec![None; 200]);
        frames.extend((0..50).map(|index| Some(tone(index))));
        let datagrams = packets(&mut sender, &frames);
        assert_eq!(datagrams.len(), 150);
        assert_eq!(
            datagrams[60][12..],
            datagrams[100][12..],
            "the settled payload is repeated"
        );

        let mut decoder = Decoder::new(CodecKind::Opus).unwrap();
        let mut decoded = Vec::new();
        for datagram in &datagrams {
            let mut out = [0i16; 960];
            let count = decoder.decode(&datagram[12..], &mut out).unwrap();
            decoded.extend_from_slice(&out[..count]);
        }
        let level = |range: std::ops::Range<usize>| {
            let power: f64 = decoded[range.clone()]
                .iter()
                .map(|s| f64::from(*s).powi(2))
                .sum();
            (power / range.len() as f64).sqrt()
        };
        assert!(
            level(40 * 320..124 * 320) < 3.0,
            "silence at {}",
            level(40 * 320..124 * 320)
        );
        assert!((4500.0..6500.0).contains(&level(130 * 320..150 * 320)));
    }

    #[test]
    fn opus_silence_goes_unsent_to_who_wants_that_and_speech_after_it_is_marked() {
        let mut codec = Codec::new(CodecKind::Opus);
        codec.opus.dtx = true;
        let mut sender = Sender::new(&codec, START).unwrap();
        let speech: Vec<i16> = (0..160)
            .map(|n| ((n as f32 * 0.2).sin() * 8_000.0) as i16)
            .collect();
        packets(&mut sender, &vec![Some(speech.clone()); 100]);
        let silence = packets(&mut sender, &vec![None; 400]);
        assert!(silence.len() < 60, "{} of 200 packets", silence.len());
        let before = sender.position().timestamp;
        let datagrams = packets(&mut sender, &vec![Some(speech); 20]);
        assert_eq!(datagrams.len(), 10);
        let first = RtpReader::new(&datagrams[0]).unwrap();
        assert_eq!((first.mark(), first.timestamp()), (true, before));
        assert!(!RtpReader::new(&datagrams[1]).unwrap().mark());
    }
}
