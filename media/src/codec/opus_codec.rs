//! Opus by libopus, mono, at the leg's rate.

use super::{Codec, CodecError};

/// The loss the encoder prepares for, in percent: it decides how much of a packet the copy of its
/// predecessor takes.
const EXPECTED_LOSS_PERCENT: i32 = 10;

#[derive(Debug)]
pub(super) struct OpusEncoder {
    encoder: opus::Encoder,
    dtx: bool,
}

impl OpusEncoder {
    pub(super) fn new(codec: &Codec) -> Result<Self, CodecError> {
        let settings = codec.opus;
        let mut encoder = opus::Encoder::new(
            codec.sample_rate_hz(),
            opus::Channels::Mono,
            opus::Application::Voip,
        )?;
        let bitrate = i32::try_from(settings.bitrate.clamp(6_000, 128_000)).unwrap_or(28_000);
        encoder.set_bitrate(opus::Bitrate::Bits(bitrate))?;
        encoder.set_complexity(i32::from(settings.complexity.min(10)))?;
        encoder.set_inband_fec(settings.fec)?;
        encoder.set_packet_loss_perc(if settings.fec {
            EXPECTED_LOSS_PERCENT
        } else {
            0
        })?;
        encoder.set_dtx(settings.dtx)?;
        encoder.set_signal(opus::Signal::Voice)?;
        Ok(Self {
            encoder,
            dtx: settings.dtx,
        })
    }

    pub(super) fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let length = self.encoder.encode(frame, out)?;
        // RFC 7587 section 3.1.3 with libopus: in DTX a packet of two bytes or less need not be sent.
        Ok(if self.dtx && length <= 2 { 0 } else { length })
    }
}

#[derive(Debug)]
pub(super) struct OpusDecoder {
    decoder: opus::Decoder,
    sample_rate_hz: u32,
}

impl OpusDecoder {
    pub(super) fn new(sample_rate_hz: u32) -> Result<Self, CodecError> {
        let decoder = opus::Decoder::new(sample_rate_hz, opus::Channels::Mono)?;
        Ok(Self {
            decoder,
            sample_rate_hz,
        })
    }

    pub(super) fn samples_in(&self, payload: &[u8]) -> usize {
        if payload.is_empty() {
            return 0;
        }
        opus::packet::get_nb_samples(payload, self.sample_rate_hz).unwrap_or(0)
    }

    pub(super) fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        // libopus takes an empty payload for a loss and invents audio.
        let needed = self.samples_in(payload);
        if needed == 0 {
            return Err(CodecError::Malformed);
        }
        let available = out.len();
        let out = out
            .get_mut(..needed)
            .ok_or(CodecError::OutputTooSmall { needed, available })?;
        self.decoder
            .decode(payload, out, false)
            .map_err(|_| CodecError::Malformed)
    }

    pub(super) fn conceal(&mut self, out: &mut [i16]) {
        let produced = self.decoder.decode(&[], out, false).unwrap_or(0);
        if let Some(rest) = out.get_mut(produced..) {
            rest.fill(0);
        }
    }

    pub(super) fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        // The copy covers one packet time of `next`; libopus conceals whatever lies before it.
        if self.samples_in(next) == 0 {
            return false;
        }
        self.decoder
            .decode(next, out, true)
            .is_ok_and(|produced| produced == out.len())
    }

    pub(super) fn reset(&mut self) {
        // Fails only on a state that was never initialised.
        let _ = self.decoder.reset_state();
    }
}
