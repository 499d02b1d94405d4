//! The child process that holds the speech libraries, and its supervisor.
