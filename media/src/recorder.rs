//! Recording: both sides in stereo, the caller left, the agent right, on one clock; or the caller alone, who leaves a
//! message.
//!
//! The leg's side, [`RecorderTap`] or [`MessageTap`], writes a frame a tick into a bounded ring and never
//! waits. The other side, [`WavRecorder`], is a thread's business in the daemon: it takes what the
//! ring holds and writes a WAV file that can be read at any moment, also after a crash.
//!
//! ```text
//! caller frame ┐
//!              ├─ RecorderTap ─ ring ─►  (writer thread)  WavRecorder ─ WAV
//! agent frame  ┘
//! caller frame ── MessageTap ─── ring ─►  (writer thread)  WavRecorder ─ WAV
//! ```

use std::io::{Seek, Write};

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::control::RecordMode;

/// A ring that keeps its place on the media clock: a full one costs the recording a frame, but as soon as there is room
/// silence of the same length takes its place, so that left and right stay together.
#[derive(Debug)]
struct OnTime {
    ring: rtrb::Producer<i16>,
    channels: usize,
    /// Samples of each channel that are owed as silence.
    owed: usize,
    /// Of those, how many found no room.
    lost: u64,
}

impl OnTime {
    fn new(ring: rtrb::Producer<i16>, channels: usize) -> Self {
        Self {
            ring,
            channels,
            owed: 0,
            lost: 0,
        }
    }

    /// Writes `length` samples of each channel, interleaved, or owes them.
    fn write(&mut self, length: usize, samples: impl Iterator<Item = i16>) {
        self.pay_silence();
        let chunk = self.ring.write_chunk_uninit(self.channels * length);
        match chunk {
            Ok(chunk) if self.owed == 0 => {
                chunk.fill_from_iter(samples);
            }
            Ok(_) | Err(_) => {
                self.owed += length;
                self.lost += length as u64;
            }
        }
    }

    /// Silence of that length.
    fn skip(&mut self, length: usize) {
        self.owed += length;
        self.pay_silence();
    }

    fn pay_silence(&mut self) {
        let now = self.owed.min(self.ring.slots() / self.channels);
        if let Ok(chunk) = self.ring.write_chunk_uninit(now * self.channels) {
            let paid = chunk.fill_from_iter(std::iter::repeat_n(0, now * self.channels));
            self.owed -= paid / self.channels;
        }
    }
}

/// The samples of a frame, and behind its end silence; silence alone where there is none.
fn or_silence(frame: Option<&[i16]>, length: usize) -> impl Iterator<Item = i16> {
    let samples = frame.unwrap_or_default().iter().copied();
    samples.chain(std::iter::repeat(0)).take(length)
}

/// The media thread's end of a recording of both sides.
#[derive(Debug)]
pub struct RecorderTap {
    ring: OnTime,
    mode: RecordMode,
    /// The caller was left out until now and presses a key, whose tone is not to be recorded either.
    caller_waits: bool,
}

impl RecorderTap {
    /// A tap into `ring`, which should hold about a second: two samples for each of the leg's.
    #[must_use]
    pub fn new(ring: rtrb::Producer<i16>, mode: RecordMode) -> Self {
        Self {
            ring: OnTime::new(ring, 2),
            mode,
            caller_waits: false,
        }
    }

    /// Records this of what follows.
    pub fn set_mode(&mut self, mode: RecordMode) {
        match mode {
            RecordMode::Both => self.caller_waits |= self.mode != RecordMode::Both,
            RecordMode::CallerMuted | RecordMode::Paused => {}
        }
        self.mode = mode;
    }

    /// A frame of the caller's was heard, in which a key sounds or none does.
    pub fn heard(&mut self, key_sounds: bool) {
        self.caller_waits &= key_sounds;
    }

    /// Whether the caller is not recorded.
    #[must_use]
    pub fn mutes_the_caller(&self) -> bool {
        match self.mode {
            RecordMode::Both => self.caller_waits,
            RecordMode::CallerMuted | RecordMode::Paused => true,
        }
    }

    /// Records one frame of each side, `None` for silence. Both have `length` samples. What the mode leaves
    /// out is silence.
    pub fn record(&mut self, caller: Option<&[i16]>, agent: Option<&[i16]>, length: usize) {
        let caller = caller.filter(|_| !self.mutes_the_caller());
        let agent = match self.mode {
            RecordMode::Both | RecordMode::CallerMuted => agent,
            RecordMode::Paused => None,
        };
        let sides = or_silence(caller, length).zip(or_silence(agent, length));
        self.ring
            .write(length, sides.flat_map(|(caller, agent)| [caller, agent]));
    }

    /// Records silence of both sides for slots the clock missed.
    pub fn skip(&mut self, samples: usize) {
        self.ring.skip(samples);
    }

    /// Samples per side that the ring had no room for.
    #[must_use]
    pub fn lost_samples(&self) -> u64 {
        self.ring.lost
    }

    /// Whether the writer is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.ring.ring.is_abandoned()
    }
}

