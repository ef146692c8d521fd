//! One client: one request, which has no body, and one answer; then the connection ends. Each step has its
//! time. A stream of events lasts for as long as it is read.

use super::answer::{Answer, answer};
use super::clients::{Client, Clients};
use super::events::{Hub, Reader};
use super::host;
use super::live::Live;
use super::page;
use super::past::Past;
use super::peers::Peers;
use super::stall::Stall;
use super::{AGE, Settings};
use crate::vrrp::auth::Secret;
use futures_util::stream::unfold;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long a request may take to come, TLS and all.
const TO_ASK: Duration = Duration::from_secs(3);
/// How long an answer may take to be read.
const TO_READ: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// What an answer is made of.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) settings: Arc<Settings>,
    pub(super) live: Live,
    pub(super) hub: Hub,
    pub(super) clients: Arc<Clients>,
    pub(super) peers: Arc<Peers>,
    pub(super) past: Past,
}

/// What a request has to have.
#[derive(Clone, Debug)]
enum Guard {
    /// Somebody else has let it in.
    Nothing,
    /// An address or a name of this host.
    Host,
    /// The token.
    Token(Secret),
}

/// The answer to who asks for a host that is not this one.
const ANOTHERS: &str =
    "this host is not known by that name: ask by its address, or write names = [\"NAME\"] into [http]";

type Content = Either<Full<Bytes>, Stream>;
type Stream =
    StreamBody<std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

/// Serves one client of TCP.
pub(super) async fn attend_tcp(stream: TcpStream, desk: Desk, client: Arc<Client>) {
    let stream = Stall::new(stream);
    let guard = match (&desk.settings.token, &desk.settings.tls) {
        (Some(token), _) => Guard::Token(token.clone()),
        // A browser sees that the certificate is not of the page's name.
        (None, Some(_)) => Guard::Nothing,
        (None, None) => Guard::Host,
    };
    match &desk.settings.tls {
        None => attend(stream, desk, client, guard).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(TO_ASK, tls.acceptor().accept(stream)).await {
                attend(stream, desk, client, guard).await;
            }
        }
    }
}

/// Serves one client of a unix socket, whom the kernel has let in.
pub(super) async fn attend_unix(stream: UnixStream, desk: Desk, client: Arc<Client>) {
    attend(Stall::new(stream), desk, client, Guard::Nothing).await;
}

async fn attend<S>(stream: S, desk: Desk, client: Arc<Client>, guard: Guard)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let about = client.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (desk, client, guard) = (desk.clone(), client.clone(), guard.clone());
        async move {
            client.has_asked();
            let asked = Instant::now();
            let mut response = desk.respond(&request, &client, &guard).await;
            // What does not come from the core was found out meanwhile.
            let headers = response.headers_mut();
            if !headers.contains_key(AGE) {
                aged(headers, asked.elapsed());
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).header_read_timeout(None).max_header_size(LONGEST_HEAD);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    for patience in [TO_ASK, TO_READ] {
        // Errors are the client's.
        let done = timeout(patience, connection.as_mut()).await.is_ok();
        if done || !about.asked() {
            return;
        }
    }
    if about.streams() {
        let _ = connection.await;
    }
}

impl Desk {
    async fn respond(
        &self,
        request: &Request<Incoming>,
        client: &Client,
        guard: &Guard,
    ) -> Response<Content> {
        if let Some(refused) = refuse(request) {
            return whole(refused, None);
        }
        if matches!(guard, Guard::Host) && !host::is_meant(request, &self.settings.names) {
            return whole(Answer::text(421, ANOTHERS), None);
        }
        if let Some((kind, text)) = page::file(request.uri().path()) {
            return shown(kind, text);
        }
        if let Guard::Token(token) = guard
            && bearer(request.headers()).is_none_or(|shown| shown != *token)
        {
            return whole(Answer::text(401, "show the token: Authorization: Bearer TOKEN"), None);
        }
        // It is over, whatever the core says now: it is as old as it says itself.
        if request.uri().path() == "/history" {
            return whole(self.past.answer(self.hub.last()).await, None);
        }
        let path = request.uri().path();
        if path == "/peers" {
            return match self.peers.cluster(&self.live).await {
                Some((cluster, age)) => whole(Answer::json(true, &cluster), Some(age)),
                None => whole(Answer::silent(), None),
            };
        }
        let snapshot = self.live.snapshot().await;
        if path == "/events"
            && let Some(snapshot) = &snapshot
        {
            let Some(place) = self.clients.stream(client) else {
                return whole(Answer::text(503, "there are too many readers already"), None);
            };
            let seen = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
            return stream(self.hub.reader(snapshot, seen), place, snapshot.age());
        }
        let answer = answer(path, snapshot.as_deref(), Timestamp::now());
        whole(answer, snapshot.map(|snapshot| snapshot.age()))
    }
}

/// What is not served at all.
fn refuse(request: &Request<Incoming>) -> Option<Answer> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(Answer::text(405, "only GET and HEAD are served"));
    }
    (!request.body().is_end_stream()).then(|| Answer::text(413, "a request has no body here"))
}

/// What is shown by `Authorization: Bearer …` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let shown = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = shown.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| Secret::new(token.trim_ascii()))
}

fn whole(answer: Answer, age: Option<Duration>) -> Response<Content> {
    let Answer { code, kind, body } = answer;
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(body))));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = guarded(response.headers_mut(), kind);
    match code {
        401 => drop(headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        405 => drop(headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"))),
        _ => {}
    }
    if let Some(age) = age {
        aged(headers, age);
    }
    response
}

fn aged(headers: &mut HeaderMap, age: Duration) {
    let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    headers.insert(AGE, HeaderValue::from(millis));
}

/// A file of the page.
fn shown(kind: &'static str, text: &'static str) -> Response<Content> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from_static(text.as_bytes()))));
    let headers = guarded(response.headers_mut(), kind);
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// `age` is that of its first word, which says how everything stands.
fn stream(reader: Reader, place: super::clients::Stream, age: Duration) -> Response<Content> {
    // The place is given back with the stream.
    let words = unfold((reader, place), |(mut reader, place)| async move {
        let word = reader.next().await?;
        Some((Ok(Frame::data(Bytes::copy_from_slice(word.as_bytes()))), (reader, place)))
    });
    let mut response = Response::new(Either::Right(StreamBody::new(Box::pin(words) as _)));
    aged(guarded(response.headers_mut(), "text/event-stream"), age);
    response
}

/// Nobody between keeps it, and nobody takes it for something else.
fn guarded<'a>(headers: &'a mut HeaderMap, kind: &'static str) -> &'a mut HeaderMap {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}
