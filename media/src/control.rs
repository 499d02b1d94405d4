//! What a session tells a leg and what a leg tells the session.
//!
//! These types cross threads: commands go to the media thread that owns the leg through a bounded
//! queue, events come back through another. None of them knows of RTP or SIP, so a session can be
//! driven in tests by plain values.

use std::fmt;
use std::sync::Arc;

use crate::bridge::BridgeEnd;
pub use crate::tones::call_tones::{CallTone, CallToneKind, Confidence};

/// Orders the utterances of one session: each utterance plays under an epoch of its own, later
/// utterances have larger ones. A flush names an epoch and drops everything up to it, so a chunk that
/// was still on its way when the caller interrupted can never be heard afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// One of the mixer's three inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bus {
    /// What the agent says. The only bus that is paused, flushed by an interruption and counted as
    /// agent speech.
    Speech,
    /// Sounds played while the agent thinks; ducked under speech.
    Thinking,
    /// Ambience and music; ducked under speech.
    Background,
}

/// A piece of one utterance: mono 16-bit samples at the leg's rate, shared rather than copied, so a
/// cached prompt is one allocation for all calls that play it.
#[derive(Clone)]
pub struct Chunk {
    /// The utterance these samples belong to.
    pub epoch: Epoch,
    /// Mono samples at the leg's rate.
    pub samples: Arc<[i16]>,
    /// Whether this is the utterance's last chunk. When its last frame was handed to RTP the leg
    /// reports [`LegEvent::Drained`]. A last chunk may be empty.
    pub last: bool,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("epoch", &self.epoch)
            .field("samples", &self.samples.len())
            .field("last", &self.last)
            .finish()
    }
}

/// A DTMF digit, one of the sixteen of RFC 4733 section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digit(u8);

impl Digit {
    const SYMBOLS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
    ];

    /// The digit of an RFC 4733 event code, `None` above 15.
    #[must_use]
    pub fn from_event(code: u8) -> Option<Self> {
        (code < 16).then_some(Self(code))
    }

    /// The digit written as `symbol`: `0`-`9`, `*`, `#`, `A`-`D` in either case.
    #[must_use]
    pub fn from_char(symbol: char) -> Option<Self> {
        let symbol = symbol.to_ascii_uppercase();
        let code = Self::SYMBOLS.iter().position(|known| *known == symbol)?;
        u8::try_from(code).ok().map(Self)
    }

    /// The RFC 4733 event code, 0 to 15.
    #[must_use]
    pub fn event(self) -> u8 {
        self.0
    }

    /// The key's symbol: `0`-`9`, `*`, `#`, `A`-`D`.
    #[must_use]
    pub fn as_char(self) -> char {
        Self::SYMBOLS[usize::from(self.0)]
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

/// The media thread's own reflex to a caller who talks over the agent: when speech has lasted
/// `min_speech_ms` while the speech bus plays, the bus is paused on the spot and
/// [`LegEvent::BargeIn`] is sent. The session then confirms with a flush or resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BargeInPolicy {
    /// Voiced time before the reflex acts, in milliseconds (0 to 5,000).
    pub min_speech_ms: u32,
}

/// The reading end's wish to hear the caller: the writing half of a single-producer ring of samples
/// at the leg's rate. While installed, caller audio is written during speech, preceded by the
/// pre-roll, or always.
pub struct Listener {
    /// Where samples go. A full ring drops the newest samples and counts them.
    pub ring: rtrb::Producer<i16>,
    /// When samples are written.
    pub mode: ListenMode,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// When a [`Listener`] is given samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenMode {
    /// From `pre_roll_ms` before the detector's start of speech until its end; batches are announced
    /// by [`LegEvent::Heard`].
    DuringSpeech {
        /// Samples kept from before the start of speech, in milliseconds (0 to 500).
        pre_roll_ms: u32,
    },
    /// Every frame, announced in batches.
    Always,
}

/// What of a leg goes into its recording. What does not is silence of the same length there, so that the
/// recording's clock is that of the call whatever was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecordMode {
    /// Both sides.
    #[default]
    Both,
    /// The agent alone; the caller is muted, also where the agent's side plays the caller back.
    CallerMuted,
    /// Neither.
    Paused,
}

impl RecordMode {
    /// As written in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::CallerMuted => "caller_muted",
            Self::Paused => "paused",
        }
    }
}

