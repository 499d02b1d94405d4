//! The `offhook` program.

fn main() {}
