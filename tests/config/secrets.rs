//! Passwords: read from where they are, and what happens where they cannot be.

use locum::config::{Loaded, Problems, Secrets, load};
use locum::vrrp::auth::{Auth, Secret};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A file of one version 2 router beside its password.
struct Place(TempDir);

impl Place {
    fn new(reference: &str) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        let text = super::router(&format!("version = 2\nauth = {{ pass = \"{reference}\" }}"));
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
    let wanted = "web.pass has mode 640: others than its owner can get at it | chmod 600 web.pass";
    assert_eq!(place.problems(), [wanted]);
}

#[test]
fn a_missing_an_empty_and_a_long_password_are_refused() {
    let place = Place::new("file:web.pass");
    let missing = place.problems();
    assert!(missing[0].starts_with("cannot read the password: web.pass: No such file"), "{missing:?}");
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
