//! `[message.NAME]`: what is read, and what is wrong with it. Secrets stay where they are.

use super::{config, router, said};
use locum::agent::config::GroupName;
use locum::agent::{RouterName, Standing, Subject};
use locum::config::{Secrets, load};
use locum::notify::mail::Mail;
use locum::notify::message::{Receiver, Severity, Way};
use locum::notify::post::Post;
use locum::notify::smtp::Security;
use locum::notify::template::Escape;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// The one receiver of a router `web` and a group `all`, `lines` being in it.
fn receiver(lines: &str) -> Receiver {
    config(&text(lines)).details.told.receivers.remove(0)
}

fn text(lines: &str) -> String {
    format!("{}[group.all]\nrouters = ['web']\n[message.ops]\n{lines}\n", router(""))
}

fn post(lines: &str) -> Post {
    match receiver(lines).way {
        Way::Post(post) => *post,
        other @ Way::Mail(_) => panic!("{other:?}"),
    }
}

fn mail(lines: &str) -> Mail {
    match receiver(&format!("type = 'mail'\nto = 'root'\n{lines}")).way {
        Way::Mail(mail) => *mail,
        other @ Way::Post(_) => panic!("{other:?}"),
    }
}

#[test]
fn a_url_is_enough_for_all_routers_and_all_that_happens() {
    let ops = receiver("type = 'slack'\nurl = 'https://hooks.example/T/B'");
    assert_eq!((ops.name.as_str(), ops.severity, ops.on.len()), ("ops", Severity::Info, 4));
    assert_eq!(ops.subjects.into_iter().collect::<Vec<_>>(), [Subject::Router(RouterName("web".into()))]);
    assert_eq!((ops.timeout, ops.retries, ops.storm), (Duration::from_secs(10), 20, 10));
    assert_eq!((ops.backoff, ops.window), (Duration::from_secs(1), Duration::from_secs(60)));
}

#[test]
fn who_is_told_of_what_is_written_by_states_severity_routers_and_groups() {
    let ops = receiver(
        "type = 'slack'\nurl = 'http://h/'\non = ['fault', 'master']\nseverity = 'critical'\ngroups = 'all'",
    );
    assert_eq!(ops.on.into_iter().collect::<Vec<_>>(), [Standing::Fault, Standing::Master]);
    assert_eq!(ops.severity, Severity::Critical);
    assert_eq!(ops.subjects.into_iter().collect::<Vec<_>>(), [Subject::Group(GroupName("all".into()))]);
}

#[test]
fn each_type_has_its_method_and_body() {
    let slack = post("type = 'slack'\nurl = 'https://[::1]:8443/T'");
    assert_eq!((slack.shown().as_str(), slack.method.as_str()), ("https://[::1]:8443", "POST"));
    assert_eq!(slack.markup, Escape::Slack);
    let hook = post("type = 'webhook'\nurl = 'http://h'");
    assert_eq!((hook.shown().as_str(), hook.method.as_str()), ("http://h", "POST"));
    assert!(hook.tls.is_none() && hook.body.is_some_and(|(_, kind)| kind == "application/json"));
    let sms = post("type = 'sms'\nurl = 'https://h/send?text={text}'");
    assert!(sms.method == "GET" && sms.body.is_none());
    let form = post("type = 'sms'\nurl = 'https://h/send'\nbody = 'text={text}'");
    assert_eq!(form.method, "POST");
    assert_eq!(form.body.map(|(_, kind)| Post::escape(&kind)), Some(Escape::Url));
}

#[test]
fn a_password_goes_over_tls_unless_the_opposite_is_written() {
    let place = tempfile::tempdir().unwrap();
    let password = secret(place.path(), "relay", "hush");
    let login = format!("user = 'locum'\npassword = 'file:{password}'\n");
    let security = |lines: &str| mail(lines).transport.security;
    assert_eq!(security(""), Security::Plain);
    assert_eq!(security(&login), Security::StartTls);
    assert_eq!(security("relay = 'h:465'"), Security::Tls);
    assert_eq!(security(&format!("{login}relay = 'h:465'")), Security::Tls);
    assert_eq!(security(&format!("{login}security = 'plain'")), Security::Plain);
    let found = said(&text(&format!("type = 'mail'\nto = 'root'\n{login}security = 'plain'")));
    assert!(found.contains("warning: the password of locum goes to the relay in the clear"), "{found}");
    let agent = format!("[agent]\nmail = {{ to = 'root', user = 'a', password = 'file:{password}' }}\n");
    let mail = config(&format!("{agent}{}", router(""))).details.told.mail.unwrap();
    assert_eq!(mail.transport.security, Security::StartTls);
}

