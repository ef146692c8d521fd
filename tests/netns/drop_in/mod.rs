//! In keepalived's place: Locum and Debian's keepalived side by side, both started by keepalived's
//! command line with one and the same keepalived.conf.

mod cases;
mod dumps;
mod exits;
mod generated;
mod history;
mod kernel;
pub mod node;
mod oddities;
mod pairs;
#[path = "../../compat/readers.rs"]
mod readers;
