//! Stereo recording: the caller left, the agent right, on one clock.
//!
//! The leg's side, [`RecorderTap`], interleaves one frame of each a tick into a bounded ring and never
//! waits. The other side, [`StereoRecorder`], is a thread's business in the daemon: it takes what the
//! ring holds and writes a WAV file that can be read at any moment, also after a crash.
//!
//! ```text
//! caller frame ┐
//!              ├─ RecorderTap ─ ring ─►  (writer thread)  StereoRecorder ─ WAV
//! agent frame  ┘
//! ```

use std::io::{Seek, Write};

use hound::{SampleFormat, WavSpec, WavWriter};

/// The media thread's end of a recording. A full ring costs the recording that frame but not its place:
/// as soon as there is room, silence of the same length takes the lost frames' place, so left and
/// right and the media clock stay together.
#[derive(Debug)]
pub struct RecorderTap {
    ring: rtrb::Producer<i16>,
    /// Samples (left and right counted) that the ring could not take and that are owed as silence.
    owed: usize,
    lost: u64,
}

impl RecorderTap {
    /// A tap into `ring`, which should hold about a second: two samples for each of the leg's.
    #[must_use]
    pub fn new(ring: rtrb::Producer<i16>) -> Self {
        Self {
            ring,
            owed: 0,
            lost: 0,
        }
    }

    /// Records one frame of each side, `None` for silence. Both have `length` samples.
    pub fn record(&mut self, caller: Option<&[i16]>, agent: Option<&[i16]>, length: usize) {
        if !self.pay_silence() || self.ring.slots() < 2 * length {
            self.owed += 2 * length;
            self.lost += length as u64;
            return;
        }
        let chunk = self.ring.write_chunk_uninit(2 * length);
        let chunk = chunk.expect("the slots were counted");
        let sample_at = |side: Option<&[i16]>, index: usize| {
            side.and_then(|frame| frame.get(index).copied())
                .unwrap_or(0)
        };
        chunk.fill_from_iter(
            (0..length).flat_map(|index| [sample_at(caller, index), sample_at(agent, index)]),
        );
    }

    /// Records silence of both sides for slots the clock missed.
    pub fn skip(&mut self, samples: usize) {
        self.owed += 2 * samples;
    }

    /// Samples per side that the ring had no room for.
    #[must_use]
    pub fn lost_samples(&self) -> u64 {
        self.lost
    }

    /// Whether the writer is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }

    fn pay_silence(&mut self) -> bool {
        if self.owed == 0 {
            return true;
        }
        // An even number, so that left stays left.
        let now = self.owed.min(self.ring.slots()) / 2 * 2;
        if let Ok(chunk) = self.ring.write_chunk_uninit(now) {
            self.owed -= chunk.fill_from_iter(std::iter::repeat_n(0, now));
        }
        self.owed == 0
    }
}

/// Writes interleaved stereo samples as a 16-bit WAV file.
pub struct StereoRecorder<W: Write + Seek> {
    writer: WavWriter<W>,
    sample_rate_hz: u32,
    since_checkpoint: usize,
    checkpoints: u64,
}

/// How much audio a crash may cost.
const CHECKPOINT_SECONDS: usize = 2;

impl<W: Write + Seek> StereoRecorder<W> {
    /// Begins a file of two channels at `sample_rate_hz`.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn new(writer: W, sample_rate_hz: u32) -> Result<Self, hound::Error> {
        let spec = WavSpec {
            channels: 2,
            sample_rate: sample_rate_hz,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut writer = WavWriter::new(writer, spec)?;
        writer.flush()?;
        Ok(Self {
            writer,
            sample_rate_hz,
            since_checkpoint: 0,
            checkpoints: 0,
        })
    }

