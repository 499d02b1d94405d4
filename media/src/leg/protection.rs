//! SRTP around a leg: what comes is opened before anything else looks at it, what goes is protected last.

use crate::srtp::{KeyWornOut, MAXIMUM_OVERHEAD, SrtpKeys, SrtpReceiver, SrtpSender, Unproven};

/// The longest datagram that is worked on; longer ones are no audio of ours.
const LONGEST: usize = 2_048;

/// The protection of one leg; its buffers are made once.
pub(super) struct Protection {
    keys: SrtpKeys,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    buffer: Box<[u8; LONGEST]>,
    unproven: u64,
}

impl Protection {
    pub(super) fn new(keys: SrtpKeys) -> Self {
        Self {
            sender: SrtpSender::new(&keys.ours),
            receiver: SrtpReceiver::new(&keys.theirs),
            keys,
            buffer: Box::new([0; LONGEST]),
            unproven: 0,
        }
    }

    /// What a later offer and answer settled on. A direction whose key stays goes on with its numbers; one with a new
    /// key begins anew.
    pub(super) fn settle(&mut self, keys: SrtpKeys) {
        if keys.ours != self.keys.ours {
            self.sender = SrtpSender::new(&keys.ours);
        }
        if keys.theirs != self.keys.theirs {
            self.receiver = SrtpReceiver::new(&keys.theirs);
        }
        self.keys = keys;
    }

    /// The plain packet in a datagram of the far end's; `None` where it is not proven to be one. What comes from its
    /// address is tried as one of a numbering that began anew, too; a stranger is to cost one attempt only.
    pub(super) fn open(&mut self, datagram: &[u8], is_from_far_end: bool) -> Option<&[u8]> {
        self.open_by(datagram, |receiver, packet| {
            let opened = receiver.open_rtp(packet);
            if opened != Err(Unproven::Forged) || !is_from_far_end {
                return opened;
            }
            packet.copy_from_slice(datagram);
            receiver.open_rtp_begun_anew(packet)
        })
    }

    /// The same for a compound RTCP packet.
    pub(super) fn open_report(&mut self, datagram: &[u8]) -> Option<&[u8]> {
        self.open_by(datagram, SrtpReceiver::open_rtcp)
    }

    fn open_by(
        &mut self,
        datagram: &[u8],
        open: impl FnOnce(&mut SrtpReceiver, &mut [u8]) -> Result<usize, Unproven>,
    ) -> Option<&[u8]> {
        let opened = self.buffer.get_mut(..datagram.len()).and_then(|packet| {
            packet.copy_from_slice(datagram);
            open(&mut self.receiver, packet).ok()
        });
        if opened.is_none() {
            self.unproven += 1;
        }
        Some(&self.buffer[..opened?])
    }

    /// A packet of ours as it is sent; `None` where the key is worn out, after longer than any call.
    pub(super) fn seal(&mut self, packet: &[u8]) -> Option<&[u8]> {
        self.seal_by(packet, SrtpSender::protect_rtp)
    }

    /// The same for a compound RTCP packet.
    pub(super) fn seal_report(&mut self, packet: &[u8]) -> Option<&[u8]> {
        self.seal_by(packet, SrtpSender::protect_rtcp)
    }

    fn seal_by(
        &mut self,
        packet: &[u8],
        seal: impl FnOnce(&mut SrtpSender, &mut [u8], usize) -> Result<Option<usize>, KeyWornOut>,
    ) -> Option<&[u8]> {
        if packet.len() + MAXIMUM_OVERHEAD > LONGEST {
            return None;
        }
        self.buffer[..packet.len()].copy_from_slice(packet);
        let sealed = seal(&mut self.sender, &mut self.buffer[..], packet.len());
        let length = sealed.ok().flatten()?;
        Some(&self.buffer[..length])
    }

    /// Datagrams that were not proven.
    pub(super) fn unproven(&self) -> u64 {
        self.unproven
    }
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Protection({:?}, {:?})", self.keys, self.sender)
    }
}
