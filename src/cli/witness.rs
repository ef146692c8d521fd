//! `locum witness`: one vote more, on a host without addresses.

use super::{Failure, complain};
use crate::claim::datagram::Key;
use crate::claim::{Ttl, VoterId};
use crate::config::claim;
use crate::daemon;
use crate::net::vote_socket::SecondPath;
use clap::Args;
use std::net::SocketAddr;

/// Vote on who may hold the addresses, on a host that holds none: two servers and a witness never have two
/// Masters
#[derive(Debug, Args)]
#[command(after_help = "It needs no privilege and keeps nothing on disk. The servers name it in [claim]: \
                        voters = { w = \"ADDRESS\" }, witness = \"w\".")]
pub(super) struct Witness {
    /// This host's own address, with a port or without
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = voter)]
    listen: VoterId,
    /// Another address of its own, where votes come as well: a second path
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = voter, requires = "also")]
    second_path: Option<VoterId>,
    /// A voter, and where it is by the second path; once for each
    #[arg(long, value_name = "VOTER=ADDRESS[:PORT]", value_parser = pair, requires = "second_path")]
    also: Vec<(VoterId, VoterId)>,
    /// The key that all voters share: a `file:` with its path, or a `credential:` of systemd
    #[arg(long, value_name = "REFERENCE")]
    key: String,
    /// The longest interval of a router it votes on, in milliseconds; it is silent for three of them after
    /// its start
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=40_950))]
    interval: u32,
}

impl Witness {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let secret = claim::key(&self.key).map_err(Failure::Other)?;
        let key = Key::new(secret.expose())
            .ok_or_else(|| Failure::Other(format!("{}: a key has at least 32 bytes", self.key)))?;
        let longest = Ttl::from_millis(self.interval * 3)
            .ok_or_else(|| Failure::Other(format!("--interval {}: too long", self.interval)))?;
        let place = |id: VoterId| SocketAddr::new(id.address, id.port);
        let others = self.also.into_iter().map(|(voter, there)| (voter, place(there))).collect();
        let second = self.second_path.map(|own| SecondPath { own: place(own), others });
        complain(&format!("votes at {}, in {} ms", self.listen, longest.millis()));
        daemon::witness(self.listen, second.as_ref(), key, longest)
            .map_err(|error| Failure::Other(error.to_string()))?;
        Ok(super::WELL)
    }
}

fn pair(text: &str) -> Result<(VoterId, VoterId), String> {
    let (one, other) = text.split_once('=').ok_or_else(|| format!("\"{text}\": write VOTER=ADDRESS"))?;
    Ok((voter(one)?, voter(other)?))
}

fn voter(text: &str) -> Result<VoterId, String> {
    claim::parse(text).ok_or_else(|| format!("\"{text}\" is no address of one host"))
}
