//! A web server on loopback, as small as it can be: it listens, and reads one request of each connection. What is
//! answered is not its business. Used by the tests of messages and of DNS.

use std::time::Instant;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came, and when.
#[derive(Clone, Debug)]
pub struct Request {
    #[allow(dead_code, reason = "DNS does not ask")]
    pub at: Instant,
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Has `serve` attend to every connection; where that is.
pub async fn listen<Served: Future<Output = ()> + Send + 'static>(
    mut serve: impl FnMut(TcpStream, u16) -> Served + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, port));
        }
    });
    port
}

impl Request {
    /// The next one; `None` where the client hangs up first.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let first = lines.remove(0);
        let [method, path, "HTTP/1.1"] = first.split(' ').collect::<Vec<_>>()[..] else { panic!("{first}") };
        let small = |line: &String| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_lowercase(), value.to_owned())
        };
        let mut one = Request {
            at: Instant::now(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: lines.iter().map(small).collect(),
            body: String::new(),
        };
        let mut body = vec![0; one.header("content-length").parse().unwrap_or(0)];
        stream.read_exact(&mut body).await.unwrap();
        one.body = String::from_utf8(body).unwrap();
        Some(one)
    }

    /// Empty where it is not there once.
    pub fn header(&self, name: &str) -> &str {
        let found: Vec<_> = self.headers.iter().filter(|(header, _)| header == name).collect();
        if let [(_, value)] = &found[..] { value } else { "" }
    }

    /// `POST /path`
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}
