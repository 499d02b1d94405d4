//! The flow agent: a file of steps.

pub mod grammar;
