//! `[slo]` and `[drill]`: what is promised, and what a drill on live hosts may do.

use super::dns::must_be;
use super::problem::Finding;
use super::section::{Section, Value, Wrong};
use super::value::{command, some_time, text};
use crate::drill::{Objectives, Settings, Window};
use crate::health::CheckName;
use serde_spanned::Spanned;

pub(super) fn objectives(top: &Section<'_>) -> Objectives {
    let table = top.raw("slo").and_then(|value| top.inner("slo", value, "[slo]".to_owned()));
    let Some(section) = table else { return Objectives::default() };
    let most = |key| section.optional(key, some_time).map(Spanned::into_inner);
    let objectives = Objectives {
        detection: most("detection"),
        takeover: most("takeover"),
        outage: most("outage"),
        notification: most("notification"),
    };
    section.finish();
    objectives
}

/// `checks`: those of the file, by name.
pub(super) fn settings(top: &Section<'_>, checks: &[&str]) -> Settings {
    let table = top.raw("drill").and_then(|value| top.inner("drill", value, "[drill]".to_owned()));
    let Some(section) = table else { return Settings::default() };
    let words = |key| section.optional(key, command).map(Spanned::into_inner);
    let ready = section.one_or_more("ready", text).map(Spanned::into_inner).unwrap_or_default();
    for check in &ready {
        must_be("check", check, checks, section.sink());
    }
    let settings = Settings {
        window: section.optional("window", window).map(Spanned::into_inner),
        ready: ready.into_iter().map(|check| CheckName(check.into_inner().into())).collect(),
        service_stop: words("service_stop"),
        service_start: words("service_start"),
    };
    for (one, other, there) in [
        ("service_stop", "service_start", settings.service_start.is_some()),
        ("service_start", "service_stop", settings.service_stop.is_some()),
    ] {
        if let Some(value) = section.raw(one).filter(|_| !there) {
            let message = format!("[drill] has no `{other}` to go with {one}");
            let help = format!("add {other} = [\"…\"]: what a drill stops it has to start again");
            section.sink().add(Finding::error(&value.span(), message).help(help));
        }
    }
    section.finish();
    settings
}

fn window(value: &Value<'_>) -> Result<Window, Wrong> {
    let mend = "write it like \"02:00-04:00\", by the local time of this host";
    text(value)?.parse().map_err(|wrong: String| Wrong::new(wrong).help(mend))
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Problems, Secrets, parse};
    use std::path::Path;
    use std::time::Duration;

    fn load(text: &str) -> Result<Config, Problems> {
        let router = "[router.web]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"10.0.0.1\"]\n";
        parse(&format!("{router}{text}"), Path::new("x.toml"), Secrets::MustRead).map(|loaded| loaded.config)
    }

    #[test]
    fn promises_and_what_a_drill_may_do_are_read() {
        let plain = load("").unwrap().details;
        assert!(plain.objectives.is_empty() && plain.drill == super::Settings::default());
        let text = "[slo]\noutage = \"1s\"\ntakeover = \"300ms\"\n[drill]\nwindow = \"22:00-04:00\"\n\
                    ready = \"b\"\nservice_stop = \"/bin/systemctl stop app\"\n\
                    service_start = [\"/bin/systemctl\", \"start\", \"app\"]\n\
                    [check.b]\ntype = \"ping\"\nhost = \"10.0.0.2\"\n";
        let details = load(text).unwrap().details;
        assert_eq!(details.objectives.outage, Some(Duration::from_secs(1)));
        assert_eq!(
            (details.objectives.takeover, details.objectives.detection),
            (Some(Duration::from_millis(300)), None)
        );
        assert_eq!(details.drill.window.unwrap().to_string(), "22:00 to 04:00");
        assert_eq!(details.drill.service_stop.unwrap(), ["/bin/systemctl", "stop", "app"]);
        assert_eq!(&*details.drill.ready[0].0, "b");
    }

    #[test]
    fn mistakes_are_named_with_their_mend() {
        for (text, said) in [
            ("[slo]\noutage = 5", "`outage` has no unit"),
            ("[slo]\noutage = \"0s\"", "cannot be zero"),
            ("[slo]\noutages = \"1s\"", "did you mean `outage`?"),
            ("[drill]\nwindow = \"2-4\"", "write it like \"02:00-04:00\""),
            ("[drill]\nservice_stop = \"/bin/x\"", "what a drill stops it has to start again"),
            ("[drill]\nservice_start = \"/bin/x\"", "[drill] has no `service_stop` to go with service_start"),
            ("[drill]\nready = [\"b\"]", "there is no check \"b\""),
        ] {
            let wrong = load(text).unwrap_err().to_string();
            assert!(wrong.contains(said), "{text}: {wrong}");
        }
    }
}
