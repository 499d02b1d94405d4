//! How a greeting goes: when somebody began to speak, for how long, in how many pieces, and how long it has been quiet.

use std::ops::Range;
use std::time::Duration;

use super::Evidence;
use super::levels::Levels;

/// The voiced pieces so far, as voice activity tells them; where it is known how loud everything was, only what is about
/// as loud as the loudest of them: the rest is somebody behind the one who answered, or a noise that is taken for speech.
#[derive(Clone, Debug, Default)]
pub(super) struct Cadence {
    /// What voice activity said, in order. The last may go on.
    marks: Vec<Mark>,
    levels: Levels,
    /// Tones, which are no speech whatever voice activity says.
    tones: Vec<Tone>,
    /// What follows from all that.
    summary: Summary,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    began: Duration,
    ended: Option<Duration>,
}

/// A tone that was told, or one that is expected.
#[derive(Clone, Debug)]
struct Tone {
    range: Range<Duration>,
    /// Only what is as loud as this is of it; else all is.
    power: Option<f32>,
}

impl Tone {
    fn covers(&self, moment: Duration, power: f32) -> bool {
        let as_loud = |tone: f32| (tone / 2.0..tone * 2.0).contains(&power);
        self.range.contains(&moment) && self.power.is_none_or(as_loud)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    /// The sum of the pieces that are over.
    voiced: Duration,
    pieces: u32,
    began: Option<Duration>,
    speaking_since: Option<Duration>,
    last_voiced: Option<Duration>,
    last_loud: Option<Duration>,
}

/// So much softer than the loudest is in the background: 11 dB.
const BACKGROUND: f32 = 0.08;
/// Gaps inside words are shorter.
const GAP: Duration = Duration::from_millis(250);
/// Shorter is no speech: a click, a breath.
const SHORTEST: Duration = Duration::from_millis(80);
/// What is loud for less is a click.
const LOUD_FRAMES: u32 = 10;
/// How exactly a tone's beginning and end are known.
const EDGE: Duration = Duration::from_millis(50);
/// Between one ring and the next it is less.
const LONGEST_PERIOD: Duration = Duration::from_secs(10);
/// Rings that are expected after those that were told.
const EXPECTED_ROUNDS: u32 = 8;
/// Pieces and tones that are kept; nobody who has this many is still listened to for them.
const MOST_MARKS: usize = 256;

impl Cadence {
    pub(super) fn started(&mut self, at: Duration) {
        let goes_on = self.marks.last().is_some_and(|mark| mark.ended.is_none());
        if !goes_on && self.marks.len() < MOST_MARKS {
            self.marks.push(Mark {
                began: at,
                ended: None,
            });
            self.sum_up();
        }
    }

    pub(super) fn stopped(&mut self, at: Duration) {
        if let Some(mark) = self.marks.last_mut().filter(|mark| mark.ended.is_none()) {
            mark.ended = Some(at.max(mark.began));
            self.sum_up();
        }
    }

    /// What was heard until `until`.
    pub(super) fn heard(&mut self, samples: &[i16], sample_rate_hz: u32, until: Duration) {
        self.levels.hear(samples, sample_rate_hz, until);
        self.sum_up();
    }

    /// There was a tone then.
    pub(super) fn tone(&mut self, range: Range<Duration>) {
        if self.tones.len() < MOST_MARKS {
            let range = range.start.saturating_sub(EDGE)..range.end + EDGE;
            self.tones.push(Tone { range, power: None });
            self.sum_up();
        }
    }

    /// A tone that was there then will be there again every `period`. Somebody may speak instead, but hardly as loud.
    pub(super) fn tone_repeats(&mut self, range: &Range<Duration>, period: Duration) {
        if period > LONGEST_PERIOD {
            return;
        }
        let powers: Vec<f32> = self
            .levels
            .between(range.start + EDGE, range.end.saturating_sub(EDGE))
            .map(|(_, power)| power)
            .collect();
        if powers.is_empty() {
            return;
        }
        let power = powers.iter().sum::<f32>() / powers.len() as f32;
        for round in 1..=EXPECTED_ROUNDS {
            if self.tones.len() < MOST_MARKS {
                let from = range.start + period * round;
                let until = range.end + period * round;
                self.tones.push(Tone {
                    range: from.saturating_sub(EDGE)..until + EDGE,
                    power: Some(power),
                });
            }
        }
    }

