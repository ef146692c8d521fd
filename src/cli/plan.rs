//! What `locum init` writes: from the answers, which are the same on every host, and from whose address is whose.
//!
//! No asking and no writing here.

use crate::agent::Link;
use crate::doctor::within;
use std::fmt::Write;
use std::net::IpAddr;
use std::str::FromStr;

/// The priority of the first host, and how much lower each next one is: far enough apart that their timers are.
const FIRST: usize = 150;
const STEP: usize = 25;
/// The most hosts; more than anybody needs for one address.
pub(super) const MOST: usize = 5;
/// Names in the file.
const NAME: &str = "service";
/// The key of signed adverts, beside the file.
pub(super) const KEY: &str = "locum.key";

/// An address with its prefix length, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vip {
    pub(super) address: IpAddr,
    prefix: Option<u8>,
}

impl FromStr for Vip {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no address: write 192.168.1.25/24");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(one, two)| (one, Some(two)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix: Option<u8> = prefix.map(str::parse).transpose().map_err(|_| wrong())?;
        if prefix.is_some_and(|prefix| prefix == 0 || prefix > longest) {
            return Err(format!("\"{text}\": a prefix length is 1 to {longest}"));
        }
        Ok(Vip { address, prefix })
    }
}

impl std::fmt::Display for Vip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address)?;
        self.prefix.map_or(Ok(()), |prefix| write!(f, "/{prefix}"))
    }
}

/// The service that decides whether a host can have the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Whether the host is there, and no more.
    None,
    /// What a URL leads to: its scheme, its host and port, and what stands behind.
    Url { scheme: &'static str, place: String, path: String },
    /// A process of this name.
    Process(String),
}

impl FromStr for Service {
    type Err = String;

    /// `ws://:8765`, `http://:80/health`, `tcp://:5432`, `process:nginx` or `none`. Without a host it is this one.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "\"{text}\": {why}; write ws://:8765, http://:80/health, tcp://:5432, process:nginx or none"
            )
        };
        if text == "none" {
            return Ok(Service::None);
        }
        if let Some(name) = text.strip_prefix("process:") {
            let plain = !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            return if plain {
                Ok(Service::Process(name.to_owned()))
            } else {
                Err(wrong("this is no name of a process"))
            };
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("this is no URL"))?;
        let known = ["ws", "wss", "http", "https", "tcp"].into_iter().find(|known| *known == scheme);
        let scheme = known.ok_or_else(|| wrong("nothing here checks that"))?;
        let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = place.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
        let good = port.parse::<u16>().is_ok_and(|port| port > 0);
        if !good {
            return Err(wrong(if port.is_empty() { "it has no port" } else { "its port is not 1 to 65535" }));
        }
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        if text.contains(['"', '\'', '\\', ' ']) || text.contains(char::is_control) {
            return Err(wrong("it has letters that no URL has"));
        }
        if scheme == "tcp" && !path.is_empty() {
            return Err(wrong("tcp has no path"));
        }
        let path = if path.is_empty() && scheme != "tcp" { "/" } else { path };
        Ok(Service::Url { scheme, place: format!("{host}:{port}"), path: path.to_owned() })
    }
}

impl std::fmt::Display for Service {
    /// As it is written on a command line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Service::None => f.write_str("none"),
            Service::Process(name) => write!(f, "process:{name}"),
            // A shell has its own ideas of & and ?.
            Service::Url { scheme, place, path } => write!(f, "'{scheme}://{place}{path}'"),
        }
    }
}

impl Service {
    fn toml(&self) -> String {
        match self {
            Service::None => String::new(),
            Service::Process(name) => format!("\n[check.{NAME}]\ntype = \"process\"\nname = \"{name}\"\n"),
            Service::Url { scheme: "tcp", place, .. } => {
                format!("\n[check.{NAME}]\ntype = \"tcp\"\ntarget = \"{place}\"\n")
            }
            Service::Url { scheme, place, path } => {
                let kind = if scheme.starts_with("ws") { "websocket" } else { "http" };
                let own = ["127.0.0.1:", "localhost:", "[::1]:"].iter().any(|own| place.starts_with(own));
                let verify = if own && scheme.ends_with('s') {
                    "verify = false                  # nobody certifies this address, and nobody is between\n"
                } else {
                    ""
                };
                format!("\n[check.{NAME}]\ntype = \"{kind}\"\nurl = \"{scheme}://{place}{path}\"\n{verify}")
            }
        }
    }

