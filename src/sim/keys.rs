//! New keys for old while everything runs: those of adverts as an operator rolls them out, in three rounds over all
//! hosts, so that nobody is refused meanwhile; that of the vote, of which there is one, in the middle round.

use super::world::World;
use crate::agent::Config;
use crate::agent::config::Claims;
use crate::claim::datagram;
use crate::vrrp::auth::{Auth, Secret};
use crate::vrrp::hmac::{Key, Keyring};
use std::num::NonZeroU8;
use std::time::Duration;

/// A round over all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Everybody knows the new key, and signs by the old one.
    Know,
    /// Everybody signs by the new one.
    Sign,
    /// Nobody knows the old one any more.
    Forget,
}

impl World {
    /// Rolls out a new key wherever there is one. `pause`: from one host to the next.
    pub(super) fn roll_keys(&mut self, pause: Duration) {
        self.keys_rolled = self.keys_rolled.wrapping_add(1);
        for round in [Round::Know, Round::Sign, Round::Forget] {
            for node in 0..self.nodes.len() {
                let mut config = self.nodes[node].config.clone();
                self.rekey(&mut config, round);
                if config == self.nodes[node].config {
                    continue;
                }
                if self.nodes[node].agent.is_some() {
                    self.reload(node, config);
                } else {
                    self.nodes[node].configure(config);
                }
                self.run_for(pause);
            }
            if round == Round::Sign
                && let Some(key) = datagram::Key::new(&self.secret())
            {
                self.give_witnesses(&key);
            }
        }
    }

    /// What all hosts agree on about a router that this configuration has again has the key of the others.
    pub(super) fn adopt_keys(&self, config: &mut Config) {
        if self.keys_rolled == 0 {
            return;
        }
        for router in &mut config.routers {
            let mut others = self.nodes.iter().flat_map(|node| &node.config.routers);
            if let Some(other) = others.find(|other| other.vrid == router.vrid) {
                router.auth = other.auth.clone();
            }
        }
    }

    fn secret(&self) -> [u8; 32] {
        [self.keys_rolled | 0x80; 32]
    }

    fn rekey(&self, config: &mut Config, round: Round) {
        // None that is used at first.
        let id = NonZeroU8::MAX.get() - self.keys_rolled % 100;
        let Some(new) = NonZeroU8::new(id).and_then(|id| Key::new(id, Secret::new(self.secret()))) else {
            return;
        };
        for router in &mut config.routers {
            if let Auth::Hmac(ring) = &router.auth
                && let Some(rolled) = roll(ring, &new, round)
            {
                router.auth = Auth::Hmac(rolled);
            }
        }
        if let (Some(Claims::Vote(vote)), Round::Sign) = (&mut config.claims, round) {
            vote.key = Secret::new(self.secret());
        }
    }
}

fn roll(ring: &Keyring, new: &Key, round: Round) -> Option<Keyring> {
    let (mut keys, mut active) = (ring.keys().to_vec(), new.id());
    match round {
        Round::Know => {
            keys.push(new.clone());
            active = ring.active().id();
        }
        Round::Sign => {}
        Round::Forget => keys.retain(|key| key == new),
    }
    Keyring::new(keys, active, ring.anti_replay(), ring.mode())
}
