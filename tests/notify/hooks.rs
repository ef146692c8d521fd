//! A router's hooks: what they are told, in which order, and which are left out.

use crate::{AMPLE, Place, runs, until, user};
use locum::agent::incident::Kind;
use locum::agent::{Incident, Mac, Rival, RouterName, Standing, Subject, Transition};
use locum::notify::{Ended, Hooks, Inherit, Report, Runner, Script};
use locum::vrrp::why::{Fault, Why};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Reports = Arc<Mutex<Vec<Report>>>;

fn runner() -> (Runner, Reports) {
    let reports = Reports::default();
    let sink = Arc::clone(&reports);
    (
        Runner::start(Subject::Router(router()), move |report| sink.lock().expect("whole").push(report)),
        reports,
    )
}

fn router() -> RouterName {
    RouterName("web".into())
}

fn to(to: Standing) -> Transition {
    Transition {
        subject: Subject::Router(router()),
        from: Standing::Backup,
        to,
        why: Why::Silence,
        priority: 100,
        addresses: vec![],
        peer: None,
        term: None,
    }
}

fn script(command: &[&str]) -> Script {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    Script { command, user: user(), inherit: Inherit::Nothing, timeout: AMPLE }
}

/// Hooks that all run one script, each with its own word as argument.
fn all(path: &str) -> Hooks {
    Hooks {
        master: Some(script(&[path, "master"])),
        backup: Some(script(&[path, "backup"])),
        fault: Some(script(&[path, "fault"])),
        stop: Some(script(&[path, "stop"])),
        any: Some(script(&[path, "any"])),
        rx_lower: None,
        dual_master: None,
    }
}

#[tokio::test]
async fn the_specific_hook_runs_before_the_general_one_with_keepalived_arguments() {
    let place = Place::new();
    let hooks = all(&place.script("hook", "echo \"$# $*\" >> $out/log"));
    for (state, word) in [
        (Standing::Master, "master"),
        (Standing::Backup, "backup"),
        (Standing::Fault, "fault"),
        (Standing::Stop, "stop"),
    ] {
        let (runner, reports) = runner();
        runner.notify(&to(state), &hooks);
        runner.finish(AMPLE).await;
        let reports = reports.lock().expect("whole");
        assert!(reports.iter().all(|report| report.result == Ended::Exit(0) && report.state == state));
        assert_eq!(place.read("log"), format!("1 {word}\n5 any INSTANCE web {state} 100\n"));
        fs::remove_file(place.out("log")).expect("it was written");
    }
}