/// The media thread's end of a message: the caller alone.
#[derive(Debug)]
pub struct MessageTap(OnTime);

impl MessageTap {
    /// A tap into `ring`, which should hold about a second.
    #[must_use]
    pub fn new(ring: rtrb::Producer<i16>) -> Self {
        Self(OnTime::new(ring, 1))
    }

    /// Records one frame of `length` samples, `None` for silence.
    pub fn record(&mut self, caller: Option<&[i16]>, length: usize) {
        self.0.write(length, or_silence(caller, length));
    }

    /// Records silence.
    pub fn skip(&mut self, samples: usize) {
        self.0.skip(samples);
    }

    /// Samples that the ring had no room for.
    #[must_use]
    pub fn lost_samples(&self) -> u64 {
        self.0.lost
    }

    /// Whether the writer is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.ring.is_abandoned()
    }
}

/// Writes samples, channels interleaved, as a 16-bit WAV file.
pub struct WavRecorder<W: Write + Seek> {
    writer: WavWriter<W>,
    channels: u16,
    sample_rate_hz: u32,
    since_checkpoint: usize,
    checkpoints: u64,
    /// Samples, of all channels, that the file can still hold.
    room: usize,
}

/// A WAV file's header counts octets in 32 bits, its own among them.
const ROOM: usize = (u32::MAX as usize - 1_024) / 2;

/// How much audio may be written and not yet readable. A crash costs that and what the ring still holds.
const CHECKPOINT_SECONDS: usize = 1;

