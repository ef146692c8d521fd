//! What a record should hold, by the state of a router and of checks. Computes; what is written when, is in
//! `desk`.

use crate::agent::{RouterName, Standing, Subject};
use crate::health::{self, CheckName};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who writes a record, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// This host writes only while it is the Master of this router or group; always where there is none.
    pub role: Option<Subject>,
    /// The best one first.
    pub choices: Vec<Choice>,
}

/// An address that the record may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The address.
    pub address: IpAddr,
    /// All of these have to pass.
    pub checks: Vec<CheckName>,
}

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Of routers and groups.
    pub roles: BTreeMap<Subject, Standing>,
    /// Of checks.
    pub checks: BTreeMap<CheckName, health::Standing>,
}

/// What has come to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A router or a group changed its state.
    Role(Subject, Standing),
    /// A check came up or went down.
    Check(CheckName, health::Standing),
    /// How everything stands.
    All(Facts),
    /// The Master of this router here has heard another one, which gives way.
    Rival(RouterName),
}

impl Facts {
    /// Takes in one more.
    pub fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Role(subject, state) => drop(self.roles.insert(subject, state)),
            Fact::Check(check, state) => drop(self.checks.insert(check, state)),
            Fact::All(facts) => *self = facts,
            // Of no state.
            Fact::Rival(_) => {}
        }
    }
}

impl Plan {
    /// Whether who writes goes by this router, or by a group that may have it.
    #[must_use]
    pub fn follows(&self, router: &RouterName) -> bool {
        match &self.role {
            Some(Subject::Router(name)) => name == router,
            Some(Subject::Group(_)) => true,
            None => false,
        }
    }

    /// What this host should have the record hold. `None`: what it holds; another host writes, or it is not
    /// known yet which choice is good, or none is.
    #[must_use]
    pub fn wish(&self, facts: &Facts) -> Option<IpAddr> {
        let writes = self.role.as_ref().is_none_or(|role| facts.roles.get(role) == Some(&Standing::Master));
        if !writes {
            return None;
        }
        for choice in &self.choices {
            let state = |check| facts.checks.get(check).copied().unwrap_or(health::Standing::Pending);
            let states: Vec<_> = choice.checks.iter().map(state).collect();
            if states.contains(&health::Standing::Down) {
                continue;
            }
            // One that may yet be good is better than those behind it.
            let good = !states.contains(&health::Standing::Pending);
            return good.then_some(choice.address);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use health::Standing::{Down, Pending, Up};

    fn web() -> Subject {
        Subject::Router(RouterName("web".into()))
    }

    fn check(name: &str) -> CheckName {
        CheckName(name.into())
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn known(a: health::Standing, b: health::Standing) -> Facts {
        Facts { checks: [(check("a"), a), (check("b"), b)].into(), ..Facts::default() }
    }

    fn two(role: Option<Subject>) -> Plan {
        let choice = |(last, name)| Choice { address: address(last), checks: vec![check(name)] };
        Plan { role, choices: [(1, "a"), (2, "b")].map(choice).into() }
    }

    #[test]
    fn only_the_master_writes() {
        let choices = vec![Choice { address: address(1), checks: Vec::new() }];
        let plan = Plan { role: Some(web()), choices };
        let mut facts = Facts::default();
        assert_eq!(plan.wish(&facts), None);
        for (state, wish) in [
            (Standing::Backup, None),
            (Standing::Master, Some(address(1))),
            (Standing::Fault, None),
            (Standing::Master, Some(address(1))),
            (Standing::Stop, None),
        ] {
            facts.learn(Fact::Role(web(), state));
            assert_eq!(plan.wish(&facts), wish, "{state}");
        }
    }

    #[test]
    fn the_first_choice_whose_checks_pass_is_written() {
        let plan = two(None);
        assert_eq!(plan.wish(&known(Up, Up)), Some(address(1)));
        assert_eq!(plan.wish(&known(Down, Up)), Some(address(2)));
        assert_eq!(plan.wish(&known(Up, Down)), Some(address(1)));
    }

    #[test]
    fn where_no_choice_is_known_to_be_good_nothing_is_changed() {
        let plan = two(None);
        assert_eq!(plan.wish(&known(Down, Down)), None);
        assert_eq!(plan.wish(&known(Pending, Up)), None, "the first may yet be good");
        assert_eq!(plan.wish(&known(Down, Pending)), None);
        assert_eq!(plan.wish(&Facts::default()), None);
    }

    #[test]
    fn a_backup_does_not_write_what_its_checks_say() {
        let (plan, mut facts) = (two(Some(web())), known(Down, Up));
        assert_eq!(plan.wish(&facts), None);
        facts.learn(Fact::Role(web(), Standing::Master));
        assert_eq!(plan.wish(&facts), Some(address(2)));
        facts.learn(Fact::All(known(Up, Up)));
        assert_eq!(plan.wish(&facts), None, "of the router nothing is known any more");
    }
}
