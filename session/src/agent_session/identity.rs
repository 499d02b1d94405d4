//! Who calls, as far as the call itself says so.

use crate::pii::Pii;

/// Who calls, and whom they called before this call came here. What the caller wants withheld is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFacts {
    /// The caller's number; a name of the far end's where it has no numbers.
    pub number: Option<Pii<String>>,
    /// The caller's name.
    pub name: Option<Pii<String>>,
    /// Who vouches for the two.
    pub said_by: Option<IdentitySource>,
    /// The caller wants number and name withheld.
    pub private: bool,
    /// Who sent the call on, the last one first.
    pub diverted_by: Vec<Diverted>,
    /// There is a signature over the number (STIR). It is not verified.
    pub signed: bool,
}

/// Where a number was found, the most trusted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// `P-Asserted-Identity`: the network says so.
    Asserted,
    /// `Remote-Party-ID`: the same, before there was a standard.
    RemoteParty,
    /// `P-Preferred-Identity`: the caller asks the network to say so.
    Preferred,
    /// `From`: the caller says so.
    From,
}

/// A party that sent the call on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diverted {
    /// Its number.
    pub number: Pii<String>,
    /// Why, as the network puts it: `no-answer`, `unconditional`, a status.
    pub reason: Option<String>,
}
