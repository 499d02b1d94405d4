//! Stereo recording.
