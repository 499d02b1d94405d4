//! Where the far end is: symmetric RTP.
//!
//! SDP names an address, but behind a NAT the packets come from another. So the far end is learnt from
//! its first valid packets and then locked: nobody else's packets reach the call, and ours go where its
//! own came from (RFC 4961). The lock moves only on proof: packets that go on in the same stream (the
//! SSRC kept, sequence numbers just ahead), which a stranger cannot guess, a new address in a re-INVITE,
//! or a few packets from the address that SDP declared, after another was learnt without proof.
//!
//! Where another far end takes the place of the first (REFER, INVITE with Replaces), it is learnt anew, and the first is
//! a stranger: it may send for a while yet.

use std::net::SocketAddr;

/// What is known of the far end's address.
#[derive(Clone, Debug)]
pub(crate) struct FarEnd {
    /// What SDP says.
    declared: Option<SocketAddr>,
    locked: Option<Stream>,
    /// Whether the lock is on an address that nobody vouched for. A stray stream (a call that ended and
    /// still sends, somebody spraying ports) may have come first: the declared address takes it over.
    learnt: bool,
    /// Those who may be it, each by its own packets: a stranger between them does not start them anew.
    candidates: [Option<Candidate>; CANDIDATES],
    /// Where the far end was before a re-INVITE moved it. Its packets are still heard until the new
    /// address speaks.
    previous: Option<Stream>,
    /// The stream of the far end before this one, whose place it took.
    departed: Option<Stream>,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    address: SocketAddr,
    ssrc: u32,
    sequence: u16,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    stream: Stream,
    in_row: u32,
}

/// Addresses that are listened to at once before one of them is the far end's.
const CANDIDATES: usize = 4;
/// Packets in a row that make an undeclared address the far end's, and a declared one in the place of that.
const LEARNT_AFTER: u32 = 3;
/// Packets in a row (a second) after which the old address is believed against a re-INVITE: the new
/// one was a private address behind the same NAT. So is another stream from where the far end before this one was.
const PREVIOUS_BELIEVED_AFTER: u32 = 50;
/// How far ahead sequence numbers may be to continue a stream from another address (a minute).
const CONTINUES_WITHIN: u16 = 3000;

impl FarEnd {
    pub(crate) fn new(declared: Option<SocketAddr>) -> Self {
        Self {
            declared,
            locked: None,
            learnt: false,
            candidates: [None; CANDIDATES],
            previous: None,
            departed: None,
        }
    }

    /// Another far end in the place of this one, with what SDP says of it.
    pub(crate) fn succeeded_by(&self, declared: Option<SocketAddr>) -> Self {
        Self {
            departed: self.locked.or(self.previous).or(self.departed),
            ..Self::new(declared)
        }
    }

    /// Whether packets from there have shown themselves to be the far end's.
    pub(crate) fn is_known_at(&self, address: SocketAddr) -> bool {
        self.locked.is_some_and(|stream| stream.address == address)
    }

    /// Whether that is the SSRC of the far end before this one.
    pub(crate) fn has_departed(&self, ssrc: u32) -> bool {
        self.departed.is_some_and(|stream| stream.ssrc == ssrc)
    }

