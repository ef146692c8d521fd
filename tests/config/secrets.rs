//! Passwords and keys: read from where they are, and what happens where they cannot be.

use locum::check::Probe;
use locum::config::{Loaded, Problems, Secrets, load};
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::hmac::{Key, Keyring, Mode};
use locum::vrrp::sequence::AntiReplay;
use std::fs::{self, Permissions};
use std::num::NonZeroU8;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A file of one version 2 router beside its password.
struct Place(TempDir);

impl Place {
    fn new(reference: &str) -> Self {
        Self::with(&format!("version = 2\nauth = {{ pass = \"{reference}\" }}"))
    }

    /// With these lines in the router.
    fn with(lines: &str) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        let text = super::router(lines);
        place.write("locum.toml", text.as_bytes(), 0o600);
        place
    }

    fn write(&self, name: &str, content: &[u8], mode: u32) {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self, secrets: Secrets) -> Result<Loaded, Problems> {
        load(&self.0.path().join("locum.toml"), secrets)
    }

    /// The messages and helps of the problems, without the directory.
    fn problems(&self) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        let problems = self.load(Secrets::MustRead).unwrap_err().0;
        let say = |problem: &locum::config::Problem| {
            let help = problem.help.clone().unwrap_or_default();
            format!("{} | {help}", problem.message).replace(&directory, "")
        };
        problems.iter().map(say).collect()
    }
}

#[test]
fn a_password_is_read_without_its_line_end() {
    for content in [&b"hush"[..], b"hush\n", b"hush\r\n"] {
        let place = Place::new("file:web.pass");
        place.write("web.pass", content, 0o600);
        let loaded = place.load(Secrets::MustRead).unwrap();
        assert_eq!(loaded.config.agent.routers[0].auth, Auth::Pass(Secret::new(*b"hush")));
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        assert!(!format!("{loaded:?}").contains("hush"));
    }
}

#[test]
fn a_password_that_others_can_read_is_refused_with_the_mend() {
    let place = Place::new("file:web.pass");
    place.write("web.pass", b"hush", 0o640);
    let wanted = "web.pass has mode 640: others than its owner can get at it | chmod 600 web.pass; \
                  under systemd its owner must be locum: chown locum web.pass";
    assert_eq!(place.problems(), [wanted]);
}

#[test]
fn a_missing_an_empty_and_a_long_password_are_refused() {
    let place = Place::new("file:web.pass");
    let missing = place.problems();
    assert!(missing[0].starts_with("cannot read the password: web.pass: No such file"), "{missing:?}");
    assert!(missing[0].contains("install -m 600 -o locum /dev/null web.pass"), "{missing:?}");
    place.write("web.pass", b"\n", 0o600);
    assert_eq!(place.problems(), ["web.pass is empty | write the password into it"]);
    place.write("web.pass", b"ninebytes\n", 0o600);
    let wanted = "the password in web.pass has 9 bytes; VRRP version 2 carries 8 on the wire \
                  | use at most 8 bytes, the same on every peer";
    assert_eq!(place.problems(), [wanted]);
}

#[test]
fn the_daemon_bars_the_router_whose_password_it_cannot_read() {
    let place = Place::new("file:web.pass");
    place.write("web.pass", b"hush", 0o644);
    let loaded = place.load(Secrets::BarRouter).unwrap();
    let router = &loaded.config.agent.routers[0];
    assert_eq!(router.auth, Auth::None);
    let barred = router.barred.clone().unwrap();
    assert!(barred.contains("has mode 644") && barred.contains("chmod 600"), "{barred}");
    assert!(loaded.warnings[0].message.starts_with("router web takes no part: "), "{:?}", loaded.warnings);
}

#[test]
fn a_password_in_the_file_itself_is_refused_whoever_loads_it() {
    let place = Place::new("hush");
    for secrets in [Secrets::MustRead, Secrets::BarRouter] {
        let problems = place.load(secrets).unwrap_err();
        assert_eq!(
            problems.0[0].message,
            "a password does not stand in the configuration, which many can read"
        );
    }
}

