//! Checks over TLS: which certificates are good, by a real OpenSSL server.

use super::{AMPLE, BRIEF, Server, failure, needs, serving, silent, started, verdict, verdict_within};
use locum::check::{Endpoint, Probe, Target, http, tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// The dates a certificate is good for.
#[derive(Clone, Copy)]
pub(super) enum Good {
    Now,
    Once,
    Later,
}

/// An authority of our own, and a directory for what it signs.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), directory }
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for `name` with its key, as files.
    pub(super) fn certificate(&self, name: &str, good: Good) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = match good {
            Good::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1)),
            Good::Once => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Good::Later => (date_time_ymd(2089, 1, 1), date_time_ymd(2090, 1, 1)),
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = ["crt", "key"].map(|kind| self.directory.path().join(format!("{name}.{kind}")));
        fs::write(&files[0], certificate.pem()).unwrap();
        fs::write(&files[1], key.serialize_pem()).unwrap();
        files.into()
    }
}

/// OpenSSL, which answers 200 to a GET.
fn openssl((certificate, key): &(PathBuf, PathBuf), further: &[&str]) -> (Server, Target) {
    let mut command = Command::new("/usr/bin/openssl");
    command.args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert"]).arg(certificate);
    started(command.arg("-key").arg(key).args(further), "ACCEPT 127.0.0.1:")
}

fn get(target: &Target, name: Option<&str>, tls: tls::Config) -> Probe {
    let server_name = name.map(str::to_owned);
    let endpoint = Endpoint { tls: Some(tls), server_name, ..Endpoint::new(target.clone(), "/") };
    Probe::Http(http::Config::get(endpoint))
}

fn by(authority: &Authority) -> tls::Config {
    tls::Config { verify: true, ca_file: Some(authority.ca_file()) }
}

const ANY: tls::Config = tls::Config { verify: false, ca_file: None };

#[tokio::test]
async fn a_certificate_by_the_ca_file_passes_for_its_name_only() {
    needs!("/usr/bin/openssl", "version");
    let authority = Authority::new("ours");
    let (_server, target) = openssl(&authority.certificate("www.example", Good::Now), &[]);
    assert_eq!(verdict(get(&target, Some("www.example"), by(&authority))).await, Ok(()));
    let other = failure(get(&target, Some("mail.example"), by(&authority))).await;
    assert_eq!(other, "certificate is not for mail.example");
    let address = failure(get(&target, None, by(&authority))).await;
    assert_eq!(address, "certificate is not for 127.0.0.1");
}

#[tokio::test]
async fn a_certificate_for_an_address_passes() {
    needs!("/usr/bin/openssl", "version");
    let authority = Authority::new("ours");
    let (_server, target) = openssl(&authority.certificate("127.0.0.1", Good::Now), &[]);
    assert_eq!(verdict(get(&target, None, by(&authority))).await, Ok(()));
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    needs!("/usr/bin/openssl", "version");
    let authority = Authority::new("ours");
    let (_server, target) = openssl(&authority.certificate("www.example", Good::Now), &["-tls1_2"]);
    assert_eq!(verdict(get(&target, Some("www.example"), by(&authority))).await, Ok(()));
    assert_eq!(verdict(get(&target, None, ANY)).await, Ok(()));
}

/// The server shows its second certificate only to those who ask for its name.
#[tokio::test]
async fn the_server_name_is_asked_for_in_the_handshake() {
    needs!("/usr/bin/openssl", "version");
    let authority = Authority::new("ours");
    let first = authority.certificate("first.example", Good::Now);
    let (certificate, key) = authority.certificate("second.example", Good::Now);
    let further = ["-servername", "second.example", "-cert2", certificate.to_str().unwrap(), "-key2"];
    let (_server, target) = openssl(&first, &[&further[..], &[key.to_str().unwrap()]].concat());
    assert_eq!(verdict(get(&target, Some("second.example"), by(&authority))).await, Ok(()));
    assert_eq!(verdict(get(&target, Some("first.example"), by(&authority))).await, Ok(()));
}

#[tokio::test]
async fn certificates_out_of_their_dates_fail() {
    needs!("/usr/bin/openssl", "version");
    let authority = Authority::new("ours");
    for (good, text) in [(Good::Once, "certificate expired"), (Good::Later, "certificate not valid yet")] {
        let (_server, target) = openssl(&authority.certificate("www.example", good), &[]);
        assert_eq!(failure(get(&target, Some("www.example"), by(&authority))).await, text);
        assert_eq!(verdict(get(&target, Some("www.example"), ANY)).await, Ok(()), "any certificate will do");
    }
}

