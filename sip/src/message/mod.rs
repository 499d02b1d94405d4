//! The wire layer: bytes to messages and back. The only module that names `rsip`.