impl<W: Write + Seek> WavRecorder<W> {
    /// Begins a file of both sides at `sample_rate_hz`, the caller left.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn stereo(writer: W, sample_rate_hz: u32) -> Result<Self, hound::Error> {
        Self::new(writer, 2, sample_rate_hz)
    }

    /// Begins a file of the caller alone at `sample_rate_hz`.
    ///
    /// # Errors
    /// What the writer answers.
    pub fn mono(writer: W, sample_rate_hz: u32) -> Result<Self, hound::Error> {
        Self::new(writer, 1, sample_rate_hz)
    }

    fn new(writer: W, channels: u16, sample_rate_hz: u32) -> Result<Self, hound::Error> {
        let spec = WavSpec {
            channels,
            sample_rate: sample_rate_hz,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut writer = WavWriter::new(writer, spec)?;
        writer.flush()?;
        Ok(Self {
            writer,
            channels,
            sample_rate_hz,
            since_checkpoint: 0,
            checkpoints: 0,
            room: ROOM,
        })
    }

    /// How many channels it has: 1 or 2.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.into()
    }

    /// Whether the file holds as much as one can, and takes no more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room < self.channels()
    }

    /// Appends interleaved samples, left first; of two channels whole pairs only (an odd last sample is left out), and of
    /// more than the file can hold its beginning. The header is brought up to date every second of audio.
    ///
    /// # Errors
    /// What the writer answers, and [`hound::Error::TooWide`] never.
    pub fn write(&mut self, interleaved: &[i16]) -> Result<(), hound::Error> {
        let channels = self.channels();
        let whole = interleaved.len().min(self.room) / channels * channels;
        self.room -= whole;
        for sample in &interleaved[..whole] {
            self.writer.write_sample(*sample)?;
        }
        self.since_checkpoint += whole;
        if self.since_checkpoint >= CHECKPOINT_SECONDS * channels * self.sample_rate_hz as usize {
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

    /// Length of the recording so far, in samples of each channel.
    #[must_use]
    pub fn samples_per_channel(&self) -> u32 {
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

impl<W: Write + Seek> std::fmt::Debug for WavRecorder<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavRecorder")
            .field("samples_per_channel", &self.samples_per_channel())
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
        let mut tap = RecorderTap::new(ring, RecordMode::Both);
        tap.record(Some(&[1, 2]), Some(&[-1, -2]), 2);
        tap.record(None, Some(&[-3, -4]), 2);
        tap.record(Some(&[5, 6]), None, 2);
        let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
        assert_eq!(samples, [1, -1, 2, -2, 0, -3, 0, -4, 5, 0, 6, 0]);
    }

    #[test]
    fn a_full_ring_costs_frames_but_not_the_alignment() {
        let (ring, mut reader) = rtrb::RingBuffer::new(10);
        let mut tap = RecorderTap::new(ring, RecordMode::Both);
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
        let mut tap = RecorderTap::new(ring, RecordMode::Both);
        tap.record(Some(&[1]), Some(&[2]), 1);
        tap.skip(2);
        tap.record(Some(&[3]), Some(&[4]), 1);
        let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
        assert_eq!(samples, [1, 2, 0, 0, 0, 0, 3, 4]);
    }

    fn recorded(tap: &mut RecorderTap, reader: &mut rtrb::Consumer<i16>) -> (bool, bool) {
        tap.record(Some(&[5, 5]), Some(&[-5, -5]), 2);
        let samples: Vec<i16> = std::iter::from_fn(|| reader.pop().ok()).collect();
        assert_eq!(samples.len(), 4, "the clock goes on");
        assert_eq!(samples[..2], samples[2..]);
        (samples[0] == 5, samples[1] == -5)
    }

    #[test]
    fn what_the_mode_leaves_out_is_silence_of_the_same_length() {
        let (ring, mut reader) = rtrb::RingBuffer::new(100);
        let mut tap = RecorderTap::new(ring, RecordMode::CallerMuted);
        for (mode, caller, agent) in [
            (RecordMode::CallerMuted, false, true),
            (RecordMode::Paused, false, false),
            (RecordMode::Both, true, true),
            (RecordMode::Paused, false, false),
            (RecordMode::CallerMuted, false, true),
        ] {
            tap.set_mode(mode);
            tap.heard(false);
            assert_eq!(recorded(&mut tap, &mut reader), (caller, agent), "{mode:?}");
        }
    }

    #[test]
    fn a_key_that_is_down_when_a_muted_caller_may_be_recorded_again_is_not_heard() {
        for before in [RecordMode::CallerMuted, RecordMode::Paused] {
            let (ring, mut reader) = rtrb::RingBuffer::new(100);
            let mut tap = RecorderTap::new(ring, before);
            tap.set_mode(RecordMode::Both);
            for key_sounds in [true, true, false] {
                tap.heard(key_sounds);
                assert_eq!(recorded(&mut tap, &mut reader), (!key_sounds, true));
            }
            // A key of later on is like any other sound.
            tap.heard(true);
            assert_eq!(recorded(&mut tap, &mut reader), (true, true));
            tap.set_mode(RecordMode::Both);
            tap.heard(true);
            assert_eq!(recorded(&mut tap, &mut reader), (true, true));
        }
    }

    #[test]
    fn a_finished_file_holds_every_sample() {
        let disk = Disk::default();
        let mut recorder = WavRecorder::stereo(disk.clone(), 8000).unwrap();
        recorder.write(&[1, 2, 3, 4, 5]).unwrap();
        recorder.write(&[6, 7]).unwrap();
        assert_eq!(recorder.samples_per_channel(), 3);
        recorder.finish().unwrap();
        assert_eq!(read(&disk), [1, 2, 3, 4, 6, 7]);
    }

    #[test]
    fn a_file_takes_no_more_than_its_header_can_count() {
        let disk = Disk::default();
        let mut recorder = WavRecorder::stereo(disk.clone(), 8000).unwrap();
        recorder.room = 5;
        recorder.write(&[1, 2]).unwrap();
        assert!(!recorder.is_full());
        recorder.write(&[3, 4, 5, 6]).unwrap();
        assert!(recorder.is_full());
        recorder.write(&[7, 8]).unwrap();
        recorder.finish().unwrap();
        assert_eq!(read(&disk), [1, 2, 3, 4]);
    }

    #[test]
    fn a_crash_leaves_a_readable_file_that_lacks_at_most_one_second_of_what_was_written() {
        let disk = Disk::default();
        let mut recorder = WavRecorder::stereo(disk.clone(), 8000).unwrap();
        assert!(read(&disk).is_empty());
        for _ in 0..310 {
            recorder.write(&[7; 2 * 80]).unwrap();
            let written = recorder.samples_per_channel() as usize;
            let readable = read(&disk).len() / 2;
            assert!(written - readable < 8_000, "{readable} of {written}");
        }
        std::mem::forget(recorder);
        assert_eq!(read(&disk).len(), 2 * 24_000);
    }

    #[test]
    fn a_message_is_the_caller_alone_and_keeps_its_length() {
        let (ring, mut reader) = rtrb::RingBuffer::new(8);
        let mut tap = MessageTap::new(ring);
        let mut samples = Vec::new();
        for frame in 1..=6i16 {
            tap.record((frame != 2).then_some(&[frame, frame]), 2);
            if frame >= 5 {
                samples.extend(std::iter::from_fn(|| reader.pop().ok()));
            }
        }
        tap.skip(3);
        samples.extend(std::iter::from_fn(|| reader.pop().ok()));
        // The fifth found no room; the sixth did, behind the silence in its place.
        assert_eq!(samples, [1, 1, 0, 0, 3, 3, 4, 4, 0, 0, 6, 6, 0, 0, 0]);
        assert_eq!(tap.lost_samples(), 2);
    }

    #[test]
    fn a_file_of_one_channel_has_every_sample() {
        let disk = Disk::default();
        let mut file = WavRecorder::mono(disk.clone(), 8_000).unwrap();
        file.write(&[1, 2, 3]).unwrap();
        assert_eq!(file.samples_per_channel(), 3);
        file.finish().unwrap();
        let bytes = disk.0.borrow().get_ref().clone();
        let mut reader = hound::WavReader::new(Cursor::new(bytes)).unwrap();
        assert_eq!(reader.spec().channels, 1);
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert_eq!(samples, [1, 2, 3]);
    }
}