    /// Where our packets go; `None` while nothing is known.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.locked.map(|stream| stream.address).or(self.declared)
    }

    /// Whether that is the address that SDP says.
    pub(crate) fn is_as_declared(&self) -> bool {
        self.destination().map(|address| address.ip()) == self.declared.map(|address| address.ip())
    }

    /// A re-INVITE was agreed. An unchanged address keeps what was learnt.
    pub(crate) fn redeclare(&mut self, declared: Option<SocketAddr>) {
        if declared == self.declared || declared.is_none() {
            return;
        }
        self.declared = declared;
        if let Some(stream) = self.locked.take() {
            if Some(stream.address) == declared {
                self.locked = Some(stream);
            } else {
                self.previous = Some(stream);
            }
        }
        self.candidates = [None; CANDIDATES];
    }

    /// Whether a packet is the far end's. `expected` says that its payload type was negotiated: only
    /// such packets teach anything.
    pub(crate) fn admits(
        &mut self,
        from: SocketAddr,
        ssrc: u32,
        sequence: u16,
        expected: bool,
    ) -> bool {
        let stream = Stream {
            address: from,
            ssrc,
            sequence,
        };
        match &mut self.locked {
            Some(locked) if locked.address == from => {
                if expected {
                    *locked = stream;
                }
                true
            }
            Some(locked) if expected && stream.continues(locked) => {
                *locked = stream;
                self.learnt &= self.declared != Some(from);
                true
            }
            // One packet may be a keep-alive, or forged.
            Some(_) => {
                let vouched_for = expected && self.learnt && self.declared == Some(from);
                let proven = vouched_for && self.in_row(stream) >= LEARNT_AFTER;
                if proven {
                    self.lock(stream);
                }
                proven
            }
            None if !expected => false,
            None => self.learn(stream),
        }
    }

    fn learn(&mut self, stream: Stream) -> bool {
        if self.declared == Some(stream.address) {
            self.lock(stream);
            return true;
        }
        let was_departeds = self.departed.filter(|at| at.address == stream.address);
        if was_departeds.is_some_and(|departed| departed.ssrc == stream.ssrc) {
            return false;
        }
        let in_row = self.in_row(stream);
        let previous = self.previous.map(|previous| previous.address);
        let was_here_before = previous == Some(stream.address);
        let needed = if was_here_before || was_departeds.is_some() {
            PREVIOUS_BELIEVED_AFTER
        } else {
            LEARNT_AFTER
        };
        if in_row >= needed {
            self.lock(stream);
            return true;
        }
        was_here_before
    }

    /// How many packets of a stream came in a row, with this one. Of too many at once those that came least are forgotten.
    fn in_row(&mut self, stream: Stream) -> u32 {
        let rank = |known: &Option<Candidate>| match known {
            Some(known) if known.stream.address == stream.address => None,
            Some(known) => Some(known.in_row),
            None => Some(0),
        };
        let candidates = self.candidates.iter_mut();
        let Some(slot) = candidates.min_by_key(|known| rank(known)) else {
            return 1;
        };
        let before = slot.filter(|known| {
            known.stream.address == stream.address && stream.continues(&known.stream)
        });
        let in_row = before.map_or(1, |known| known.in_row.saturating_add(1));
        *slot = Some(Candidate { stream, in_row });
        in_row
    }

    fn lock(&mut self, stream: Stream) {
        self.learnt = self.declared != Some(stream.address);
        self.locked = Some(stream);
        self.candidates = [None; CANDIDATES];
        self.previous = None;
        // One that goes on with the SSRC of the first is not to be taken for it.
        self.departed = self.departed.filter(|before| before.ssrc != stream.ssrc);
    }
}

impl Stream {
    fn continues(&self, earlier: &Stream) -> bool {
        let ahead = self.sequence.wrapping_sub(earlier.sequence);
        self.ssrc == earlier.ssrc && (1..=CONTINUES_WITHIN).contains(&ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    const SSRC: u32 = 77;

    #[test]
    fn the_declared_address_is_believed_at_its_first_packet() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        assert_eq!(far_end.destination(), Some(address(4000)));
        assert!(far_end.admits(address(4000), SSRC, 1, true));
        for sequence in 0..100 {
            assert!(
                !far_end.admits(address(5000), 99, sequence, true),
                "a stranger"
            );
        }
        assert_eq!(far_end.destination(), Some(address(4000)));
    }

    #[test]
    fn behind_a_nat_the_far_end_is_learnt_from_three_packets_in_a_row() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        assert!(!far_end.admits(address(5000), SSRC, 1, true));
        assert!(!far_end.admits(address(5000), SSRC, 2, true));
        assert_eq!(far_end.destination(), Some(address(4000)));
        assert!(far_end.admits(address(5000), SSRC, 3, true));
        assert_eq!(far_end.destination(), Some(address(5000)));
        assert!(
            !far_end.admits(address(5002), 5, 1, true),
            "the lock holds against all others"
        );
    }