/// A certificate as `openssl req -x509` makes it by itself: an authority's.
fn self_signed(place: &TempDir, good: (i32, i32)) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(vec!["www.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (date_time_ymd(good.0, 1, 1), date_time_ymd(good.1, 1, 1));
    let key = KeyPair::generate().unwrap();
    let files = ["own.crt", "own.key"].map(|name| place.path().join(name));
    fs::write(&files[0], params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&files[1], key.serialize_pem()).unwrap();
    files.into()
}

#[tokio::test]
async fn a_certificate_that_the_ca_file_names_itself_passes_an_authoritys_too() {
    needs!("/usr/bin/openssl", "version");
    let place = tempfile::tempdir().unwrap();
    for further in [&[][..], &["-tls1_2"]] {
        let own = self_signed(&place, (2020, 2090));
        let (_server, target) = openssl(&own, further);
        let trusted = tls::Config { verify: true, ca_file: Some(own.0.clone()) };
        assert_eq!(verdict(get(&target, Some("www.example"), trusted.clone())).await, Ok(()));
        let other = failure(get(&target, Some("mail.example"), trusted)).await;
        assert_eq!(other, "certificate is not for mail.example");
        let stranger = failure(get(&target, Some("www.example"), by(&Authority::new("ours")))).await;
        assert!(stranger.starts_with("certificate is an authority's (CA:TRUE), no server's"), "{stranger}");
    }
    let own = self_signed(&place, (2020, 2021));
    let (_server, target) = openssl(&own, &[]);
    let trusted = tls::Config { verify: true, ca_file: Some(own.0) };
    assert_eq!(failure(get(&target, Some("www.example"), trusted)).await, "certificate expired");
}

#[tokio::test]
async fn a_certificate_by_a_stranger_fails_unless_any_will_do() {
    needs!("/usr/bin/openssl", "version");
    let ours = Authority::new("ours");
    // Also one that took our authority's name.
    for theirs in [Authority::new("theirs"), Authority::new("ours")] {
        let (_server, target) = openssl(&theirs.certificate("www.example", Good::Now), &[]);
        let text = failure(get(&target, Some("www.example"), by(&ours))).await;
        assert_eq!(text, "certificate is not by a trusted authority");
        assert_eq!(verdict(get(&target, Some("www.example"), ANY)).await, Ok(()));
        assert_eq!(verdict(get(&target, None, ANY)).await, Ok(()));
    }
}

#[tokio::test]
async fn the_systems_authorities_do_not_know_ours() {
    needs!("/usr/bin/openssl", "version");
    let authority = Authority::new("ours");
    let (_server, target) = openssl(&authority.certificate("www.example", Good::Now), &[]);
    let text = failure(get(&target, Some("www.example"), tls::Config::default())).await;
    let unknown = "certificate is not by a trusted authority";
    assert!(text == unknown || text.starts_with("the system has no CA certificates"), "{text}");
}

#[tokio::test]
async fn a_ca_file_that_cannot_be_used_fails_by_its_name() {
    let target = silent().await;
    let with = |file: &std::path::Path| {
        get(&target, Some("www.example"), tls::Config { verify: true, ca_file: Some(file.to_owned()) })
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let shown = file.display();
    assert_eq!(failure(with(&file)).await, format!("CA file {shown}: no such file or directory"));
    fs::write(&file, "nothing\n").unwrap();
    assert_eq!(failure(with(&file)).await, format!("CA file {shown} holds no certificate"));
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_fails() {
    let target = serving(|stream| async move { drop(stream) }).await;
    let text = failure(get(&target, Some("www.example"), ANY)).await;
    assert!(text.starts_with("TLS handshake: ") && text.contains("www.example"), "{text}");
    let plain = serving(|mut stream| async move {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        tokio::time::sleep(AMPLE).await;
    });
    let text = failure(get(&plain.await, Some("www.example"), ANY)).await;
    assert_eq!(text, "www.example does not speak TLS");
}

#[tokio::test]
async fn a_server_silent_in_the_handshake_fails_by_the_timeout() {
    let text = verdict_within(BRIEF, get(&silent().await, None, ANY)).await.unwrap_err();
    assert_eq!(text, "no answer within 300ms: waited for the TLS handshake");
}
