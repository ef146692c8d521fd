//! The control socket: one type, two ends.
