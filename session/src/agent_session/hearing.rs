//! What the caller says, gathered into whole utterances for the recogniser.
//!
//! ```text
//! leg ─► ring (1 s) ─► gathered (20 s at most) ─► jobs (4 at most) ─► recogniser, one at a time
//! ```
//!
//! The ring is installed only while something is expected; a session that listens for nothing holds
//! no buffer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{LegCommand, ListenMode, Listener};
use rtrb::{Consumer, RingBuffer};
use tokio::time::Instant;

use super::output::{Outbox, Output};
use super::utterance::UtteranceId;
use crate::grammar::Grammar;
use crate::provider::Audio;

/// The longest utterance; a longer one is cut and recognised in parts.
pub(super) const LONGEST: Duration = Duration::from_secs(20);
/// Audio from before the start of speech.
const PRE_ROLL_MS: u32 = 300;
/// Utterances that wait for the recogniser; the next is given up.
const JOBS_BOUND: usize = 4;

/// One utterance of the caller's on its way through the recogniser.
#[derive(Debug)]
pub(super) struct Job {
    audio: Option<Audio>,
    pub(super) grammar: Arc<Grammar>,
    /// Voiced time.
    pub(super) voiced: Duration,
    /// What the agent was saying when the caller began.
    pub(super) over: Option<UtteranceId>,
    /// When the caller stopped.
    pub(super) stopped_at: Instant,
}

/// What the session hears and what waits to be recognised; the first job is the one under way.
#[derive(Debug)]
pub(super) struct Hearing {
    sample_rate_hz: u32,
    has_recogniser: bool,
    grammar: Option<Arc<Grammar>>,
    ring: Option<Consumer<i16>>,
    gathered: Vec<i16>,
    jobs: VecDeque<Job>,
}

impl Hearing {
    pub(super) fn new(sample_rate_hz: u32, has_recogniser: bool) -> Self {
        Self {
            sample_rate_hz,
            has_recogniser,
            grammar: None,
            ring: None,
            gathered: Vec::new(),
            jobs: VecDeque::new(),
        }
    }

    /// Whether words can come: there is a recogniser and something for it to expect.
    pub(super) fn is_listening(&self) -> bool {
        self.ring.is_some()
    }

    /// Whether an utterance is being recognised or waits for it.
    pub(super) fn is_recognising(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// What the caller may say from now on; installs or removes the leg's listener.
    pub(super) fn expect(&mut self, grammar: Option<Arc<Grammar>>, out: &mut Outbox) {
        self.grammar = grammar.filter(|grammar| self.has_recogniser && !grammar.phrases.is_empty());
        match (self.grammar.is_some(), self.ring.is_some()) {
            (true, false) => {
                let (ring, consumer) = RingBuffer::new(self.sample_rate_hz as usize);
                self.ring = Some(consumer);
                let mode = ListenMode::DuringSpeech {
                    pre_roll_ms: PRE_ROLL_MS,
                };
                out.leg(LegCommand::Listen(Some(Listener { ring, mode })));
            }
            (false, true) => {
                self.stop_listening();
                out.leg(LegCommand::Listen(None));
            }
            (true, true) | (false, false) => {}
        }
    }

    fn stop_listening(&mut self) {
        self.ring = None;
        self.gathered = Vec::new();
    }

    /// Takes what the leg wrote.
    pub(super) fn gather(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        let bound = self.sample_rate_hz as usize * (LONGEST.as_secs() as usize + 1);
        if let Ok(chunk) = ring.read_chunk(ring.slots()) {
            let (first, second) = chunk.as_slices();
            // Beyond the bound only when nobody takes the utterance; then the newest is dropped.
            for part in [first, second] {
                let room = bound.saturating_sub(self.gathered.len());
                self.gathered
                    .extend_from_slice(&part[..part.len().min(room)]);
            }
            chunk.commit_all();
        }
    }

    /// Drops what was gathered: it was no speech, or not to be heard.
    pub(super) fn drop_gathered(&mut self) {
        self.gather();
        self.gathered = Vec::new();
    }

    /// Gives what was gathered to the recogniser. Answers `false` when there is nothing to give, or
    /// too much waits already.
    pub(super) fn recognise(
        &mut self,
        voiced: Duration,
        over: Option<UtteranceId>,
        stopped_at: Instant,
        out: &mut Outbox,
    ) -> bool {
        self.gather();
        let samples = std::mem::take(&mut self.gathered);
        let Some(grammar) = self.grammar.clone() else {
            return false;
        };
        if samples.is_empty() {
            return false;
        }
        if self.jobs.len() >= JOBS_BOUND {
            tracing::warn!("the recogniser is {JOBS_BOUND} utterances behind; one is given up");
            return false;
        }
        let audio = Audio {
            sample_rate_hz: self.sample_rate_hz,
            samples: samples.into(),
        };
        self.jobs.push_back(Job {
            audio: Some(audio),
            grammar,
            voiced,
            over,
            stopped_at,
        });
        self.start_next(out);
        true
    }

    /// The recogniser is done with the job under way.
    pub(super) fn finish_job(&mut self, out: &mut Outbox) -> Option<Job> {
        let job = self.jobs.pop_front();
        self.start_next(out);
        job
    }

    fn start_next(&mut self, out: &mut Outbox) {
        if let Some(job) = self.jobs.front_mut()
            && let Some(utterance) = job.audio.take()
        {
            out.push(Output::Recognise {
                utterance,
                grammar: Arc::clone(&job.grammar),
            });
        }
    }

    /// Stops listening for good.
    pub(super) fn close(&mut self, out: &mut Outbox) {
        self.expect(None, out);
        self.has_recogniser = false;
        self.jobs.clear();
    }
}
