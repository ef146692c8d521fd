//! One child process: who it is, what it inherits, how it ends.

use crate::{AMPLE, Place, is_root, mode, runs, until, user};
use locum::process::{Command, Ended, Inherit, User, resolve_user, run, run_again, start_by};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn command(script: String) -> Command {
    Command {
        argv: vec![script],
        inherit: Inherit::Nothing,
        environment: vec![],
        user: user(),
        timeout: AMPLE,
    }
}

#[tokio::test]
async fn a_script_runs_as_its_user_with_no_group_of_ours() {
    assert!(is_root(), "only root can become another user: run the tests as root");
    let place = Place::new();
    let finished = run(&command(place.script("who", "id -u; id -g; id -G"))).await;
    let User { uid, gid, .. } = user();
    assert_eq!(finished.ended, Ended::Exit(0));
    assert_eq!(finished.output, format!("{uid}\n{gid}\n{gid}"));
}

#[tokio::test]
async fn a_script_is_in_further_groups_where_its_user_has_them() {
    let place = Place::new();
    let mut command =
        command(place.script("groups", "id -u; id -g; id -G; grep -c '^Cap.*:.*[1-9a-f]' /proc/self/status"));
    command.user.groups = vec![command.user.gid, 7, 9];
    let finished = run(&command).await;
    let User { uid, gid, .. } = user();
    // What it could raise its rights to is the bounding set alone.
    assert_eq!(finished.output, format!("{uid}\n{gid}\n{gid} 7 9\n1"));
    command.user.groups = vec![];
    let plain = run(&command).await.output;
    assert_eq!(plain, format!("{uid}\n{gid}\n{gid}\n1"), "as before");
}

#[tokio::test]
async fn a_script_inherits_nothing_but_what_it_is_given() {
    let place = Place::new();
    let ours = fs::File::create(place.path().join("ours")).expect("writable");
    let body = "env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= | sort; pwd; wc -c; \
                ls -l /proc/self/fd | grep -c /ours; ps -o pgid= -p $$ | tr -d ' '; echo $$";
    let mut command = command(place.script("env", body));
    command.environment = vec![("LOCUM_STATE".to_owned(), "MASTER".to_owned())];
    let output = run(&command).await.output;
    drop(ours);
    let lines: Vec<_> = output.lines().collect();
    let [given @ .., directory, input, open, group, id] = lines.as_slice() else { panic!("{output}") };
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(given, ["LANG=C.UTF-8", "LOCUM_STATE=MASTER", path]);
    assert_eq!((*directory, *input, *open), ("/", "0", "0"), "where it is, what it can read, our files");
    assert_eq!(group, id, "it leads its own process group");
}

#[tokio::test]
async fn the_end_of_a_script_is_told_as_it_was() {
    let place = Place::new();
    let exit = run(&command(place.script("exit", "echo one; echo two >&2; exit 3"))).await;
    assert_eq!((exit.ended, exit.output.as_str()), (Ended::Exit(3), "one\ntwo"));
    let signal = run(&command(place.script("signal", "kill -KILL $$"))).await;
    assert_eq!(signal.ended, Ended::Signal(9));
    assert_eq!(signal.ended.to_string(), "killed by SIGKILL");
}

#[tokio::test]
async fn a_flood_of_output_is_read_and_only_its_end_kept() {
    let place = Place::new();
    let flood = run(&command(place.script("flood", "seq 1 200000; exit 1"))).await;
    assert_eq!(flood.ended, Ended::Exit(1));
    assert!(flood.output.len() <= 4096 && flood.output.ends_with("\n200000"), "{}", flood.output.len());
}

#[tokio::test]
async fn at_the_time_limit_the_script_is_asked_to_end() {
    let place = Place::new();
    let body = "trap 'echo asked > $out/asked; exit 0' TERM; echo said before; sleep 60 & wait";
    let mut command = command(place.script("polite", body));
    command.timeout = Duration::from_millis(500);
    let finished = run(&command).await;
    assert_eq!((finished.ended, finished.output.as_str()), (Ended::TimedOut, "said before"));
    assert_eq!(place.read("asked"), "asked\n");
}

