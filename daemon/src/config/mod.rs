//! Configuration: layers, checks and every mistake by file and key.