    /// Nothing before `at` was said by who answers.
    pub(super) fn begin_again(&mut self, at: Duration) {
        // What goes on may be an echo of what was before.
        let from = at + EDGE * 2;
        self.marks.retain(|mark| mark.ended.is_none());
        for mark in &mut self.marks {
            mark.began = mark.began.max(from);
        }
        self.sum_up();
    }

    /// Where the first piece began.
    pub(super) fn began(&self) -> Option<Duration> {
        self.summary.began
    }

    pub(super) fn is_speaking(&self) -> bool {
        self.summary.speaking_since.is_some()
    }

    /// Whether somebody speaks into the telephone; `false` where that cannot be told from people behind them.
    pub(super) fn surely_speaks(&self) -> bool {
        self.is_speaking() && self.levels.known().is_some()
    }

    /// The sum of the pieces, with the one that goes on until `now`.
    pub(super) fn voiced(&self, now: Duration) -> Duration {
        let current = self
            .summary
            .speaking_since
            .map_or(Duration::ZERO, |since| now.saturating_sub(since));
        self.summary.voiced + current
    }

    /// When so much will have been voiced, if the piece that goes on does not end before; `None` while nobody speaks.
    pub(super) fn reaches(&self, voiced: Duration) -> Option<Duration> {
        let since = self.summary.speaking_since?;
        Some(since + voiced.saturating_sub(self.summary.voiced))
    }

    /// Where the last voiced frame was, while nobody speaks and somebody did.
    pub(super) fn quiet_since(&self) -> Option<Duration> {
        match self.summary.speaking_since {
            Some(_) => None,
            None => self.summary.last_voiced,
        }
    }

    /// The end of the last sound of 100 ms that was about as loud as speech, whether it was any or a tone that has not
    /// been told yet; `None` where that is not known.
    pub(super) fn last_loud(&self) -> Option<Duration> {
        self.summary.last_loud
    }

    pub(super) fn evidence(&self, now: Duration) -> Evidence {
        Evidence::Cadence {
            voiced: self.voiced(now),
            pieces: self.summary.pieces,
        }
    }

    fn sum_up(&mut self) {
        let loudest = self
            .marks
            .iter()
            .flat_map(|mark| self.frames_of(mark))
            .map(|(_, power)| power)
            .fold(0.0, f32::max);
        let mut summary = Summary::default();
        for mark in &self.marks {
            self.add(mark, loudest * BACKGROUND, &mut summary);
        }
        if loudest > 0.0 {
            summary.last_loud = self.last_loud_sound(loudest * BACKGROUND);
        }
        self.summary = summary;
    }

    fn last_loud_sound(&self, softest: f32) -> Option<Duration> {
        let mut in_row = 0;
        let mut last = None;
        for (moment, power) in self.levels.between(Duration::ZERO, Duration::MAX) {
            in_row = if power < softest { 0 } else { in_row + 1 };
            if in_row >= LOUD_FRAMES {
                last = Some(moment);
            }
        }
        last
    }

    /// The frames of a mark whose level is known and that are no tone.
    fn frames_of(&self, mark: &Mark) -> impl Iterator<Item = (Duration, f32)> {
        let until = mark.ended.unwrap_or(Duration::MAX);
        self.levels
            .between(mark.began, until)
            .filter(|(moment, power)| !self.tones.iter().any(|tone| tone.covers(*moment, *power)))
    }

    fn add(&self, mark: &Mark, softest: f32, summary: &mut Summary) {
        let Some((known_from, known_until)) = self.levels.known() else {
            summary.add(mark.began, mark.ended);
            return;
        };
        if mark.began < known_from || mark.ended.is_some_and(|ended| ended > known_until) {
            // What was not heard is taken as it was told.
            summary.add(mark.began, mark.ended);
            return;
        }
        let mut piece: Option<Range<Duration>> = None;
        for (moment, power) in self.frames_of(mark) {
            if power < softest {
                continue;
            }
            piece = match piece {
                Some(piece) if moment < piece.end + GAP => Some(piece.start..moment),
                before => {
                    summary.add_piece(before);
                    Some(moment.saturating_sub(Duration::from_millis(10))..moment)
                }
            };
        }
        match piece {
            // The newest frames may not have been heard yet.
            Some(piece) if mark.ended.is_none() && known_until < piece.end + GAP => {
                summary.add(piece.start, None);
            }
            None if mark.ended.is_none() && known_until <= mark.began => {
                summary.add(mark.began, None);
            }
            piece => summary.add_piece(piece),
        }
    }
}

impl Summary {
    fn add_piece(&mut self, piece: Option<Range<Duration>>) {
        if let Some(piece) = piece.filter(|piece| piece.end - piece.start >= SHORTEST) {
            self.add(piece.start, Some(piece.end));
        }
    }