#[tokio::test]
async fn after_a_timeout_no_grandchild_is_left_even_if_deaf() {
    let place = Place::new();
    let deaf = "trap '' TERM; (trap '' TERM; sleep 60) & echo $! > $out/grandchild; \
                sh -c 'sleep 60 & echo $! > '$out/great'; wait' & echo $$ > $out/child; sleep 60";
    let mut deaf = command(place.script("deaf", deaf));
    // The leader ends at once here, its grandchild does not listen.
    let orphan = "(trap '' TERM; sleep 60) & echo $! > $out/orphan; sleep 60";
    let mut orphan = command(place.script("orphan", orphan));
    (deaf.timeout, orphan.timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    let (deaf, orphan) = tokio::join!(run(&deaf), run(&orphan));
    assert_eq!((deaf.ended, orphan.ended), (Ended::TimedOut, Ended::TimedOut));
    for who in ["child", "grandchild", "great", "orphan"] {
        until(who, || !runs(&place.read(who))).await;
    }
}

#[tokio::test]
async fn a_run_that_is_given_up_leaves_nobody() {
    let place = Place::new();
    let command =
        command(place.script("long", "sleep 60 & echo $! > $out/sleep; echo $$ > $out/shell; wait"));
    let task = tokio::spawn(async move { run(&command).await });
    until("started", || !place.read("shell").trim().is_empty()).await;
    task.abort();
    assert!(task.await.is_err_and(|error| error.is_cancelled()));
    until("both gone", || !runs(&place.read("shell")) && !runs(&place.read("sleep"))).await;
}

#[tokio::test]
async fn what_a_script_leaves_in_the_background_lives_on_and_may_speak() {
    let place = Place::new();
    let body =
        "(while [ ! -e $out/go ]; do sleep 0.1; done; echo still here && echo yes > $out/lives) & exit 0";
    let finished = run(&command(place.script("background", body))).await;
    assert_eq!(finished.ended, Ended::Exit(0));
    fs::write(place.out("go"), "").expect("written");
    until("it lives", || place.read("lives") == "yes\n").await;
}

#[tokio::test]
async fn what_cannot_start_says_why_and_how_to_mend_it() {
    let place = Place::new();
    let dir = place.path().display();
    crate::write_elsewhere(&place.path().join("lost"), "#!/no/such/shell\n");
    mode(&place.path().join("lost"), 0o755);
    let why = format!(
        "{dir}/lost names an interpreter in its first line (#!) that does not exist: install or mend it"
    );
    assert_eq!(run(&command(format!("{dir}/lost"))).await.ended, Ended::NotStarted(why));
    let empty = Command { argv: vec![], ..command(String::new()) };
    assert_eq!(run(&empty).await.ended, Ended::NotStarted("the command is empty: name a script".to_owned()));
}

#[tokio::test]
async fn a_script_that_names_no_interpreter_is_read_by_sh_whoever_runs_it() {
    let place = Place::new();
    let path = place.path().join("bare");
    crate::write_elsewhere(&path, "echo $1 $#\n");
    mode(&path, 0o755);
    let argv = vec![path.to_str().expect("UTF-8").to_owned(), "a b".to_owned()];
    for user in [user(), User::own()] {
        let finished = run(&Command { argv: argv.clone(), user, ..command(String::new()) }).await;
        assert_eq!((finished.ended, finished.output.as_str()), (Ended::Exit(0), "a b 1"));
    }
}

#[tokio::test]
async fn the_daemon_starts_a_script_itself_where_the_process_that_is_to_do_it_never_answers() {
    start_by(Path::new("/bin/false"));
    let place = Place::new();
    let command = command(place.script("x", "id -u; exit 4"));
    // One that ends at once, and then none.
    for _ in 0..3 {
        let kept = Arc::new(());
        let finished = run_again(Arc::clone(&kept), &command).await;
        assert_eq!((finished.ended, finished.output), (Ended::Exit(4), user().uid.to_string()));
        assert_eq!(Arc::strong_count(&kept), 1, "whoever waits for its start may go on");
    }
}

#[tokio::test]
async fn a_script_is_vetted_right_before_it_runs() {
    let place = Place::new();
    let script = place.script("open", "echo ran > $out/ran");
    mode(script.as_ref(), 0o757);
    let why = format!("{script} is writable by everyone: chmod o-w {script}");
    assert_eq!(run(&command(script)).await.ended, Ended::NotStarted(why));
    assert_eq!(place.read("ran"), "");
}

#[test]
fn users_are_found_by_name() {
    assert_eq!(
        resolve_user("root"),
        Ok(User { name: "root".to_owned(), uid: 0, gid: 0, groups: Vec::new() })
    );
    let error = resolve_user("no-such-user").expect_err("nobody has that name");
    assert!(error.starts_with("there is no user \"no-such-user\" on this machine"), "{error}");
}

#[tokio::test]
async fn a_daemon_that_is_not_root_runs_scripts_as_itself_only() {
    if is_root() {
        let place = Place::new();
        let copy = place.path().join("tests");
        let exe = std::env::current_exe().expect("a path");
        let copied = std::process::Command::new("cp").arg(exe).arg(&copy).status();
        assert!(copied.expect("cp").success());
        mode(&copy, 0o755);
        let again = std::process::Command::new(&copy)
            .args(["--exact", "process::a_daemon_that_is_not_root_runs_scripts_as_itself_only"])
            .current_dir("/")
            .uid(user().uid)
            .gid(user().gid)
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let own = Command { argv: vec!["/bin/echo".to_owned(), "mine".to_owned()], ..command(String::new()) };
    assert_eq!(run(&own).await.output, "mine");
    let other = Command { user: resolve_user("root").expect("root"), ..own };
    let Ended::NotStarted(why) = run(&other).await.ended else { panic!("ran as another user") };
    let name = User::own().name;
    assert_eq!(
        why,
        format!(
            "/bin/echo is to run as root, but Locum runs as {name}, who cannot become another user: \
             run Locum as root or with CAP_SETUID and CAP_SETGID, or set the script's user to {name}"
        )
    );
}

#[tokio::test]
async fn a_script_has_the_environment_of_the_daemon_where_that_is_wanted_but_for_what_changes_programs() {
    // Whoever runs tests of cargo sets both.
    assert!(["CARGO_MANIFEST_DIR", "LD_LIBRARY_PATH"].iter().all(|name| std::env::var_os(name).is_some()));
    let script = "echo ${CARGO_MANIFEST_DIR:+there} ${LD_LIBRARY_PATH:-clean}";
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let clean = Command { argv, user: User::own(), ..command(String::new()) };
    let own = Command { inherit: Inherit::Environment, ..clean.clone() };
    assert_eq!(run(&clean).await.output.trim(), "clean");
    assert_eq!(run(&own).await.output.trim(), "there clean");
}
