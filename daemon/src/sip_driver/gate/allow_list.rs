//! Whether an address is in one of many blocks, in as many looks as there are lengths of blocks.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use crate::config::Cidr;

/// The blocks, by length. A configuration of a thousand trunks has a handful of lengths.
#[derive(Debug, Default)]
pub(super) struct AllowList {
    blocks_by_length: BTreeMap<u8, HashSet<Cidr>>,
}

impl AllowList {
    pub(super) fn new(blocks: impl IntoIterator<Item = Cidr>) -> Self {
        let mut list = Self::default();
        for block in blocks {
            let same_length = list.blocks_by_length.entry(block.prefix_bits());
            same_length.or_default().insert(block);
        }
        list
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.blocks_by_length.iter().any(|(length, blocks)| {
            Cidr::around(address, *length).is_some_and(|block| blocks.contains(&block))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_blocks_of_any_length_and_family() {
        let blocks = ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "::1"];
        let list = AllowList::new(blocks.map(|block| block.parse().unwrap()));
        for inside in [
            "192.0.2.7",
            "10.9.8.7",
            "::ffff:10.1.2.3",
            "2001:db8::1",
            "::1",
        ] {
            assert!(list.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["192.0.2.8", "11.0.0.1", "2001:db9::1", "::2"] {
            assert!(!list.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(AllowList::new(["0.0.0.0/0".parse().unwrap()]).contains([8, 8, 8, 8].into()));
        assert!(!AllowList::default().contains([8, 8, 8, 8].into()));
    }
}
