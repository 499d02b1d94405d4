//! What somebody proves to know.

use std::fmt;

/// A password. It has no `Display`, and its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

/// A user's name and password, for one realm or for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name, without quotes and escapes.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// The only realm whose challenges they answer; `None` for any.
    pub realm: Option<String>,
}

impl Credentials {
    /// Whether a challenge of this realm may be answered with them.
    pub(super) fn are_for(&self, realm: &str) -> bool {
        self.realm.as_deref().is_none_or(|only| only == realm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let credentials = Credentials {
            username: "alice".to_owned(),
            password: Secret::new("hunter2"),
            realm: None,
        };
        let shown = format!("{credentials:?} {credentials:#?}");
        assert!(shown.contains("alice") && !shown.contains("hunter2"));
    }
}
