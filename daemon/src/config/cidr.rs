//! Blocks of addresses in CIDR notation (RFC 4632, RFC 4291 section 2.3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses of one family: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

/// Why a text is no block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// What stands before the slash is no address.
    #[error("is not an IP address with an optional /LENGTH")]
    Address,
    /// The length is no number, or longer than the address.
    #[error("the length after the slash must be a number from 0 to {0}")]
    Length(u8),
    /// The address has bits set that the length cuts off.
    #[error("has bits set behind its length; the block is {0}")]
    HostBits(Cidr),
}

impl Cidr {
    /// Whether `address` lies in the block. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4()
            && bits(address) & mask(&address, self.prefix_bits) == bits(self.network)
    }

    /// The block of that length around `address`; `None` when its family has no such length. An IPv4 address
    /// mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn around(address: IpAddr, prefix_bits: u8) -> Option<Self> {
        let address = address.to_canonical();
        (prefix_bits <= width(&address)).then(|| Self {
            network: from_bits(&address, bits(address) & mask(&address, prefix_bits)),
            prefix_bits,
        })
    }

    /// How many leading bits are given: a block with more of them is smaller.
    #[must_use]
    pub const fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidCidr::Address)?;
        let longest = width(&address);
        let prefix_bits = match length {
            Some(length) => length.parse().ok().filter(|bits| *bits <= longest),
            None => Some(longest),
        };
        let prefix_bits = prefix_bits.ok_or(InvalidCidr::Length(longest))?;
        let network = from_bits(&address, bits(address) & mask(&address, prefix_bits));
        let block = Self {
            network,
            prefix_bits,
        };
        if network == address {
            Ok(block)
        } else {
            Err(InvalidCidr::HostBits(block))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

const fn width(address: &IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn from_bits(family: &IpAddr, bits: u128) -> IpAddr {
    match family {
        // The bits of an IPv4 address never reach beyond 32.
        IpAddr::V4(_) => IpAddr::V4(u32::try_from(bits).unwrap_or(u32::MAX).into()),
        IpAddr::V6(_) => IpAddr::V6(bits.into()),
    }
}

fn mask(family: &IpAddr, prefix_bits: u8) -> u128 {
    let host_bits = u32::from(width(family) - prefix_bits);
    let low = 1_u128
        .checked_shl(host_bits)
        .map_or(u128::MAX, |bit| bit - 1);
    !low & if family.is_ipv4() {
        u128::from(u32::MAX)
    } else {
        u128::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_holds_its_own_addresses_and_no_others() {
        assert!(cidr("127.0.0.0/8").contains("127.255.0.1".parse().unwrap()));
        assert!(!cidr("127.0.0.0/8").contains("128.0.0.1".parse().unwrap()));
        assert!(cidr("192.0.2.7").contains("192.0.2.7".parse().unwrap()));
        assert!(!cidr("192.0.2.7").contains("192.0.2.8".parse().unwrap()));
        assert!(cidr("2001:db8::/32").contains("2001:db8:1::1".parse().unwrap()));
        assert!(!cidr("2001:db8::/32").contains("2001:db9::1".parse().unwrap()));
        assert!(cidr("0.0.0.0/0").contains("203.0.113.9".parse().unwrap()));
        assert!(!cidr("0.0.0.0/0").contains("2001:db8::1".parse().unwrap()));
        assert!(cidr("::/0").contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_mapped_address_counts_as_its_ipv4_self() {
        assert!(cidr("10.0.0.0/8").contains("::ffff:10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn a_wrong_block_says_what_is_wrong() {
        assert_eq!("carrier".parse::<Cidr>(), Err(InvalidCidr::Address));
        assert_eq!("10.0.0.0/33".parse::<Cidr>(), Err(InvalidCidr::Length(32)));
        assert_eq!(
            "10.0.0.1/8".parse::<Cidr>(),
            Err(InvalidCidr::HostBits(cidr("10.0.0.0/8")))
        );
    }
}
