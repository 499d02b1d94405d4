//! Believing what comes only when it is proven.

use super::cipher::{Cipher, Place};
use super::keys::MasterKey;
use super::suite::SrtpSuite;
use super::{RTCP_CLEAR, RTCP_ENCRYPTED, RTCP_INDEX_BYTES, RtpHeader, rtcp_sender};

/// How far behind the newest a packet may be, and still be told from one that came before. RFC 3711 section 3.3.2 wants
/// 64 at least.
const WINDOW: u64 = 128;
/// So many sources are remembered. A stream changes its source now and then; who has the key may have several.
const SOURCES: usize = 4;
/// After so many proven packets in a row with rising numbers, all too old, the far end has begun its numbers anew. An
/// echo of a recorded half second is what that lets in.
const BEGUN_ANEW: u32 = 25;

/// Why a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It is no packet, or none that is protected.
    #[error("no protected packet")]
    Malformed,
    /// Its tag proves nothing: another key, or not what was sent.
    #[error("not what its sender made of it")]
    Forged,
    /// It came before, or is too old to tell.
    #[error("a packet that came before")]
    Replayed,
}

/// Opens the packets of one stream and its reports.
pub struct SrtpReceiver {
    suite: SrtpSuite,
    rtp: Cipher,
    rtcp: Cipher,
    /// Sources that were proven, the latest first.
    sources: [Option<Source>; SOURCES],
    reports: [Option<Source>; SOURCES],
}

/// What is known of a proven source.
#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: u32,
    /// The highest index so far: 48 bits of RTP, 31 of RTCP.
    newest: u64,
    /// Bit n: the packet n before the newest came.
    seen: u128,
    /// Proven packets that were too old, in a row: how many, and the last one's index.
    old: (u32, u64),
}

impl Source {
    fn first(ssrc: u32, index: u64) -> Self {
        Self {
            ssrc,
            newest: index,
            seen: 1,
            old: (0, 0),
        }
    }

    /// Where in the long count a number belongs (RFC 3711 section 3.3.1): nearest to the newest.
    fn index_of(&self, sequence: u16) -> u64 {
        let rollovers = self.newest >> 16;
        let newest = self.newest as u16;
        let behind = newest.wrapping_sub(sequence);
        let rollovers = if behind < 0x8000 && sequence > newest {
            // Behind, across the last roll-over; before the first there is nothing.
            rollovers.saturating_sub(1)
        } else if behind >= 0x8000 && sequence < newest {
            rollovers + 1
        } else {
            rollovers
        };
        rollovers << 16 | u64::from(sequence)
    }

    /// Where else a number may belong, if not there: a far end that began its numbers anew counts its roll-overs from
    /// none (RFC 3711 section 3.3.1), and one that was not heard for long may have gone on beyond what is nearest.
    fn index_elsewhere(&self, sequence: u16) -> Option<u64> {
        let nearest = self.index_of(sequence) >> 16;
        let rollovers = match nearest {
            0 => self.newest >> 16,
            _ => 0,
        };
        (rollovers != nearest).then_some(rollovers << 16 | u64::from(sequence))
    }

    fn came_before(&self, index: u64) -> bool {
        match self.newest.checked_sub(index) {
            None => false,
            Some(behind) => behind < WINDOW && self.seen >> behind & 1 == 1,
        }
    }

    /// Notes a proven packet; `false` where it is too old to tell.
    fn note(&mut self, index: u64) -> bool {
        if index > self.newest {
            let ahead = index - self.newest;
            self.seen = if ahead < WINDOW {
                self.seen << ahead | 1
            } else {
                1
            };
            self.newest = index;
            self.old = (0, 0);
            return true;
        }
        let behind = self.newest - index;
        if behind < WINDOW {
            self.seen |= 1 << behind;
            return true;
        }
        self.old = match self.old {
            (count, last) if count > 0 && index == last + 1 => (count + 1, index),
            _ => (1, index),
        };
        if self.old.0 < BEGUN_ANEW {
            return false;
        }
        *self = Self::first(self.ssrc, index);
        true
    }
}

impl SrtpReceiver {
    /// Opens with `key`, from the first packet on.
    #[must_use]
    pub fn new(key: &MasterKey) -> Self {
        let suite = key.suite();
        Self {
            suite,
            rtp: Cipher::new(suite, &key.rtp()),
            rtcp: Cipher::new(suite, &key.rtcp()),
            sources: [None; SOURCES],
            reports: [None; SOURCES],
        }
    }

