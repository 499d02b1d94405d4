//! What plays beside the agent's speech: the background, and the sound of thinking.
//!
//! Each has a bus of its own, so that what becomes of the speech (a pause, an interruption) touches neither, and
//! neither counts as speech. The leg lowers both while the agent speaks.
//!
//! ```text
//! background  from the gate on, or when asked ──────────────────────────────────────► replaced, stopped, over
//! music       while the far end is on hold, or waits for somebody who is called; or ringing in its place
//! thinking    300 ms after the agent began to think, or when asked ─────────────────► first frame of speech, stopped,
//!             goes on from one callback to the next                                    nothing to think about any more
//! ```

use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{Bus, Chunk, Epoch, LegCommand};

use super::output::Outbox;
use super::resample::to_rate;
use super::ringing_tone::ringing_tone;
use crate::provider::Audio;

/// How long the agent thinks in silence. Most answers come sooner, and a sound of a moment would be a click.
pub(super) const THINKING_IN_SILENCE: Duration = Duration::from_millis(300);

/// How hold music ends, in milliseconds.
const MUSIC_FADE_MS: u32 = 100;

/// The gain that silences a bus, in dB.
const SILENT_DB: f32 = -60.0;
const LOUDEST_DB: f32 = 12.0;

/// A sound that repeats.
#[derive(Clone, Debug)]
pub struct SoundLoop {
    /// What is repeated. At the leg's rate it is shared between calls, at another it is converted for each.
    pub audio: Audio,
    /// How loud, in dB (-60, which is silence, to +12).
    pub volume_db: f32,
}

/// What is heard in a session besides speech; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct SessionSounds {
    /// Beside the agent, from the gate on.
    pub background: Option<SoundLoop>,
    /// While the agent thinks.
    pub thinking: Option<SoundLoop>,
    /// While the far end is on hold.
    pub hold_music: Option<SoundLoop>,
}

/// How a background plays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackgroundOptions {
    /// How loud, in dB (-60, which is silence, to +12; default 0).
    pub volume_db: f32,
    /// Whether it repeats (default yes). Otherwise it is over at its end.
    pub looping: bool,
    /// Whether no sound of thinking is heard until it is stopped, replaced or over (default no).
    pub override_thinking: bool,
}

impl Default for BackgroundOptions {
    fn default() -> Self {
        Self {
            volume_db: 0.0,
            looping: true,
            override_thinking: false,
        }
    }
}

/// A background at the leg's rate.
pub(super) struct Background {
    pub(super) samples: Arc<[i16]>,
    pub(super) options: BackgroundOptions,
}

/// A sound of thinking, or hold music, at the leg's rate.
pub(super) struct Thinking {
    pub(super) samples: Arc<[i16]>,
    pub(super) volume_db: f32,
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Background")
            .field("samples", &self.samples.len())
            .field("options", &self.options)
            .finish()
    }
}

impl std::fmt::Debug for Thinking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thinking")
            .field("samples", &self.samples.len())
            .field("volume_db", &self.volume_db)
            .finish()
    }
}

/// What a far end hears in the agent's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InPlace {
    /// The music of a hold, if there is any.
    Music,
    /// Ringing.
    Ringing,
}

/// A background that is on the leg.
#[derive(Clone, Copy, Debug)]
struct Playing {
    epoch: Epoch,
    repeats: bool,
    overrides_thinking: bool,
}

/// The sounds of a session.
#[derive(Debug)]
pub(super) struct Sounds {
    /// Whether the gate is open: before, nothing is sent.
    open: bool,
    /// The background that waits for the gate.
    background: Option<Background>,
    playing: Option<Playing>,
    thinking: Option<Thinking>,
    /// The sound of thinking that is on the leg.
    thinking_epoch: Option<Epoch>,
    /// Somebody asked for the sound of thinking, whatever the agent does.
    asked: bool,
    /// Whether the agent was thinking when that was last looked at.
    pub(super) thinks: bool,
    /// What a far end hears that is on hold, on the bus of thinking, which is free then.
    hold_music: Option<Thinking>,
    music_epoch: Option<Epoch>,
    on_hold: bool,
    sample_rate_hz: u32,
    /// In milliseconds.
    fade_ms: u32,
}

