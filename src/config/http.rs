//! `[http]`: where metrics, health and events are served, and to whom. What cannot be guarded as written is not
//! served at all.

use super::Secrets;
use super::checks::url_of;
use super::problem::{Finding, Sink, Span};
use super::router::Keys;
use super::secret;
use super::section::{Section, Value, Wrong};
use super::value::{path, text};
use crate::stream::tls;
use crate::vrrp::auth::Secret;
use crate::web::{Listen, Peer, Settings, Tls};
use serde_spanned::Spanned;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// `[http]` as written. Secrets are where they are to be found.
pub(super) struct Http {
    span: Span,
    listen: Vec<Spanned<Listen>>,
    token: Option<Spanned<String>>,
    certificate: Option<Spanned<PathBuf>>,
    key: Option<Spanned<String>>,
    agent_check: Option<Spanned<SocketAddr>>,
    names: Vec<Spanned<String>>,
    peers: Vec<Spanned<Url>>,
    peer_token: Option<Spanned<String>>,
    peer_ca_file: Option<Spanned<PathBuf>>,
}

/// Host and port, and whether it is asked by TLS.
type Url = ((String, u16), bool);

/// The most nodes of a cluster that are asked how they stand.
const MOST_PEERS: usize = 16;

pub(super) fn read(top: &Section<'_>) -> Option<Http> {
    let section = top.raw("http").and_then(|value| top.inner("http", value, "[http]".to_owned()))?;
    let usual =
        || Settings::default().listen.into_iter().map(|listen| Spanned::new(section.span.clone(), listen));
    let listen = section.one_or_more("listen", listen);
    let http = Http {
        span: section.span.clone(),
        listen: listen.map_or_else(|| usual().collect(), Spanned::into_inner),
        token: section.optional("token", text),
        certificate: section.optional("certificate", path),
        key: section.optional("key", text),
        agent_check: section.optional("agent_check", socket),
        names: section.one_or_more("names", host).map_or_else(Vec::new, Spanned::into_inner),
        peers: section.one_or_more("peers", peer).map_or_else(Vec::new, Spanned::into_inner),
        peer_token: section.optional("peer_token", text),
        peer_ca_file: section.optional("peer_ca_file", path),
    };
    section.finish();
    Some(http)
}

fn listen(value: &Value<'_>) -> Result<Listen, Wrong> {
    match text(value)?.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(Listen::Unix(path.into())),
        Some(path) => {
            Err(Wrong::new(format!("\"{path}\" is not an absolute path")).help("write it from / on"))
        }
        None => socket(value).map(Listen::Tcp),
    }
}

fn peer(value: &Value<'_>) -> Result<Url, Wrong> {
    let (target, encrypted, path) = url_of(&text(value)?, "http", "https")?;
    if path != "/" {
        return Err(Wrong::new("a peer has no path").help("write http://HOST:PORT or https://HOST:PORT"));
    }
    Ok(((target.host, target.port), encrypted))
}

fn host(value: &Value<'_>) -> Result<String, Wrong> {
    let text = text(value)?;
    let good = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if text.is_empty() || !text.chars().all(good) {
        let wrong = Wrong::new(format!("\"{text}\" is not a name of a host"));
        return Err(
            wrong.help("write it like \"a.example.org\", without a port; addresses need not be named")
        );
    }
    Ok(known(&text))
}

