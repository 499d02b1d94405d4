//! Whole-program tests, load programs and their floors.