    /// Appends interleaved samples, left first; whole pairs only (an odd last sample is left out). The
    /// header is brought up to date every two seconds of audio.
    ///
    /// # Errors
    /// What the writer answers, and [`hound::Error::TooWide`] never.
    pub fn write(&mut self, interleaved: &[i16]) -> Result<(), hound::Error> {
        let whole = interleaved.len() / 2 * 2;
        for sample in &interleaved[..whole] {
            self.writer.write_sample(*sample)?;
        }
        self.since_checkpoint += whole;
        if self.since_checkpoint >= CHECKPOINT_SECONDS * 2 * self.sample_rate_hz as usize {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Writes everything out and makes the header say so.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn checkpoint(&mut self) -> Result<(), hound::Error> {
        self.since_checkpoint = 0;
        self.checkpoints += 1;
        self.writer.flush()
    }

    /// Length of the recording so far, in samples per side.
    #[must_use]
    pub fn samples_per_side(&self) -> u32 {
        self.writer.duration()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn finish(self) -> Result<(), hound::Error> {
        self.writer.finalize()
    }
}

impl<W: Write + Seek> std::fmt::Debug for StereoRecorder<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StereoRecorder")
            .field("samples_per_side", &self.samples_per_side())
            .field("checkpoints", &self.checkpoints)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::{self, Cursor, SeekFrom};
    use std::rc::Rc;

    use super::*;

    /// A file that outlives its writer, as the disk outlives a crashed process.
    #[derive(Clone, Default)]
    struct Disk(Rc<RefCell<Cursor<Vec<u8>>>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.borrow_mut().seek(to)
        }
    }

    fn read(disk: &Disk) -> Vec<i16> {
        let bytes = disk.0.borrow().get_ref().clone();
        let mut reader = hound::WavReader::new(Cursor::new(bytes)).unwrap();
        assert_eq!(
            (reader.spec().channels, reader.spec().sample_rate),
            (2, 8000)
        );
        reader.samples::<i16>().map(Result::unwrap).collect()
    }

    #[test]
    fn left_is_the_caller_and_right_is_the_agent() {
        let (ring, mut reader) = rtrb::RingBuffer::new(1000);
        let mut tap = RecorderTap::new(ring);
        tap.record(Some(&[1, 2]), Some(&[-1, -2]), 2);
        tap.record(None, Some(&[-3, -4]), 2);
        tap.record(Some(&[5, 6]), None, 2);
        let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
        assert_eq!(samples, [1, -1, 2, -2, 0, -3, 0, -4, 5, 0, 6, 0]);
    }

    #[test]
    fn a_full_ring_costs_frames_but_not_the_alignment() {
        let (ring, mut reader) = rtrb::RingBuffer::new(10);
        let mut tap = RecorderTap::new(ring);
        let mut samples = Vec::new();
        for frame in 1..=30i16 {
            tap.record(Some(&[frame, frame]), Some(&[-frame, -frame]), 2);
            if frame % 10 == 0 {
                samples.extend(std::iter::from_fn(|| reader.pop().ok()));
            }
        }
        for _ in 0..20 {
            tap.skip(0);
            tap.record(None, None, 0);
            samples.extend(std::iter::from_fn(|| reader.pop().ok()));
        }
        assert!(tap.lost_samples() > 0);
        assert_eq!(samples.len(), 30 * 4);
        for (index, pair) in samples.chunks(2).enumerate() {
            let frame = (index / 2 + 1) as i16;
            assert!(
                pair == [frame, -frame] || pair == [0, 0],
                "pair {index}: {pair:?}"
            );
        }
    }

    #[test]
    fn missed_slots_are_silence_on_both_sides() {
        let (ring, mut reader) = rtrb::RingBuffer::new(100);
        let mut tap = RecorderTap::new(ring);
        tap.record(Some(&[1]), Some(&[2]), 1);
        tap.skip(2);
        tap.record(Some(&[3]), Some(&[4]), 1);
        let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
        assert_eq!(samples, [1, 2, 0, 0, 0, 0, 3, 4]);
    }

    #[test]
    fn a_finished_file_holds_every_sample() {
        let disk = Disk::default();
        let mut recorder = StereoRecorder::new(disk.clone(), 8000).unwrap();
        recorder.write(&[1, 2, 3, 4, 5]).unwrap();
        recorder.write(&[6, 7]).unwrap();
        assert_eq!(recorder.samples_per_side(), 3);
        recorder.finish().unwrap();
        assert_eq!(read(&disk), [1, 2, 3, 4, 6, 7]);
    }

    #[test]
    fn a_crash_leaves_a_readable_file_that_lacks_at_most_two_seconds() {
        let disk = Disk::default();
        let mut recorder = StereoRecorder::new(disk.clone(), 8000).unwrap();
        assert!(read(&disk).is_empty());
        for _ in 0..310 {
            recorder.write(&[7; 2 * 80]).unwrap();
            let written = recorder.samples_per_side() as usize;
            let readable = read(&disk).len() / 2;
            assert!(written - readable < 16_000, "{readable} of {written}");
        }
        std::mem::forget(recorder);
        assert_eq!(read(&disk).len(), 2 * 16_000);
    }
}
