//! A mistake alone comes with its mend, and hides no other.

use super::{read, router};
use locum::config::{Problem, Secrets, load};

/// The errors of `text`: messages and mends.
fn told(text: &str) -> Vec<(String, String)> {
    let problems = read(text).map(|loaded| loaded.config).unwrap_err().0;
    problems.into_iter().map(|problem| (problem.message, problem.help.unwrap_or_default())).collect()
}

/// That `lines` of a router have one error, with this mend.
#[track_caller]
fn mend(lines: &str, wanted: &str) {
    let told = told(&router(lines));
    assert_eq!(told.iter().map(|(_, mend)| mend.as_str()).collect::<Vec<_>>(), [wanted], "{lines}: {told:?}");
}

/// The messages about a tracked check app with `lines`.
fn check(lines: &str) -> Vec<String> {
    let text = format!("{}[check.app]\n{lines}\n", router("checks = ['app']"));
    told(&text).into_iter().map(|(message, _)| message).collect()
}

#[test]
fn every_value_that_cannot_be_has_its_mend() {
    mend("priority = 0", "write 1 or more");
    mend("priority = 256", "write 255 or less");
    mend("priority = 99999999999999999999", "write 255 or less");
    mend("priority = -99999999999999999999", "write 1 or more");
    mend("priority = '100'", "write 100 without quotes");
    mend("priority = [1]", "write a whole number from 1 to 255");
    mend("preempt = 'true'", "write true without quotes");
    mend("preempt = 1", "write true or false, without quotes");
    mend("install = 5", "write one of \"address\", \"local-route\"");
    mend("install = 'somewhere'", "write one of \"address\", \"local-route\"");
    mend("peers = '10.0.0.2'", "write a list: [ … ]");
    mend("notify = 5", "write a table: { key = value, … }");
    mend("notify = { timeout = '0s' }", "write a time such as \"1s\", or remove the line");
    mend("interval = '-1s'", "write it without the sign");
    mend("interval = true", "write a duration: \"1s\", \"500ms\", \"1m 30s\"");
    mend("source = 10", "put it in quotes");
    let prefix = router("").replace("10.0.0.100", "10.0.0.1/33");
    assert_eq!(told(&prefix)[0].1, "write the subnet's, such as \"10.0.0.1/24\", or none at all");
}

#[test]
fn scripts_and_users_that_are_not_there_have_their_mend_apart() {
    mend("notify = { any = '/no-such-script' }", "create it or mend the path");
    let user = "create it (useradd --system no-such-user) or name another";
    mend("notify = { any = '/bin/true', user = 'no-such-user' }", user);
    // Nobody is run as this one.
    mend("notify = { user = 'no-such-user' }", user);
}

#[test]
fn a_user_that_is_not_there_is_told_of_once_whoever_uses_it() {
    let agent = |used: &str| told(&format!("[agent]\nscript_user = 'no-such-user'\n{}", router(used)));
    let alone = agent("");
    assert_eq!(alone[0].1, "create it (useradd --system no-such-user) or name another");
    assert_eq!((alone.len(), agent("notify = { any = '/bin/true', master = '/bin/true' }")), (1, alone));
}

#[test]
fn what_is_no_toml_has_its_mend() {
    mend("source = eth0", "write \"eth0\"");
    mend("preempt = yes", "write true");
    mend("preempt = False", "write false");
    mend("interval =", "write a value here");
    mend("unicast { a }", "write it as KEY = VALUE; a comment begins with #");
    mend("peers = ['10.0.0.2' '10.0.0.3']", "put a comma before this");
    mend("source = '10.0.0.1", "write `'` here");
    mend("priority = 0100", "write the number without it");
    mend("}", "a line of TOML is KEY = VALUE, or [SECTION], or a comment that begins with #");
}

#[test]
fn what_stands_twice_is_shown_both_times() {
    let first = |text: &str| {
        let problems = read(text).unwrap_err().0;
        let [Problem { line, also: Some((span, _)), help: Some(_), .. }] = &*problems else {
            panic!("{problems:?}");
        };
        (text[..span.start].matches('\n').count() + 1, text[span.clone()].to_owned(), *line)
    };
    let other = "[router.other]\ninterface = 'eth0'\n";
    let key = format!("{other}{}", router("interface = 'eth1'"));
    assert_eq!(first(&key), (4, "interface".to_owned(), 7));
    let header = format!("{}{}", router(""), "[check.web]\ntype = 'tcp'\n[router.web]\nversion = 3\n");
    assert_eq!(first(&header), (1, "[router.web]".to_owned(), 8));
    let inside = read(&router("notify = { mail = true, mail = true }")).unwrap_err().0;
    assert_eq!(inside[0].help.as_deref(), Some("it stands above already: remove one of the two"));
}

#[test]
fn a_byte_that_is_no_text_has_its_place() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("locum.toml");
    std::fs::write(&file, [router("").as_bytes(), b"# \xc3\xa9 caf\xe9\n"].concat()).unwrap();
    let problems = load(&file, Secrets::MustRead).unwrap_err().0;
    let [Problem { line, column, message, help: Some(help), .. }] = &*problems else {
        panic!("{problems:?}");
    };
    assert_eq!((*line, *column, message.as_str()), (6, 8, "byte 0xe9 is no text (UTF-8)"));
    assert!(help.contains("iconv -f latin1"), "{help}");
}

#[test]
fn one_mistake_hides_no_other() {
    let lease = told(&router("interval = '15ms'\nlease = '1500ms'"));
    assert!(lease.len() == 2 && lease[1].0.starts_with("the kernel counts lifetimes"), "{lease:?}");
    let script = check("type = 'script'\ncommand = '/no-such-script'\nuser = 'no-such-user'");
    assert!(script.len() == 2 && script[0].contains("does not exist"), "{script:?}");
    let hook = told(&router("notify = { any = '/no-such-script', user = 'no-such-user' }"));
    assert_eq!(hook.len(), 2, "{hook:?}");
    // A type that is nearly one is read as that one; of any other the keys that all have are read.
    let nearly = check("type = 'htpp'\nurl = 'h'\nfal = 3\nrise = 0");
    assert_eq!(nearly.len(), 4, "{nearly:?}");
    let far = check("type = 'carrier-pigeon'\nurl = 'h'\nrise = 0\ntimeout = '0s'");
    assert_eq!(far.len(), 3, "{far:?}");
}

#[test]
fn what_nobody_waits_for_is_refused() {
    let check = |lines: &str| check(&format!("type = 'tcp'\ntarget = 'h:1'\n{lines}"));
    assert_eq!(check("fall = 4000000000"), ["`fall` is 4000000000, wanted a whole number from 1 to 1000000"]);
    for key in ["interval", "timeout", "within", "backoff", "jitter"] {
        assert_eq!(check(&format!("{key} = '25h'")), [format!("`{key}` is longer than a day")]);
    }
}
