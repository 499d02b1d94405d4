//! Decoded samples on their way into 10 ms frames.

/// A queue of samples, contiguous, in memory taken once.
#[derive(Debug)]
pub(super) struct Decoded {
    samples: Box<[i16]>,
    start: usize,
    end: usize,
}

impl Decoded {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            samples: vec![0; capacity].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Room for up to `wanted` samples behind the queue; [`Self::added`] says how many were written.
    pub(super) fn room(&mut self, wanted: usize) -> &mut [i16] {
        self.samples.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let end = self.samples.len().min(self.end + wanted);
        &mut self.samples[self.end..end]
    }

    /// All the room there is.
    pub(super) fn all_room(&mut self) -> &mut [i16] {
        self.room(usize::MAX / 2)
    }

    /// The first `samples` of the room now belong to the queue, without their first `skip`.
    pub(super) fn added(&mut self, samples: usize, skip: usize) {
        let samples = samples.min(self.samples.len() - self.end);
        let skip = skip.min(samples);
        self.samples
            .copy_within(self.end + skip..self.end + samples, self.end);
        self.end += samples - skip;
    }

    /// Moves the oldest samples into `frame`; the queue holds as many.
    pub(super) fn take(&mut self, frame: &mut [i16]) {
        let end = self.start + frame.len();
        frame.copy_from_slice(&self.samples[self.start..end]);
        self.start = end;
    }

    /// Makes one frame of the next two, the first fading into the second. `false` when there are not
    /// two.
    pub(super) fn merge(&mut self, frame: usize) -> bool {
        if self.len() < 2 * frame {
            return false;
        }
        let (first, second) = self.samples[self.start..self.start + 2 * frame].split_at_mut(frame);
        let steps = i32::try_from(frame).unwrap_or(i32::MAX) + 1;
        for ((index, second), first) in (1..).zip(second.iter_mut()).zip(first.iter()) {
            let (before, after) = (i32::from(*first), i32::from(*second));
            // Between two samples, so it is one.
            *second = (before + (after - before) * index / steps) as i16;
        }
        self.start += frame;
        true
    }

    /// The mean magnitudes of the next two frames, `None` when there are not two.
    pub(super) fn levels(&self, frame: usize) -> Option<(u32, u32)> {
        let next = self.samples.get(self.start..self.start + 2 * frame)?;
        if self.len() < 2 * frame || frame == 0 {
            return None;
        }
        let (first, second) = next.split_at(frame);
        Some((mean_magnitude(first), mean_magnitude(second)))
    }
}

fn mean_magnitude(samples: &[i16]) -> u32 {
    let sum: u32 = samples
        .iter()
        .map(|sample| u32::from(sample.unsigned_abs()))
        .sum();
    sum / u32::try_from(samples.len().max(1)).unwrap_or(u32::MAX)
}
