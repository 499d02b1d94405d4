//! The INVITE usage: one call attempt and the dialog it makes, as server and as client.
