//! Whether a request means this host: a page of somebody else, in the browser of somebody who may come here, can have
//! its own name lead here and read what is said (DNS rebinding). What it cannot do is send another name than its own.

use hyper::Request;
use hyper::header;
use hyper::http::uri::Authority;
use std::net::Ipv4Addr;

/// Whether a request names an address, which nobody can have lead elsewhere, this host as itself, or one of these
/// `names`, in small letters. One that names nothing does not come from a browser.
pub(super) fn is_meant<B>(request: &Request<B>, names: &[String]) -> bool {
    let said = request.headers().get_all(header::HOST).iter();
    let mut said = said.map(|value| value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()));
    let in_path = request.uri().authority().is_none_or(|authority| is_ours(authority, names));
    in_path && said.all(|authority| authority.is_some_and(|authority| is_ours(&authority, names)))
}

fn is_ours(authority: &Authority, names: &[String]) -> bool {
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    // A name never stands in brackets.
    let address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    address || host == "localhost" || host.ends_with(".localhost") || names.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(hosts: &[&str], target: &str) -> bool {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        is_meant(&request.body(()).unwrap(), &["a.example.org".to_owned()])
    }

    #[test]
    fn addresses_this_host_and_its_names_are_meant() {
        for host in [
            "127.0.0.1:5113",
            "192.0.2.1",
            "[::1]:5113",
            "[fd00::1]",
            "localhost:5113",
            "LocalHost.",
            "dev.localhost:1",
            "A.example.org:5113",
        ] {
            assert!(meant(&[host], "/status"), "{host}");
        }
        assert!(meant(&[], "/status"), "HTTP/1.0 without a name");
    }

    #[test]
    fn the_names_of_others_are_not() {
        for host in [
            "evil.example:5113",
            "a.example.org.evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "xlocalhost",
            "1.2.3",
            "",
            "a b",
        ] {
            assert!(!meant(&[host], "/status"), "{host}");
        }
        assert!(!meant(&["127.0.0.1", "evil.example"], "/status"), "both");
        assert!(!meant(&["127.0.0.1"], "http://evil.example/status"));
    }
}
