//! What touches the network: raw sockets, addresses, announcements, links.
//!
//! Doers hold no policy: they are told what should be true and report what happened.

pub mod announce;
pub mod raw_socket;
