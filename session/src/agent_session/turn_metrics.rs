//! How each turn went: what was said, how long it took, and where the time went.
//!
//! A turn here is what the caller says with what the agent says to it; what the agent says by itself, such as a greeting,
//! is one without the caller's part. It is over when the agent is quiet again, or the caller's next turn is.

use std::time::Duration;

use tokio::time::Instant;

use super::utterance::Outcome;
use crate::provider::ModelUsage;

/// End-to-end latencies of one call that are kept one by one.
const E2E_BOUND: usize = 1_000;
/// Moments of one turn that are kept; further ones are left out.
const TIMELINE_BOUND: usize = 64;

/// Something that happened in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnMoment {
    /// The caller's last voiced frame.
    CallerStopped,
    /// The caller's words were known.
    WordsKnown,
    /// The turn was over: nothing more was waited for.
    TurnOver,
    /// The language model was asked.
    ModelAsked,
    /// Its first words came.
    FirstWords,
    /// It called a tool.
    ToolCalled(String),
    /// The voice was asked for the first sentence.
    VoiceAsked,
    /// Its samples were there.
    VoiceReady,
    /// The leg was given them.
    HandedOver,
    /// The first frame was handed to RTP.
    FirstFrame,
    /// The agent was cut short.
    Interrupted,
    /// The agent was quiet again.
    Quiet,
}

/// The latencies of a turn, in milliseconds; `None` for what was not part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnLatencies {
    /// From the caller's last voiced frame to their words.
    pub stt_ms: Option<u64>,
    /// From the caller's last voiced frame to the turn's end.
    pub eou_ms: Option<u64>,
    /// How much of that was waited for more to come, after the words were known.
    pub eou_wait_ms: Option<u64>,
    /// From the model's request to its first words.
    pub llm_ttft_ms: Option<u64>,
    /// From the voice's request to the first sentence's samples.
    pub tts_ttfb_ms: Option<u64>,
    /// From the leg's having them to the first frame's being handed to RTP.
    pub edge_out_ms: Option<u64>,
    /// From the caller's last voiced frame to the agent's first frame, both by the leg's clock: measured, not summed.
    pub e2e_ms: Option<u64>,
}

/// How a turn went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnMetrics {
    /// Counts the session's turns, from 1.
    pub turn_id: u64,
    /// Whether the agent was cut short.
    pub interrupted: bool,
    /// How long the caller spoke; 0 where they did not.
    pub user_speech_ms: u64,
    /// How much of the agent's speech was sent.
    pub agent_speech_ms: u64,
    /// The tools that the model called, in order.
    pub tools_called: Vec<String>,
    /// What went wrong, in words.
    pub errors: Vec<String>,
    /// Where the time went.
    pub latencies: TurnLatencies,
    /// The language model's tokens.
    pub tokens: ModelUsage,
    /// Characters that were given to the voice and heard, at least in part.
    pub characters: u64,
    /// When what happened, from the session's start.
    pub timeline: Vec<(Duration, TurnMoment)>,
}

/// The sums of a call's turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallMetrics {
    /// Turns in which the caller spoke.
    pub user_turns: u64,
    /// Turns in which the agent was cut short.
    pub interrupted_turns: u64,
    /// How long the caller spoke.
    pub user_speech_ms: u64,
    /// How much of the agent's speech was sent.
    pub agent_speech_ms: u64,
    /// Tools called.
    pub tools_called: u64,
    /// What went wrong.
    pub errors: u64,
    /// The language model's tokens.
    pub tokens: ModelUsage,
    /// Characters that were given to the voice and heard.
    pub characters: u64,
    /// Turns that were answered with speech: those that `e2e` is of.
    pub answered_turns: u64,
    /// The sum of their end-to-end latencies.
    pub e2e_sum_ms: u64,
    /// The longest of them.
    pub e2e_max_ms: u64,
}

