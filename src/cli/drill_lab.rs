//! Drills in a lab: two hosts with a service, a client and a name server, in namespaces that end with the drill.

use super::drill_lab_dns;
use super::drill_pace::Pace;
use super::drill_watch::{Seen, Watch, ms};
use super::{Failure, WELL, say};
use crate::agent::{Request, Standing};
use crate::control::{Answer, LONGEST_WAIT, Question};
use crate::drill::{Kind, Run};
use crate::health;
use crate::lab::{self, Host, Lab, NameServer, Service};
use crate::survey::{Client, ECHO, Target};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
const PORT: u16 = 7;
const ROUTER: &str = "web";
/// What goes before an event and comes after it, for the client to see.
const CALM: Duration = Duration::from_millis(400);
/// The longest that anything here should take besides the timers of the protocol.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most of a log that is shown.
const LINES: usize = 20;

/// What became of each.
pub(super) type Done = Vec<(Kind, Run)>;

/// Does these in a lab of this pace, and waits for their end.
///
/// # Errors
/// One line: there is no lab.
pub(super) fn run(kind: Option<Kind>, pace: &Pace) -> Result<Done, String> {
    let mut command = Command::new(program()?);
    let pace = serde_json::to_string(pace).map_err(|error| error.to_string())?;
    command.args(["drill", kind.map_or("all", Kind::name), "--inside", &pace]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
    let (ended, said) = lab::begin(command)?;
    if !ended.success() {
        return Err("the lab broke off: the lines before this one say why".to_owned());
    }
    serde_json::from_slice(&said).map_err(|error| format!("the lab said nothing that makes sense: {error}"))
}

/// Does them, within the namespaces that [`run`] has made for this process.
pub(super) fn inside(kinds: &[Kind], pace: &Pace) -> Result<u8, Failure> {
    // In a chroot the kernel cannot tell its place any more once the mounts are others.
    let program = program().map_err(Failure::Other)?;
    lab::enter().map_err(Failure::Other)?;
    let mut pair = Pair::start(&program, pace).map_err(Failure::Other)?;
    let mut done: Done = kinds.iter().map(|kind| (*kind, pair.step(*kind))).collect();
    for (_, run) in &mut done {
        run.notes.extend(pace.whose.clone());
    }
    if done.iter().any(|(_, run)| !run.problems.is_empty()) {
        eprint!("{}", pair.logs());
    }
    say(&serde_json::to_string(&done).map_err(|error| Failure::Other(error.to_string()))?)?;
    Ok(WELL)
}

fn program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))
}

/// A daemon on a host, with its guardian.
pub(super) struct Node {
    name: &'static str,
    pub(super) address: Ipv4Addr,
    watch: Watch,
    _guardian: Child,
}

pub(super) struct Pair {
    lab: Lab,
    pub(super) a: Node,
    pub(super) b: Node,
    service: Option<Service>,
    _other: Service,
    pub(super) names: NameServer,
    /// How long a Backup waits at most, and as much again for everything else.
    limit: Duration,
}

fn file(name: &str, kind: &str) -> PathBuf {
    PathBuf::from(format!("/run/{name}.{kind}"))
}

fn config(host: &Host, priority: u8, pace: &Pace, dns: &str) -> String {
    let Host { name, .. } = host;
    let (router, check, flag) = (pace.router(), pace.check(), file(name, "flag"));
    let service = pace.tracked("service");
    format!(
        "[agent]\nnode = \"{name}\"\n[router.{ROUTER}]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\n\
         {router}addresses = [\"{VIP}\"]\n\
         checks = [{service}, {{ check = \"flag\", weight = -1 }}]\n\
         notify = {{ any = [\"/usr/bin/env\", \"true\"], user = \"root\" }}\n\
         [check.service]\ntype = \"tcp\"\ntarget = \"127.0.0.1:{PORT}\"\n{check}\
         [check.flag]\ntype = \"file\"\npath = \"{}\"\n{check}{dns}",
        flag.display()
    )
}

