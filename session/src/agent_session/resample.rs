//! Audio at a rate of its own, brought to the leg's.

use std::sync::Arc;

use crate::provider::Audio;

/// `audio` at `rate_hz`; shared, not copied, when it has that rate already.
pub(crate) fn to_rate(audio: Audio, rate_hz: u32) -> Arc<[i16]> {
    if audio.sample_rate_hz == rate_hz {
        return audio.samples;
    }
    resample(&audio.samples, audio.sample_rate_hz, rate_hz).into()
}

/// Linear interpolation between the two nearest samples.
fn resample(samples: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    let (from, to) = (u64::from(from_hz.max(1)), u64::from(to_hz));
    let length = samples.len() as u64 * to / from;
    (0..length)
        .map(|index| {
            let position = index * from;
            let left = (position / to) as usize;
            let fraction = (position % to) as i64;
            let a = i64::from(samples[left]);
            let b = i64::from(*samples.get(left + 1).unwrap_or(&samples[left]));
            i16::try_from(a + (b - a) * fraction / to as i64).unwrap_or(0)
        })
        .collect()
}
