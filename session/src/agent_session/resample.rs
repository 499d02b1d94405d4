//! Audio at a rate of its own, brought to the leg's.

use std::sync::Arc;

use offhook_media::resampler::resample_whole;

use crate::provider::{Audio, ProviderError};

/// `audio` at `rate_hz`; shared, not copied, when it has that rate already.
pub(crate) fn to_rate(audio: Audio, rate_hz: u32) -> Result<Arc<[i16]>, ProviderError> {
    if audio.sample_rate_hz == rate_hz {
        return Ok(audio.samples);
    }
    resample_whole(&audio.samples, audio.sample_rate_hz, rate_hz)
        .map(Arc::from)
        .map_err(|error| ProviderError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_keeps_its_length_in_time_and_rates_that_make_no_sense_are_refused() {
        let second = |rate_hz: u32| Audio {
            sample_rate_hz: rate_hz,
            samples: vec![0; rate_hz as usize].into(),
        };
        assert_eq!(
            to_rate(second(16_000), 8_000).expect("converted").len(),
            8_000
        );
        assert_eq!(
            to_rate(second(22_050), 16_000).expect("converted").len(),
            16_000
        );
        assert!(
            to_rate(
                Audio {
                    sample_rate_hz: 0,
                    samples: vec![0].into()
                },
                8_000
            )
            .is_err()
        );
    }
}
