//! Answers to our offer that came before the 2xx. RFC 3261 13.2.1 lets a 2xx do without a description when a
//! reliable provisional response of its dialog had the answer.

use offhook_media::sdp::{SdpError, SessionDescription};
use offhook_sip::message::Response;

use super::description::description_in_response;

/// How many early dialogs are kept track of; a call forks to a handful.
const MOST: usize = 8;

/// The latest answer of each early dialog.
#[derive(Debug, Default)]
pub(super) struct EarlyAnswers {
    by_tag: Vec<(String, SessionDescription)>,
}

impl EarlyAnswers {
    /// Takes the answer in a provisional response, if it has one that can be read.
    pub(super) fn note(&mut self, response: &Response) {
        let (Some(tag), Ok(Some(answer))) = (tag_of(response), description_in_response(response))
        else {
            return;
        };
        self.by_tag.retain(|(known, _)| *known != tag);
        if self.by_tag.len() < MOST {
            self.by_tag.push((tag, answer));
        }
    }

    /// The answer that holds for a 2xx: its own, else the one that its dialog had before.
    pub(super) fn answer_in(
        &self,
        response: &Response,
    ) -> Result<Option<SessionDescription>, SdpError> {
        let own = description_in_response(response)?;
        let tag = tag_of(response);
        let earlier = || {
            let of_dialog = |(known, _): &&(String, _)| Some(known) == tag.as_ref();
            let found = self.by_tag.iter().find(of_dialog);
            found.map(|(_, answer)| answer.clone())
        };
        Ok(own.or_else(earlier))
    }
}

fn tag_of(response: &Response) -> Option<String> {
    Some(response.headers.to().ok()?.tag()?.to_owned())
}