#[test]
fn a_credential_needs_systemd() {
    if std::env::var_os("CREDENTIALS_DIRECTORY").is_none() {
        let place = Place::new("credential:web");
        assert_eq!(
            place.problems(),
            ["there is no credential \"web\": $CREDENTIALS_DIRECTORY is not set \
              | add LoadCredential=web:/path to the unit, and let systemd start Locum"]
        );
    }
    let place = Place::new("credential:../web");
    assert!(place.problems()[0].starts_with("a password does not stand"), "{:?}", place.problems());
}

#[test]
fn a_file_that_is_not_there_and_one_that_all_may_write_are_told() {
    let place = Place::new("file:web.pass");
    place.write("web.pass", b"hush", 0o600);
    let absent = load(&place.0.path().join("other.toml"), Secrets::MustRead).unwrap_err();
    assert!(absent.render(false).starts_with("error: cannot read "), "{absent}");
    fs::set_permissions(place.0.path().join("locum.toml"), Permissions::from_mode(0o666)).unwrap();
    let warnings = place.load(Secrets::MustRead).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.message.contains("writable by everyone")), "{warnings:?}");
}

const DIGITS: &str = "000102030405060708090A0b0c0d0e0f 101112131415161718191a1b1c1d1e1f";

fn key(id: u8, bytes: impl Into<Box<[u8]>>) -> Key {
    Key::new(NonZeroU8::new(id).unwrap(), Secret::new(bytes)).unwrap()
}

fn ring(keys: Vec<Key>, active: u8, anti_replay: AntiReplay, mode: Mode) -> Auth {
    Auth::Hmac(Keyring::new(keys, NonZeroU8::new(active).unwrap(), anti_replay, mode).unwrap())
}

#[test]
fn keys_are_read_as_bytes_or_as_hexadecimal_digits() {
    let counted: Vec<u8> = (0..32).collect();
    for (content, bytes) in [
        (format!("hex:{DIGITS}\n"), counted.clone()),
        (format!("hex:{DIGITS}"), counted),
        ("a phrase of thirty-two characters\r\n".to_owned(), b"a phrase of thirty-two characters".to_vec()),
    ] {
        let place = Place::with("auth = { hmac = { keys = { 7 = 'file:k' } } }");
        place.write("k", content.as_bytes(), 0o600);
        let loaded = place.load(Secrets::MustRead).unwrap();
        let wanted = ring(vec![key(7, bytes)], 7, AntiReplay::Time(5), Mode::Enforce);
        assert_eq!(loaded.config.agent.routers[0].auth, wanted);
        assert_eq!(loaded.warnings, []);
        assert!(!format!("{loaded:?}").contains("phrase"));
    }
}

#[test]
fn every_word_about_signatures_is_understood() {
    let one = vec![7; 32];
    let two = vec![8; 64];
    let place = Place::with(
        "interval = '3s'\nauth.hmac = { keys = { 1 = 'file:a', 255 = 'file:b' }, active = 255, mode = 'permissive' }",
    );
    place.write("a", &one, 0o600);
    place.write("b", &two, 0o600);
    let loaded = place.load(Secrets::MustRead).unwrap();
    let keys = vec![key(1, one), key(255, two)];
    let wanted = ring(keys, 255, AntiReplay::Time(9), Mode::Permissive);
    assert_eq!(loaded.config.agent.routers[0].auth, wanted);
    assert_eq!(loaded.warnings[0].message, "adverts that are not signed are believed as well");

    for (words, anti_replay, mode) in [
        ("anti_replay = 'monotonic', mode = 'receive-only'", AntiReplay::Monotonic, Mode::ReceiveOnly),
        ("window = '300s'", AntiReplay::Time(300), Mode::Enforce),
    ] {
        let place = Place::with(&format!("auth.hmac = {{ keys = {{ 1 = 'file:a' }}, {words} }}"));
        place.write("a", &[7; 32], 0o600);
        let loaded = place.load(Secrets::MustRead).unwrap();
        let wanted = ring(vec![key(1, [7; 32])], 1, anti_replay, mode);
        assert_eq!(loaded.config.agent.routers[0].auth, wanted, "{words}");
    }
}

