//! Locum keeps a virtual IP on exactly one healthy server, and moves with it whatever has to move.
//!
//! **A pure agent decides, small doers act, and one loop joins them.** Everything that decides is a
//! function of (state, time, input) that returns an ordered list of effects. Nothing that decides
//! can open a socket, read a clock, start a task, draw a random number or log.
//!
//! | part | modules | may |
//! |---|---|---|
//! | decide | [`time`], [`vrrp`], [`health`], [`claim`], [`agent`] | compute |
//! | do | [`net`], [`check`], [`notify`], [`dns`], [`process`], [`stream`], [`history`], [`snmp`], [`survey`], [`lab`] | one outside thing per file, no policy |
//! | join | [`daemon`] | know both sides |
//! | speak | [`config`], [`control`], [`web`], [`cli`], [`sim`], [`explain`], [`doctor`], [`drill`] | read files, answer people |
//!
//! Four rules keep it so; `tests/layers.rs` reads the sources and fails where one is broken:
//! 1. Deciders hold names, doers hold details (hosts, commands, secrets).
//! 2. Doers hold no policy: they are told what should be true and report what happened.
//! 3. Everything outside comes in as [`agent::Input`], everything wanted goes out as
//!    [`agent::Effect`]. No third channel, no shared state.
//! 4. No decider names a runtime, a socket, a clock or a random source.

#![deny(unsafe_code)]

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub mod agent;
pub mod check;
pub mod claim;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dns;
pub mod doctor;
pub mod drill;
pub mod explain;
pub mod health;
pub mod history;
pub mod lab;
pub mod net;
pub mod notify;
pub mod process;
pub mod sim;
pub mod snmp;
pub mod stream;
pub mod survey;
pub mod time;
pub mod vrrp;
pub mod web;