/// As names are compared.
fn known(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn socket(value: &Value<'_>) -> Result<SocketAddr, Wrong> {
    let text = text(value)?;
    let good = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    good.ok_or_else(|| {
        let wrong = Wrong::new(format!("\"{text}\" is not an address with a port"));
        wrong.help("write it like \"127.0.0.1:5113\" or \"[::1]:5113\"")
    })
}

impl Http {
    /// What is to be served; `None` where a secret cannot be read, which is reported.
    /// `node`: what this host is called.
    pub(super) fn settings(&self, node: &str, keys: &Keys<'_>, sink: &Sink) -> Option<Settings> {
        self.places(sink);
        let reader = Reader { keys, sink };
        let token = self.token.as_ref().map(|at| reader.secret(at, secret::token)).transpose();
        let tls = self.tls(&reader);
        self.exposure(sink);
        let peers = self.peers(&reader, token.as_ref().ok().and_then(Option::as_ref));
        // Peers may be named here as they name each other.
        let peers_names = self.peers.iter().map(|peer| &*peer.get_ref().0.0);
        let names = self.names.iter().map(|name| &**name.get_ref()).chain(peers_names).chain([node]);
        let names: BTreeSet<_> = names.map(known).collect();
        // Never less than what is written.
        Some(Settings {
            listen: self.listen.iter().map(|listen| listen.get_ref().clone()).collect(),
            token: token.ok()?,
            tls: tls.ok()?,
            agent_check: self.agent_check.as_ref().map(|address| *address.get_ref()),
            names: names.into_iter().collect(),
            peers: peers.ok()?,
        })
    }

    fn tls(&self, reader: &Reader<'_>) -> Result<Option<Tls>, Reported> {
        let (certificate, key) = match (&self.certificate, &self.key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(alone), None) => {
                return Err(reader.lacks(&alone.span(), "key = \"file:/etc/locum/http.key\""));
            }
            (None, Some(alone)) => {
                return Err(reader.lacks(&alone.span(), "certificate = \"/etc/locum/http.pem\""));
            }
        };
        let private = reader.secret(key, secret::private_key)?;
        let shown = certificate.get_ref().display();
        let chain = std::fs::read(certificate.get_ref())
            .map_err(|error| format!("cannot read the certificate: {shown}: {error}"));
        let tls = chain.and_then(|chain| Tls::new(chain, private).map_err(|line| format!("{shown}: {line}")));
        tls.map(Some).map_err(|line| reader.report(&certificate.span(), Wrong::new(line), true))
    }

    /// The other nodes. They are shown the token that is wanted here, unless another is named.
    fn peers(&self, reader: &Reader<'_>, own: Option<&Secret>) -> Result<Vec<Peer>, Reported> {
        let token = self.peer_token.as_ref().map(|at| reader.secret(at, secret::token)).transpose()?;
        let token = token.as_ref().or(own);
        let spans =
            [self.peer_token.as_ref().map(Spanned::span), self.peer_ca_file.as_ref().map(Spanned::span)];
        if let Some(span) = spans.into_iter().flatten().next().filter(|_| self.peers.is_empty()) {
            return Err(reader.lacks(&span, "peers = [\"https://10.0.0.2:5113\"]"));
        }
        if let Some(more) = self.peers.get(MOST_PEERS) {
            let finding = Finding::error(&more.span(), format!("more than {MOST_PEERS} peers"));
            reader.sink.add(finding.help("name those that share routers with this host"));
        }
        for (at, peer) in self.peers.iter().enumerate() {
            let target = &peer.get_ref().0;
            if self.peers.iter().take(at).any(|before| before.get_ref().0 == *target) {
                let finding =
                    Finding::error(&peer.span(), format!("{}:{} is named twice", target.0, target.1));
                reader.sink.add(finding.help("name each peer once"));
            }
        }
        let heard = |peer: &&Spanned<Url>| {
            let ((host, _), encrypted) = peer.get_ref();
            !encrypted && host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
        };
        if let Some(peer) = self.peers.iter().find(heard).filter(|_| token.is_some()) {
            let message = format!("to {} the token goes in the clear", peer.get_ref().0.0);
            reader.sink.add(Finding::warning(&peer.span(), message).help("write the peer with https://"));
        }
        let ca_file = self.peer_ca_file.as_ref().map(|path| path.get_ref().clone());
        let peer = |url: &Spanned<Url>| {
            let (target, encrypted) = url.get_ref().clone();
            let tls = encrypted.then(|| tls::Config { verify: true, ca_file: ca_file.clone() });
            Peer { target, tls, token: token.cloned() }
        };
        Ok(self.peers.iter().map(peer).collect())
    }

    /// Two of a kind in one place.
    fn places(&self, sink: &Sink) {
        if self.listen.is_empty() {
            let finding = Finding::error(&self.span, "listen names no place");
            sink.add(finding.help("name one, or remove the line: it is 127.0.0.1:5113 then"));
        }
        let agent = self.agent_check.as_ref().map(|it| Spanned::new(it.span(), Listen::Tcp(*it.get_ref())));
        let all: Vec<_> = self.listen.iter().chain(&agent).collect();
        for (at, listen) in all.iter().enumerate() {
            if all.iter().take(at).any(|before| before.get_ref() == listen.get_ref()) {
                let finding = Finding::error(&listen.span(), format!("{} is named twice", listen.get_ref()));
                sink.add(finding.help("name each place once"));
            }
        }
    }

    /// What others can read, and hear.
    fn exposure(&self, sink: &Sink) {
        if let Some(agent) = self.agent_check.as_ref().filter(|it| !it.get_ref().ip().is_loopback()) {
            let message = format!("whoever reaches {} can read roles and weights", agent.get_ref());
            let help =
                "HAProxy's agent-check has no token: let only load balancers through the firewall to it";
            sink.add(Finding::warning(&agent.span(), message).help(help));
        }
        let Some(open) = self.listen.iter().find(|listen| listen.get_ref().is_open()) else { return };
        let (message, help) = if self.token.is_none() {
            let message = format!("whoever reaches {} can read how everything stands", open.get_ref());
            (message, "write a token = \"file:/etc/locum/http.token\", or listen on 127.0.0.1")
        } else if self.certificate.is_none() {
            let message = format!("to {} the token comes in the clear", open.get_ref());
            (message, "write a certificate and its key, or listen on 127.0.0.1")
        } else {
            return;
        };
        sink.add(Finding::warning(&open.span(), message).help(help));
    }
}