impl Node {
    fn start(program: &Path, host: &Host, priority: u8, pace: &Pace) -> Result<Node, String> {
        let name = host.name;
        let about = |error: std::io::Error| format!("the lab's daemon cannot be started: {error}");
        let (config_file, socket) = (file(name, "toml"), file(name, "sock"));
        let dns = drill_lab_dns::section(host, ROUTER);
        fs::write(&config_file, config(host, priority, pace, &dns)).map_err(about)?;
        fs::write(file(name, "flag"), "").map_err(about)?;
        let log = fs::File::create(file(name, "log")).map_err(about)?;
        let mut command = Command::new(program);
        command.args(["run", "-c"]).arg(&config_file).arg("--socket").arg(&socket);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(about)?).stderr(log);
        let guardian = host.start(command).map_err(about)?;
        Ok(Node { name, address: host.address, watch: Watch { socket }, _guardian: guardian })
    }

    fn wait(&self, state: Standing, limit: Duration) -> Result<Seen, String> {
        self.watch.wait(&format!("{} is {state}", self.name), limit, |seen| seen.is(ROUTER, state))
    }

    fn order(&self, request: Request) -> Result<Vec<String>, String> {
        match self.watch.ask(&Question::Agent(request), LONGEST_WAIT)? {
            Answer::Done { lines } => Ok(lines),
            Answer::Moved { routers } => match routers.iter().find(|moved| moved.successor.is_none()) {
                Some(_) => Err("nobody took the addresses".to_owned()),
                None => Ok(Vec::new()),
            },
            Answer::Refused { lines } => Err(lines.join("; ")),
            Answer::Status(_) | Answer::Cluster(_) => {
                Err("the daemon answered something else than was asked".to_owned())
            }
        }
    }
}

impl Pair {
    fn start(program: &Path, pace: &Pace) -> Result<Pair, String> {
        let lab = Lab::build(&["a", "b", "client", "names"])?;
        let [first, second, _, third] = lab.hosts.as_slice() else {
            return Err("the lab has no hosts".to_owned());
        };
        let serve =
            |host| Service::start(host, PORT, ECHO).map_err(|error| format!("the lab's service: {error}"));
        let (service, other) = (serve(first)?, serve(second)?);
        let names = drill_lab_dns::serve(third)?;
        let limit = pace.interval * 4 + pace.found * 2 + pace.preempt_delay + PATIENCE;
        let (higher, lower) = pace.priorities();
        // So that each hears the other: the weaker one is there first.
        let b = Node::start(program, second, lower, pace)?;
        let told = |why: String| format!("{why}\n{}", tail("b"));
        b.wait(Standing::Master, limit).map_err(told)?;
        let a = Node::start(program, first, higher, pace)?;
        let pair = Pair { a, b, service: Some(service), _other: other, names, limit, lab };
        pair.settled().map_err(|why| format!("{why}\n{}", pair.logs()))?;
        Ok(pair)
    }

    /// As it is before and after every step.
    fn settled(&self) -> Result<Seen, String> {
        let held = |seen: &Seen| {
            let held = seen.router(ROUTER).is_some_and(|router| router.addresses.iter().all(|one| one.held));
            held && seen.is(ROUTER, Standing::Master)
        };
        let seen = self.a.watch.wait("a is MASTER again", self.limit, held)?;
        // Until then a client that asks who has the address may be told that b does.
        let gone = |seen: &Seen| {
            let gone = seen.router(ROUTER).is_some_and(|router| router.addresses.iter().all(|one| !one.held));
            gone && seen.is(ROUTER, Standing::Backup)
        };
        self.b.watch.wait("b is BACKUP without the address", self.limit, gone)?;
        self.recorded(PATIENCE)?;
        Ok(seen)
    }

    fn logs(&self) -> String {
        [&self.a, &self.b].map(|node| tail(node.name)).concat()
    }

    fn host(&self, name: &str) -> Result<&Host, String> {
        self.lab.hosts.iter().find(|host| host.name == name).ok_or_else(|| format!("no host {name}"))
    }

    fn client(&self) -> Result<Client, String> {
        let door = self.host("client")?.door().map_err(|error| error.to_string())?;
        Ok(Client::begin(Target::Service(SocketAddr::new(VIP.into(), PORT)), Some(door)))
    }