impl CallMetrics {
    fn add(&mut self, turn: &TurnMetrics) {
        self.user_turns += u64::from(turn.latencies.eou_ms.is_some());
        self.interrupted_turns += u64::from(turn.interrupted);
        self.user_speech_ms += turn.user_speech_ms;
        self.agent_speech_ms += turn.agent_speech_ms;
        self.tools_called += turn.tools_called.len() as u64;
        self.errors += turn.errors.len() as u64;
        self.tokens.input_tokens += turn.tokens.input_tokens;
        self.tokens.output_tokens += turn.tokens.output_tokens;
        self.characters += turn.characters;
        if let Some(e2e_ms) = turn.latencies.e2e_ms {
            self.answered_turns += 1;
            self.e2e_sum_ms += e2e_ms;
            self.e2e_max_ms = self.e2e_max_ms.max(e2e_ms);
        }
    }
}

/// When an utterance was where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UtteranceTimes {
    pub(super) asked_at: Option<Instant>,
    pub(super) ready_at: Option<Instant>,
    pub(super) handed_at: Option<Instant>,
    pub(super) started_at: Option<Instant>,
}

/// What the caller said last, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
struct CallerPart {
    speech_ms: u64,
    /// The last voiced frame: by our clock, and by the leg's.
    stopped: Option<(Instant, u64)>,
    words_at: Option<Instant>,
}

/// Follows the turns of a session.
#[derive(Debug)]
pub(super) struct TurnMeter {
    began: Instant,
    caller: CallerPart,
    /// Boxed: most sessions are in none most of the time.
    open: Option<Box<OpenTurn>>,
    turns: u64,
    /// Boxed for the same reason.
    sums: Option<Box<CallMetrics>>,
    e2e_ms: Vec<u64>,
}

#[derive(Debug)]
struct OpenTurn {
    metrics: TurnMetrics,
    stopped: Option<(Instant, u64)>,
    asked_at: Option<Instant>,
    has_voice_times: bool,
}