    fn add(&mut self, began: Duration, ended: Option<Duration>) {
        self.began.get_or_insert(began);
        self.pieces += 1;
        match ended {
            Some(ended) => {
                self.voiced += ended.saturating_sub(began);
                self.last_voiced = Some(ended);
            }
            None => self.speaking_since = Some(began),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Loudness by stretches of so many milliseconds.
    fn heard(stretches: &[(i16, usize)]) -> Cadence {
        let mut cadence = Cadence::default();
        let mut until = 0;
        for (loud, length) in stretches {
            until += *length as u64;
            cadence.heard(&vec![*loud; length * 8], 8_000, ms(until));
        }
        cadence
    }

    #[test]
    fn without_levels_it_is_as_voice_activity_says() {
        let mut cadence = Cadence::default();
        cadence.started(ms(300));
        assert!(cadence.is_speaking());
        assert_eq!(cadence.voiced(ms(800)), ms(500));
        cadence.stopped(ms(900));
        cadence.started(ms(1_500));
        cadence.stopped(ms(1_600));
        assert_eq!(cadence.voiced(ms(5_000)), ms(700));
        assert_eq!(cadence.quiet_since(), Some(ms(1_600)));
    }

    #[test]
    fn people_who_talk_behind_the_one_who_answered_do_not_count() {
        let mut cadence = heard(&[(300, 1_000), (3_000, 500), (300, 1_500)]);
        cadence.started(ms(0));
        assert_eq!(cadence.quiet_since(), Some(ms(1_520)));
        assert!(cadence.voiced(ms(3_000)).abs_diff(ms(540)) <= ms(10));
        assert!(cadence.began().is_some_and(|began| began >= ms(970)));
        cadence.heard(&[3_000; 2_400], 8_000, ms(3_300));
        assert!(cadence.is_speaking());
    }

    #[test]
    fn soft_sounds_within_a_word_are_of_the_word() {
        let mut cadence = heard(&[(0, 300), (3_000, 200), (200, 200), (3_000, 200), (0, 600)]);
        cadence.started(ms(300));
        cadence.stopped(ms(900));
        assert!(cadence.voiced(ms(2_000)).abs_diff(ms(600)) <= ms(20));
        let Evidence::Cadence { pieces, .. } = cadence.evidence(ms(2_000)) else {
            panic!("no cadence")
        };
        assert_eq!(pieces, 1);
    }

    #[test]
    fn a_tone_is_no_speech_and_makes_none_seem_soft() {
        let mut cadence = heard(&[(0, 300), (1_000, 600), (0, 300), (20_000, 500), (0, 300)]);
        cadence.started(ms(300));
        cadence.stopped(ms(1_700));
        cadence.tone(ms(1_180)..ms(1_720));
        assert_eq!(cadence.quiet_since().map(|at| at <= ms(950)), Some(true));
        assert!(cadence.voiced(ms(2_000)).abs_diff(ms(600)) <= ms(40));
    }

    #[test]
    fn a_loud_sound_is_known_before_it_is_told_what_it_is() {
        let mut cadence = heard(&[(0, 300), (3_000, 600), (0, 700), (2_000, 400)]);
        assert_eq!(cadence.last_loud(), None);
        cadence.started(ms(300));
        cadence.stopped(ms(900));
        assert_eq!(cadence.last_loud(), Some(ms(2_000)));
        assert!(cadence.quiet_since().is_some_and(|at| at < ms(950)));
    }

    #[test]
    fn a_tone_that_comes_again_is_none_where_it_is_expected_and_speech_there_is() {
        let ring = (2_000, 1_000);
        let mut cadence = heard(&[ring, (0, 2_000), ring, (0, 2_000), (400, 500)]);
        cadence.tone_repeats(&(ms(0)..ms(1_000)), ms(3_000));
        cadence.started(ms(3_000));
        cadence.stopped(ms(4_000));
        assert_eq!(cadence.began(), None);
        cadence.started(ms(6_000));
        assert!(cadence.is_speaking());
    }

    #[test]
    fn speech_whose_sound_did_not_come_yet_is_speech() {
        let mut cadence = heard(&[(0, 300)]);
        cadence.started(ms(310));
        assert!(cadence.is_speaking());
    }
}
