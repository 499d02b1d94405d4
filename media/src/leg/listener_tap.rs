//! What a listener gets to hear of the caller: everything, or each stretch of speech with its pre-roll.

use crate::control::{ListenMode, Listener};
use crate::voice_activity::SpeechMark;

/// The media thread's end of a [`Listener`]. It writes into the ring and says in batches how much.
#[derive(Debug)]
pub(crate) struct ListenerTap {
    listener: Listener,
    /// The last of the caller's audio, in a circle; empty when everything is passed on.
    history: Box<[i16]>,
    next: usize,
    /// Samples ever heard.
    heard: u64,
    samples_per_ms: usize,
    within_speech: bool,
    /// When our own voice was last heard coming back.
    echo_until_ms: Option<u64>,
    /// Samples written and not yet reported.
    unreported: usize,
    dropped: u64,
}

const LONGEST_PRE_ROLL_MS: u32 = 500;
/// Between the first voiced frame and the moment the detector is sure of it: the shortest speech, the
/// detector's own frame, and room for pauses within.
const DETECTION_MS: usize = 320;
/// So much is kept from before speech that began while our own voice came back: the echo guard is sure of the
/// caller 10 to 30 ms after the beginning, and no word of ours fits in.
const PRE_ROLL_IN_ECHO_MS: u64 = 80;
/// A report at least this often while samples flow.
const BATCH_MS: usize = 100;

impl ListenerTap {
    /// Allocates the pre-roll; called for a command, not for a frame.
    pub(crate) fn new(listener: Listener, sample_rate_hz: u32) -> Self {
        let samples_per_ms = sample_rate_hz as usize / 1000;
        let history = match listener.mode {
            ListenMode::DuringSpeech { pre_roll_ms } => {
                let ms = pre_roll_ms.min(LONGEST_PRE_ROLL_MS) as usize + DETECTION_MS;
                vec![0; ms * samples_per_ms]
            }
            ListenMode::Always => Vec::new(),
        };
        Self {
            listener,
            history: history.into(),
            next: 0,
            heard: 0,
            samples_per_ms,
            within_speech: false,
            echo_until_ms: None,
            unreported: 0,
            dropped: 0,
        }
    }

    /// Takes the caller's frame that ends at `end_ms`, with what the detector said of it; answers the
    /// size of a batch that is due. `echo` says that the frame was our own voice. At the end of speech that comes before the caller is told of the
    /// end.
    pub(crate) fn hear(
        &mut self,
        frame: &[i16],
        end_ms: u64,
        mark: Option<SpeechMark>,
        echo: bool,
    ) -> Option<u32> {
        if echo {
            self.echo_until_ms = Some(end_ms);
        }
        let mut report = false;
        match self.listener.mode {
            ListenMode::Always => self.write(frame),
            ListenMode::DuringSpeech { pre_roll_ms } => {
                self.remember(frame);
                match mark {
                    Some(SpeechMark::Started { at_ms }) => {
                        self.within_speech = true;
                        let pre_roll_ms = u64::from(pre_roll_ms.min(LONGEST_PRE_ROLL_MS));
                        let since_echo_ms =
                            self.echo_until_ms.map(|until| at_ms.saturating_sub(until));
                        let pre_roll_ms = since_echo_ms.map_or(pre_roll_ms, |since| {
                            pre_roll_ms.min(since + PRE_ROLL_IN_ECHO_MS)
                        });
                        let back_ms = end_ms.saturating_sub(at_ms) + pre_roll_ms;
                        self.write_history(back_ms as usize * self.samples_per_ms);
                    }
                    Some(SpeechMark::Stopped { .. }) => {
                        self.write_if_within(frame);
                        self.within_speech = false;
                        report = true;
                    }
                    None => self.write_if_within(frame),
                }
            }
        }
        report |= self.unreported >= BATCH_MS * self.samples_per_ms;
        let batch = if report {
            std::mem::take(&mut self.unreported)
        } else {
            0
        };
        (batch > 0).then(|| u32::try_from(batch).unwrap_or(u32::MAX))
    }

