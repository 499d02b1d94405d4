//! The ports media is received on: an even one for RTP with the odd one above it for RTCP
//! (RFC 3550 section 11).

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A range of UDP ports that media threads take their pairs from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Why a text is no range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPortRange {
    /// Not two port numbers with a dash between them.
    #[error("is not of the form FIRST-LAST with ports from 1024 to 65535")]
    Form,
    /// No even port with an odd one above it lies in the range.
    #[error("holds no pair of an even port and the odd one above it")]
    Empty,
}

impl PortRange {
    /// The RTP ports of the range: the even ones whose odd neighbour is in the range too.
    pub fn rtp_ports(&self) -> impl DoubleEndedIterator<Item = u16> + use<> {
        let first = u32::from(self.first).next_multiple_of(2);
        (first..u32::from(self.last))
            .step_by(2)
            .filter_map(|port| u16::try_from(port).ok())
    }

    /// How many calls the range has ports for, on one address.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.rtp_ports().count()
    }

    /// The part of the range that lies in `others`.
    fn overlap(&self, others: &RangeInclusive<u16>) -> Option<RangeInclusive<u16>> {
        let both = self.first.max(*others.start())..=self.last.min(*others.end());
        (!both.is_empty()).then_some(both)
    }
}

impl FromStr for PortRange {
    type Err = InvalidPortRange;

    fn from_str(text: &str) -> Result<Self, InvalidPortRange> {
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port >= 1024);
        let (first, last) = text.split_once('-').ok_or(InvalidPortRange::Form)?;
        let (Some(first), Some(last)) = (port(first), port(last)) else {
            return Err(InvalidPortRange::Form);
        };
        let range = Self { first, last };
        if range.pairs() == 0 {
            Err(InvalidPortRange::Empty)
        } else {
            Ok(range)
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The ports the kernel gives to sockets that ask for any. One of them in the middle of a media range
/// would be taken by some other socket sooner or later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EphemeralPorts {
    range: RangeInclusive<u16>,
    reserved: Vec<RangeInclusive<u16>>,
}

impl EphemeralPorts {
    /// What this kernel gives out; nothing when it does not say.
    #[must_use]
    pub fn of_this_kernel() -> Option<Self> {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok();
        Self::parse(
            &read("ip_local_port_range")?,
            &read("ip_local_reserved_ports").unwrap_or_default(),
        )
    }

    /// Reads the kernel's two settings: `32768 60999`, and reserved ports as `8000,10000-19999`.
    #[must_use]
    pub fn parse(range: &str, reserved: &str) -> Option<Self> {
        let mut numbers = range.split_whitespace().map(str::parse);
        let (Some(Ok(first)), Some(Ok(last))) = (numbers.next(), numbers.next()) else {
            return None;
        };
        let reserved = reserved
            .trim()
            .split(',')
            .filter_map(|block| {
                let (first, last) = block.split_once('-').unwrap_or((block, block));
                Some(first.parse().ok()?..=last.parse().ok()?)
            })
            .collect();
        Some(Self {
            range: first..=last,
            reserved,
        })
    }

    /// The part of `ports` that the kernel may give to anybody.
    #[must_use]
    pub fn conflict(&self, ports: &PortRange) -> Option<RangeInclusive<u16>> {
        let conflict = ports.overlap(&self.range)?;
        let reserved = |port: u16| self.reserved.iter().any(|block| block.contains(&port));
        if conflict.clone().all(reserved) {
            None
        } else {
            Some(conflict)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(text: &str) -> PortRange {
        text.parse().unwrap()
    }

    #[test]
    fn only_whole_pairs_are_counted() {
        assert_eq!(ports("10000-19999").pairs(), 5000);
        assert_eq!(
            ports("10001-10004").rtp_ports().collect::<Vec<_>>(),
            [10002]
        );
        assert_eq!(
            ports("65534-65535").rtp_ports().collect::<Vec<_>>(),
            [65534]
        );
        assert_eq!(
            "10001-10002".parse::<PortRange>(),
            Err(InvalidPortRange::Empty)
        );
        assert_eq!("10000".parse::<PortRange>(), Err(InvalidPortRange::Form));
        assert_eq!("80-90".parse::<PortRange>(), Err(InvalidPortRange::Form));
    }

    #[test]
    fn a_range_the_kernel_gives_out_is_a_conflict_unless_it_is_reserved() {
        let kernel = EphemeralPorts::parse("32768\t60999\n", "\n").unwrap();
        assert_eq!(kernel.conflict(&ports("10000-19999")), None);
        assert_eq!(kernel.conflict(&ports("30000-39999")), Some(32768..=39999));
        let kernel = EphemeralPorts::parse("32768 60999", "8060,32768-39999").unwrap();
        assert_eq!(kernel.conflict(&ports("30000-39999")), None);
    }
}
