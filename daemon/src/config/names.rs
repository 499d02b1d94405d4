//! The names trunks and agents go by.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

const LONGEST_NAME: usize = 64;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to 64 characters of a-z, A-Z, 0-9, '-', '_' and '.', and begins with a letter or digit"
)]
pub struct InvalidName;

fn checked(text: &str) -> Result<Box<str>, InvalidName> {
    let begins_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    let holds_well = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if begins_well && holds_well && text.len() <= LONGEST_NAME {
        Ok(text.into())
    } else {
        Err(InvalidName)
    }
}

macro_rules! name {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as the configuration spells it.
            #[must_use]
            pub const fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                checked(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The name of a trunk: the table `[trunk.NAME]`.
    TrunkName
}
name! {
    /// The name of an agent: the table `[agent.NAME]`.
    AgentName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_spaces_and_no_leading_dash() {
        assert!("front-desk".parse::<AgentName>().is_ok());
        assert!("4711.b".parse::<TrunkName>().is_ok());
        for wrong in ["", "-desk", "front desk", "küche", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<AgentName>(), Err(InvalidName), "{wrong}");
        }
    }
}
