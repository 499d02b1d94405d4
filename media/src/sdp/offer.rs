//! Our offer, and reading its answer (RFC 3264 sections 5 and 7).

use sdp_types::Media;

use super::formats::{self, Format, Protection};
use super::writing::{self, AudioSection};
use super::{
    LocalMedia, LocalSrtp, Negotiated, SessionDescription, TelephoneEventRates, Unacceptable,
};
use crate::codec::{Codec, PayloadType};
use crate::srtp::SrtpKeys;
use crate::telephone_event::TelephoneEvent;

/// An offer of ours, kept until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The description to send.
    pub body: Vec<u8>,
    local: LocalMedia,
    formats: Vec<(PayloadType, Format)>,
    audio_index: usize,
}

/// Offers all our codecs in our order, with digits at each codec's clock.
#[must_use]
pub fn offer(local: &LocalMedia) -> Offer {
    offer_with(local, &Shape::default())
}

/// What earlier offers and answers of the dialog fixed for later ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The media sections so far: a later description repeats them in place (RFC 3264 section 8).
    pub(super) media: Vec<Media>,
    /// Which of them is our audio.
    pub(super) audio_index: usize,
    /// Payload types in use: a number keeps its meaning (RFC 3264 section 8.3.2).
    pub(super) numbers: Vec<(PayloadType, Format)>,
}

pub(super) fn offer_with(local: &LocalMedia, shape: &Shape) -> Offer {
    let formats = numbered_formats(local, &shape.numbers);
    let srtp = local.srtp.as_ref().filter(|srtp| srtp.offered);
    let section = AudioSection {
        local,
        protocol: srtp.map_or("RTP/AVP", |_| "RTP/SAVP"),
        rtcp_mux: true,
        formats: &formats,
        ptime_ms: local.ptime_ms,
        direction: local.direction,
        crypto: srtp.map(LocalSrtp::offer).unwrap_or_default(),
    };
    let mut media: Vec<Media> = shape.media.iter().map(writing::refused).collect();
    let audio_index = shape.audio_index.min(media.len());
    match media.get_mut(audio_index) {
        Some(place) => *place = section.to_media(),
        None => media.push(section.to_media()),
    }
    let body = writing::write(local, Vec::new(), media);
    Offer {
        body,
        local: local.clone(),
        formats,
        audio_index,
    }
}

/// Our formats with their numbers: static where there is one, else the number used before, else a
/// customary dynamic one that is free.
fn numbered_formats(
    local: &LocalMedia,
    numbers: &[(PayloadType, Format)],
) -> Vec<(PayloadType, Format)> {
    let mut wanted: Vec<(Format, u8)> = Vec::new();
    for kind in &local.codecs {
        wanted.push((Format::Audio(*kind), kind.customary_payload_type().get()));
    }
    let with_digits = match local.telephone_event {
        None => &[],
        Some(TelephoneEventRates::EachClock) => local.codecs.as_slice(),
        Some(TelephoneEventRates::FirstCodec) => &local.codecs[..local.codecs.len().min(1)],
    };
    for (clock_rate_hz, customary) in [(8_000, 101), (48_000, 110), (16_000, 109)] {
        let mut clocks = with_digits.iter().map(|kind| kind.clock_rate_hz());
        if clocks.any(|clock| clock == clock_rate_hz) {
            wanted.push((Format::TelephoneEvent { clock_rate_hz }, customary));
        }
    }
    let mut formats: Vec<(PayloadType, Format)> = Vec::new();
    for (format, customary) in wanted {
        let before = numbers
            .iter()
            .find(|(_, known)| *known == format)
            .map(|(number, _)| *number);
        let taken = |number: &PayloadType| {
            let other =
                |(used, meaning): &(PayloadType, Format)| used == number && *meaning != format;
            numbers.iter().any(other) || formats.iter().any(other)
        };
        let number = before.or_else(|| {
            std::iter::once(customary)
                .chain(96..=127)
                .filter_map(PayloadType::new)
                .find(|number| !taken(number))
        });
        formats.extend(number.map(|number| (number, format)));
    }
    formats
}

