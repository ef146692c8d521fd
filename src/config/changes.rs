//! What another configuration changes besides routers and checks, of which the agent tells: one line a part, for
//! people.

use super::Details;

impl Details {
    /// What `new` changes, one line each; what takes a restart says so.
    #[must_use]
    pub fn changes(&self, new: &Details) -> Vec<String> {
        let mut lines = Vec::new();
        if self.node != new.node {
            lines.push(format!("node: {} -> {}", self.node, new.node));
        }
        for (changed, what) in [
            (self.scheduling != new.scheduling, "realtime or lock_memory: changed"),
            (self.journal != new.journal, "journal: changed"),
            (self.http != new.http, "http: changed"),
            (self.snmp != new.snmp, "snmp: changed"),
            (self.told != new.told, "messages, mails or FIFOs: changed"),
            (self.records != new.records, "dns: changed"),
            (
                self.store != new.store || self.vote_path != new.vote_path,
                "claim: how it is asked for changed",
            ),
            (self.control != new.control, "agent.control: changed, which takes a restart: locum restart"),
        ] {
            if changed {
                lines.push(what.to_owned());
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{self, Details, Secrets};
    use std::path::Path;

    fn details(text: &str) -> Details {
        let text = format!("[router.web]\ninterface = 'eth0'\nvrid = 51\naddresses = ['10.0.0.100']\n{text}");
        config::parse(&text, Path::new("a.toml"), Secrets::MustRead).unwrap().config.details
    }

    #[test]
    fn each_part_is_told_of_by_its_name_and_an_equal_one_is_not() {
        let plain = details("[agent]\nnode = 'a'");
        assert_eq!(plain.changes(&plain), Vec::<String>::new());
        let said = |text: &str| plain.changes(&details(text)).join("; ");
        assert_eq!(said("[agent]\nnode = 'b'"), "node: a -> b");
        let here = |more: &str| said(&format!("[agent]\nnode = 'a'\n{more}"));
        assert_eq!(here("realtime = 7"), "realtime or lock_memory: changed");
        assert_eq!(here("[http]"), "http: changed");
        assert_eq!(here("[snmp]"), "snmp: changed");
        assert_eq!(here("[journal]\nsize = '2MiB'"), "journal: changed");
        let moved = "agent.control: changed, which takes a restart: locum restart";
        assert_eq!(here("[agent.control]\npath = '/run/other.sock'"), moved);
    }
}
