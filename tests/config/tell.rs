//! `notify_fifo`, `mail` and the newer keys of `notify`.

use super::{config, said};
use locum::agent::config::GroupName;
use locum::agent::{RouterName, Subject};
use locum::notify::User;
use std::path::Path;

const ROUTER: &str = "[router.web]\ninterface = 'eth0'\nvrid = 51\naddresses = ['10.0.0.100']\n";

fn web() -> Subject {
    Subject::Router(RouterName("web".into()))
}

#[test]
fn a_fifo_is_the_daemons_unless_a_script_or_user_is_named() {
    let plain = config(&format!("[agent]\nnotify_fifo = {{ path = '/run/f' }}\n{ROUTER}"));
    let fifo = &plain.details.told.fifos[0];
    assert_eq!((fifo.path.as_path(), fifo.owner, fifo.mode), (Path::new("/run/f"), None, 0o600));
    assert!(fifo.reader.is_none() && plain.details.told.priorities.is_empty());

    let text = "[agent]\nnotify_fifo = { path = '/run/f', script = '/bin/cat', mode = '0640', \
                priority_changes = true }\n";
    let read = config(&format!("{text}{ROUTER}"));
    let fifo = &read.details.told.fifos[0];
    let reader = fifo.reader.as_ref().expect("a script");
    assert_eq!((reader.user.name.as_str(), fifo.mode), ("nobody", 0o640));
    assert_eq!(fifo.owner, Some((reader.user.uid, reader.user.gid)));
    assert!(read.details.told.priorities.contains(&RouterName("web".into())));

    let grouped = config(&format!("[agent]\nnotify_fifo = {{ path = '/run/f', group = 'root' }}\n{ROUTER}"));
    assert_eq!(grouped.details.told.fifos[0].owner, Some((User::own().uid, 0)));
}

#[test]
fn mail_is_for_every_router_and_group_that_does_not_refuse() {
    let text = format!(
        "[agent]\nmail = {{ to = 'ann@example.org', relay = '[::1]:2525', faults = false }}\n{ROUTER}\
         [router.quiet]\ninterface = 'eth0'\nvrid = 52\naddresses = ['10.0.0.101']\n\
         notify = {{ mail = false }}\n[group.all]\nrouters = ['web', 'quiet']\n"
    );
    let told = config(&text).details.told;
    let mail = told.mail.expect("a relay");
    assert_eq!((mail.relay, mail.faults), (("::1".to_owned(), 2525), false));
    assert!(mail.from.address.starts_with("locum@"));
    assert_eq!(told.mailed.into_iter().collect::<Vec<_>>(), [web(), Subject::Group(GroupName("all".into()))]);
}

#[test]
fn what_changes_for_hooks_fifo_or_mail_is_a_change_of_the_router() {
    let fingerprint = |agent: &str| config(&format!("{agent}{ROUTER}")).agent.routers[0].fingerprint;
    let without = fingerprint("");
    let fifo = fingerprint("[agent]\nnotify_fifo = { path = '/run/f' }\n");
    let other = fingerprint("[agent]\nnotify_fifo = { path = '/run/g' }\n");
    let mail = fingerprint("[agent]\nmail = { to = 'root' }\n");
    assert!(without != fifo && fifo != other && mail != without);
}

#[test]
fn every_mistake_is_reported_with_its_mend() {
    for (agent, wanted) in [
        ("notify_fifo = { mode = '0600' }", "`notify_fifo` of [agent] has no `path`"),
        ("notify_fifo = { path = 'f' }", "f is not an absolute path"),
        ("notify_fifo = { path = '/f', mode = '0888' }", "\"0888\" is no file mode"),
        ("notify_fifo = { path = '/f', script = '/nowhere/reader' }", "/nowhere does not exist"),
        ("notify_fifo = { path = '/f', reader = '/bin/cat' }", "unknown key `reader`"),
        ("mail = { relay = 'localhost' }", "`mail` of [agent] has no `to`"),
        ("mail = { to = [] }", "nobody would get these mails"),
        ("mail = { to = 'a b' }", "\"a b\" is no mail address"),
        ("mail = { to = 'root', helo = 'a b' }", "\"a b\" is no IP address or host name"),
    ] {
        let found = said(&format!("[agent]\n{agent}\n{ROUTER}"));
        assert!(found.contains(&format!("error: {wanted}")), "{agent}: {found}");
    }
    let found = said(&format!("{ROUTER}notify = {{ mail = true }}\n"));
    assert!(found.starts_with("error: nothing says where mails go"), "{found}");
    for key in ["rx_lower", "dual_master"] {
        let group = format!("[group.all]\nrouters = ['web']\nnotify = {{ {key} = '/bin/true' }}\n");
        let found = said(&format!("{ROUTER}{group}"));
        assert!(found.contains(&format!("error: unknown key `{key}`")), "{found}");
    }
}
