//! The one front door of this crate.