/// A file that only we can read.
fn secret(place: &Path, name: &str, content: &str) -> String {
    let path = place.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn secrets_are_read_from_files_and_never_shown() {
    let place = tempfile::tempdir().unwrap();
    let url = secret(place.path(), "url", "https://hooks.example/hush-url\n");
    let header = secret(place.path(), "header", "hush-header\n");
    let key = secret(place.path(), "key", "hush-hush-0123456789abcdef0123456789");
    let lines = format!(
        "type = 'webhook'\nurl = 'file:{url}'\nheaders = {{ X-Key = 'file:{header}' }}\nkey = 'file:{key}'"
    );
    let written = post(&lines);
    assert_eq!(written.shown(), "https://hooks.example");
    assert_eq!(written.headers, [("X-Key".to_owned(), "hush-header".to_owned())]);
    assert!(written.key.is_some());
    let before = config(&text(&lines));
    assert!(!format!("{before:?}").contains("hush-"), "{before:?}");
    secret(place.path(), "header", "hush-other\n");
    let after = config(&text(&lines));
    assert_ne!(before.agent.routers[0].fingerprint, after.agent.routers[0].fingerprint);
}

#[test]
fn a_wrong_url_in_a_file_is_not_repeated() {
    let place = tempfile::tempdir().unwrap();
    for (url, wanted) in [
        ("ftp://hooks.example/hush", "`url` is not a good url: it does not begin with http:// or https://"),
        ("https://hush:hush@h/", "`url` is not a good url: it holds a user name"),
        ("https:///hush", "`url` is not a good url: it names no host"),
        ("http://:80/hush", "`url` is not a good url: it names no host"),
        ("http://h:0/hush", "`url` is not a good url: its port is not 1 to 65535"),
        ("https://h/{hash}", "nothing is known for {hash}"),
        ("https://h/hush hush", "no message can be sent: the path of the url cannot be one"),
    ] {
        let path = secret(place.path(), "url", url);
        let found = said(&text(&format!("type = 'slack'\nurl = 'file:{path}'")));
        assert!(found.contains(&format!("error: {wanted}")) && !found.contains("hush"), "{found}");
    }
}

#[test]
fn a_secret_that_cannot_be_read_costs_a_daemon_that_receiver_alone() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("locum.toml");
    let more = "[message.chat]\ntype = 'slack'\nurl = 'http://h/'\n";
    fs::write(&path, text(&format!("type = 'slack'\nurl = 'file:none'\n{more}"))).unwrap();
    let problems = load(&path, Secrets::MustRead).unwrap_err().to_string();
    assert!(problems.contains("cannot read the url:") && problems.contains("none"), "{problems}");
    let loaded = load(&path, Secrets::BarRouter).unwrap();
    let names = loaded.config.details.told.receivers.iter().map(|receiver| receiver.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["chat"]);
    assert!(loaded.config.agent.routers[0].barred.is_none());
    assert!(loaded.warnings.iter().any(|warning| warning.message.starts_with("cannot read the url:")));
}

#[test]
fn a_password_of_the_relay_that_cannot_be_read_costs_a_daemon_its_mails_alone() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("locum.toml");
    let agent = "[agent]\nmail = { to = 'root', user = 'locum', password = 'file:none' }\n";
    fs::write(&path, format!("{agent}{}", router("notify = { mail = true }"))).unwrap();
    assert!(load(&path, Secrets::MustRead).is_err());
    let loaded = load(&path, Secrets::BarRouter).unwrap();
    assert_eq!((loaded.config.details.told.mail, loaded.warnings.len()), (None, 1));
}

#[test]
fn every_mistake_is_reported_with_its_mend() {
    let slack = "type = 'slack'\nurl = 'http://h/'\n";
    let hook = "type = 'webhook'\nurl = 'http://h/'\n";
    for (lines, wanted, help) in [
        ("url = 'http://h/'".to_owned(), "[message.ops] has no `type`", "add: type = \"webhook\""),
        ("type = 'slak'".to_owned(), "\"slak\" is not known here", "did you mean \"slack\"?"),
        ("type = 'slack'".to_owned(), "[message.ops] has no `url`", "add: url = "),
        (format!("{slack}text = '{{ruoter}}'"), "nothing is known for {ruoter}", "did you mean {router}?"),
        (
            format!("{slack}text = '{{weather}}'"),
            "nothing is known for {weather}",
            "there are: {router} {from}",
        ),
        (format!("{slack}text = '{{text}}'"), "`text` is what {text} stands for", "write another place"),
        (format!("{slack}body = '{{}}'"), "unknown key `body`", "the keys here are: "),
        (format!("{slack}verify = false"), "this is about certificates, and the url is http://", "https://"),
        (format!("{slack}on = 'mastre'"), "\"mastre\" is not known here", "did you mean \"master\"?"),
        (format!("{slack}severity = 'warn'"), "\"warn\" is not known here", "\"critical\""),
        (format!("{slack}routers = 'wbe'"), "there is no \"wbe\" to tell of", "did you mean \"web\"?"),
        (format!("{slack}groups = 'web'"), "there is no \"web\" to tell of", "add it, or name another"),
        (format!("{slack}storm = 0"), "`storm` is 0, wanted", "1000"),
        (format!("{hook}body = '{{\"a\": {{to}}}}'"), "this is no JSON once it is filled in", "put quotes"),
        (format!("{hook}headers = {{ 'a b' = 'c' }}"), "no message can be sent: a b is no header name", ""),
        (format!("{hook}method = 'GET /'"), "no message can be sent: GET / is no HTTP method", ""),
        (
            format!("{hook}key = 'hush'"),
            "a key does not stand in the configuration",
            "file:/etc/locum/NAME.key",
        ),
        ("type = 'mail'".to_owned(), "[message.ops] has no `to`", "add: to = "),
        ("type = 'mail'\nto = 'a'\nuser = 'b'".to_owned(), "[message.ops] has no `password`", "file:"),
        ("type = 'mail'\nto = 'a'\ntext = 'b'".to_owned(), "unknown key `text`", ""),
        ("type = 'mail'\nto = 'a'\nfaults = false".to_owned(), "unknown key `faults`", ""),
        (
            "type = 'mail'\nto = 'a'\nuser = 'b'\npassword = 'hush'".to_owned(),
            "a password does not stand in the configuration",
            "file:/etc/locum/NAME.secret",
        ),
    ] {
        let found = said(&text(&lines));
        assert!(found.contains(&format!("error: {wanted}")) && found.contains(help), "{lines}\n{found}");
    }
}
