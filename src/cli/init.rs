//! `locum init`: writes this host's configuration. The same command on every host: each finds by its addresses which
//! one it is.

use super::plan::{KEY, Plan, Seat, Service, Vip, usual_vrid};
use super::{DEFAULT_CONFIG, Failure, USAGE, WELL, complain, say};
use crate::config::{Config, Problem, Secrets, parse, show, worst_case};
use crate::explain::explain;
use crate::survey;
use clap::Args;
use data_encoding::HEXLOWER;
use nix::unistd::{User, chown};
use std::fmt::{Display, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write, stderr, stdin};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The bytes of a new key.
const KEY_LENGTH: usize = 32;
/// Whose process reads the key.
const USER: &str = "locum";

/// Write this host's configuration; the same command on each host, with every host named in the same order
#[derive(Debug, Args)]
#[command(
    after_help = "Which of the hosts this is, it finds by its own addresses. On a terminal it asks for what \
                        is not named. A file that is there stays, without --force."
)]
pub(super) struct Init {
    /// The virtual address
    #[arg(long, value_name = "ADDRESS[/PREFIX]")]
    vip: Option<Vip>,
    /// Each host's own address; the first has the virtual one while it is well
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',', value_parser = host)]
    hosts: Vec<IpAddr>,
    /// The service that decides whether a host can have the address: ws://:8765, http://:80/health, tcp://:5432,
    /// process:nginx, or none
    #[arg(long, value_name = "SERVICE")]
    check: Option<Service>,
    /// The interface of the virtual address [default: where this host's own is]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The virtual router's number on the network [default: the last number of the virtual address]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    vrid: Option<u8>,
    /// Sign the adverts: the first host makes the key, which is to be copied to the others before this runs there
    #[arg(long)]
    sign: bool,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(super) fn run(mut self) -> Result<u8, Failure> {
        if self.config.exists() && !self.force {
            let line = format!("{} is there already: --force writes over it", self.config.display());
            return Err(Failure::Other(line));
        }
        let asks = !self.missing().is_empty() && stdin().is_terminal() && stderr().is_terminal();
        if asks {
            self.ask()?;
        }
        let Some(plan) = self.plan() else {
            complain(&format!(
                "init cannot ask here, and needs {}, as in: locum init --vip 192.168.1.25/24 \
                 --hosts 192.168.1.26,192.168.1.27 --check ws://:8765",
                self.missing().join(", ")
            ));
            return Ok(USAGE);
        };
        if let Err(line) = plan.check() {
            complain(&line);
            return Ok(USAGE);
        }
        let seat = self.seat(&plan, asks)?;
        let text = plan.toml(&seat);
        let key = self.config.with_file_name(KEY);
        if plan.signed {
            provide_key(&key, &plan, &seat)?;
        }
        // There is no file yet that a place in it would mean something of.
        let loaded = parse(&text, &self.config, Secrets::MustRead)
            .map_err(|problems| Failure::Other(problems.0.iter().map(said).collect::<Vec<_>>().join("; ")))?;
        for warning in &loaded.warnings {
            complain(&said(warning));
        }
        self.write(&text)?;
        say(&self.told(&plan, &seat, &loaded.config))?;
        Ok(WELL)
    }

    /// What has to be named and is not.
    fn missing(&self) -> Vec<&'static str> {
        let named = [
            ("--vip", self.vip.is_some()),
            ("--hosts", !self.hosts.is_empty()),
            ("--check", self.check.is_some()),
        ];
        named.into_iter().filter(|(_, named)| !named).map(|(flag, _)| flag).collect()
    }

    /// Asks for what is missing.
    fn ask(&mut self) -> Result<(), Failure> {
        if self.vip.is_none() {
            self.vip = Some(ask("Virtual address, as 192.168.1.25/24", None)?);
        }
        while self.hosts.is_empty() {
            let line: String =
                ask("Each host's own address, the first to have it first, separated by commas", None)?;
            match line.split(',').map(|host| host.trim().parse()).collect() {
                Ok(hosts) => self.hosts = hosts,
                Err(_) => complain("these are no addresses: write 192.168.1.26, 192.168.1.27"),
            }
        }
        if self.check.is_none() {
            let question = "Service to check: ws://:8765, http://:80/health, tcp://:5432, process:nginx";
            self.check = Some(ask(question, Some("none"))?);
        }
        Ok(())
    }

    /// `None` where something is missing.
    fn plan(&self) -> Option<Plan> {
        let vip = self.vip?;
        let service = self.check.clone()?;
        let vrid = self.vrid.unwrap_or_else(|| usual_vrid(&vip));
        (!self.hosts.is_empty()).then(|| Plan {
            vip,
            hosts: self.hosts.clone(),
            service,
            vrid,
            signed: self.sign,
        })
    }

    /// Which host this is, and the interface: as named, as answered, or where its address is.
    fn seat(&self, plan: &Plan, asks: bool) -> Result<Seat, Failure> {
        let links = survey::links().map_err(Failure::Other)?;
        let mut seat = plan.seat(&links).map_err(Failure::Other)?;
        if let Some(name) = &self.interface {
            seat.interface.clone_from(name);
        } else if asks {
            let own = seat.interface.clone();
            seat.interface = ask("Interface of the virtual address", Some(&own))?;
            while !links.iter().any(|link| link.name == seat.interface) {
                complain(&plan.fits(&links, &seat.interface).err().unwrap_or_default());
                seat.interface = ask("Interface of the virtual address", Some(&own))?;
            }
        }
        plan.fits(&links, &seat.interface).map_err(Failure::Other)?;
        Ok(seat)
    }

    /// Whole or not at all.
    fn write(&self, text: &str) -> Result<(), Failure> {
        let path = &self.config;
        let cannot = |error: io::Error| Failure::Other(format!("cannot write {}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(cannot)?;
        }
        if !self.force {
            let mut file = File::create_new(path).map_err(cannot)?;
            return file.write_all(text.as_bytes()).map_err(cannot);
        }
        let new = path.with_extension("toml.new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, path)).map_err(cannot)
    }

    fn told(&self, plan: &Plan, seat: &Seat, config: &Config) -> String {
        let Plan { hosts, vip, .. } = plan;
        let own = hosts.get(seat.place).map(IpAddr::to_string).unwrap_or_default();
        let mut text = format!(
            "{} is written: {own} is host {} of {}, priority {}, on {}\n",
            self.config.display(),
            seat.place + 1,
            hosts.len(),
            Plan::priority(seat.place),
            seat.interface,
        );
        if let Some(router) = config.agent.routers.first() {
            let worst = show(worst_case(router, config).total);
            let _ = writeln!(
                text,
                "a failover takes at most {worst}: `locum check --explain` says all it will do"
            );
        }
        let peers: Vec<_> = hosts.iter().filter(|host| host.to_string() != own).collect();
        let firewall = explain(config, &[]).firewall;
        let nftables: Vec<_> = firewall.nftables.iter().map(|rule| format!("nft '{rule}'")).collect();
        section(&mut text, "\nthrough this host's firewall, nftables", &nftables);
        section(&mut text, "or iptables", &firewall.iptables);
        section(&mut text, "or firewalld", &peers.iter().map(|peer| rich_rule(peer)).collect::<Vec<_>>());
        text.push_str("  firewall-cmd --reload\n");
        text.push_str(
            "a reboot forgets what nft and iptables were told: put the rules where this host keeps its own\n",
        );
        let start = if self.config == Path::new(DEFAULT_CONFIG) {
            "systemctl enable --now locum".to_owned()
        } else {
            format!("locum run -c {}", self.config.display())
        };
        let _ = writeln!(text, "\nnext: {start}");
        if plan.signed && seat.place == 0 {
            let key = self.config.with_file_name(KEY);
            let _ =
                writeln!(text, "copy {} to each other host, for user {USER} alone to read", key.display());
        }
        let others: Vec<_> = peers.iter().map(ToString::to_string).collect();
        // Where nobody has named it, each host finds its own.
        let named = self.interface.as_ref();
        let interface = named.map(|name| format!(" --interface {name}")).unwrap_or_default();
        let _ = writeln!(text, "and on {}: {plan}{interface}", others.join(", "));
        let _ = writeln!(
            text,
            "\nTwo hosts cannot tell a dead one from a cut cable: so that {} is never on both, a third can vote, see \
             examples/quorum.toml",
            vip.address
        );
        text
    }
}

/// A host's address, as people write lists.
fn host(text: &str) -> Result<IpAddr, String> {
    text.trim().parse().map_err(|_| "this is no address: write 192.168.1.26,192.168.1.27".to_owned())
}

/// A problem of a file that nobody has written, in one line.
fn said(problem: &Problem) -> String {
    let help = problem.help.as_ref().map(|help| format!(": {help}")).unwrap_or_default();
    format!("{}{help}", problem.message)
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    let _ = writeln!(text, "{title}");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

/// What lets adverts of a peer in; out, firewalld lets everything.
fn rich_rule(peer: &IpAddr) -> String {
    let family = if peer.is_ipv4() { "ipv4" } else { "ipv6" };
    format!(
        "firewall-cmd --permanent --add-rich-rule='rule family=\"{family}\" source address=\"{peer}\" \
         protocol value=\"vrrp\" accept'"
    )
}

/// One question, until its answer is good. An empty answer is the usual one.
fn ask<T: FromStr<Err: Display>>(question: &str, usual: Option<&str>) -> Result<T, Failure> {
    loop {
        let shown = usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
        let _ = write!(stderr(), "{question}{shown}: ");
        let mut line = String::new();
        let read = stdin().read_line(&mut line);
        if read.map_err(|error| Failure::Other(format!("no answer: {error}")))? == 0 {
            return Err(Failure::Other("no answer, so nothing is written".to_owned()));
        }
        let answer = Some(line.trim()).filter(|line| !line.is_empty()).or(usual);
        match answer.map(str::parse) {
            Some(Ok(good)) => return Ok(good),
            Some(Err(why)) => complain(&why.to_string()),
            None => {}
        }
    }
}

/// On the first host a new key, if there is none; on the others it has to be there.
fn provide_key(path: &Path, plan: &Plan, seat: &Seat) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    let shown = path.display();
    if seat.place > 0 {
        let first = plan.hosts.first().map(IpAddr::to_string).unwrap_or_default();
        let line = format!("{shown} is not here: run this on {first} first, and copy the file from there");
        return Err(Failure::Other(line));
    }
    let cannot = |error: io::Error| Failure::Other(format!("cannot write {shown}: {error}"));
    let mut bytes = [0; KEY_LENGTH];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| cannot(error.into()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(cannot)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
    writeln!(file, "hex:{}", HEXLOWER.encode(&bytes)).map_err(cannot)?;
    // Without the package there is no such user, and root runs the daemon.
    if let Ok(Some(user)) = User::from_name(USER) {
        chown(path, Some(user.uid), None).map_err(|error| cannot(error.into()))?;
    }
    Ok(())
}
