//! RTCP: what both sides tell each other about the audio (RFC 3550 section 6).
//!
//! ```text
//! in:  datagram → packet::read → whose? → their clock, what they received of us, round trip
//! out: schedule → what we sent, what we received → packet::write → datagram
//!                                          └─► mos: how it sounds, both ways
//! ```
//!
//! A leg owns one `Rtcp`, and says where packets come from and go to. The clock in our sender reports counts from
//! the leg's beginning, as section 6.4.1 allows who has no wall clock: nothing here is to be kept in step with
//! anything else.

mod mos;
mod our_stream;
mod packet;
mod schedule;
mod statistics;
mod their_stream;

use std::time::{Duration, Instant};

pub use mos::{Mos, Path, burst_ratio};
pub use packet::{
    CNAME_BYTES, Heard, LONGEST_REPORT, Report, ReportBlock, SenderInfo, Source, Unreadable,
    is_rtcp, read,
};
pub use statistics::{Quality, ReportOnUs, RtcpStatistics};

use crate::codec::Codec;
use crate::receiver::{ReceivedStream, ReceiverStatistics};
use crate::sender::StreamStart;
use our_stream::OurStream;
use schedule::{Draws, Schedule};
use statistics::Rated;
use their_stream::TheirStream;

/// What our clock said when the leg began. Not zero, so that the middle of a report's time is never the zero that
/// stands for no report (section 6.4.1).
const CLOCK_BEGINS: u64 = 1 << 32;
/// A longer round trip is an error of somebody's clock.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(60);
/// Payload types' clocks are compared in microseconds.
const MICROSECONDS: u64 = 1_000_000;

/// The leg's state that a report speaks of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// The codec both directions use.
    pub(crate) codec: Codec,
    /// Where the outgoing stream is.
    pub(crate) position: StreamStart,
    /// RTP packets and payload octets sent in the leg's life.
    pub(crate) sent: (u64, u64),
    /// The far end's stream, once there is one.
    pub(crate) stream: Option<ReceivedStream>,
    /// What the receiver counted.
    pub(crate) receiver: ReceiverStatistics,
}

/// One leg's side of RTCP.
#[derive(Debug)]
pub(crate) struct Rtcp {
    began: Instant,
    us: Source,
    draws: Draws,
    schedule: Schedule,
    /// Our stream's first sequence number, and what was sent before it began.
    first_sequence: u16,
    sent_before: (u64, u64),
    /// Packets sent when the last two reports went out, the older one first.
    sent_at_reports: [u64; 2],
    ours: OurStream,
    theirs: TheirStream,
    /// Somebody else uses our SSRC: it is given up with the next report.
    collided: bool,
    rated: Rated,
    statistics: RtcpStatistics,
    buffer: [u8; LONGEST_REPORT],
}

impl Rtcp {
    /// Begins with a stream whose random beginning is also the seed of names and intervals.
    pub(crate) fn new(start: StreamStart, now: Instant) -> Self {
        let seed = (u64::from(start.ssrc) << 32) | u64::from(start.timestamp);
        let mut draws = Draws(seed ^ (u64::from(start.sequence) << 16));
        let schedule = Schedule::new(draws.next(), now);
        Self {
            began: now,
            us: Source {
                ssrc: start.ssrc,
                cname: cname(&mut draws),
            },
            draws,
            schedule,
            first_sequence: start.sequence,
            sent_before: (0, 0),
            sent_at_reports: [0; 2],
            ours: OurStream::default(),
            theirs: TheirStream::default(),
            collided: false,
            rated: Rated::default(),
            statistics: RtcpStatistics::default(),
            buffer: [0; LONGEST_REPORT],
        }
    }

    /// Whose packets ours are.
    pub(crate) fn us(&self) -> &Source {
        &self.us
    }

    /// What was counted and heard so far.
    pub(crate) fn statistics(&self) -> RtcpStatistics {
        self.statistics
    }

    /// How the call sounds: since the last report, and in all.
    pub(crate) fn quality(&self, facts: &Facts) -> Quality {
        self.rated.quality(&self.statistics, facts)
    }

    /// A datagram that is nobody's business here.
    pub(crate) fn refuse(&mut self) {
        self.statistics.refused += 1;
    }

    /// Takes what the far end says. `stream` is the SSRC its RTP comes with, where it sends any; what is said about
    /// the clock of another stream is not used.
    pub(crate) fn handle(
        &mut self,
        heard: &Heard,
        stream: Option<u32>,
        clock_rate_hz: u32,
        at: Instant,
    ) {
        if heard.sender == Some(self.us.ssrc) {
            if heard.is_ours {
                self.refuse();
            } else {
                self.collide(at);
            }
            return;
        }
        self.statistics.received += 1;
        self.statistics.last_heard = Some(at);
        self.statistics.goodbye |= heard.goodbye;
        if let (Some(info), Some(ssrc)) = (heard.sender_info, heard.sender)
            && stream.is_none_or(|stream| stream == ssrc)
        {
            self.theirs.note_sender_report(ssrc, info.ntp, at);
        }
        if let Some(block) = heard.about_us {
            self.note_block(heard.sender, &block, clock_rate_hz, at);
        }
    }