    #[test]
    fn a_stray_stream_that_came_first_gives_way_to_the_declared_address() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        for sequence in 1..10 {
            far_end.admits(address(5000), 99, sequence, true);
        }
        assert_eq!(far_end.destination(), Some(address(5000)));
        for (sequence, admitted) in [(1, false), (2, false), (3, true)] {
            assert_eq!(
                far_end.admits(address(4000), SSRC, sequence, true),
                admitted
            );
        }
        assert_eq!(far_end.destination(), Some(address(4000)));
        assert!(!far_end.admits(address(5000), 99, 10, true));
    }

    #[test]
    fn one_packet_of_the_declared_address_does_not_displace_who_was_learnt() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        for sequence in 1..200 {
            far_end.admits(address(5000), 99, sequence, true);
            if sequence % 10 == 0 {
                assert!(!far_end.admits(address(4000), SSRC, 7, true));
            }
        }
        assert_eq!(far_end.destination(), Some(address(5000)));
    }

    #[test]
    fn strangers_between_its_packets_do_not_keep_a_far_end_from_being_learnt() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        for sequence in 1..=3 {
            for stranger in 0..3 {
                let stray = address(9_000 + stranger * 2);
                assert!(!far_end.admits(stray, u32::from(sequence) * 100, 1, true));
                assert!(!far_end.admits(stray, 5, 500 - sequence, true));
            }
            let learnt = far_end.admits(address(5000), SSRC, sequence, true);
            assert_eq!(learnt, sequence == 3, "{sequence}");
        }
    }

    #[test]
    fn scattered_or_unexpected_packets_teach_nothing() {
        let mut far_end = FarEnd::new(None);
        for sequence in 0..50 {
            assert!(!far_end.admits(address(5000), u32::from(sequence), sequence, true));
            assert!(!far_end.admits(address(5001), SSRC, sequence, false));
        }
        assert_eq!(far_end.destination(), None);
    }

    #[test]
    fn the_lock_follows_a_stream_that_goes_on_from_elsewhere() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        far_end.admits(address(4000), SSRC, 65_535, true);
        assert!(far_end.admits(address(6000), SSRC, 2, true));
        assert_eq!(far_end.destination(), Some(address(6000)));
        assert!(
            !far_end.admits(address(4000), SSRC, 1, true),
            "an old packet moves nothing back"
        );
    }

    #[test]
    fn a_new_ssrc_from_the_locked_address_is_still_the_far_end() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        far_end.admits(address(4000), SSRC, 9, true);
        assert!(far_end.admits(address(4000), 1234, 40_000, true));
    }

    #[test]
    fn a_re_invite_moves_the_far_end_and_the_old_address_is_heard_until_the_new_one_speaks() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        far_end.admits(address(4000), SSRC, 1, true);
        far_end.redeclare(Some(address(7000)));
        assert_eq!(far_end.destination(), Some(address(7000)));
        for sequence in 2..20 {
            assert!(far_end.admits(address(4000), SSRC, sequence, true));
            assert_eq!(far_end.destination(), Some(address(7000)));
        }
        assert!(far_end.admits(address(7000), 8, 1, true));
        assert!(!far_end.admits(address(4000), SSRC, 5000, true));
    }

    #[test]
    fn a_re_invite_with_an_unreachable_address_is_corrected_by_a_second_of_packets() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        far_end.admits(address(4000), SSRC, 1, true);
        far_end.redeclare(Some(address(7000)));
        for sequence in 2..60 {
            far_end.admits(address(4000), SSRC, sequence, true);
        }
        assert_eq!(far_end.destination(), Some(address(4000)));
    }

    #[test]
    fn another_far_end_is_learnt_anew_and_the_one_before_it_is_a_stranger() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        far_end.admits(address(4000), SSRC, 1, true);
        let mut far_end = far_end.succeeded_by(Some(address(7000)));
        assert_eq!(far_end.destination(), Some(address(7000)));
        for sequence in 2..200 {
            assert!(!far_end.admits(address(4000), SSRC, sequence, true));
        }
        assert_eq!(far_end.destination(), Some(address(7000)));
        // Behind a NAT, as anybody.
        for (sequence, admitted) in [(1, false), (2, false), (3, true)] {
            assert_eq!(far_end.admits(address(7002), 8, sequence, true), admitted);
        }
        assert!(!far_end.admits(address(4000), SSRC, 200, true));
        assert!(far_end.has_departed(SSRC) && !far_end.has_departed(8));
    }

    #[test]
    fn another_far_end_may_come_from_where_the_one_before_it_was() {
        let mut first = FarEnd::new(Some(address(4000)));
        first.admits(address(4000), SSRC, 1, true);
        let mut declared = first.succeeded_by(Some(address(4000)));
        assert!(declared.admits(address(4000), SSRC, 9, true));
        assert!(!declared.has_departed(SSRC));
        // Undeclared, with a stream of its own that lasts.
        let mut far_end = first.succeeded_by(Some(address(7000)));
        let heard = (1..60).position(|sequence| far_end.admits(address(4000), 8, sequence, true));
        assert_eq!(heard, Some(49));
    }

    #[test]
    fn hold_and_the_same_address_again_keep_what_was_learnt() {
        let mut far_end = FarEnd::new(Some(address(4000)));
        for sequence in 1..4 {
            far_end.admits(address(5000), SSRC, sequence, true);
        }
        far_end.redeclare(None);
        far_end.redeclare(Some(address(4000)));
        assert_eq!(far_end.destination(), Some(address(5000)));
    }
}