    /// The port whose clients are told when the address goes: those of a `WebSocket` sit idle for hours.
    fn drains(&self) -> Option<&str> {
        match self {
            Service::Url { scheme: "ws" | "wss", place, .. } => {
                place.strip_prefix("127.0.0.1:").or(place.strip_prefix("localhost:"))
            }
            _ => None,
        }
    }
}

/// Everything that is the same on every host.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) vip: Vip,
    /// Each by its own address; the first has the virtual one while it is well.
    pub(super) hosts: Vec<IpAddr>,
    pub(super) service: Service,
    pub(super) vrid: u8,
    /// Whether adverts are signed.
    pub(super) signed: bool,
}

/// This host among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// Its place in the list, from 0.
    pub(super) place: usize,
    /// Where its address is.
    pub(super) interface: String,
}

impl Plan {
    /// What makes no sense, in one line.
    pub(super) fn check(&self) -> Result<(), String> {
        let Plan { vip, hosts, .. } = self;
        if !(2..=MOST).contains(&hosts.len()) {
            return Err(format!(
                "{} hosts: name 2 to {MOST}, as --hosts 192.168.1.26,192.168.1.27",
                hosts.len()
            ));
        }
        for (place, host) in hosts.iter().enumerate() {
            if hosts.iter().take(place).any(|other| other == host) {
                return Err(format!("host {host} is named twice"));
            }
            if *host == vip.address {
                return Err(format!("{host} is a host's own address: the virtual one has to be another"));
            }
            if host.is_ipv4() != vip.address.is_ipv4() {
                return Err(format!(
                    "{host} and {} are of different families: name those of one",
                    vip.address
                ));
            }
        }
        Ok(())
    }

    /// Which of the hosts this is, by its addresses.
    pub(super) fn seat(&self, links: &[Link]) -> Result<Seat, String> {
        let at =
            |host: &IpAddr| links.iter().find(|link| link.addresses.iter().any(|own| own.address == *host));
        let mut here = self.hosts.iter().enumerate().filter_map(|(place, host)| Some((place, at(host)?)));
        let listed = || self.hosts.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        match (here.next(), here.next()) {
            (Some((place, link)), None) => Ok(Seat { place, interface: link.name.clone() }),
            (Some(_), Some(_)) => Err(format!("this host has more than one of {}: each is a host", listed())),
            (None, _) => {
                Err(format!("this host has none of the addresses {}: run this on one that has", listed()))
            }
        }
    }

