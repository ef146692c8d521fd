//! `[slo]` and `[drill]`: what is promised, and what a drill on live hosts may do.

use super::Config;
use super::dns::must_be;
use super::problem::{Finding, Sink};
use super::section::{Section, Value, Wrong};
use super::timeline::{Timeline, timelines};
use super::value::{command, show, some_time, text};
use crate::drill::{Objectives, Settings, Window};
use crate::health::CheckName;
use serde_spanned::Spanned;
use std::time::Duration;

/// `[slo]` as it is written: for each promise, where.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    detection: Option<Spanned<Duration>>,
    takeover: Option<Spanned<Duration>>,
    outage: Option<Spanned<Duration>>,
    notification: Option<Spanned<Duration>>,
}

pub(super) fn promises(top: &Section<'_>) -> Promises {
    let table = top.raw("slo").and_then(|value| top.inner("slo", value, "[slo]".to_owned()));
    let Some(section) = table else { return Promises::default() };
    let most = |key| section.optional(key, some_time);
    let promises = Promises {
        detection: most("detection"),
        takeover: most("takeover"),
        outage: most("outage"),
        notification: most("notification"),
    };
    section.finish();
    promises
}

impl Promises {
    pub(super) fn objectives(&self) -> Objectives {
        let most = |promise: &Option<Spanned<Duration>>| promise.as_ref().map(|it| *it.get_ref());
        Objectives {
            detection: most(&self.detection),
            takeover: most(&self.takeover),
            outage: most(&self.outage),
            notification: most(&self.notification),
        }
    }

    /// Warns of what this very configuration does not keep at its worst, and of what nobody would notice.
    pub(super) fn lint(&self, config: &Config, sink: &Sink) {
        let routers = config.agent.routers.iter();
        let all: Vec<_> = routers
            .flat_map(|router| timelines(router, config).into_iter().map(move |it| (router, it)))
            .collect();
        let span = |name: &str, it: &Timeline| match name {
            "detection" => it.detection,
            "takeover" => it.election,
            _ => it.total,
        };
        for (name, promise) in
            [("detection", &self.detection), ("takeover", &self.takeover), ("outage", &self.outage)]
        {
            let worst = all.iter().max_by_key(|(_, it)| span(name, it));
            let (Some(promise), Some((router, worst))) = (promise, worst) else { continue };
            let longest = span(name, worst);
            if longest > *promise.get_ref() {
                let message = format!(
                    "{name} can take {} with this file, and {} are promised: {}, when {worst}",
                    show(longest),
                    show(*promise.get_ref()),
                    router.name
                );
                let help =
                    "promise more, or lower what takes so long: `locum check` lists it for each router";
                sink.add(Finding::warning(&promise.span(), message).help(help));
            }
        }
        let told = &config.details.told;
        let nobody = config.details.hooks.is_empty() && told.receivers.is_empty() && told.mail.is_none();
        if let Some(promise) = self.notification.as_ref().filter(|_| nobody) {
            let finding =
                Finding::warning(&promise.span(), "nobody is told of anything, so this promises nothing");
            sink.add(finding.help("add notify to a router or a [message.NAME], or remove this line"));
        }
    }
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
    fn a_promise_that_the_file_itself_does_not_keep_is_warned_of() {
        let warned = |text: &str| {
            let router = "[router.web]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"10.0.0.1\"]\nchecks = [\"a\"]\n";
            let check = "[check.a]\ntype = \"tcp\"\ntarget = \"h:1\"\ninterval = \"5s\"\ntimeout = \"10s\"\n";
            let loaded =
                parse(&format!("{router}{check}{text}"), Path::new("x.toml"), Secrets::MustRead).unwrap();
            loaded.warnings.into_iter().map(|warning| warning.message).collect::<Vec<_>>()
        };
        let kept = "[slo]\ndetection = \"40s\"\ntakeover = \"1s\"\noutage = \"45s\"";
        assert_eq!(warned(kept), [""; 0]);
        for (promise, said) in [
            ("detection = \"3s\"", "detection can take "),
            (
                "takeover = \"500ms\"",
                "takeover can take 997ms with this file, and 500ms are promised: web, when ",
            ),
            ("outage = \"4s\"", "and 4s are promised: web, when check a fails: "),
            ("notification = \"5s\"", "nobody is told of anything, so this promises nothing"),
        ] {
            let lines = warned(&format!("[slo]\n{promise}"));
            assert!(lines.len() == 1 && lines[0].contains(said), "{promise}: {lines:?}");
        }
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
