//! The HTTP listener: health, metrics, the page of live calls.
