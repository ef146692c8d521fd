//! A network on this machine that nobody outside sees: hosts as network namespaces around a switch, and a small
//! service and a name server on them.
//!
//! All of it lives in namespaces of processes, mounts and networks of its own, which end with the first process in
//! them; and that ends as soon as whoever began it is gone, however that went. So nothing is left behind.

mod inside;
mod name_server;
mod network;
mod service;
mod zone;

pub use inside::{begin, enter};
pub use name_server::NameServer;
pub use network::{Host, Lab};
pub use service::Service;
