//! `[snmp]`: what is served to managers, and the master agent that they ask.

use super::problem::Finding;
use super::section::{Section, Wrong};
use super::value::{flag, text};
use crate::snmp::{Master, Settings};
use serde_spanned::Spanned;

pub(super) fn read(top: &Section<'_>) -> Option<Settings> {
    let section = top.raw("snmp").and_then(|value| top.inner("snmp", value, "[snmp]".to_owned()))?;
    let on = |key, usual| section.optional(key, flag).map_or(usual, Spanned::into_inner);
    let master = section.optional("socket", |value| Master::parse(&text(value)?).map_err(Wrong::new));
    let settings = Settings {
        master: master.map(Spanned::into_inner).unwrap_or_default(),
        keepalived: on("keepalived", true),
        rfc2787: on("rfc2787", false),
        rfc6527: on("rfc6527", false),
        traps: on("traps", false),
    };
    if !settings.serves() {
        let finding = Finding::warning(&section.span, "nothing is served by SNMP");
        section.sink().add(finding.help("set keepalived, rfc2787 or rfc6527 to true, or remove [snmp]"));
    }
    section.finish();
    Some(settings)
}

#[cfg(test)]
mod tests {
    use crate::config::{Loaded, Problems, Secrets, parse};
    use crate::snmp::{Master, Settings};
    use std::path::Path;

    fn load(text: &str) -> Result<Loaded, Problems> {
        let router = "[router.web]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"10.0.0.1\"]\n";
        parse(&format!("{router}{text}"), Path::new("x.toml"), Secrets::MustRead)
    }

    #[test]
    fn the_table_alone_serves_what_keepalived_serves_and_sends_nothing() {
        let of = |text| load(text).unwrap().config.details.snmp;
        let usual = Settings {
            master: Master::default(),
            keepalived: true,
            rfc2787: false,
            rfc6527: false,
            traps: false,
        };
        assert_eq!((of(""), of("[snmp]\n")), (None, Some(usual.clone())));
        let master = Master::Tcp("localhost".to_owned(), 705);
        let all = "[snmp]\nsocket = \"tcp:localhost:705\"\nrfc2787 = true\nrfc6527 = true\ntraps = true\n";
        let expected = Settings { master, rfc2787: true, rfc6527: true, traps: true, ..usual };
        assert_eq!(of(all), Some(expected));
    }

    #[test]
    fn what_cannot_be_a_socket_is_an_error_and_what_serves_nothing_is_told() {
        let wrong = load("[snmp]\nsocket = \"udp:x\"\nsokcet = 1\n").unwrap_err().to_string();
        assert!(wrong.contains("write it like unix:/var/agentx/master"), "{wrong}");
        assert!(wrong.contains("did you mean `socket`"), "{wrong}");
        let idle = load("[snmp]\nkeepalived = false\ntraps = true\n").unwrap();
        assert!(idle.warnings.iter().any(|said| said.message == "nothing is served by SNMP"));
    }
}
