//! Protecting what we send.

use super::cipher::{Cipher, Place};
use super::keys::MasterKey;
use super::suite::SrtpSuite;
use super::{RTCP_CLEAR, RTCP_ENCRYPTED, RTCP_INDEX_BYTES, RtpHeader, rtcp_sender};

/// More packets would use a key stream again (RFC 3711 section 9.2). At fifty a second that is after 178,000 years for
/// RTP; RTCP has 2^31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key has protected as many packets as it may")]
pub struct KeyWornOut;

/// Protects the packets of one stream and its reports.
pub struct SrtpSender {
    suite: SrtpSuite,
    rtp: Cipher,
    rtcp: Cipher,
    /// The source, how often its numbers have rolled over, and the last one; `None` before the first packet.
    last: Option<(u32, u32, u16)>,
    rtcp_index: u32,
}

impl SrtpSender {
    /// Protects with `key`, from the first packet on.
    #[must_use]
    pub fn new(key: &MasterKey) -> Self {
        let suite = key.suite();
        Self {
            suite,
            rtp: Cipher::new(suite, &key.rtp()),
            rtcp: Cipher::new(suite, &key.rtcp()),
            last: None,
            rtcp_index: 0,
        }
    }

    /// Protects the RTP packet in the first `length` bytes of `buffer`, in place, and gives its new length. Packets are
    /// given in the order of their numbers. `None` where the bytes are no RTP packet, or there is no room behind them.
    ///
    /// # Errors
    /// [`KeyWornOut`].
    pub fn protect_rtp(
        &mut self,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<Option<usize>, KeyWornOut> {
        let tag_bytes = self.suite.rtp_tag_bytes();
        let Some(header) = buffer.get(..length).and_then(RtpHeader::read) else {
            return Ok(None);
        };
        if buffer.len() < length + tag_bytes {
            return Ok(None);
        }
        let rollovers = match self.last {
            Some((ssrc, rollovers, last)) if ssrc == header.ssrc => {
                let rolls = header.sequence < last;
                rollovers.checked_add(u32::from(rolls)).ok_or(KeyWornOut)?
            }
            // A new source begins anew (RFC 3711 section 3.2.1).
            Some(_) | None => 0,
        };
        self.last = Some((header.ssrc, rollovers, header.sequence));
        let place = Place::Rtp {
            ssrc: header.ssrc,
            rollovers,
            sequence: header.sequence,
        };
        let (packet, rest) = buffer.split_at_mut(length);
        let tag = self.rtp.seal(packet, header.length, place);
        rest[..tag_bytes].copy_from_slice(&tag[..tag_bytes]);
        Ok(Some(length + tag_bytes))
    }

    /// The same for a compound RTCP packet.
    ///
    /// # Errors
    /// [`KeyWornOut`].
    pub fn protect_rtcp(
        &mut self,
        buffer: &mut [u8],
        length: usize,
    ) -> Result<Option<usize>, KeyWornOut> {
        let tag_bytes = self.suite.rtcp_tag_bytes();
        let whole = length + tag_bytes + RTCP_INDEX_BYTES;
        let Some(ssrc) = buffer.get(..length).and_then(rtcp_sender) else {
            return Ok(None);
        };
        if buffer.len() < whole {
            return Ok(None);
        }
        self.rtcp_index += 1;
        if self.rtcp_index >= RTCP_ENCRYPTED {
            self.rtcp_index = RTCP_ENCRYPTED - 1;
            return Err(KeyWornOut);
        }
        let word = RTCP_ENCRYPTED | self.rtcp_index;
        let (packet, rest) = buffer.split_at_mut(length);
        let tag = self
            .rtcp
            .seal(packet, RTCP_CLEAR, Place::Rtcp { ssrc, word });
        let (tag, word) = (&tag[..tag_bytes], word.to_be_bytes());
        let behind = match self.rtcp {
            Cipher::CounterMode { .. } => [&word, tag],
            Cipher::Gcm { .. } => [tag, &word],
        };
        let (first, second) = rest.split_at_mut(behind[0].len());
        first.copy_from_slice(behind[0]);
        second[..behind[1].len()].copy_from_slice(behind[1]);
        Ok(Some(whole))
    }
}

impl std::fmt::Debug for SrtpSender {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SrtpSender({}, {:?})", self.suite, self.last)
    }
}