    fn step(&mut self, kind: Kind) -> Run {
        let only = |moved: Result<(Run, Instant), String>| moved.map(|(run, _)| run);
        let broken = |what: &str, why| Run { what: what.to_owned(), problems: vec![why], ..Run::default() };
        let (what, run) = match kind {
            Kind::Connectivity => {
                ("a and b hear each other, and the client gets answers", self.connectivity())
            }
            Kind::Health => ("a check of a fails that moves nothing, and passes again", self.health()),
            Kind::Dns => ("the service on a ends, and the record of DNS moves to b and back", self.dns()),
            Kind::Failover => ("a hands over to b, and takes back", only(self.failover())),
            Kind::Service => ("the service on a ends, and starts again", only(self.service())),
            Kind::Daemon => {
                ("the daemon on a is killed, and its guardian starts another", only(self.daemon()))
            }
        };
        let run = run.unwrap_or_else(|why| broken(what, why));
        Run { what: what.to_owned(), ..run }
    }

    fn connectivity(&self) -> Result<Run, String> {
        let mut run = Run::default();
        let client = self.client()?;
        let began = Instant::now();
        thread::sleep(CALM);
        for (node, other) in [(&self.a, "b"), (&self.b, "a")] {
            let (seen, there) = (node.watch.look()?, IpAddr::from(self.host(other)?.address));
            let router = seen.router(ROUTER).ok_or("the lab has no router")?;
            let mut peers = router.instances.iter().flat_map(|instance| &instance.peers);
            match peers.find(|peer| peer.address == there && peer.adverts > 0) {
                Some(peer) => {
                    run.notes.push(format!("{} has heard {other}, {} adverts", node.name, peer.adverts));
                }
                None => run.problems.push(format!("{} has never heard {other}", node.name)),
            }
        }
        let outage = client.end(began)?;
        if outage.lost > 0 {
            run.problems.push(format!("the client gets no answer in between: {outage}"));
        }
        run.measured.outage = Some(outage);
        Ok(run)
    }

    fn health(&self) -> Result<Run, String> {
        let mut run = Run::default();
        let flag = file(self.a.name, "flag");
        let is = |seen: &Seen, state| {
            seen.status.checks.iter().find(|check| &*check.name.0 == "flag" && check.state == state).cloned()
        };
        let began = Instant::now();
        fs::remove_file(&flag).map_err(|error| error.to_string())?;
        run.happened(0.0, "what the check looks at is gone");
        let down = |seen: &Seen| is(seen, health::Standing::Down).is_some();
        let found = self.a.watch.wait("the check is down", self.limit, down);
        // Whatever came of it.
        fs::write(&flag, "").map_err(|error| error.to_string())?;
        let back = Instant::now();
        let seen = found?;
        let found = seen.before(is(&seen, health::Standing::Down).map_or(0, |check| check.since_ms));
        run.measured.detection_ms = Some(ms(began, found));
        run.happened(ms(began, found), "the check is down");
        run.happened(ms(began, back), "it is back");
        if !seen.is(ROUTER, Standing::Master) {
            run.problems.push("a is not MASTER, though the check should not move it".to_owned());
        }
        let up = |seen: &Seen| is(seen, health::Standing::Up).is_some();
        match self.a.watch.wait("the check is up again", self.limit, up) {
            Ok(_) => run.happened(ms(began, Instant::now()), "the check is up"),
            Err(why) => run.left.push(why),
        }
        Ok(run)
    }

    fn failover(&mut self) -> Result<(Run, Instant), String> {
        let all = |request: fn(Option<_>) -> Request| request(None);
        self.moved(
            "locum handover on a",
            |pair| pair.a.order(all(|router| Request::Handover { router })).map(drop),
            CALM,
            "locum resume on a",
            |pair| pair.a.order(all(|router| Request::Resume { router })).map(drop),
        )
    }

    pub(super) fn service(&mut self) -> Result<(Run, Instant), String> {
        self.moved(
            "the service on a ends",
            |pair| {
                pair.service = None;
                Ok(())
            },
            CALM,
            "the service on a runs again",
            |pair| {
                let started = Service::start(pair.host("a")?, PORT, ECHO);
                pair.service = Some(started.map_err(|error| error.to_string())?);
                Ok(())
            },
        )
    }

