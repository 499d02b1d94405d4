//! What a leg is given besides what was negotiated.

use std::time::Duration;

use offhook_media::leg::{InBandDigits, LegConfig};
use offhook_media::sdp::Negotiated;
use offhook_media::sender::StreamStart;

/// How a leg behaves, whatever will be negotiated for it.
#[derive(Clone, Copy, Debug)]
pub struct LegSettings {
    /// Whether the caller's speech is detected.
    pub voice_activity: bool,
    /// Whether our own voice that comes back is kept from being taken for the caller's.
    pub echo_guard: bool,
    /// When tones in the caller's audio are taken for digits.
    pub in_band_digits: InBandDigits,
    /// Whether tones of networks and machines are reported.
    pub call_tones: bool,
    /// How long the far end may send nothing before that is reported; `None` for ever.
    pub no_media_timeout: Option<Duration>,
    /// A random number: where the outgoing stream begins (RFC 3550 section 5.1 wants SSRC, sequence
    /// number and timestamp unpredictable).
    pub seed: u64,
}

impl LegSettings {
    /// The leg for what was negotiated.
    #[must_use]
    pub fn config(&self, negotiated: &Negotiated) -> LegConfig {
        let [a, b, c, d, e, f, g, h] = self.seed.to_le_bytes();
        let stream = StreamStart {
            ssrc: u32::from_le_bytes([a, b, c, d]),
            // Half the numbers away from the wrap: a far end that sees the first packet late does not
            // take it for an old one.
            sequence: u16::from_le_bytes([e, f]) & 0x7fff,
            timestamp: u32::from_le_bytes([g, h, a, e]),
        };
        LegConfig {
            voice_activity: self.voice_activity,
            echo_guard: self.echo_guard,
            in_band_digits: self.in_band_digits,
            call_tones: self.call_tones,
            no_media_timeout: self.no_media_timeout,
            ..LegConfig::new(negotiated, stream)
        }
    }
}
