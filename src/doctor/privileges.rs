//! What the daemon may do: capabilities(7).

use super::Report;

/// What a process may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Its user.
    pub uid: u32,
    /// Its effective capabilities, a bit each.
    pub effective: u64,
}

const NEEDED: [(u32, &str, &str); 2] = [
    (12, "CAP_NET_ADMIN", "it cannot put addresses on interfaces"),
    (13, "CAP_NET_RAW", "it cannot send adverts or announce addresses"),
];
const SETGID: u32 = 6;
const SETUID: u32 = 7;

const UNIT: &str = "systemctl edit locum: [Service] AmbientCapabilities=";

/// Judges the daemon's privileges, or where none runs those of who started this; `users` run its scripts.
pub fn judge(daemon: Option<Privileges>, own: Privileges, users: &[(String, u32)], report: &mut Report) {
    let (whose, it) = match daemon {
        Some(it) => ("the daemon", it),
        None if own.uid == 0 => ("this root", own),
        None => {
            report.unseen("the privileges of the daemon", "none answers, and this is not run as root");
            return;
        }
    };
    let has = |number: u32| it.effective >> number & 1 == 1;
    for (number, name, why) in NEEDED {
        if has(number) {
            report.fine("privileges", format!("{whose} has {name}"));
        } else {
            let mend = format!("{UNIT}{name}; in a container --cap-add={name}");
            report.trouble("privileges", format!("{whose} has no {name}"), why, mend);
        }
    }
    let other = users.iter().find(|(_, uid)| *uid != it.uid);
    if let Some((user, _)) = other.filter(|_| !(has(SETGID) && has(SETUID))) {
        let what = format!("{whose} has no CAP_SETUID and CAP_SETGID, and scripts run as {user}");
        let why = "hooks do not run, and script checks never pass";
        report.trouble("privileges.scripts", what, why, format!("{UNIT}CAP_SETUID CAP_SETGID CAP_KILL"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity::{Fine, Trouble};
    use super::*;

    const BOTH: u64 = 1 << 12 | 1 << 13;
    const ROOT: Privileges = Privileges { uid: 0, effective: u64::MAX };

    fn said(daemon: Option<Privileges>, own: Privileges, users: &[(String, u32)]) -> Report {
        let mut report = Report::default();
        judge(daemon, own, users, &mut report);
        report
    }

    #[test]
    fn a_missing_capability_is_trouble_and_both_are_fine() {
        let daemon = |effective| Some(Privileges { uid: 7, effective });
        let report = said(daemon(1 << 12), ROOT, &[]);
        assert_eq!(report.said(), [(Fine, "privileges"), (Trouble, "privileges")]);
        assert!(report.findings[1].what.contains("CAP_NET_RAW"), "{report:?}");
        assert_eq!(said(daemon(BOTH), ROOT, &[]).of(Fine).count(), 2);
    }

    #[test]
    fn scripts_of_another_user_need_leave_to_become_it() {
        let users = |uid| [("nobody".to_owned(), uid)];
        let daemon = Some(Privileges { uid: 7, effective: BOTH });
        assert_eq!(said(daemon, ROOT, &users(9)).of(Trouble).count(), 1);
        assert_eq!(said(daemon, ROOT, &users(7)).of(Trouble).count(), 0);
        assert_eq!(said(Some(ROOT), ROOT, &users(9)).of(Trouble).count(), 0);
    }

    #[test]
    fn without_a_daemon_only_root_says_anything() {
        let report = said(None, Privileges { uid: 1000, effective: 0 }, &[]);
        assert_eq!((report.findings.len(), report.unseen.len()), (0, 1));
        assert_eq!(said(None, Privileges { uid: 0, effective: 0 }, &[]).of(Trouble).count(), 2);
    }
}
