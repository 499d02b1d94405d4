//! What a leg does in a tick: hears a frame, and says one.

use std::net::SocketAddr;
use std::time::Instant;

use super::Leg;
use super::media_clock::SLOT_MS;
use crate::bridge::BridgeEnd;
use crate::control::{Bus, LegEvent};
use crate::frame_converter::LONGEST_FRAME;
use crate::mixer::{Mark, MixedFrame};
use crate::receiver::FrameOrigin;
use crate::sender::Filled;
use crate::voice_activity::SpeechMark;

/// At most this many frames are caught up for slots that were missed: the longest playout delay.
const MOST_CAUGHT_UP: u64 = 20;

impl Leg {
    /// In: receiver → digits, tones → VAD → listener. Says whether `frame` holds sound from the far end.
    pub(super) fn hear(&mut self, frame: &mut [i16], at_ms: u64, now: Instant) -> bool {
        let origin = if self.direction.receives() {
            self.inbound.pull(frame, now)
        } else if self.bridge.is_some() {
            // The agent hears the other side all the same.
            frame.fill(0);
            FrameOrigin::Silence
        } else {
            return false;
        };
        while let Some(received) = self.inbound.poll_digit() {
            let at_ms = self.clock.media_time_ms(received.arrival);
            if self.digits.came_as_event(received.digit, at_ms) {
                self.events.push(LegEvent::Digit {
                    digit: received.digit,
                    at_ms,
                });
            }
        }
        let events = &mut self.events;
        let end_ms = at_ms + SLOT_MS;
        self.digits.hear(frame, end_ms, origin, |digit, at_ms| {
            events.push(LegEvent::Digit { digit, at_ms });
        });
        self.recording.heard(self.digits.key_sounds());
        if let Some(call_tones) = &mut self.call_tones {
            call_tones.hear(frame, end_ms, |tone| events.push(LegEvent::Tone(tone)));
        }
        let heard = match origin {
            FrameOrigin::Played | FrameOrigin::Concealed => true,
            FrameOrigin::Silence => false,
        };
        // The agent hears both sides of a bridge.
        let (ear, sounds) = match &mut self.bridge {
            Some(bridge) => bridge.ear(frame, heard),
            None => (&*frame, heard),
        };
        let voice_activity = self.voice_activity.as_mut();
        let mark = voice_activity.and_then(|v| v.hear(sounds.then_some(ear), at_ms));
        let echo = self.voice_activity.as_ref().is_some_and(|v| v.heard_echo());
        if let Some(listener) = &mut self.listener {
            if let Some(samples) = listener.hear(ear, end_ms, mark, echo) {
                self.events.push(LegEvent::Heard { samples });
            }
            if listener.is_abandoned() {
                self.remove_listener();
            }
        }
        match mark {
            Some(SpeechMark::Started { at_ms }) => {
                self.events.push(LegEvent::SpeechStarted { at_ms })
            }
            Some(SpeechMark::Stopped { at_ms }) => {
                self.events.push(LegEvent::SpeechStopped { at_ms })
            }
            None => {}
        }
        // Joined to another call, a leg hears that one on while its own far end may not send.
        if self.direction.receives() && self.silence.is_due(now) {
            self.events.push(LegEvent::Silent { at_ms });
        }
        heard
    }

