//! Three buses into one.
