//! Randomness for the pure crates, which take it as an argument.

use std::io::Read as _;

use ring::rand::{SecureRandom, SystemRandom};

/// A generator seeded by the kernel once; the numbers it gives name calls, sources and sequences. Not
/// for keys.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Seeded by the kernel.
    ///
    /// # Errors
    /// When `/dev/urandom` cannot be read.
    pub(crate) fn from_kernel() -> std::io::Result<Self> {
        let mut seed = [0; 8];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
        Ok(Self {
            state: u64::from_le_bytes(seed),
        })
    }

    /// The next number: SplitMix64, whose outputs are all different over its whole period.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Random bytes for keys, the kernel's own.
pub(crate) fn for_keys<const LENGTH: usize, const KEYS: usize>() -> [[u8; LENGTH]; KEYS] {
    let mut bytes = [[0; LENGTH]; KEYS];
    SystemRandom::new()
        .fill(bytes.as_flattened_mut())
        .expect("a kernel that has started has random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_repeat() {
        let mut random = Random::from_kernel().expect("urandom");
        let mut numbers: Vec<u64> = (0..10_000).map(|_| random.next_u64()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 10_000);
    }
}