    fn daemon(&mut self) -> Result<(Run, Instant), String> {
        let seen = self.a.watch.look()?;
        let pid = seen.status.daemon.get("pid").and_then(|pid| pid.parse().ok()).ok_or("a has no process")?;
        self.moved(
            "the daemon on a is killed",
            |_| kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(|errno| errno.to_string()),
            Duration::ZERO,
            "another daemon answers on a",
            |pair| {
                let other =
                    |seen: &Seen| seen.status.daemon.get("pid").is_some_and(|now| *now != pid.to_string());
                pair.a.watch.wait("another daemon answers on a", pair.limit, other).map(drop)
            },
        )
    }

    /// Moves the address from a to b by `deed` and, so much later, back by `mend`, which is done whatever has come of
    /// it. Returns when it began as well.
    fn moved(
        &mut self,
        what: &str,
        deed: impl FnOnce(&mut Pair) -> Result<(), String>,
        calm: Duration,
        mended: &str,
        mend: impl FnOnce(&mut Pair) -> Result<(), String>,
    ) -> Result<(Run, Instant), String> {
        let mut run = Run::default();
        let before = self.b.watch.look()?;
        let client = self.client()?;
        thread::sleep(CALM);
        let began = Instant::now();
        run.happened(0.0, what);
        let done = deed(self);
        let taken = done.and_then(|()| self.taken(began, &before, &mut run));
        run.problems.extend(taken.err());
        thread::sleep(calm);
        run.left.extend(mend(self).err());
        run.happened(ms(began, Instant::now()), mended);
        match self.settled() {
            Ok(seen) => run.happened(ms(began, seen.since(ROUTER)), "a is MASTER again"),
            Err(why) => run.left.push(why),
        }
        thread::sleep(CALM);
        match client.end(began) {
            Ok(outage) => run.measured.outage = Some(outage),
            Err(why) => run.problems.push(why),
        }
        self.tell_of_record(began, &mut run);
        Ok((run, began))
    }

    /// Watches b take over.
    fn taken(&self, began: Instant, before: &Seen, run: &mut Run) -> Result<(), String> {
        let gone = |seen: &Seen| {
            let checks = seen.status.checks.iter();
            let mut down =
                checks.filter(|check| &*check.name.0 == "service" && check.state == health::Standing::Down);
            let weighs = || down.next().map(|check| (seen.before(check.since_ms), "its priority falls"));
            let fault = seen.is(ROUTER, Standing::Fault);
            fault.then(|| (seen.since(ROUTER), "gives up the address")).or_else(weighs)
        };
        let looks = || self.a.watch.look().ok().as_ref().and_then(gone);
        let mut lost = None;
        let limit = Instant::now() + self.limit;
        // A failing check takes its host out, or weighs on it; of the others nobody has to find out anything.
        let seen = loop {
            lost = lost.or_else(looks);
            match self.b.watch.look() {
                Ok(seen) if seen.is(ROUTER, Standing::Master) => break seen,
                _ if Instant::now() > limit => return Err("b never became MASTER".to_owned()),
                _ => thread::sleep(Duration::from_millis(2)),
            }
        };
        let taken = seen.since(ROUTER);
        // Two clocks, read to the millisecond: who takes over at once seems to do so before.
        let lost = lost.or_else(looks).map(|(lost, what)| (lost.min(taken), what));
        if let Some((lost, what)) = lost {
            run.measured.detection_ms = Some(ms(began, lost));
            run.happened(ms(began, lost), format!("a finds it out and {what}"));
        }
        let lost = lost.map(|(lost, _)| lost);
        run.measured.takeover_ms = Some(ms(lost.unwrap_or(began), taken));
        run.happened(ms(began, taken), "b is MASTER");
        match self.b.watch.notified(ROUTER, before, taken) {
            Some(told) => {
                run.measured.notification_ms = Some(told);
                run.happened(ms(began, taken) + told, "the hook of b has run");
            }
            None => run.problems.push("the hook of b did not run".to_owned()),
        }
        Ok(())
    }
}

/// The end of a daemon's log.
fn tail(name: &str) -> String {
    let text = fs::read_to_string(file(name, "log")).unwrap_or_default();
    let skip = text.lines().count().saturating_sub(LINES);
    let lines: Vec<_> = text.lines().skip(skip).collect();
    format!("log of {name}:\n  {}\n", lines.join("\n  "))
}
