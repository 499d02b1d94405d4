//! Audio that many calls play, at whatever rates their legs have.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use crate::agent_session::resample::to_rate;
use crate::provider::{Audio, ProviderError};

/// One piece of audio, shared: converted once for each rate that is asked for, not once a call.
#[derive(Debug)]
pub struct AudioByRate {
    audio: Audio,
    by_rate: Mutex<BTreeMap<u32, Arc<[i16]>>>,
}

impl AudioByRate {
    /// `audio`, of any rate.
    #[must_use]
    pub fn new(audio: Audio) -> Self {
        Self {
            audio,
            by_rate: Mutex::default(),
        }
    }

    /// The audio as it came, at its own rate.
    #[must_use]
    pub fn original(&self) -> &Audio {
        &self.audio
    }

    /// The audio at `rate_hz`.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] when its own rate cannot be converted to that.
    pub fn at_rate(&self, rate_hz: u32) -> Result<Audio, ProviderError> {
        let mut by_rate = self.by_rate.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = match by_rate.entry(rate_hz) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => Arc::clone(new.insert(to_rate(self.audio.clone(), rate_hz)?)),
        };
        Ok(Audio {
            sample_rate_hz: rate_hz,
            samples,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_converted_once_for_each_rate_and_shared_from_then_on() {
        let audio = AudioByRate::new(Audio {
            sample_rate_hz: 16_000,
            samples: vec![1_000; 16_000].into(),
        });
        for (rate_hz, length) in [(8_000, 8_000), (16_000, 16_000)] {
            let first = audio.at_rate(rate_hz).expect("converted");
            let second = audio.at_rate(rate_hz).expect("known");
            assert_eq!(
                (first.sample_rate_hz, first.samples.len()),
                (rate_hz, length)
            );
            assert!(Arc::ptr_eq(&first.samples, &second.samples));
        }
        audio.at_rate(0).expect_err("no rate at all");
    }
}
