//! What the caller says, gathered into whole utterances for the recogniser.
//!
//! ```text
//! leg ─► ring (1 s) ─► gathered (20 s at most) ─► jobs (4 at most) ─► recogniser, one at a time
//! ```
//!
//! The ring is installed only while something is expected; a session that listens for nothing holds
//! no buffer. While it is found out who answered, all that is heard is kept beside that, too.

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
/// What is kept of quiet where everything is heard: the pre-roll, and the time until the leg is sure of speech.
const AHEAD_MS: usize = 620;
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

/// What was heard since media was live.
#[derive(Debug, Default)]
struct SinceLive {
    /// All of it, for the recogniser, where there is one.
    all: Vec<i16>,
    /// What nobody has taken yet.
    fresh: Vec<i16>,
}

/// What the session hears and what waits to be recognised; the first job is the one under way.
#[derive(Debug)]
pub(super) struct Hearing {
    sample_rate_hz: u32,
    has_recogniser: bool,
    grammar: Option<Arc<Grammar>>,
    ring: Option<Consumer<i16>>,
    /// Whether the leg's listener hears everything, and not speech only.
    hears_all: bool,
    gathered: Vec<i16>,
    /// All that was heard since media was live, while it is found out who answered.
    since_live: Option<Box<SinceLive>>,
    jobs: VecDeque<Job>,
}

impl Hearing {
    pub(super) fn new(sample_rate_hz: u32, has_recogniser: bool) -> Self {
        Self {
            sample_rate_hz,
            has_recogniser,
            grammar: None,
            ring: None,
            hears_all: false,
            gathered: Vec::new(),
            since_live: None,
            jobs: VecDeque::new(),
        }
    }

    /// Whether words can come: there is a recogniser and something for it to expect.
    pub(super) fn is_listening(&self) -> bool {
        self.grammar.is_some()
    }

    /// Whether an utterance is being recognised or waits for it.
    pub(super) fn is_recognising(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// What the caller may say from now on; installs or removes the leg's listener. `speaking`: the caller is.
    pub(super) fn expect(
        &mut self,
        grammar: Option<Arc<Grammar>>,
        speaking: bool,
        out: &mut Outbox,
    ) {
        self.grammar = grammar.filter(|grammar| self.has_recogniser && !grammar.is_empty());
        self.follow(speaking, out);
        if self.grammar.is_none() {
            self.gathered = Vec::new();
        }
    }

    /// Hears everything from now on, so that it can be told who answered.
    pub(super) fn hear_from_now_on(&mut self, out: &mut Outbox) {
        self.since_live = Some(Box::default());
        self.follow(false, out);
    }

    /// All that was heard since then, for the recogniser; `None` for nothing, or where there is none.
    pub(super) fn heard_so_far(&self) -> Option<Audio> {
        let heard = self.since_live.as_ref()?;
        if heard.all.is_empty() {
            return None;
        }
        Some(Audio {
            sample_rate_hz: self.sample_rate_hz,
            samples: heard.all.as_slice().into(),
        })
    }

    /// What of it came since this was asked last.
    pub(super) fn take_fresh(&mut self) -> Vec<i16> {
        let heard = self.since_live.as_mut();
        heard
            .map(|heard| std::mem::take(&mut heard.fresh))
            .unwrap_or_default()
    }

    /// It is clear who answered.
    pub(super) fn forget_what_was_heard(&mut self, speaking: bool, out: &mut Outbox) {
        self.since_live = None;
        self.follow(speaking, out);
    }

    /// Brings the leg's listener to what is wanted of it. One that is changed while the caller speaks would miss the
    /// rest of what they say, so that waits.
    pub(super) fn follow(&mut self, speaking: bool, out: &mut Outbox) {
        let wanted = match (&self.since_live, &self.grammar) {
            (Some(_), _) => Some(ListenMode::Always),
            (None, Some(_)) => Some(ListenMode::DuringSpeech {
                pre_roll_ms: PRE_ROLL_MS,
            }),
            (None, None) => None,
        };
        let installed = self.ring.as_ref().map(|_| self.hears_all);
        let hears_all = wanted == Some(ListenMode::Always);
        let waits = speaking && wanted.is_some() && self.hears_all;
        if wanted.map(|_| hears_all) == installed || waits {
            return;
        }
        self.gather(speaking);
        self.hears_all = hears_all;
        let listener = wanted.map(|mode| {
            let (ring, consumer) = RingBuffer::new(self.sample_rate_hz as usize);
            self.ring = Some(consumer);
            Listener { ring, mode }
        });
        if listener.is_none() {
            self.ring = None;
        }
        out.leg(LegCommand::Listen(listener));
    }

    /// Takes what the leg wrote.
    pub(super) fn gather(&mut self, speaking: bool) {
        let Some(ring) = &mut self.ring else { return };
        let bound = self.sample_rate_hz as usize * (LONGEST.as_secs() as usize + 1);
        if let Ok(chunk) = ring.read_chunk(ring.slots()) {
            let (first, second) = chunk.as_slices();
            for part in [first, second] {
                // Beyond the bound only when nobody takes the utterance; then the newest is dropped.
                if self.grammar.is_some() {
                    add_within(&mut self.gathered, part, bound);
                }
                if let Some(heard) = &mut self.since_live {
                    if self.has_recogniser {
                        add_within(&mut heard.all, part, bound);
                    }
                    add_within(&mut heard.fresh, part, bound);
                }
            }
            chunk.commit_all();
        }
        if self.hears_all && !speaking {
            // Of quiet, what an utterance may turn out to begin with.
            let most = self.sample_rate_hz as usize * AHEAD_MS / 1_000;
            let least = self.gathered.len().saturating_sub(most);
            self.gathered.drain(..least);
        }
    }

    /// Drops what was gathered: it was no speech, or not to be heard.
    pub(super) fn drop_gathered(&mut self) {
        self.gather(true);
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
        self.gather(true);
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
        self.since_live = None;
        self.expect(None, false, out);
        self.has_recogniser = false;
        self.jobs.clear();
    }
}

/// Adds samples as far as there is room.
fn add_within(all: &mut Vec<i16>, part: &[i16], bound: usize) {
    let room = bound.saturating_sub(all.len());
    all.extend_from_slice(&part[..part.len().min(room)]);
}