    /// Out: mixer → recorder, echo guard → sender → marks. Answers where to send the packet that is complete. While
    /// we may not send, or know no address, everything queued waits and only the clock goes on.
    pub(super) fn speak(&mut self, caller: Option<&[i16]>, at_ms: u64) -> Option<SocketAddr> {
        let length = self.samples_per_tick();
        // A key that sounds is passed on over a bridge as a key.
        let passed_on = caller.filter(|_| !self.digits.key_sounds());
        let destination = self
            .far_end
            .destination()
            .filter(|_| self.direction.sends());
        let Some(destination) = destination else {
            self.sender.skip_ms(SLOT_MS as u32);
            if let Some(bridge) = &mut self.bridge {
                bridge.send(passed_on, None, length);
            }
            self.recording.record(caller, None, false, length);
            return None;
        };
        let loopback = caller.filter(|_| self.loopback);
        let slot = match &mut self.outbound {
            Some(outbound) => outbound.frame(length),
            None => self.sender.slot(),
        };
        let aside = self
            .bridge
            .as_ref()
            .is_some_and(|bridge| !bridge.agent_takes_part());
        let mut mixed = match aside {
            true => MixedFrame::Silence,
            false => self.mixer.mix(loopback, slot),
        };
        // A caller who is played back is not our voice, nor is the other side of a bridge, whom the agent hears.
        if let (MixedFrame::Audio, Some(detector), false) =
            (mixed, &mut self.voice_activity, self.loopback)
        {
            detector.sent(slot);
        }
        // The other side of a bridge is not in this leg's recording: who is there has a call of their own, which may not
        // be recorded, or be paused.
        let agent = match mixed {
            MixedFrame::Audio => Some(&*slot),
            MixedFrame::Silence => None,
        };
        self.recording
            .record(caller, agent, loopback.is_some(), length);
        if let Some(bridge) = &mut self.bridge {
            mixed = across(bridge, passed_on, mixed, loopback.is_some(), slot);
        }
        if let Some(outbound) = &mut self.outbound {
            mixed = outbound.convert(mixed, length, self.sender.slot());
            if outbound.is_done() {
                self.outbound = None;
            }
        }
        let filled = self.sender.push(mixed);
        if filled == Filled::Partly {
            return None;
        }
        let events = &mut self.events;
        self.mixer.take_marks(|_, mark| {
            events.push(match mark {
                Mark::Started(epoch) => LegEvent::Started { epoch, at_ms },
                Mark::Ended { epoch, .. } => LegEvent::Drained { epoch, at_ms },
            });
        });
        (filled == Filled::Complete).then_some(destination)
    }

    /// The reflex: pauses the speech bus when the caller has talked over it for long enough.
    pub(super) fn interrupt_if_armed(&mut self, at_ms: u64) {
        let speaking = self.voice_activity.as_ref().and_then(|v| v.speaking());
        // On hold nobody is talked over: what waits in the bus is not sent.
        let sounding = self
            .mixer
            .sounding(Bus::Speech)
            .filter(|_| self.direction.sends());
        let talked_over = self
            .barge_in
            .talked_over(speaking, sounding.is_some(), at_ms);
        if talked_over && let Some(epoch) = sounding {
            self.mixer.pause(Bus::Speech);
            self.events.push(LegEvent::BargeIn { epoch, at_ms });
        }
    }

    /// Slots went by without a tick. The caller's audio of that time is still to be heard, so that
    /// nothing said is lost and the playout delay does not grow; ours was not sent and stays queued.
    pub(super) fn pass_over(&mut self, missed: u64, now: Instant) {
        self.missed_slots += missed;
        self.sender
            .skip_ms(u32::try_from(missed * SLOT_MS).unwrap_or(u32::MAX));
        let length = self.samples_per_tick();
        let caught_up = missed.min(MOST_CAUGHT_UP);
        let lost = usize::try_from(missed - caught_up).unwrap_or(usize::MAX);
        self.recording.skip(lost.saturating_mul(length));
        if let Some(bridge) = &mut self.bridge {
            bridge.pass_over();
        }
        let mut caller = [0i16; LONGEST_FRAME];
        let caller = &mut caller[..length];
        let next_ms = self.clock.slot_ms();
        for back in (1..=caught_up).rev() {
            let heard = self.hear(caller, next_ms - back * SLOT_MS, now);
            let caller = heard.then_some(&*caller);
            if let Some(bridge) = &mut self.bridge {
                let passed_on = caller.filter(|_| !self.digits.key_sounds());
                bridge.send(passed_on, None, length);
            }
            self.recording.record(caller, None, false, length);
        }
    }
}

/// Both ways across a bridge: the other leg hears caller and agent, the far end hears the agent and the other leg.
fn across(
    bridge: &mut BridgeEnd,
    caller: Option<&[i16]>,
    agent: MixedFrame,
    echoes: bool,
    slot: &mut [i16],
) -> MixedFrame {
    let agent_speaks = agent == MixedFrame::Audio;
    // An echo of the caller is the caller once more.
    let agent = (agent_speaks && !echoes).then_some(&*slot);
    bridge.send(caller, agent, slot.len());
    if bridge.add_to(slot, agent_speaks) {
        MixedFrame::Audio
    } else {
        MixedFrame::Silence
    }
}
