//! A leg keeps its sample rate for life: what is queued, listened to and recorded has it. A codec that a re-INVITE
//! brings may have another; then frames are converted on their way.
//!
//! ```text
//! in:  packets ► receiver ► converter ► frame at the leg's rate
//!      packets of the codec before ► former receiver ► (until the new one plays)
//! out: frame at the leg's rate ► converter ► sender
//! ```

use std::time::Instant;

use rtp_rs::RtpReader;

use super::configuration::LegError;
use crate::frame_converter::{FrameConverter, LONGEST_FRAME};
use crate::mixer::MixedFrame;
use crate::receiver::{FrameOrigin, PacketError, Receiver, ReceiverConfig};
use crate::seam::{backwards, pass_into};
use crate::telephone_event::ReceivedDigit;

/// After this many frames a converter's filter gives what it is given.
const WARM_AFTER: u32 = 4;
/// Packets of the codec before are awaited for so many ticks.
const FORMER_TICKS: u32 = 50;

/// The receiving half, whatever codec it hears.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) receiver: Receiver,
    converter: Option<Box<FrameConverter>>,
    former: Option<Box<Former>>,
    leg_hz: u32,
}

/// What heard the codec before, until what hears the new one plays.
#[derive(Debug)]
struct Former {
    receiver: Receiver,
    converter: Option<Box<FrameConverter>>,
    ticks: u32,
    /// Frames that the new one has played, unheard.
    warmed: u32,
}

impl Inbound {
    pub(super) fn new(receiver: Receiver, leg_hz: u32) -> Self {
        Self {
            receiver,
            converter: None,
            former: None,
            leg_hz,
        }
    }

    /// Whether packets of this type belong to the call.
    pub(super) fn accepts(&self, payload_type: u8) -> bool {
        let former = self.former.as_ref();
        self.receiver.accepts(payload_type)
            || former.is_some_and(|former| former.receiver.accepts(payload_type))
    }

    /// Takes one datagram.
    pub(super) fn handle_packet(
        &mut self,
        bytes: &[u8],
        arrival: Instant,
    ) -> Result<(), PacketError> {
        if let Some(former) = &mut self.former
            && let Ok(rtp) = RtpReader::new(bytes)
            && !self.receiver.accepts(rtp.payload_type())
        {
            former.receiver.handle_packet(bytes, arrival)?;
            self.receiver.heard_elsewhere(bytes, arrival);
            return Ok(());
        }
        self.receiver.handle_packet(bytes, arrival)
    }

    /// Takes note of a datagram that is not to be heard.
    pub(super) fn pass_over(&mut self, bytes: &[u8], arrival: Instant) {
        self.receiver.pass_over(bytes, arrival);
    }

    /// The next digit that came as an event, by the new codec's number or by the one before.
    pub(super) fn poll_digit(&mut self) -> Option<ReceivedDigit> {
        let former = self.former.as_mut();
        let earlier = former.and_then(|former| former.receiver.poll_digit());
        earlier.or_else(|| self.receiver.poll_digit())
    }

    /// Takes what a renegotiation changed. At another rate than before, what the far end still sends by the codec
    /// before is heard to its end.
    pub(super) fn renegotiate(
        &mut self,
        config: ReceiverConfig,
        codec_hz: u32,
    ) -> Result<(), LegError> {
        let Some(receiver) = self.receiver.renegotiate(config)? else {
            return Ok(());
        };
        let converter = std::mem::replace(&mut self.converter, converter(codec_hz, self.leg_hz)?);
        self.former = Some(Box::new(Former {
            receiver,
            converter,
            ticks: 0,
            warmed: 0,
        }));
        Ok(())
    }

