//! Opus by libopus, mono, at the leg's rate.

use super::{Codec, CodecError};
use crate::concealment::{FADE_END_MS, strength_after};

/// The loss the encoder prepares for, in percent: it decides how much of a packet the copy of its
/// predecessor takes.
const EXPECTED_LOSS_PERCENT: i32 = 10;
/// How long audio takes to its full strength after an invention that had faded, in milliseconds.
const RETURN_MS: usize = 5;

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
        encoder.set_max_bandwidth(bandwidth(settings.playback_rate_hz))?;
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

    /// Whether silence may go unsent.
    pub(super) const fn dtx(&self) -> bool {
        self.dtx
    }
}

/// What of a signal is heard when it is played at `rate_hz` (RFC 7587 section 3.1.1).
const fn bandwidth(rate_hz: u32) -> opus::Bandwidth {
    match rate_hz {
        0..=11_999 => opus::Bandwidth::Narrowband,
        12_000..=15_999 => opus::Bandwidth::Mediumband,
        16_000..=23_999 => opus::Bandwidth::Wideband,
        24_000..=47_999 => opus::Bandwidth::Superwideband,
        48_000.. => opus::Bandwidth::Fullband,
    }
}

/// How much audio `payload` holds, in samples at `sample_rate_hz`; zero for what is no packet of Opus.
pub(super) fn samples_in(payload: &[u8], sample_rate_hz: u32) -> usize {
    if payload.is_empty() {
        return 0;
    }
    opus::packet::get_nb_samples(payload, sample_rate_hz).unwrap_or(0)
}

#[derive(Debug)]
pub(super) struct OpusDecoder {
    decoder: opus::Decoder,
    sample_rate_hz: u32,
    /// Samples invented since audio was last heard. libopus would go on for longer than the others do,
    /// and whoever stops it has to see to the ends.
    gap: usize,
}

impl OpusDecoder {
    pub(super) fn new(sample_rate_hz: u32) -> Result<Self, CodecError> {
        let decoder = opus::Decoder::new(sample_rate_hz, opus::Channels::Mono)?;
        Ok(Self {
            decoder,
            sample_rate_hz,
            gap: 0,
        })
    }

    pub(super) fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        // libopus takes an empty payload for a loss and invents audio.
        let needed = samples_in(payload, self.sample_rate_hz);
        if needed == 0 {
            return Err(CodecError::Malformed);
        }
        let available = out.len();
        let out = out
            .get_mut(..needed)
            .ok_or(CodecError::OutputTooSmall { needed, available })?;
        let samples = self
            .decoder
            .decode(payload, out, false)
            .map_err(|_| CodecError::Malformed)?;
        self.return_from_gap(&mut out[..samples]);
        Ok(samples)
    }

    pub(super) fn conceal(&mut self, out: &mut [i16]) {
        let produced = self.decoder.decode(&[], out, false).unwrap_or(0);
        if let Some(rest) = out.get_mut(produced..) {
            rest.fill(0);
        }
        let samples_per_ms = self.samples_per_ms();
        for sample in out {
            *sample = (f32::from(*sample) * strength_after(self.gap, samples_per_ms)) as i16;
            self.gap = (self.gap + 1).min(FADE_END_MS * samples_per_ms);
        }
    }

    pub(super) fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        // The copy covers one packet time of `next`; libopus conceals whatever lies before it.
        if samples_in(next, self.sample_rate_hz) == 0 {
            return false;
        }
        let recovered = self
            .decoder
            .decode(next, out, true)
            .is_ok_and(|produced| produced == out.len());
        if recovered {
            self.return_from_gap(out);
        }
        recovered
    }

    pub(super) fn reset(&mut self) {
        // Fails only on a state that was never initialised.
        let _ = self.decoder.reset_state();
        self.gap = 0;
    }

    /// Where the invention had faded, audio that returns at full strength would click.
    fn return_from_gap(&mut self, samples: &mut [i16]) {
        let samples_per_ms = self.samples_per_ms();
        let from = strength_after(self.gap, samples_per_ms);
        self.gap = 0;
        if from >= 1.0 {
            return;
        }
        let ramp = (RETURN_MS * samples_per_ms) as f32;
        for (index, sample) in samples.iter_mut().take(ramp as usize).enumerate() {
            let strength = from + (1.0 - from) * index as f32 / ramp;
            *sample = (f32::from(*sample) * strength) as i16;
        }
    }

    const fn samples_per_ms(&self) -> usize {
        (self.sample_rate_hz / 1_000) as usize
    }
}
