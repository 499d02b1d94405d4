//! Everything that must be unguessable or unique: tags, branches, Call-IDs, and the maps' hashing.
//!
//! All of it is one keyed function (SipHash behind a secret prefix) of a counter, so an observer of
//! many identifiers cannot compute the next one, and a run with the same seed repeats itself.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    hash::{BuildHasher, DefaultHasher, Hash, Hasher},
};

/// The magic cookie that starts every RFC 3261 branch (8.1.1.7).
pub(crate) const MAGIC_COOKIE: &str = "z9hG4bK";

/// A map whose hashing is seeded by the caller, so that a peer who picks its own branches and
/// Call-IDs cannot aim at one bucket.
pub(crate) type SeededMap<Key, Value> = HashMap<Key, Value, SeededHash>;

/// Hashing keyed by the endpoint's seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeededHash {
    seed: u64,
}

impl BuildHasher for SeededHash {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher
    }
}

/// Shrinks a map that holds far less than it once did: a burst's room is not kept through the quiet hours after it.
pub(crate) fn give_back_room<Key: Eq + Hash, Value>(map: &mut SeededMap<Key, Value>) {
    /// Not worth giving back.
    const ROOM: usize = 128;
    if map.capacity() > 4 * ROOM && map.len() < map.capacity() / 8 {
        map.shrink_to(ROOM.max(map.len() * 2));
    }
}

/// Makes identifiers.
#[derive(Debug)]
pub(crate) struct Identifiers {
    hash: SeededHash,
    counter: u64,
}

impl Identifiers {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            hash: SeededHash { seed },
            counter: 0,
        }
    }

    /// An empty map with this endpoint's hashing.
    pub(crate) fn map<Key, Value>(&self) -> SeededMap<Key, Value> {
        HashMap::with_hasher(self.hash)
    }

    /// A From or To tag (RFC 3261 19.3 asks for 32 random bits; these are 64).
    pub(crate) fn tag(&mut self) -> String {
        format!("{:016x}", self.next())
    }

    /// A branch for a request of ours.
    pub(crate) fn branch(&mut self) -> String {
        let mut branch = String::with_capacity(MAGIC_COOKIE.len() + 32);
        branch.push_str(MAGIC_COOKIE);
        self.push_128_bits(&mut branch);
        branch
    }

    /// A Call-ID for a call of ours. It carries no host: that would tell our address to everyone.
    pub(crate) fn call_id(&mut self) -> String {
        let mut call_id = String::with_capacity(32);
        self.push_128_bits(&mut call_id);
        call_id
    }

    /// The To tag of a response sent without a transaction: a retransmitted request gets the same
    /// one (RFC 3261 8.2.7), and ordinary tags are not predictable from it.
    pub(crate) fn stateless_tag(&self, call_id: &str, branch: &str) -> String {
        format!(
            "{:016x}",
            self.hash.hash_one(("stateless", call_id, branch))
        )
    }

    /// A number below `bound`, for back-off (RFC 3261 14.1).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn push_128_bits(&mut self, text: &mut String) {
        let (high, low) = (self.next(), self.next());
        write!(text, "{high:016x}{low:016x}").expect("writing to a String does not fail");
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.hash.hash_one(("identifier", self.counter))
    }
}

/// One INVITE usage, incoming or outgoing: a call attempt and the dialog it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InviteId(pub(crate) u64);

/// One REFER of ours and the news about it; the default is none's.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferralId(pub(crate) u64);

/// A registration that keeps itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(pub(crate) u64);

/// One OPTIONS of ours outside any dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub(crate) u64);

impl fmt::Display for InviteId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invite-{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_differ_from_each_other_and_between_seeds_and_repeat_with_a_seed() {
        let (mut one, mut other, mut same) = (
            Identifiers::new(1),
            Identifiers::new(2),
            Identifiers::new(1),
        );
        let tags = [one.tag(), one.tag(), other.tag()];
        assert!(tags[0] != tags[1] && tags[0] != tags[2]);
        assert_eq!(tags[0], same.tag());
        assert!(one.branch().starts_with(MAGIC_COOKIE));
    }
}