    /// Whether the virtual address can be on this host's interface, by the networks there. In one line, why not.
    pub(super) fn fits(&self, links: &[Link], interface: &str) -> Result<(), String> {
        let Vip { address: vip, prefix } = self.vip;
        let Some(link) = links.iter().find(|link| link.name == interface) else {
            let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
            return Err(format!("there is no interface {interface}: there are {}", names.join(", ")));
        };
        if interface == "lo" {
            return Err("no other host is heard on lo: name the interface where they are".to_owned());
        }
        let owner = links.iter().find(|link| link.addresses.iter().any(|own| own.address == vip));
        if let Some(owner) = owner {
            return Err(format!(
                "{vip} is on {} of this host already, and not by Locum: take it away there, or name another",
                owner.name
            ));
        }
        let host = if vip.is_ipv4() { 32 } else { 128 };
        let near = |address: IpAddr| matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
        let networks = link.addresses.iter().filter(|own| {
            own.address.is_ipv4() == vip.is_ipv4() && own.prefix < host && near(own.address) == near(vip)
        });
        let mut networks: Vec<_> = networks.map(|own| (own.address, own.prefix)).collect();
        networks.sort_by_key(|(_, prefix)| std::cmp::Reverse(*prefix));
        let shown = |(address, prefix): &(IpAddr, u8)| format!("{address}/{prefix}");
        match networks.iter().find(|(own, length)| within(vip, *own, *length)) {
            Some((_, length)) if prefix.is_some_and(|prefix| prefix != *length && prefix != host) => {
                Err(format!("{}: {interface} has a network of /{length}: write {vip}/{length}", self.vip))
            }
            Some((_, length)) if is_edge(vip, *length) => {
                Err(format!("{vip} is the first or last address of its network, which no host can have"))
            }
            // What is routed to a host alone needs no network there.
            None if !networks.is_empty() => Err(format!(
                "{vip} is in no network of {interface}, which has {}: name one inside, or another interface",
                networks.iter().map(shown).collect::<Vec<_>>().join(", ")
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn priority(place: usize) -> usize {
        FIRST.saturating_sub(STEP * place)
    }

    /// The file of one host.
    pub(super) fn toml(&self, seat: &Seat) -> String {
        let Plan { vip, hosts, service, vrid, signed } = self;
        let list =
            |hosts: &[&IpAddr]| hosts.iter().map(|host| format!("\"{host}\"")).collect::<Vec<_>>().join(", ");
        let all: Vec<_> = hosts.iter().map(IpAddr::to_string).collect();
        // With its network, the kernel would not take an IPv6 address away from a daemon that hangs.
        let held = if vip.address.is_ipv6() { vip.address.to_string() } else { vip.to_string() };
        let mut text = format!(
            "# {vip} on one of {}; written by `locum init`. The others' files differ in priority, source and peers.\n\n\
             [router.{NAME}]\ninterface = \"{}\"\nvrid = {vrid}\npriority = {}\naddresses = [\"{held}\"]\n",
            all.join(", "),
            seat.interface,
            Plan::priority(seat.place),
        );
        let (own, peers): (Vec<_>, Vec<_>) =
            hosts.iter().enumerate().partition(|(place, _)| *place == seat.place);
        let [own, peers] =
            [own, peers].map(|hosts| hosts.into_iter().map(|(_, host)| host).collect::<Vec<_>>());
        let _ = writeln!(text, "source = [{}]\npeers = [{}]", list(&own), list(&peers));
        if let Some(port) = service.drains() {
            let _ = writeln!(text, "drain_ports = [{port}]");
        }
        if *signed {
            let _ = writeln!(text, "auth = {{ hmac = {{ keys = {{ 1 = \"file:{KEY}\" }} }} }}");
        }
        if *service != Service::None {
            let _ = writeln!(text, "checks = [\"{NAME}\"]");
        }
        text + &service.toml()
    }
}

impl std::fmt::Display for Plan {
    /// The command that makes the same plan on another host.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Plan { vip, hosts, service, vrid, signed } = self;
        let hosts: Vec<_> = hosts.iter().map(IpAddr::to_string).collect();
        write!(f, "locum init --vip {vip} --hosts {} --check {service}", hosts.join(","))?;
        if *vrid != usual_vrid(vip) {
            write!(f, " --vrid {vrid}")?;
        }
        if *signed { f.write_str(" --sign") } else { Ok(()) }
    }
}

/// Whether it means the network itself, or all of its hosts.
fn is_edge(address: IpAddr, prefix: u8) -> bool {
    let IpAddr::V4(four) = address else { return false };
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    prefix < 31 && (four.to_bits() & hosts == 0 || four.to_bits() & hosts == hosts)
}

/// The virtual router's number, where nobody names one: the same on every host, for it comes from the address.
pub(super) fn usual_vrid(vip: &Vip) -> u8 {
    let last = match vip.address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    last.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::LinkAddress;

    #[test]
    fn services_are_read_as_they_are_written() {
        let read = |text: &str| text.parse::<Service>().map_or_else(|why| why, |service| service.toml());
        assert!(read("ws://:8765").contains("url = \"ws://127.0.0.1:8765/\""));
        assert!(read("http://10.0.0.1:80/health").contains("url = \"http://10.0.0.1:80/health\""));
        assert!(!read("https://www.example.org:443/").contains("verify"));
        for own in ["https://:443/health", "wss://localhost:8765"] {
            assert!(read(own).contains("\nverify = false "), "{own}");
        }
        assert!(read("ws://:99999").contains("its port is not 1 to 65535"));
        assert!(read("tcp://:5432").contains("target = \"127.0.0.1:5432\""));
        assert!(read("process:nginx").contains("name = \"nginx\""));
        assert_eq!(read("none"), "");
        for wrong in [
            "",
            "ws://",
            "ws://:0",
            "ws://:x",
            "ftp://:21",
            "tcp://:1/x",
            "process:",
            "http://:80/\"",
            "8765",
        ] {
            assert!(wrong.parse::<Service>().is_err_and(|why| why.contains("write ws://:8765")), "{wrong}");
        }
    }

    #[test]
    fn an_address_has_a_prefix_length_that_fits_or_none() {
        for good in ["10.0.0.1", "10.0.0.1/24", "fd00::1/64"] {
            assert_eq!(good.parse::<Vip>().unwrap().to_string(), good);
        }
        for wrong in ["", "10.0.0", "10.0.0.1/0", "10.0.0.1/33", "fd00::1/129", "10.0.0.1/x"] {
            assert!(wrong.parse::<Vip>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_that_the_interface_cannot_have_is_one_line() {
        let link = |name: &str, addresses: &[(&str, u8)]| Link {
            name: name.to_owned(),
            index: 1,
            up: true,
            mac: None,
            mtu: 1500,
            addresses: addresses
                .iter()
                .map(|(address, prefix)| LinkAddress {
                    address: address.parse().unwrap(),
                    prefix: *prefix,
                    tentative: false,
                    secondary: false,
                })
                .collect(),
        };
        let links = [
            link("lo", &[("127.0.0.1", 8)]),
            link("eth0", &[("10.0.0.1", 24), ("10.0.0.77", 24), ("fd00::1", 64), ("fe80::1", 64)]),
            link("eth1", &[("10.9.9.1", 32), ("fe80::2", 64), ("fd09::1", 128)]),
        ];
        let fits = |vip: &str, interface: &str| {
            let plan = Plan {
                vip: vip.parse().unwrap(),
                hosts: vec![],
                service: Service::None,
                vrid: 1,
                signed: false,
            };
            plan.fits(&links, interface)
        };
        for (vip, interface, why) in [
            ("10.0.0.9/24", "eth9", "there is no interface eth9: there are lo, eth0, eth1"),
            ("10.0.0.9/24", "lo", "no other host is heard on lo"),
            ("10.0.0.77/24", "eth0", "10.0.0.77 is on eth0 of this host already"),
            ("10.0.0.77", "eth1", "10.0.0.77 is on eth0 of this host already"),
            ("10.0.1.9/24", "eth0", "10.0.1.9 is in no network of eth0, which has 10.0.0.1/24, 10.0.0.77/24"),
            ("10.0.0.9/16", "eth0", "10.0.0.9/16: eth0 has a network of /24: write 10.0.0.9/24"),
            ("10.0.0.0", "eth0", "10.0.0.0 is the first or last address"),
            ("10.0.0.255/24", "eth0", "10.0.0.255 is the first or last address"),
            ("fd01::9/64", "eth0", "fd01::9 is in no network of eth0, which has fd00::1/64:"),
        ] {
            let said = fits(vip, interface).unwrap_err();
            assert!(said.starts_with(why) && !said.contains('\n'), "{vip}: {said}");
        }
        for (vip, interface) in [
            ("10.0.0.9/24", "eth0"),
            ("10.0.0.9", "eth0"),
            ("10.0.0.9/32", "eth0"),
            ("fd00::9/64", "eth0"),
            ("fe80::9", "eth0"),
            ("10.1.0.9", "eth1"),
            ("fd09::9", "eth1"),
        ] {
            assert_eq!(fits(vip, interface), Ok(()), "{vip} {interface}");
        }
    }

    #[test]
    fn an_ipv6_address_is_written_without_its_network() {
        for (vip, host, wanted) in [
            ("fd00::9/64", "fd00::1", "addresses = [\"fd00::9\"]"),
            ("10.0.0.9/24", "10.0.0.1", "addresses = [\"10.0.0.9/24\"]"),
        ] {
            let (vip, hosts) = (vip.parse().unwrap(), vec![host.parse().unwrap()]);
            let plan = Plan { vip, hosts, service: Service::None, vrid: 1, signed: false };
            let text = plan.toml(&Seat { place: 0, interface: "eth0".to_owned() });
            assert!(text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_one_line() {
        let plan = |vip: &str, hosts: &[&str]| Plan {
            vip: vip.parse().unwrap(),
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            service: Service::None,
            vrid: 1,
            signed: false,
        };
        for (vip, hosts, why) in [
            ("10.0.0.9", &["10.0.0.1"][..], "2 to 5"),
            ("10.0.0.9", &["10.0.0.1", "10.0.0.1"], "named twice"),
            ("10.0.0.1", &["10.0.0.1", "10.0.0.2"], "own address"),
            ("fd00::9", &["10.0.0.1", "10.0.0.2"], "different families"),
        ] {
            assert!(plan(vip, hosts).check().is_err_and(|line| line.contains(why)), "{why}");
        }
        assert_eq!(plan("10.0.0.9", &["10.0.0.1", "10.0.0.2"]).check(), Ok(()));
    }
}
