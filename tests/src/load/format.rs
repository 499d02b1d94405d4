//! In which form the callers' voices are sent.

use std::net::SocketAddr;

use offhook_media::codec::{Codec, CodecKind, Decoder, Encoder};
use offhook_media::resampler::resample_whole;
use offhook_media::srtp::{MasterKey, SrtpSender, SrtpSuite};

use crate::sip_text;

/// A codec, and whether packets are protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// PCMU in the clear.
    #[default]
    Pcmu,
    /// G.722 in the clear.
    G722,
    /// Opus in the clear, at the rate and with the settings of our own legs.
    Opus,
    /// PCMU over SRTP, with `AES_CM_128_HMAC_SHA1_80`.
    Srtp,
}

const SUITE: SrtpSuite = SrtpSuite::AesCm128HmacSha1_80;

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pcmu, Self::G722, Self::Opus, Self::Srtp];

    /// Its name on the command line and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::G722 => "g722",
            Self::Opus => "opus",
            Self::Srtp => "srtp",
        }
    }

    /// Its codec, with the number it is offered by.
    #[must_use]
    pub fn codec(self) -> Codec {
        Codec::new(match self {
            Self::Pcmu | Self::Srtp => CodecKind::Pcmu,
            Self::G722 => CodecKind::G722,
            Self::Opus => CodecKind::Opus,
        })
    }

    /// How far the timestamp moves with each packet.
    pub(super) fn timestamp_step(self) -> u32 {
        self.codec().timestamp_step()
    }

    /// Whether payloads that come back tell by their bytes how loud they are.
    pub(super) fn is_readable(self) -> bool {
        self == Self::Pcmu
    }

    /// The offer of call `index`, with audio at `media`.
    pub(super) fn offer(self, media: SocketAddr, index: usize) -> String {
        let pcmu = sip_text::pcmu_offer(media);
        match self {
            Self::Pcmu => pcmu,
            Self::G722 => pcmu
                .replace("RTP/AVP 0 ", "RTP/AVP 9 ")
                .replace("rtpmap:0 PCMU", "rtpmap:9 G722"),
            Self::Opus => pcmu.replace("RTP/AVP 0 ", "RTP/AVP 96 ").replace(
                "a=rtpmap:0 PCMU/8000",
                "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1",
            ),
            Self::Srtp => pcmu.replace("RTP/AVP", "RTP/SAVP").replace(
                "a=ptime",
                &format!(
                    "a=crypto:1 {} inline:{}\r\na=ptime",
                    SUITE.name(),
                    key(index).to_base64()
                ),
            ),
        }
    }

    /// What protects the packets of call `index`.
    pub(super) fn protection(self, index: usize) -> Option<SrtpSender> {
        (self == Self::Srtp).then(|| SrtpSender::new(&key(index)))
    }

    /// Frames of PCMU as frames of this format.
    ///
    /// # Panics
    /// When libopus has no memory.
    pub(super) fn encoded(self, pcmu: &[Vec<u8>]) -> Vec<Vec<u8>> {
        match self {
            Self::Pcmu | Self::Srtp => pcmu.to_vec(),
            Self::G722 | Self::Opus => {
                let codec = self.codec();
                let samples = samples(pcmu, codec.sample_rate_hz());
                let mut encoder = Encoder::new(&codec).expect("an encoder");
                let frames = samples.chunks_exact(codec.samples_per_frame());
                let frames = frames.map(|frame| {
                    let mut payload = vec![0; 1_500];
                    let length = encoder.encode(frame, &mut payload).expect("a payload");
                    payload.truncate(length);
                    payload
                });
                frames.collect()
            }
        }
    }
}

/// Frames of PCMU as samples at `rate_hz`.
pub(super) fn samples(pcmu: &[Vec<u8>], rate_hz: u32) -> Vec<i16> {
    let mut decoder = Decoder::new(CodecKind::Pcmu).expect("PCMU needs no memory");
    let mut samples = Vec::new();
    for frame in pcmu {
        let mut out = vec![0; frame.len()];
        decoder.decode(frame, &mut out).expect("any byte is PCMU");
        samples.extend(out);
    }
    resample_whole(&samples, 8_000, rate_hz).expect("telephone rates")
}

/// The master key of call `index`: nobody's secret.
fn key(index: usize) -> MasterKey {
    MasterKey::from_random(
        SUITE,
        &std::array::from_fn(|at| (index * 31 + at * 7) as u8),
    )
}