    fn note_block(
        &mut self,
        reporter: Option<u32>,
        block: &ReportBlock,
        clock_rate_hz: u32,
        at: Instant,
    ) {
        let round_trip = self.round_trip(block, at);
        if let Some(round_trip) = round_trip {
            self.rated.note_round_trip(round_trip);
            self.statistics.round_trip = Some(round_trip);
        }
        let jitter_us = u64::from(block.jitter) * MICROSECONDS / u64::from(clock_rate_hz.max(1));
        let counted = self.ours.count(reporter, block, self.first_sequence);
        self.statistics.on_us = Some(ReportOnUs {
            fraction_lost: block.fraction_lost,
            lost: counted.lost,
            expected: counted.expected,
            jitter_us: u32::try_from(jitter_us).unwrap_or(u32::MAX),
        });
    }

    /// How long it took there and back (section 6.4.1): the far end gives us our own time again, and how long it kept it.
    fn round_trip(&self, block: &ReportBlock, at: Instant) -> Option<Duration> {
        if block.last_sender_report == 0 {
            return None;
        }
        let there = middle(self.clock(at)).wrapping_sub(block.last_sender_report);
        let round_trip = there.wrapping_sub(block.delay_since);
        // A few units below zero are rounding on a path that takes no time.
        let units = u64::try_from(round_trip.cast_signed().max(0)).unwrap_or(0);
        let plausible = there.cast_signed() >= 0 && round_trip.cast_signed() > -66;
        let round_trip = Duration::from_micros((units * MICROSECONDS) >> 16);
        (plausible && round_trip <= LONGEST_ROUND_TRIP).then_some(round_trip)
    }

    /// Somebody else's packets bear our SSRC (section 8.2): it is said goodbye to, and another taken.
    pub(crate) fn collide(&mut self, now: Instant) {
        if !self.collided {
            self.collided = true;
            self.schedule.hurry(now);
        }
    }

    /// Whether a report is to be made now; one comparison while none is.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        self.schedule.is_due(now)
    }

    /// Makes the report that is due and answers its length. After a collision it is the old source's last; then [`Self::us`] is another, with
    /// which the stream is to go on.
    pub(crate) fn report(&mut self, facts: &Facts, now: Instant) -> usize {
        self.rated.note_report(&self.statistics, facts);
        let length = self.write(facts, self.collided, now);
        self.sent_at_reports = [self.sent_at_reports[1], facts.sent.0];
        self.schedule.sent(now);
        if self.collided {
            self.collided = false;
            self.statistics.collisions += 1;
            self.us.ssrc = (self.draws.next() >> 32) as u32;
            self.first_sequence = facts.position.sequence;
            self.sent_before = facts.sent;
            self.ours = OurStream::default();
        }
        length
    }

    /// Nobody is there to have the report that is due: only the span that is rated ends with it.
    pub(crate) fn pass_over(&mut self, facts: &Facts, now: Instant) {
        self.rated.note_report(&self.statistics, facts);
        self.schedule.sent(now);
    }

    /// The first `length` bytes of what was written last.
    pub(crate) fn written(&self, length: usize) -> &[u8] {
        &self.buffer[..length]
    }

    /// The last report, with BYE; `None` where nothing was ever sent (section 6.3.7). In a call of two it may go out
    /// at once.
    pub(crate) fn goodbye(&mut self, facts: &Facts, now: Instant) -> Option<&[u8]> {
        if facts.sent.0 == 0 && self.statistics.sent == 0 {
            return None;
        }
        let length = self.write(facts, true, now);
        Some(&self.buffer[..length])
    }

    fn write(&mut self, facts: &Facts, goodbye: bool, now: Instant) -> usize {
        self.statistics.sent += 1;
        let (packets, octets) = facts.sent;
        let (packets_before, octets_before) = self.sent_before;
        // Who sent something since the report before the last is a sender (section 6.4).
        let we_sent = packets > self.sent_at_reports[0];
        let report = Report {
            us: self.us,
            sender_info: we_sent.then(|| SenderInfo {
                ntp: self.clock(now),
                rtp_timestamp: facts.position.timestamp,
                // They wrap around, as the fields do.
                packets: (packets - packets_before) as u32,
                octets: (octets - octets_before) as u32,
            }),
            block: facts.stream.and_then(|stream| {
                let clock_rate_hz = facts.codec.clock_rate_hz();
                self.theirs.block(&stream, clock_rate_hz, now)
            }),
            goodbye,
        };
        report.write(&mut self.buffer)
    }

    /// Our clock as an NTP timestamp.
    fn clock(&self, at: Instant) -> u64 {
        let elapsed = at.saturating_duration_since(self.began);
        let fraction = (u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000;
        CLOCK_BEGINS + (elapsed.as_secs() << 32) + fraction
    }
}

/// The middle 32 bits of an NTP timestamp: 65,536ths of a second.
fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// A name that says nothing about anybody (RFC 7022 section 4.2), for the life of the leg.
fn cname(draws: &mut Draws) -> [u8; CNAME_BYTES] {
    const SYMBOLS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bits = (u128::from(draws.next()) << 64) | u128::from(draws.next());
    std::array::from_fn(|index| SYMBOLS[(bits >> (5 * index)) as usize % SYMBOLS.len()])
}
