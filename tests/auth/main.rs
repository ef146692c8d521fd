//! Who is believed: signed adverts and authentication headers, as agents send and judge them.
//!
//! Clauses of draft-cassen-vrrp-auth-hmac, and of RFC 2338 section 5.3.6.3 as keepalived has it.

mod header;
mod host;
mod memory;
mod signed;
