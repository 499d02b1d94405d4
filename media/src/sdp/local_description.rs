//! Our description through the life of a dialog.

use sdp_types::Media;

use super::formats::Format;
use super::offer::{Shape, accept_answer, offer_with};
use super::{
    LocalMedia, Negotiated, Offer, SessionDescription, Unacceptable, answer, formats, parse,
};
use crate::codec::PayloadType;

/// Our side of a dialog's session description: what was sent last and what later offers and answers
/// must keep. The version in `o=` rises by one exactly when what we send differs from what we sent
/// before (RFC 3264 section 8): far ends that see it rise restart their media, and some drop the call
/// when an unchanged description comes with a new version.
#[derive(Clone, Debug)]
pub struct LocalDescription {
    local: LocalMedia,
    sent: Option<Vec<u8>>,
    shape: Shape,
}

impl LocalDescription {
    /// A dialog's description, nothing sent yet.
    #[must_use]
    pub fn new(local: LocalMedia) -> Self {
        Self {
            local,
            sent: None,
            shape: Shape::default(),
        }
    }

    /// What we can do and where; a change shows in the next offer or answer.
    pub fn local_mut(&mut self) -> &mut LocalMedia {
        &mut self.local
    }

    /// What we can do and where.
    #[must_use]
    pub fn local(&self) -> &LocalMedia {
        &self.local
    }

    /// Answers their offer, first or later.
    ///
    /// # Errors
    /// [`Unacceptable`]: nothing changed, the media agreed on before goes on (RFC 3261 section 14.2).
    pub fn answer(&mut self, offer: &SessionDescription) -> Result<Negotiated, Unacceptable> {
        let mut negotiated = answer(offer, &self.local)?;
        if self.is_change(&negotiated.body) {
            self.local.session_version = self.local.session_version.wrapping_add(1);
            negotiated = answer(offer, &self.local)?;
        }
        self.sent = Some(negotiated.body.clone());
        self.shape = shape_of(&negotiated.body);
        self.keep_protection(&negotiated);
        Ok(negotiated)
    }

    /// Makes an offer, first or later: a re-INVITE of ours, or the answer to an INVITE without one.
    pub fn offer(&mut self) -> Offer {
        let mut offer = offer_with(&self.local, &self.shape);
        if self.is_change(&offer.body) {
            self.local.session_version = self.local.session_version.wrapping_add(1);
            offer = offer_with(&self.local, &self.shape);
        }
        self.sent = Some(offer.body.clone());
        remember(&mut self.shape.numbers, offer.formats());
        if let Ok(ours) = parse(&offer.body) {
            self.shape.media = ours.session.medias;
        }
        offer
    }

    /// Offers again, letter by letter, what was sent last: a refresh that changes nothing (RFC 4028 section
    /// 7.4). A first offer where nothing was sent yet.
    pub fn repeat(&mut self) -> Offer {
        match &self.sent {
            Some(sent) => Offer::repeating(
                sent.clone(),
                self.local.clone(),
                self.shape.numbers.clone(),
                self.shape.audio_index,
            ),
            None => self.offer(),
        }
    }

    /// Reads the answer to an offer of ours.
    ///
    /// # Errors
    /// See [`accept_answer`].
    pub fn accept_answer(
        &mut self,
        offer: &Offer,
        answer: &SessionDescription,
    ) -> Result<Negotiated, Unacceptable> {
        let negotiated = accept_answer(offer, answer)?;
        self.keep_protection(&negotiated);
        Ok(negotiated)
    }

    /// Later offers of ours are protected where the audio is.
    fn keep_protection(&mut self, negotiated: &Negotiated) {
        if let Some(srtp) = &mut self.local.srtp {
            srtp.offered = srtp.required || negotiated.srtp.is_some();
        }
    }

    fn is_change(&self, body: &[u8]) -> bool {
        self.sent.as_deref().is_some_and(|sent| sent != body)
    }
}

fn remember(numbers: &mut Vec<(PayloadType, Format)>, used: &[(PayloadType, Format)]) {
    for format in used {
        if !numbers.contains(format) {
            numbers.push(*format);
        }
    }
}

/// What our own answer fixed.
fn shape_of(body: &[u8]) -> Shape {
    let Ok(ours) = parse(body) else {
        return Shape::default();
    };
    let media = ours.session.medias;
    let is_ours = |media: &Media| formats::is_audio(media) && media.port != 0;
    let audio_index = media.iter().position(is_ours).unwrap_or(0);
    let numbers = media
        .get(audio_index)
        .map(formats::formats)
        .unwrap_or_default();
    Shape {
        media,
        audio_index,
        numbers,
    }
}
