//! Who may ask: by a token, over TLS, or by a unix socket's mode.

use crate::client::{get, request, say, tcp, unix};
use crate::core::Http;
use locum::vrrp::auth::Secret;
use locum::web::{Settings, Tls};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::sync::Arc;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn guarded() -> Settings {
    Settings { token: Some(Secret::new(TOKEN.as_bytes())), ..Settings::default() }
}

#[test]
fn without_the_token_nothing_is_told_over_tcp() {
    let http = Http::with(guarded());
    for path in ["/metrics", "/livez", "/events", "/nothing"] {
        for shown in ["", "Authorization: Bearer 0123\r\n", &format!("Authorization: Basic {TOKEN}\r\n")] {
            let answer = get(tcp(http.tcp), path, shown);
            assert_eq!(answer.code, 401, "{path} {shown}");
            assert!(answer.head.contains("www-authenticate: Bearer"), "{}", answer.head);
        }
    }
    let shown = format!("Authorization: bearer {TOKEN}\r\n");
    assert_eq!(get(tcp(http.tcp), "/livez", &shown).code, 200);
    // The kernel has let this one in.
    assert_eq!(get(unix(&http.unix), "/livez", "").code, 200);
}

#[test]
fn the_page_says_nothing_of_this_host_and_so_needs_no_token() {
    let http = Http::with(guarded());
    let page = get(tcp(http.tcp), "/", "");
    assert_eq!(page.code, 200, "{}", page.head);
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    let policy = page.head.lines().find(|line| line.starts_with("content-security-policy: ")).unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let named: Vec<_> = page.body.split('"').filter(|word| word.starts_with("/page.")).collect();
    assert_eq!(named, ["/page.svg", "/page.css", "/page.js"]);
    for file in named {
        assert_eq!(get(tcp(http.tcp), file, "").code, 200, "{file}");
    }
    assert!(!page.body.contains("web"), "the name of a router");
    assert_eq!(http.core.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
}

/// A request as this host, whose name is that.
fn asked(host: &str, headers: &str) -> String {
    format!("GET /status HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n")
}

#[test]
fn a_page_of_somebody_else_whose_name_leads_here_reads_nothing() {
    let http = Http::with(Settings { names: vec!["a.example.org".to_owned()], ..Settings::default() });
    let of = |host: &str| say(tcp(http.tcp), &asked(host, ""));
    let evil = of(&format!("evil.example:{}", http.tcp.port()));
    assert_eq!(evil.code, 421, "{}", evil.head);
    assert!(evil.body.contains("names = [\"NAME\"]") && !evil.body.contains("MASTER"), "{}", evil.body);
    for host in [http.tcp.to_string(), "localhost".to_owned(), "a.example.org:80".to_owned()] {
        assert_eq!(of(&host).code, 200, "{host}");
    }
    let old = say(tcp(http.tcp), "GET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(old.code, 200, "a load balancer's check");
    // The kernel has let this one in, and that one knows the token, which a page of somebody else does not.
    assert_eq!(say(unix(&http.unix), &asked("evil.example", "")).code, 200);
    let guarded = Http::with(guarded());
    let shown = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(say(tcp(guarded.tcp), &asked("proxy.example", &shown)).code, 200);
    assert_eq!(say(tcp(guarded.tcp), &asked("evil.example", "")).code, 401);
}

#[test]
fn every_answer_says_its_age_refusals_and_the_page_included() {
    let http = Http::with(guarded());
    let shown = format!("Authorization: Bearer {TOKEN}\r\n");
    let over_tcp = |request: String| say(tcp(http.tcp), &request);
    let mut answers = vec![
        (401, over_tcp(request("/status", ""))),
        (405, over_tcp("POST /status HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned())),
        (413, over_tcp("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx".to_owned())),
        (404, over_tcp(request("/nothing", &shown))),
        (200, over_tcp(request("/history", &shown))),
        (200, over_tcp(request("/peers", &shown))),
        (200, over_tcp(request("/", ""))),
    ];
    http.core.hang();
    answers.push((503, over_tcp(request("/status", &shown))));
    let open = Http::start();
    answers.push((421, say(tcp(open.tcp), &asked("evil.example", ""))));
    for (code, answer) in answers {
        assert_eq!(answer.code, code, "{}", answer.head);
        let age = answer.head.lines().filter_map(|line| line.strip_prefix("locum-age-ms: "));
        let ages: Vec<u64> = age.map(|age| age.parse().unwrap()).collect();
        assert_eq!(ages.len(), 1, "{code}: {}", answer.head);
    }
}

#[test]
fn over_tls_the_certificate_is_the_one_that_was_given() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = Secret::new(made.signing_key.serialize_pem().into_bytes());
    let tls = Tls::new(made.cert.pem().into_bytes(), key).unwrap();
    let http = Http::with(Settings { tls: Some(tls), ..Settings::default() });
    let mut roots = RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let answer = get(StreamOwned::new(client, tcp(http.tcp)), "/master", "");
    assert_eq!(answer.code, 200);
    // Who speaks in the clear has no answer that looks like one.
    let mut clear = tcp(http.tcp);
    std::io::Write::write_all(&mut clear, crate::client::request("/master", "").as_bytes()).unwrap();
    let mut said = Vec::new();
    let _ = std::io::Read::read_to_end(&mut clear, &mut said);
    assert!(!String::from_utf8_lossy(&said).contains("HTTP"), "{said:?}");
}