impl TurnMeter {
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            caller: CallerPart::default(),
            open: None,
            turns: 0,
            sums: None,
            e2e_ms: Vec::new(),
        }
    }

    /// The end-to-end latencies of the first thousand turns that were answered.
    pub(super) fn take_e2e_ms(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.e2e_ms)
    }

    pub(super) fn sums(&self) -> CallMetrics {
        self.sums.as_deref().copied().unwrap_or_default()
    }

    /// The caller stopped: at that moment, `media_ms` by the leg's clock.
    pub(super) fn caller_stopped(&mut self, voiced: Duration, stopped_at: Instant, media_ms: u64) {
        self.caller.speech_ms += milliseconds(voiced);
        self.caller.stopped = Some((stopped_at, media_ms));
    }

    /// What the caller said was noise.
    pub(super) fn caller_said_nothing(&mut self) {
        if self.caller.words_at.is_none() {
            self.caller = CallerPart::default();
        }
    }

    pub(super) fn words_known(&mut self, now: Instant) {
        self.caller.words_at = Some(now);
    }

    /// The caller's turn is over. Gives the turn before, if it was still open.
    pub(super) fn turn_over(&mut self, now: Instant) -> Option<TurnMetrics> {
        let before = self.close();
        let caller = std::mem::take(&mut self.caller);
        let turn = self.open_turn();
        turn.stopped = caller.stopped;
        turn.metrics.user_speech_ms = caller.speech_ms;
        if let Some((stopped_at, _)) = caller.stopped {
            let latencies = &mut turn.metrics.latencies;
            latencies.eou_ms = Some(between(stopped_at, now));
            latencies.stt_ms = caller.words_at.map(|words| between(stopped_at, words));
            let waited_from = caller.words_at.unwrap_or(stopped_at);
            latencies.eou_wait_ms = Some(between(waited_from, now));
            self.note(stopped_at, TurnMoment::CallerStopped);
        }
        if let Some(words_at) = caller.words_at {
            self.note(words_at, TurnMoment::WordsKnown);
        }
        self.note(now, TurnMoment::TurnOver);
        before
    }

    pub(super) fn model_asked(&mut self, now: Instant) {
        self.open_turn().asked_at.get_or_insert(now);
        self.note(now, TurnMoment::ModelAsked);
    }

    pub(super) fn words_came(&mut self, now: Instant) {
        let Some(turn) = &mut self.open else { return };
        if let (Some(asked_at), None) = (turn.asked_at, turn.metrics.latencies.llm_ttft_ms) {
            turn.metrics.latencies.llm_ttft_ms = Some(between(asked_at, now));
            self.note(now, TurnMoment::FirstWords);
        }
    }

    pub(super) fn tool_called(&mut self, name: &str, now: Instant) {
        self.open_turn().metrics.tools_called.push(name.to_owned());
        self.note(now, TurnMoment::ToolCalled(name.to_owned()));
    }

    pub(super) fn tokens_used(&mut self, usage: ModelUsage) {
        let tokens = &mut self.open_turn().metrics.tokens;
        tokens.input_tokens += usage.input_tokens;
        tokens.output_tokens += usage.output_tokens;
    }

    /// Something failed; outside a turn it is nobody's.
    pub(super) fn failed(&mut self, error: String) {
        if let Some(turn) = &mut self.open {
            turn.metrics.errors.push(error);
        }
    }

    /// The leg sent the first frame of an utterance, `media_ms` by its clock.
    pub(super) fn first_frame(&mut self, now: Instant, media_ms: u64) {
        let turn = self.open_turn();
        if let (Some((_, stopped_ms)), None) = (turn.stopped, turn.metrics.latencies.e2e_ms)
            && turn.metrics.agent_speech_ms == 0
        {
            turn.metrics.latencies.e2e_ms = Some(media_ms.saturating_sub(stopped_ms));
            self.note(now, TurnMoment::FirstFrame);
        }
    }

    /// An utterance ended of which `heard_ms` were sent.
    pub(super) fn utterance_ended(
        &mut self,
        outcome: &Outcome,
        times: UtteranceTimes,
        heard_ms: u64,
        characters: u64,
        now: Instant,
    ) {
        let Some(started_at) = times.started_at else {
            return;
        };
        let turn = self.open_turn();
        turn.metrics.agent_speech_ms += heard_ms;
        turn.metrics.characters += characters;
        if !std::mem::replace(&mut turn.has_voice_times, true) {
            let latencies = &mut turn.metrics.latencies;
            latencies.tts_ttfb_ms = times.asked_at.zip(times.ready_at).map(of);
            latencies.edge_out_ms = times.handed_at.map(|handed| between(handed, started_at));
            let moments = [
                (times.asked_at, TurnMoment::VoiceAsked),
                (times.ready_at, TurnMoment::VoiceReady),
                (times.handed_at, TurnMoment::HandedOver),
            ];
            for (at, moment) in moments {
                if let Some(at) = at {
                    self.note(at, moment);
                }
            }
        }
        if let Outcome::Interrupted { .. } = outcome {
            self.open_turn().metrics.interrupted = true;
            self.note(now, TurnMoment::Interrupted);
        }
    }

    /// Nothing more is said or worked on: the turn is over.
    pub(super) fn quiet(&mut self, now: Instant) -> Option<TurnMetrics> {
        if self.open.is_some() {
            self.note(now, TurnMoment::Quiet);
        }
        self.close()
    }

    fn close(&mut self) -> Option<TurnMetrics> {
        let mut metrics = self.open.take()?.metrics;
        metrics.timeline.sort_by_key(|(at, _)| *at);
        self.sums.get_or_insert_default().add(&metrics);
        if self.e2e_ms.len() < E2E_BOUND {
            self.e2e_ms.extend(metrics.latencies.e2e_ms);
        }
        Some(metrics)
    }

    fn open_turn(&mut self) -> &mut OpenTurn {
        self.open.get_or_insert_with(|| {
            self.turns += 1;
            Box::new(OpenTurn {
                metrics: TurnMetrics {
                    turn_id: self.turns,
                    ..TurnMetrics::default()
                },
                stopped: None,
                asked_at: None,
                has_voice_times: false,
            })
        })
    }

    fn note(&mut self, at: Instant, moment: TurnMoment) {
        let at = at.saturating_duration_since(self.began);
        let timeline = &mut self.open_turn().metrics.timeline;
        if timeline.len() < TIMELINE_BOUND {
            timeline.push((at, moment));
        }
    }
}

fn of((from, to): (Instant, Instant)) -> u64 {
    between(from, to)
}

fn between(from: Instant, to: Instant) -> u64 {
    milliseconds(to.saturating_duration_since(from))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