    /// Samples the full ring had no room for.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the reader is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.listener.ring.is_abandoned()
    }

    fn write_if_within(&mut self, frame: &[i16]) {
        if self.within_speech {
            self.write(frame);
        }
    }

    fn remember(&mut self, frame: &[i16]) {
        self.heard += frame.len() as u64;
        let mut rest = frame;
        while !rest.is_empty() {
            let room = (self.history.len() - self.next).min(rest.len());
            let (now, later) = rest.split_at(room);
            self.history[self.next..self.next + room].copy_from_slice(now);
            self.next = (self.next + room) % self.history.len();
            rest = later;
        }
    }

    /// Writes the last `samples` of the history, fewer when there are fewer.
    fn write_history(&mut self, samples: usize) {
        let heard = usize::try_from(self.heard).unwrap_or(usize::MAX);
        let samples = samples.min(self.history.len()).min(heard);
        let from = (self.next + self.history.len() - samples) % self.history.len();
        let first = samples.min(self.history.len() - from);
        let history = std::mem::take(&mut self.history);
        self.write(&history[from..from + first]);
        self.write(&history[..samples - first]);
        self.history = history;
    }

    fn write(&mut self, samples: &[i16]) {
        let ring = &mut self.listener.ring;
        let count = samples.len().min(ring.slots());
        if let Ok(chunk) = ring.write_chunk_uninit(count) {
            self.unreported += chunk.fill_from_iter(samples[..count].iter().copied());
        }
        self.dropped += (samples.len() - count) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap(mode: ListenMode, capacity: usize) -> (ListenerTap, rtrb::Consumer<i16>) {
        let (ring, reader) = rtrb::RingBuffer::new(capacity);
        (ListenerTap::new(Listener { ring, mode }, 8000), reader)
    }

    fn drain(reader: &mut rtrb::Consumer<i16>) -> Vec<i16> {
        std::iter::from_fn(|| reader.pop().ok()).collect()
    }

    /// Each frame holds its own number, so that a sample names its place.
    fn frame(slot: u64) -> [i16; 80] {
        [slot as i16; 80]
    }

    #[test]
    fn an_always_listener_hears_every_frame_in_batches_of_100_ms() {
        let (mut tap, mut reader) = tap(ListenMode::Always, 10_000);
        let reports: Vec<_> = (0..30)
            .map(|slot| tap.hear(&frame(slot), slot * 10 + 10, None, false))
            .collect();
        assert_eq!(
            reports.iter().flatten().copied().collect::<Vec<_>>(),
            [800, 800, 800]
        );
        assert_eq!(reports[9], Some(800));
        assert_eq!(drain(&mut reader).len(), 2400);
    }

    #[test]
    fn speech_comes_with_its_pre_roll_and_ends_with_a_report() {
        let (mut tap, mut reader) = tap(ListenMode::DuringSpeech { pre_roll_ms: 200 }, 20_000);
        let mut reported = 0;
        for slot in 0..200u64 {
            let mark = match slot {
                // Sure after 130 ms that speech began at 1,000 ms.
                112 => Some(SpeechMark::Started { at_ms: 1000 }),
                160 => Some(SpeechMark::Stopped { at_ms: 1350 }),
                _ => None,
            };
            let batch = tap.hear(&frame(slot), slot * 10 + 10, mark, false);
            reported += batch.unwrap_or(0);
            if slot == 160 {
                assert!(batch.is_some());
                assert_eq!(reported, 80 * 81, "all is reported by the end of speech");
            }
        }
        let samples = drain(&mut reader);
        assert_eq!(samples.len(), 80 * 81);
        assert_eq!(
            (samples[0], samples[79], samples[80]),
            (80, 80, 81),
            "from 800 ms on"
        );
        assert_eq!(samples[80 * 81 - 1], 160);
    }

    #[test]
    fn speech_over_our_own_voice_comes_with_80_ms_of_it_at_most() {
        for (echo_until, first) in [(100, 92), (80, 72), (60, 70)] {
            let (mut tap, mut reader) = tap(ListenMode::DuringSpeech { pre_roll_ms: 300 }, 20_000);
            for slot in 0..=112u64 {
                let mark = (slot == 112).then_some(SpeechMark::Started { at_ms: 1000 });
                tap.hear(&frame(slot), slot * 10 + 10, mark, slot < echo_until);
            }
            assert_eq!(drain(&mut reader)[0], first, "echo until {echo_until}0 ms");
        }
    }

    #[test]
    fn speech_at_the_very_beginning_has_what_pre_roll_there_is() {
        let (mut tap, mut reader) = tap(ListenMode::DuringSpeech { pre_roll_ms: 500 }, 20_000);
        for slot in 0..15u64 {
            let mark = (slot == 14).then_some(SpeechMark::Started { at_ms: 20 });
            tap.hear(&frame(slot), slot * 10 + 10, mark, false);
        }
        assert_eq!(drain(&mut reader).len(), 15 * 80);
    }

    #[test]
    fn a_full_ring_drops_the_newest_and_counts_them() {
        let (mut tap, mut reader) = tap(ListenMode::Always, 200);
        for slot in 0..5 {
            tap.hear(&frame(slot), slot * 10 + 10, None, false);
        }
        assert_eq!(tap.dropped(), 200);
        let samples = drain(&mut reader);
        assert_eq!((samples[0], samples[199]), (0, 2));
    }
}
