//! The page for people: files that are the same for everybody and say nothing of this host, so that they are
//! served without a token. What is shown the browser asks for by `/status` and `/events`, with the token.

/// What the page may do: load its own files and ask this daemon, and nothing else (CSP level 3).
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                 connect-src 'self'; base-uri 'none'; form-action 'none'; \
                                 frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The content type and the text of the file at `path`.
pub(super) fn file(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "/" => Some(("text/html; charset=utf-8", include_str!("page.html"))),
        "/page.css" => Some(("text/css; charset=utf-8", include_str!("page.css"))),
        "/page.js" => Some(("text/javascript; charset=utf-8", include_str!("page.js"))),
        "/page.svg" => Some(("image/svg+xml", include_str!("page.svg"))),
        _ => None,
    }
}