#[test]
fn keys_too_short_too_long_or_garbled_are_refused_with_the_mend() {
    let place = Place::with("auth = { hmac = { keys = { 1 = 'file:k' } } }");
    let mend = "make one: (umask 077; echo hex:$(openssl rand -hex 32) > k), the same on every host";
    for (content, wrong) in [
        ("a short one", "the key in k has 11 bytes, wanted 32 to 64"),
        (&*"x".repeat(65), "the key in k has 65 bytes, wanted 32 to 64"),
        ("hex:00", "the key in k has 1 bytes, wanted 32 to 64"),
        ("hex:000", "the key in k has something else than pairs of hexadecimal digits"),
        ("hex:0x", "the key in k has something else than pairs of hexadecimal digits"),
    ] {
        place.write("k", content.as_bytes(), 0o600);
        assert_eq!(place.problems(), [format!("{wrong} | {mend}")]);
    }
    let place = Place::with(&format!("auth = {{ hmac = {{ keys = {{ 1 = 'hex:{DIGITS}' }} }} }}"));
    assert!(place.problems()[0].starts_with("a key does not stand in the configuration"));
}

#[test]
fn the_daemon_bars_the_router_of_which_any_key_cannot_be_read() {
    let place = Place::with("auth = { hmac = { keys = { 1 = 'file:a', 2 = 'file:b' }, active = 1 } }");
    place.write("a", &[7; 32], 0o600);
    place.write("b", &[7; 32], 0o640);
    let loaded = place.load(Secrets::BarRouter).unwrap();
    let router = &loaded.config.agent.routers[0];
    assert_eq!(router.auth, Auth::None);
    let barred = router.barred.clone().unwrap();
    assert!(barred.contains("has mode 640") && barred.contains("chmod 600"), "{barred}");
    assert!(loaded.warnings[0].message.starts_with("router web takes no part: "), "{:?}", loaded.warnings);
}

#[test]
fn a_secret_for_the_authentication_header_is_read_like_a_password() {
    let place = Place::with("version = 2\nauth = { ah = 'file:k' }");
    place.write("k", b"12345678\n", 0o600);
    let loaded = place.load(Secrets::MustRead).unwrap();
    assert_eq!(loaded.config.agent.routers[0].auth, Auth::Ah(Secret::new(*b"12345678")));
    assert_eq!(loaded.warnings, []);
    place.write("k", b"1234567\n", 0o600);
    let warnings = place.load(Secrets::MustRead).unwrap().warnings;
    assert_eq!(warnings[0].message, "a secret of 7 bytes is soon guessed");
}

#[tokio::test]
async fn headers_and_messages_of_checks_may_be_kept_elsewhere() {
    let check = |kind: &str, url: &str, line: &str| {
        let place = Place::with(&format!(
            "checks = ['a']\n[check.a]\ntype = '{kind}'\nurl = '{url}'\ninverse = true\n{line}"
        ));
        place.write("token", b"Bearer hush\n", 0o600);
        place
    };
    let probe = |loaded: &Loaded| loaded.config.details.checks.values().next().unwrap().clone();
    let http = check("http", "http://127.0.0.1:9/", "headers = { Authorization = 'file:token', X-A = 'b' }");
    let loaded = http.load(Secrets::MustRead).unwrap();
    let Probe::Http(config) = probe(&loaded).probe else { panic!("{loaded:?}") };
    let wanted = [("Authorization", "Bearer hush"), ("X-A", "b")];
    assert_eq!(config.endpoint.headers, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(!format!("{loaded:?}").contains("hush"));
    let socket = check("websocket", "ws://127.0.0.1:9/", "send = 'file:token'");
    let loaded = socket.load(Secrets::MustRead).unwrap();
    let Probe::Websocket(config) = probe(&loaded).probe else { panic!("{loaded:?}") };
    assert_eq!(config.send.as_deref(), Some("Bearer hush"));

    // Without it the check fails, and nothing is sent.
    for place in [http, socket] {
        place.write("token", b"Bearer hush\n", 0o644);
        assert!(place.problems()[0].starts_with("token has mode 644"), "{:?}", place.problems());
        let loaded = place.load(Secrets::BarRouter).unwrap();
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        assert!(!loaded.config.agent.checks[0].inverse, "it is down all the same");
        let verdict = locum::check::probe_once(&probe(&loaded)).await.verdict;
        assert!(verdict.as_ref().is_err_and(|why| why.contains("token has mode 644")), "{verdict:?}");
    }
}
