//! One leg: the audio with one far end.