#[tokio::test]
async fn the_environment_tells_the_whole_transition() {
    let place = Place::new();
    let hooks = Hooks {
        fault: Some(script(&[&place.script("hook", "env | grep ^LOCUM_ | sort > $out/env")])),
        ..Hooks::default()
    };
    let (runner, _) = runner();
    let transition = Transition {
        from: Standing::Master,
        why: Why::Fault(Fault::Check("nginx: two\nlines".to_owned())),
        addresses: vec![Ipv4Addr::new(192, 0, 2, 1).into(), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        ..to(Standing::Fault)
    };
    runner.notify(&transition, &hooks);
    runner.finish(AMPLE).await;
    assert_eq!(
        place.read("env"),
        "LOCUM_ADDRESSES=192.0.2.1 ::1\nLOCUM_KIND=INSTANCE\nLOCUM_OLD_STATE=MASTER\nLOCUM_PEER=\n\
         LOCUM_PRIORITY=100\nLOCUM_REASON=check nginx: two lines\nLOCUM_ROUTER=web\nLOCUM_STATE=FAULT\n\
         LOCUM_TERM=\n"
    );
}

#[tokio::test]
async fn the_environment_tells_who_else_has_the_address() {
    let place = Place::new();
    let path = place.script("hook", "env | grep ^LOCUM_ | sort > $out/$1");
    let hooks = Hooks {
        rx_lower: Some(script(&[&path, "lower"])),
        dual_master: Some(script(&[&path, "dual"])),
        ..Hooks::default()
    };
    let (runner, _) = runner();
    let (source, address) = (Ipv4Addr::new(192, 0, 2, 9).into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let rival = Rival::Holder { address, mac: Mac([2, 0, 0, 0, 0, 0xf9]) };
    for kind in [Kind::HeardLower { source, priority: 50 }, Kind::DualMaster { rival, times: 1 }] {
        let router = RouterName("web".into());
        let (standing, priority, addresses) = (Standing::Master, 100, vec![address]);
        runner.tell(&Incident { router, standing, priority, addresses, kind }, &hooks);
    }
    runner.finish(AMPLE).await;
    let common = |peer: &str, reason: &str| {
        format!(
            "LOCUM_KIND=INSTANCE\nLOCUM_OLD_STATE=MASTER\nLOCUM_PEER={peer}\nLOCUM_PRIORITY=100\n\
             LOCUM_REASON={reason}\nLOCUM_ROUTER=web\nLOCUM_STATE=MASTER\nLOCUM_TERM=\n"
        )
    };
    let lower = common("192.0.2.9", "192.0.2.9 advertised priority 50, which is below ours");
    assert_eq!(place.read("lower"), format!("LOCUM_ADDRESSES=192.0.2.1\n{lower}"));
    let dual = common("", "02:00:00:00:00:f9 says that it has 192.0.2.1, which is held here");
    let dual = dual.replace("LOCUM_PEER=\n", "LOCUM_PEER=\nLOCUM_PEER_MAC=02:00:00:00:00:f9\n");
    assert_eq!(
        place.read("dual"),
        format!("LOCUM_ADDRESSES=192.0.2.1\nLOCUM_EVENT=dual_master_seen\n{dual}")
    );
}

#[tokio::test]
async fn while_a_hook_runs_only_the_newest_state_waits_and_stop_is_kept() {
    let place = Place::new();
    let body = "mkdir $out/lock || exit 9; echo $LOCUM_STATE >> $out/log; \
                while [ ! -e $out/go ]; do sleep 0.05; done; rmdir $out/lock";
    let path = place.script("hook", body);
    let hooks = Hooks { any: None, ..all(&path) };
    let (runner, reports) = runner();
    runner.notify(&to(Standing::Master), &hooks);
    until("the first runs", || place.read("log") == "MASTER\n").await;
    for state in [Standing::Backup, Standing::Stop, Standing::Backup, Standing::Master, Standing::Fault] {
        runner.notify(&to(state), &hooks);
    }
    fs::write(place.out("go"), "").expect("written");
    runner.finish(AMPLE).await;
    assert_eq!(place.read("log"), "MASTER\nSTOP\nFAULT\n");
    let reports = reports.lock().expect("whole");
    assert!(reports.iter().all(|report| report.result == Ended::Exit(0)), "never two at once: {reports:?}");
    assert_eq!(reports.iter().map(|report| report.skipped).collect::<Vec<_>>(), [0, 3, 0]);
}

#[tokio::test]
async fn a_hook_that_hangs_is_killed_and_the_next_one_still_runs() {
    let place = Place::new();
    let mut master = script(&[&place.script("hang", "echo waiting for a lock; sleep 60")]);
    master.timeout = Duration::from_millis(500);
    let any = script(&[&place.script("any", "echo $3 > $out/any")]);
    let (runner, reports) = runner();
    runner.notify(&to(Standing::Master), &Hooks { master: Some(master), any: Some(any), ..Hooks::default() });
    runner.finish(AMPLE).await;
    assert_eq!(place.read("any"), "MASTER\n");
    let reports = reports.lock().expect("whole");
    let [hang, any] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((&hang.result, hang.output.as_str()), (&Ended::TimedOut, "waiting for a lock"));
    assert_eq!(any.result, Ended::Exit(0));
}

#[tokio::test]
async fn a_failure_is_reported_with_the_last_words_and_success_without() {
    let place = Place::new();
    let path = place.script("hook", "echo first; echo $1 went wrong >&2; [ $1 = any ]");
    let (runner, reports) = runner();
    runner.notify(&to(Standing::Backup), &all(&path));
    runner.finish(AMPLE).await;
    let reports = reports.lock().expect("whole");
    let [failed, good] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((&failed.result, failed.output.as_str()), (&Ended::Exit(1), "first\nbackup went wrong"));
    assert_eq!((&good.result, good.output.as_str()), (&Ended::Exit(0), ""));
    let line = Report { took: Duration::from_millis(1234), skipped: 2, ..failed.clone() }.to_string();
    assert_eq!(
        line,
        format!(
            "router web: hook {path} for BACKUP: exit code 1 after 1.2 s; \
             2 older not told, a newer state had come; last said: backup went wrong"
        )
    );
}

#[tokio::test]
async fn the_end_of_a_router_waits_for_its_hooks_only_so_long() {
    let place = Place::new();
    let hooks = all(&place.script("hook", "sleep 60 & echo $! > $out/sleep; wait"));
    let (runner, reports) = runner();
    runner.notify(&to(Standing::Master), &hooks);
    until("the first runs", || !place.read("sleep").trim().is_empty()).await;
    runner.notify(&to(Standing::Stop), &hooks);
    runner.finish(Duration::from_millis(100)).await;
    until("killed", || !runs(&place.read("sleep"))).await;
    let reports = reports.lock().expect("whole");
    let unborn = || Ended::NotStarted("no time was left for it".to_owned());
    let told: Vec<_> = reports.iter().map(|report| (report.state, report.result.clone())).collect();
    let (master, stop) = (Standing::Master, Standing::Stop);
    assert_eq!(told, [(master, Ended::TimedOut), (master, unborn()), (stop, unborn()), (stop, unborn())]);
}

#[tokio::test]
async fn a_runner_that_is_dropped_still_runs_what_waits() {
    let place = Place::new();
    let (runner, _) = runner();
    let path = place.script("hook", "echo $LOCUM_STATE >> $out/log");
    runner.notify(&to(Standing::Stop), &Hooks { any: None, ..all(&path) });
    drop(runner);
    until("told", || place.read("log") == "STOP\n").await;
}