/// Reads the answer to `offer`.
///
/// # Errors
/// [`Unacceptable`] when the far end refused our audio or answered what was not offered; the dialog
/// is then to be ended.
pub fn accept_answer(
    offer: &Offer,
    answer: &SessionDescription,
) -> Result<Negotiated, Unacceptable> {
    let session = &answer.session;
    let media = session
        .medias
        .get(offer.audio_index)
        .ok_or(Unacceptable::MediaType)?;
    if !formats::is_audio(media) || media.port == 0 {
        return Err(Unacceptable::MediaType);
    }
    let srtp = settle(offer, media)?;
    let answered = answered_formats(media, offer);
    let (payload_type_send, kind, payload_type_receive) = answered
        .iter()
        .find_map(|(number, format)| match format {
            Format::Audio(kind) => Some((*number, *kind, offer.number_of(*format)?)),
            Format::TelephoneEvent { .. } => None,
        })
        .ok_or(Unacceptable::MediaFormat)?;
    let telephone_event = if offer.local.telephone_event.is_some() {
        formats::telephone_event_beside(kind, &answered).map(
            |(payload_type_send, clock_rate_hz)| TelephoneEvent {
                payload_type_send,
                payload_type_receive: offer
                    .number_of(Format::TelephoneEvent { clock_rate_hz })
                    .unwrap_or(payload_type_send),
                clock_rate_hz,
            },
        )
    } else {
        None
    };
    let remote = formats::remote(session, media, &offer.local)?;
    let theirs = formats::direction(session, media);
    Ok(Negotiated {
        codec: Codec {
            kind,
            payload_type_send,
            payload_type_receive,
            ptime_ms: formats::ptime_ms(media, kind, offer.local.ptime_ms),
            opus: formats::opus_settings(media, payload_type_send),
        },
        telephone_event,
        remote,
        rtcp: formats::rtcp_path(media),
        direction: formats::our_direction(theirs, remote, offer.local.direction),
        srtp,
        body: Vec::new(),
        another_far_end: false,
    })
}

/// Audio is answered as it was offered, protected or in the clear: what comes back in the clear after an offer of SRTP
/// may be the work of somebody in between.
fn settle(offer: &Offer, answer: &Media) -> Result<Option<SrtpKeys>, Unacceptable> {
    let offered = offer.local.srtp.as_ref().filter(|srtp| srtp.offered);
    match (formats::protection(answer), offered) {
        (Some(Protection::None), None) => Ok(None),
        (Some(Protection::None), Some(_)) => Err(Unacceptable::InTheClear),
        (Some(Protection::Srtp), Some(srtp)) => {
            let (ours, theirs) = srtp.settle(answer).ok_or(Unacceptable::Transport)?;
            Ok(Some(SrtpKeys { ours, theirs }))
        }
        (Some(Protection::Srtp), None) | (None, _) => Err(Unacceptable::Transport),
    }
}

/// The answer's formats; a dynamic number without its `rtpmap` keeps the meaning we offered it with.
fn answered_formats(media: &Media, offer: &Offer) -> Vec<(PayloadType, Format)> {
    let stated = formats::formats(media);
    media
        .fmt
        .split_ascii_whitespace()
        .filter_map(|token| PayloadType::new(token.parse().ok()?))
        .filter_map(|number| {
            let of_number = |(known, _): &&(PayloadType, Format)| *known == number;
            if let Some(format) = stated.iter().find(of_number) {
                return Some(*format);
            }
            if formats::is_mapped(media, number) {
                return None;
            }
            offer.formats.iter().find(of_number).copied()
        })
        .collect()
}

impl Offer {
    /// An offer that was sent before.
    pub(super) fn repeating(
        body: Vec<u8>,
        local: LocalMedia,
        formats: Vec<(PayloadType, Format)>,
        audio_index: usize,
    ) -> Self {
        Self {
            body,
            local,
            formats,
            audio_index,
        }
    }

    fn number_of(&self, format: Format) -> Option<PayloadType> {
        self.formats
            .iter()
            .find(|(_, offered)| *offered == format)
            .map(|(number, _)| *number)
    }

    pub(super) fn formats(&self) -> &[(PayloadType, Format)] {
        &self.formats
    }
}