    /// Fills `frame`, 10 ms at the leg's rate, with what is due.
    pub(super) fn pull(&mut self, frame: &mut [i16], now: Instant) -> FrameOrigin {
        let origin = pull(&mut self.receiver, &mut self.converter, frame, now);
        let Some(former) = &mut self.former else {
            return origin;
        };
        former.ticks += 1;
        let mut before = [0; LONGEST_FRAME];
        let before = &mut before[..frame.len()];
        let before_origin = pull(&mut former.receiver, &mut former.converter, before, now);
        if origin != FrameOrigin::Silence {
            former.warmed += 1;
            if self.converter.is_none() || former.warmed > WARM_AFTER {
                pass_into(before, frame);
                self.former = None;
                return origin;
            }
        } else if former.ticks > FORMER_TICKS {
            self.former = None;
            return origin;
        }
        frame.copy_from_slice(before);
        before_origin
    }
}

fn pull(
    receiver: &mut Receiver,
    converter: &mut Option<Box<FrameConverter>>,
    frame: &mut [i16],
    now: Instant,
) -> FrameOrigin {
    let Some(converter) = converter else {
        return receiver.pull(frame, now);
    };
    let mut own = [0; LONGEST_FRAME];
    let own = &mut own[..converter.samples_in()];
    let origin = receiver.pull(own, now);
    converter.convert(own, frame);
    origin
}

/// What is sent, where the codec has another rate than the leg, or has just been given back the leg's.
#[derive(Debug)]
pub(super) struct Outbound {
    /// `None` for the one frame of the seam back to the leg's own rate.
    converter: Option<Box<FrameConverter>>,
    /// Where the frame at the leg's rate is mixed.
    frame: [i16; LONGEST_FRAME],
    /// What the first frame begins with: what was sent last, fading out.
    ending: [i16; LONGEST_FRAME],
    /// Silent frames in a row: the filter rings on for a few.
    silent: u32,
    /// Whether nothing has been sent by it.
    fresh: bool,
}

impl Outbound {
    /// From `leg_hz` to `codec_hz`. `last` is what was sent last, at the rate before: it fades out, so that the far end
    /// hears no click while the filter fills.
    pub(super) fn new(leg_hz: u32, codec_hz: u32, last: &[i16]) -> Result<Self, LegError> {
        let mut converter = converter(leg_hz, codec_hz)?;
        let mut ending = [0; LONGEST_FRAME];
        match &mut converter {
            // The frame before the first, which no filter touches. The first then fades in.
            Some(converter) => converter.begin_with_the_end_of(last),
            None => backwards(last, &mut ending[..leg_hz as usize / 100]),
        }
        Ok(Self {
            converter,
            frame: [0; LONGEST_FRAME],
            ending,
            silent: 0,
            fresh: true,
        })
    }

    /// Where the next 10 ms are mixed, at the leg's rate.
    pub(super) fn frame(&mut self, length: usize) -> &mut [i16] {
        &mut self.frame[..length]
    }

    /// Whether it has nothing more to do.
    pub(super) fn is_done(&self) -> bool {
        self.converter.is_none() && !self.fresh
    }

    /// Converts what was mixed into `slot`; answers what `slot` holds.
    pub(super) fn convert(
        &mut self,
        mixed: MixedFrame,
        length: usize,
        slot: &mut [i16],
    ) -> MixedFrame {
        let frame = &mut self.frame[..length];
        match mixed {
            MixedFrame::Audio => self.silent = 0,
            MixedFrame::Silence => {
                frame.fill(0);
                self.silent = self.silent.saturating_add(1);
            }
        }
        if std::mem::take(&mut self.fresh) {
            pass_into(&self.ending[..length], frame);
        }
        let Some(converter) = &mut self.converter else {
            slot.copy_from_slice(frame);
            return MixedFrame::Audio;
        };
        if self.silent > WARM_AFTER {
            return MixedFrame::Silence;
        }
        converter.convert(frame, slot);
        MixedFrame::Audio
    }
}

fn converter(from_hz: u32, to_hz: u32) -> Result<Option<Box<FrameConverter>>, LegError> {
    if from_hz == to_hz {
        return Ok(None);
    }
    Ok(Some(Box::new(FrameConverter::new(from_hz, to_hz)?)))
}