impl Sounds {
    /// The sounds of the session's configuration; what cannot be brought to the leg's rate is left out.
    pub(super) fn new(sounds: &SessionSounds, sample_rate_hz: u32, fade_ms: u32) -> Self {
        let samples = |sound: &SoundLoop| {
            to_rate(sound.audio.clone(), sample_rate_hz)
                .inspect_err(|error| tracing::warn!(%error, "a sound is left out"))
                .ok()
                .filter(|samples| !samples.is_empty())
        };
        let background = sounds.background.as_ref().and_then(|sound| {
            let options = BackgroundOptions {
                volume_db: sound.volume_db,
                ..BackgroundOptions::default()
            };
            samples(sound).map(|samples| Background { samples, options })
        });
        let thinking = |sound: &SoundLoop| {
            let volume_db = sound.volume_db;
            samples(sound).map(|samples| Thinking { samples, volume_db })
        };
        let hold_music = sounds.hold_music.as_ref().and_then(thinking);
        let thinking = sounds.thinking.as_ref().and_then(thinking);
        Self {
            open: false,
            background,
            playing: None,
            thinking,
            thinking_epoch: None,
            asked: false,
            thinks: false,
            hold_music,
            music_epoch: None,
            on_hold: false,
            sample_rate_hz,
            fade_ms,
        }
    }

    /// The gate opens: what was asked for before begins. `next_epoch` gives, here and elsewhere, one that is newer than
    /// all before.
    pub(super) fn open(&mut self, mut next_epoch: impl FnMut() -> Epoch, out: &mut Outbox) {
        self.open = true;
        if let Some(background) = self.background.take() {
            self.play_background(background, &mut next_epoch, out);
        }
        if self.asked {
            self.begin_thinking(&mut next_epoch, out);
        }
    }

    /// Plays a background in place of the one before; nothing to play stops that.
    pub(super) fn set_background(
        &mut self,
        background: Option<Background>,
        next_epoch: impl FnMut() -> Epoch,
        out: &mut Outbox,
    ) {
        match background.filter(|background| !background.samples.is_empty()) {
            background if !self.open => self.background = background,
            Some(background) => self.play_background(background, next_epoch, out),
            None => self.stop_background(out),
        }
    }

    fn play_background(
        &mut self,
        background: Background,
        mut next_epoch: impl FnMut() -> Epoch,
        out: &mut Outbox,
    ) {
        let Background { samples, options } = background;
        let epoch = next_epoch();
        let bus = Bus::Background;
        if options.looping {
            gain(bus, options.volume_db, out);
            out.leg(LegCommand::Loop {
                bus,
                epoch,
                samples,
            });
        } else {
            // A loop takes the place of what plays; a piece would queue behind it.
            self.flush_background(out);
            gain(bus, options.volume_db, out);
            let chunk = Chunk {
                epoch,
                samples,
                last: true,
            };
            out.leg(LegCommand::Play { bus, chunk });
        }
        self.now_playing(
            Some(Playing {
                epoch,
                repeats: options.looping,
                overrides_thinking: options.override_thinking,
            }),
            out,
        );
    }

    fn stop_background(&mut self, out: &mut Outbox) {
        self.flush_background(out);
        self.now_playing(None, out);
    }

    fn flush_background(&self, out: &mut Outbox) {
        if let Some(Playing { epoch, .. }) = self.playing {
            self.flush(Bus::Background, epoch, out);
        }
    }

    /// The leg played what had this epoch to its end: a background that does not repeat.
    pub(super) fn drained(&mut self, epoch: Epoch, out: &mut Outbox) {
        let over = |playing: Playing| playing.epoch == epoch && !playing.repeats;
        if self.playing.is_some_and(over) {
            self.now_playing(None, out);
        }
    }

    /// The leg did not take what had this epoch.
    pub(super) fn refused(&mut self, epoch: Epoch, out: &mut Outbox) {
        if self.playing.is_some_and(|playing| playing.epoch == epoch) {
            self.now_playing(None, out);
        }
        self.thinking_epoch.take_if(|thinking| *thinking == epoch);
    }

    fn now_playing(&mut self, playing: Option<Playing>, out: &mut Outbox) {
        let overrode = self.overrides_thinking();
        self.playing = playing;
        if overrode != self.overrides_thinking() && self.thinking_epoch.is_some() {
            self.thinking_gain(out);
        }
    }

    fn overrides_thinking(&self) -> bool {
        self.playing
            .is_some_and(|playing| playing.overrides_thinking)
    }

