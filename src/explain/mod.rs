//! What a configuration will do, in plain words: who is Master when, what each failing check changes,
//! what is on the wire, what the firewall must let through.
//!
//! No rule of the protocol is written down here a second time: `cast` says who takes part, `scenes` and
//! `checks` have the real agents play it, in [`crate::sim::Rehearsal`], and tell what came of it; `wire`
//! reads the adverts that they sent, and `firewall` makes rules for those.

mod about;
mod cast;
mod checks;
mod firewall;
mod scenes;
mod text;
mod turn;
mod wire;

pub use firewall::Firewall;
pub use scenes::Scene;
pub use wire::Wire;

use crate::agent::config::Claims;
use crate::agent::{self, RouterName, Standing};
use crate::config::Config;
use cast::Cast;
use serde::Serialize;

/// Another host's configuration.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What it is called: its file.
    pub name: String,
    /// What its agent decides by.
    pub rules: agent::Config,
}

/// Everything there is to say about one configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What moves together: groups, and the routers in none.
    pub roles: Vec<Role>,
    /// The adverts of each router and family.
    pub wire: Vec<Wire>,
    /// What has to pass this host's firewall.
    pub firewall: Firewall,
}

/// A router, or a group of routers that share one role.
#[derive(Clone, Debug, Serialize)]
pub struct Role {
    /// The router's name, or the group's.
    pub name: String,
    /// Its routers.
    pub routers: Vec<RouterName>,
    /// What it is and holds, a line each.
    pub about: Vec<String>,
    /// Whom it was played against, in one line.
    pub against: String,
    /// Who is Master when.
    pub election: Vec<Scene>,
    /// What each failing check changes.
    pub checks: Vec<Scene>,
}

/// What `config` will do, beside `peers`, or beside one that is assumed where there are none.
#[must_use]
pub fn explain(config: &Config, peers: &[Peer]) -> Explanation {
    let casts = cast::casts(config, peers);
    let roles = casts.iter().map(|cast| role(cast, config)).collect();
    let wire = on_the_wire(&casts);
    let mut firewall = firewall::firewall(&wire);
    config.agent.routers.iter().for_each(|router| firewall::own(&mut firewall, router));
    if let Some(Claims::Vote(vote)) = &config.agent.claims {
        firewall::votes(&mut firewall, vote);
    }
    if let Some(path) = &config.details.vote_path {
        firewall::vote_path(&mut firewall, path.own, path.others.values().copied());
    }
    let endpoints = config.details.store.iter().flat_map(|store| &store.endpoints);
    firewall::store(&mut firewall, endpoints.map(|endpoint| endpoint.address));
    let probes = config.details.checks.values().map(|spec| &spec.probe);
    firewall::sessions(&mut firewall, probes);
    Explanation { roles, wire, firewall }
}

/// The adverts of each router and family of `config`, and nothing else of its explanation.
#[must_use]
pub fn wires(config: &Config) -> Vec<Wire> {
    on_the_wire(&cast::casts(config, &[]))
}

fn on_the_wire(casts: &[Cast<'_>]) -> Vec<Wire> {
    casts.iter().flat_map(wire::wire).collect()
}

fn role(cast: &Cast<'_>, config: &Config) -> Role {
    let election = scenes::election(cast);
    // Of one that takes no part nothing can fail.
    let takes_part = election.first().is_some_and(|start| start.state != Some(Standing::Fault));
    Role {
        name: cast.name.clone(),
        routers: cast.written.iter().map(|router| router.name.clone()).collect(),
        about: about::about(cast),
        against: about::against(cast),
        election,
        checks: if takes_part { checks::checks(cast, config) } else { Vec::new() },
    }
}