/// A command to a leg. Commands take effect at the leg's next tick, in the order sent.
#[derive(Debug)]
pub enum LegCommand {
    /// Queue a chunk on a bus. Refused (and reported as [`LegEvent::Refused`]) when the bus already
    /// holds its bound of queued audio, or when its utterance had its last chunk or was overtaken by a
    /// later one; dropped silently when its epoch was flushed.
    Play {
        /// Which bus.
        bus: Bus,
        /// What to play.
        chunk: Chunk,
    },
    /// Replace what the bus plays by these samples, repeated without end and without a click until
    /// flushed. What was there is flushed, and [`LegEvent::Flushed`] says so. Refused when the epoch is
    /// not newer than all before it on the bus.
    Loop {
        /// Which bus.
        bus: Bus,
        /// The loop's epoch.
        epoch: Epoch,
        /// One round of the loop, mono at the leg's rate; empty is refused.
        samples: Arc<[i16]>,
    },
    /// Drop everything on the bus up to and including `through`, fading out what sounds right now.
    /// Answered with [`LegEvent::Flushed`]. When nothing is left, or what was held by a pause is gone,
    /// the pause is over too.
    Flush {
        /// Which bus.
        bus: Bus,
        /// The newest epoch to drop.
        through: Epoch,
        /// Length of the fade in milliseconds (0 to 400).
        fade_ms: u32,
    },
    /// Hold the bus at the current sample; it sends silence until resumed.
    Pause(Bus),
    /// Go on at the sample where the bus was paused.
    Resume(Bus),
    /// Set a bus's gain in decibels (-60 to +12; -60 and below is silence).
    Gain {
        /// Which bus.
        bus: Bus,
        /// The gain in dB.
        decibels: f32,
    },
    /// Arm or disarm the barge-in reflex.
    BargeIn(Option<BargeInPolicy>),
    /// Install or remove the caller's listener.
    Listen(Option<Listener>),
    /// Press a key towards the far end, after those pressed before, in place of audio: as RTP events (RFC
    /// 4733) where they were negotiated, as tones where they were not. Neither ducking nor a flush touches
    /// it. Where 64 presses wait already, it is counted as unsent.
    Press {
        /// Which key.
        digit: Digit,
        /// How long it is held, in milliseconds (40 to 1,300; taken to the nearest).
        duration_ms: u32,
    },
    /// Play the caller's decoded audio back on the speech bus (the `echo` agent).
    Loopback(bool),
    /// Join the leg to another, or part it from that: what either far end and either agent says is heard by the
    /// other far end and the other agent. A bridge also ends with the other leg.
    Bridge(Option<Box<BridgeEnd>>),
    /// Record this from now on. A caller who was left out and presses a key just then (as a tone that the
    /// leg listens for) is left out until it is up. Without a recorder it changes nothing.
    Record(RecordMode),
    /// Write what the caller says from now on into this ring, mono at the leg's rate and without what sounds while a key
    /// is known to be down; `None` ends that. A full ring costs the newest samples, in whose place there is silence.
    TakeMessage(Option<rtrb::Producer<i16>>),
}

/// Something a leg noticed. `at_ms` counts media time since the leg began, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegEvent {
    /// The first valid RTP packet arrived: the far end's media is live.
    Live {
        /// Media time.
        at_ms: u64,
    },
    /// The caller began to speak.
    SpeechStarted {
        /// Media time of the first voiced frame.
        at_ms: u64,
    },
    /// The caller stopped speaking (after the detector's hang-over).
    SpeechStopped {
        /// Media time of the last voiced frame.
        at_ms: u64,
    },
    /// Samples were written to the listener's ring since the last report; in batches, not per frame.
    Heard {
        /// How many samples.
        samples: u32,
    },
    /// The caller pressed a digit, as an RTP event or as tones; reported once a press, in order.
    Digit {
        /// Which.
        digit: Digit,
        /// Media time of the press's start.
        at_ms: u64,
    },
    /// A tone of a network or a machine was recognised.
    Tone(CallTone),
    /// The reflex paused the speech bus.
    BargeIn {
        /// What was playing.
        epoch: Epoch,
        /// Media time.
        at_ms: u64,
    },
    /// The first frame of an utterance was handed to RTP.
    Started {
        /// Which utterance.
        epoch: Epoch,
        /// Media time.
        at_ms: u64,
    },
    /// The last frame of an utterance was handed to RTP.
    Drained {
        /// Which utterance.
        epoch: Epoch,
        /// Media time.
        at_ms: u64,
    },
    /// A flush was carried out; `played_ms` says how much of the youngest flushed utterance that had
    /// begun went to RTP.
    Flushed {
        /// Which bus.
        bus: Bus,
        /// The flush's epoch.
        through: Epoch,
        /// The utterance that was cut, if one was sounding.
        cut: Option<Epoch>,
        /// How much of it was sent, in milliseconds.
        played_ms: u64,
    },
    /// A chunk or loop was refused: its bus was full, or its utterance is over or overtaken.
    Refused {
        /// Which bus.
        bus: Bus,
        /// The chunk's epoch.
        epoch: Epoch,
    },
    /// No RTP has arrived for the configured time; said again each time that it has gone on for as long.
    Silent {
        /// Media time.
        at_ms: u64,
    },
}