    /// Opens the RTP packet, in place, and gives the length of the plain one.
    ///
    /// # Errors
    /// Why it is dropped; nothing is remembered of it then.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Unproven> {
        self.open_rtp_at(packet, |known, sequence| match known {
            Some(source) => Some(source.index_of(sequence)),
            // A first packet's roll-overs are none (RFC 3711 section 3.3.1).
            None => Some(u64::from(sequence)),
        })
    }

    /// The same for a packet that [`Self::open_rtp`] has just found forged, as one of a numbering that began anew: a
    /// guess at its roll-overs that is wrong looks like a forgery. The failed attempt may have spoilt the packet; it is
    /// to be given as it came.
    ///
    /// # Errors
    /// Why it is dropped; nothing is remembered of it then.
    pub fn open_rtp_begun_anew(&mut self, packet: &mut [u8]) -> Result<usize, Unproven> {
        self.open_rtp_at(packet, |known, sequence| known?.index_elsewhere(sequence))
    }

    fn open_rtp_at(
        &mut self,
        packet: &mut [u8],
        place: impl FnOnce(Option<&Source>, u16) -> Option<u64>,
    ) -> Result<usize, Unproven> {
        let tag_bytes = self.suite.rtp_tag_bytes();
        let length = packet
            .len()
            .checked_sub(tag_bytes)
            .ok_or(Unproven::Malformed)?;
        let (body, tag) = packet.split_at_mut(length);
        let header = RtpHeader::read(body).ok_or(Unproven::Malformed)?;
        let known = find(&self.sources, header.ssrc);
        let index = place(known, header.sequence).ok_or(Unproven::Forged)?;
        if known.is_some_and(|source| source.came_before(index)) {
            return Err(Unproven::Replayed);
        }
        let place = Place::Rtp {
            ssrc: header.ssrc,
            rollovers: (index >> 16) as u32,
            sequence: header.sequence,
        };
        self.rtp
            .open(body, header.length, place, tag)
            .map_err(|_| Unproven::Forged)?;
        remember(&mut self.sources, header.ssrc, index)?;
        Ok(length)
    }

    /// The same for a compound RTCP packet. One that says it is not encrypted is dropped: we ask for no such.
    ///
    /// # Errors
    /// Why it is dropped; nothing is remembered of it then.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Unproven> {
        let tag_bytes = self.suite.rtcp_tag_bytes();
        let length = packet
            .len()
            .checked_sub(tag_bytes + RTCP_INDEX_BYTES)
            .ok_or(Unproven::Malformed)?;
        let (body, behind) = packet.split_at_mut(length);
        let ssrc = rtcp_sender(body).ok_or(Unproven::Malformed)?;
        let (tag, word) = match self.rtcp {
            Cipher::CounterMode { .. } => {
                let (word, tag) = behind.split_at(RTCP_INDEX_BYTES);
                (tag, word)
            }
            Cipher::Gcm { .. } => behind.split_at(tag_bytes),
        };
        let word = word.try_into().map_err(|_| Unproven::Malformed)?;
        let word = u32::from_be_bytes(word);
        if word & RTCP_ENCRYPTED == 0 {
            return Err(Unproven::Malformed);
        }
        let index = u64::from(word & !RTCP_ENCRYPTED);
        let known = find(&self.reports, ssrc);
        if known.is_some_and(|source| source.came_before(index)) {
            return Err(Unproven::Replayed);
        }
        self.rtcp
            .open(body, RTCP_CLEAR, Place::Rtcp { ssrc, word }, tag)
            .map_err(|_| Unproven::Forged)?;
        remember(&mut self.reports, ssrc, index)?;
        Ok(length)
    }
}

fn find(sources: &[Option<Source>; SOURCES], ssrc: u32) -> Option<&Source> {
    sources.iter().flatten().find(|source| source.ssrc == ssrc)
}

/// Notes a proven packet. A source that is new takes the place of the one that was new the longest ago.
fn remember(
    sources: &mut [Option<Source>; SOURCES],
    ssrc: u32,
    index: u64,
) -> Result<(), Unproven> {
    let known = sources
        .iter_mut()
        .flatten()
        .find(|source| source.ssrc == ssrc);
    match known {
        Some(source) => match source.note(index) {
            true => Ok(()),
            false => Err(Unproven::Replayed),
        },
        None => {
            sources.rotate_right(1);
            sources[0] = Some(Source::first(ssrc, index));
            Ok(())
        }
    }
}

impl std::fmt::Debug for SrtpReceiver {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SrtpReceiver({})", self.suite)
    }
}
