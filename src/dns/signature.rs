//! Signatures of requests to Amazon's services, version 4 (AWS Signature Version 4): the HMAC of the request in
//! one exact form, with a key that is good for one day, region and service.

use crate::vrrp::auth::Secret;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub id: String,
    /// The other one.
    pub key: Secret,
}

/// A request as far as it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path: of letters that need no escapes.
    pub path: &'a str,
    /// The query, its parts sorted and escaped, without `?`.
    pub query: &'a str,
    /// The `Host` header.
    pub host: &'a str,
    /// The body.
    pub body: &'a str,
    /// The `X-Amz-Date` header: `20150830T123600Z`.
    pub time: &'a str,
}

/// The `Authorization` header for `request`.
#[must_use]
pub fn authorization(credentials: &Credentials, region: &str, service: &str, request: &Signed<'_>) -> String {
    let Signed { method, path, query, host, body, time } = request;
    let digest = |text: &str| HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    let headers = format!("host:{host}\nx-amz-date:{time}\n\nhost;x-amz-date");
    let whole = format!("{method}\n{path}\n{query}\n{headers}\n{}", digest(body));
    let day = time.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", digest(&whole));
    let first = [b"AWS4", credentials.key.expose()].concat();
    let key = [day, region, service, "aws4_request"].iter().fold(first, |key, part| mac(&key, part));
    let signature = HEXLOWER.encode(&mac(&key, &text));
    let id = &credentials.id;
    format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is good for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `get-vanilla` and `get-vanilla-query-order-key-case` of Amazon's own test suite.
    #[test]
    fn signatures_are_those_of_amazons_examples() {
        let key = Secret::new(*b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let credentials = Credentials { id: "AKIDEXAMPLE".to_owned(), key };
        let time = "20150830T123600Z";
        let request =
            Signed { method: "GET", path: "/", query: "", host: "example.amazonaws.com", body: "", time };
        for (query, wanted) in [
            ("", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                "Param1=value1&Param2=value2",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ] {
            let request = Signed { query, ..request };
            let header = authorization(&credentials, "us-east-1", "service", &request);
            assert_eq!(
                header,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/\
                aws4_request, SignedHeaders=host;x-amz-date, Signature={wanted}"
                )
            );
        }
    }
}