    /// Sets what is heard while the agent thinks, in place of what was heard until then.
    pub(super) fn set_thinking(
        &mut self,
        thinking: Option<Thinking>,
        next_epoch: impl FnMut() -> Epoch,
        out: &mut Outbox,
    ) {
        self.thinking = thinking.filter(|thinking| !thinking.samples.is_empty());
        if self.thinking_epoch.is_some() {
            match self.thinking {
                Some(_) => self.begin_thinking(next_epoch, out),
                None => self.end_thinking(out),
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn has_thinking(&self) -> bool {
        self.thinking.is_some()
    }

    pub(super) fn thinking_plays(&self) -> bool {
        self.thinking_epoch.is_some()
    }

    /// Somebody wants the sound of thinking now. What plays already goes on.
    pub(super) fn start_thinking(&mut self, next_epoch: impl FnMut() -> Epoch, out: &mut Outbox) {
        self.asked = true;
        if self.open && self.thinking_epoch.is_none() {
            self.begin_thinking(next_epoch, out);
        }
    }

    /// Somebody wants no more of it, or the agent speaks.
    pub(super) fn stop_thinking(&mut self, out: &mut Outbox) {
        self.asked = false;
        self.end_thinking(out);
    }

    /// The agent has thought for a while.
    pub(super) fn thinking_is_long(&mut self, next_epoch: impl FnMut() -> Epoch, out: &mut Outbox) {
        if self.thinks && self.thinking_epoch.is_none() {
            self.begin_thinking(next_epoch, out);
        }
    }

    /// The agent thinks no more.
    pub(super) fn thinking_is_over(&mut self, out: &mut Outbox) {
        if !self.asked {
            self.end_thinking(out);
        }
    }

    fn begin_thinking(&mut self, mut next_epoch: impl FnMut() -> Epoch, out: &mut Outbox) {
        let Some(thinking) = self.thinking.as_ref().filter(|_| !self.on_hold) else {
            return;
        };
        let samples = Arc::clone(&thinking.samples);
        let epoch = next_epoch();
        self.thinking_epoch = Some(epoch);
        self.thinking_gain(out);
        out.leg(LegCommand::Loop {
            bus: Bus::Thinking,
            epoch,
            samples,
        });
    }

    fn end_thinking(&mut self, out: &mut Outbox) {
        if let Some(epoch) = self.thinking_epoch.take() {
            self.flush(Bus::Thinking, epoch, out);
        }
    }

    fn thinking_gain(&self, out: &mut Outbox) {
        if let Some(thinking) = &self.thinking {
            let decibels = match self.overrides_thinking() {
                true => SILENT_DB,
                false => thinking.volume_db,
            };
            gain(Bus::Thinking, decibels, out);
        }
    }

    pub(super) fn has_music(&self) -> bool {
        self.hold_music.is_some()
    }

    /// The far end is on hold or waits for somebody, or does so no more: it hears this, and nothing of the agent's.
    pub(super) fn set_on_hold(
        &mut self,
        in_place: Option<InPlace>,
        mut next_epoch: impl FnMut() -> Epoch,
        out: &mut Outbox,
    ) {
        self.on_hold = in_place.is_some();
        self.end_music(out);
        let Some(in_place) = in_place else {
            if self.asked {
                self.begin_thinking(next_epoch, out);
            }
            return;
        };
        self.end_thinking(out);
        let heard = match in_place {
            InPlace::Music => self
                .hold_music
                .as_ref()
                .map(|music| (Arc::clone(&music.samples), music.volume_db)),
            InPlace::Ringing => Some((ringing_tone(self.sample_rate_hz), 0.0)),
        };
        if let Some((samples, volume_db)) = heard {
            let epoch = next_epoch();
            self.music_epoch = Some(epoch);
            gain(Bus::Thinking, volume_db, out);
            out.leg(LegCommand::Loop {
                bus: Bus::Thinking,
                epoch,
                samples,
            });
        }
    }

    fn end_music(&mut self, out: &mut Outbox) {
        if let Some(through) = self.music_epoch.take() {
            out.leg(LegCommand::Flush {
                bus: Bus::Thinking,
                through,
                fade_ms: MUSIC_FADE_MS,
            });
        }
    }

    /// All stop for good.
    pub(super) fn close(&mut self, out: &mut Outbox) {
        self.background = None;
        self.end_music(out);
        self.stop_thinking(out);
        self.stop_background(out);
    }

    fn flush(&self, bus: Bus, through: Epoch, out: &mut Outbox) {
        out.leg(LegCommand::Flush {
            bus,
            through,
            fade_ms: self.fade_ms,
        });
    }
}

fn gain(bus: Bus, decibels: f32, out: &mut Outbox) {
    let decibels = decibels.clamp(SILENT_DB, LOUDEST_DB);
    out.leg(LegCommand::Gain { bus, decibels });
}