/// Reads secrets. Errors are reported.
struct Reader<'a> {
    keys: &'a Keys<'a>,
    sink: &'a Sink,
}

/// What is wrong was reported.
struct Reported;

impl Reader<'_> {
    fn secret(&self, at: &Spanned<String>, read: secret::Reading) -> Result<Secret, Reported> {
        let well_formed = secret::is_reference(at.get_ref());
        read(at.get_ref(), self.keys.directory, self.keys.credentials)
            .map_err(|wrong| self.report(&at.span(), wrong, well_formed))
    }

    /// `of_place`: it is not the configuration that is wrong. Then the routers run all the same.
    fn report(&self, span: &Span, wrong: Wrong, of_place: bool) -> Reported {
        let bars = of_place && self.keys.policy == Secrets::BarRouter;
        let message = if bars { format!("{}: HTTP is not served", wrong.message) } else { wrong.message };
        let finding = if bars { Finding::warning(span, message) } else { Finding::error(span, message) };
        self.sink.add(match wrong.help {
            Some(help) => finding.help(help),
            None => finding,
        });
        Reported
    }

    /// `line`: what would go with it.
    fn lacks(&self, span: &Span, line: &str) -> Reported {
        let key = line.split(' ').next().unwrap_or(line);
        let finding = Finding::error(span, format!("[http] has no `{key}` to go with it"));
        self.sink.add(finding.help(format!("add: {line}")));
        Reported
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Loaded, Problems, Secrets, parse};
    use crate::web::{Listen, Settings};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn load(text: &str, origin: &Path, secrets: Secrets) -> Result<Loaded, Problems> {
        let router = "[router.web]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"10.0.0.1\"]\n";
        parse(&format!("{router}{text}"), origin, secrets)
    }

    fn loaded(text: &str) -> Result<Loaded, Problems> {
        load(text, Path::new("x.toml"), Secrets::MustRead)
    }

    #[test]
    fn the_table_alone_listens_on_loopback_and_without_it_nothing_is_served() {
        let of = |text| loaded(&format!("[agent]\nnode = \"A\"\n{text}")).unwrap().config.details.http;
        let usual = Settings { names: vec!["a".to_owned()], ..Settings::default() };
        assert_eq!((of(""), of("[http]\n")), (None, Some(usual)));
        let named = of("[http]\nnames = \"WWW.example.org.\"\npeers = [\"http://b.example:1\"]\n").unwrap();
        assert_eq!(
            named.names,
            ["a", "b.example", "www.example.org"],
            "this node, peers, and what is written"
        );
        let two = of("[http]\nlisten = [\"[::1]:80\", \"unix:/run/locum/http\"]\n").unwrap();
        let wanted = [Listen::Tcp("[::1]:80".parse().unwrap()), Listen::Unix("/run/locum/http".into())];
        assert_eq!(two.listen, wanted);
    }

    #[test]
    fn what_others_can_read_or_hear_is_warned_about() {
        let place = tempfile::tempdir().unwrap();
        let token = place.path().join("t");
        fs::write(&token, "0123456789abcdef\n").unwrap();
        fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
        let said = |more: &str| {
            let text = format!("[http]\nlisten = \"0.0.0.0:5113\"\n{more}\n");
            let loaded = load(&text, &place.path().join("x.toml"), Secrets::MustRead).unwrap();
            loaded.warnings.iter().map(|warning| warning.message.clone()).collect::<Vec<_>>()
        };
        assert_eq!(said(""), ["whoever reaches 0.0.0.0:5113 can read how everything stands"]);
        let agent = "whoever reaches 10.0.0.1:5114 can read roles and weights";
        assert!(said("agent_check = \"10.0.0.1:5114\"").contains(&agent.to_owned()));
        assert_eq!(said("agent_check = \"127.0.0.1:5114\"").len(), 1);
        assert_eq!(said("token = \"file:t\""), ["to 0.0.0.0:5113 the token comes in the clear"]);
    }

    #[test]
    fn peers_are_shown_the_token_that_is_wanted_here_unless_they_have_another() {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [("t", "0123456789abcdef\n"), ("p", "fedcba9876543210\n")] {
            fs::write(place.path().join(name), text).unwrap();
            fs::set_permissions(place.path().join(name), Permissions::from_mode(0o600)).unwrap();
        }
        let of = |lines: &str| {
            let loaded = load(&format!("[http]\n{lines}\n"), &place.path().join("x.toml"), Secrets::MustRead);
            let loaded = loaded.unwrap();
            let warned = loaded.warnings.iter().map(|it| it.message.clone()).collect::<Vec<_>>();
            (loaded.config.details.http.unwrap().peers, warned)
        };
        let (peers, warned) = of("peers = [\"http://10.0.0.2:5113\", \"https://[fd00::2]\"]");
        let shown: Vec<_> = peers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["http://10.0.0.2:5113", "https://[fd00::2]"]);
        assert!(peers.iter().all(|peer| peer.token.is_none()) && warned.is_empty(), "{warned:?}");
        let (own, clear) = of("token = \"file:t\"\npeers = \"http://10.0.0.2:5113\"");
        assert_eq!(own[0].token, Some(crate::vrrp::auth::Secret::new(*b"0123456789abcdef")));
        assert_eq!(clear, ["to 10.0.0.2 the token goes in the clear"]);
        let (other, warned) = of("token = \"file:t\"\npeers = \"https://b:1\"\npeer_token = \"file:p\"");
        assert_eq!(other[0].token, Some(crate::vrrp::auth::Secret::new(*b"fedcba9876543210")));
        assert_eq!(warned, Vec::<String>::new());
        let many: Vec<_> = (0..17).map(|number| format!("\"http://h{number}:1\"")).collect();
        let wrong = loaded(&format!("[http]\npeers = [{}]\n", many.join(", "))).unwrap_err().to_string();
        assert!(wrong.contains("more than 16 peers"), "{wrong}");
    }

    #[test]
    fn mistakes_are_named_with_their_mend() {
        for (text, said) in [
            ("listen = \"localhost\"", "write it like \"127.0.0.1:5113\""),
            ("listen = \"127.0.0.1:0\"", "is not an address with a port"),
            ("listen = \"unix:http\"", "is not an absolute path"),
            ("listen = []", "listen names no place"),
            ("agent_check = \"127.0.0.1:5113\"", "127.0.0.1:5113 is named twice"),
            ("certificate = \"/x.pem\"", "[http] has no `key` to go with it"),
            ("key = \"file:/x.key\"", "[http] has no `certificate` to go with it"),
            ("token = \"abc\"", "a token does not stand in the configuration"),
            ("token = \"file:/none\"", "cannot read the token: /none"),
            ("names = \"a.example.org:5113\"", "without a port"),
            ("names = \"[::1]\"", "is not a name of a host"),
            ("peers = \"10.0.0.2:5113\"", "write http://HOST:PORT"),
            ("peers = \"http://10.0.0.2:5113/status\"", "a peer has no path"),
            ("peers = [\"http://a:1\", \"http://a:1\"]", "a:1 is named twice"),
            ("peer_token = \"file:/none\"", "cannot read the token: /none"),
            ("peer_ca_file = \"/ca.pem\"", "[http] has no `peers` to go with it"),
            ("tokn = 1", "did you mean `token`?"),
        ] {
            let wrong = loaded(&format!("[http]\n{text}\n")).unwrap_err().to_string();
            assert!(wrong.contains(said), "{text}: {wrong}");
        }
    }

    #[test]
    fn without_its_token_nothing_is_served_and_the_routers_run() {
        let text = "[http]\ntoken = \"file:/none\"\n";
        let loaded = load(text, Path::new("x.toml"), Secrets::BarRouter).unwrap();
        assert_eq!((loaded.config.details.http, loaded.config.agent.routers.len()), (None, 1));
        assert!(loaded.warnings[0].message.ends_with("HTTP is not served"), "{:?}", loaded.warnings);
    }

    #[test]
    fn a_certificate_and_another_ones_key_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (own, other) = (make(), make());
        let write = |name: &str, text: String| {
            let path = place.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            path.display().to_string()
        };
        let chain = write("c.pem", own.cert.pem());
        let of = |key: String| loaded(&format!("[http]\ncertificate = \"{chain}\"\nkey = \"file:{key}\"\n"));
        let good = of(write("own.key", own.signing_key.serialize_pem())).unwrap().config.details.http;
        assert!(good.unwrap().tls.is_some());
        let wrong = of(write("other.key", other.signing_key.serialize_pem())).unwrap_err().to_string();
        assert!(wrong.contains("certificate and key do not fit"), "{wrong}");
    }
}
