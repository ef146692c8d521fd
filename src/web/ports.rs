//! Where clients come in: opens what is to be listened on, again and again where that fails, and gives each
//! client a task of its own.

use super::agent_check;
use super::clients::{Client, Clients};
use super::connection::{Desk, attend_tcp, attend_unix};
use super::past::{Past, Read};
use super::peers::Peers;
use super::{Hub, Listen, Live, Settings};
use socket2::SockRef;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The pause after a port could not be opened.
const AGAIN: Duration = Duration::from_secs(2);
/// The pause after a connection could not be accepted, for want of files for instance.
const PAUSE: Duration = Duration::from_millis(100);
/// How much may wait in the kernel for one client to read it, in bytes.
const UNREAD: usize = 128 << 10;
/// How long nothing may come of what was sent before the kernel ends a connection.
const UNHEARD: Duration = Duration::from_secs(10);

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It is served from now on.
    Serving {
        /// What, and where.
        place: String,
    },
    /// It cannot be served, and that is tried again. Said once.
    Trouble {
        /// What, and where.
        place: String,
        /// Why, in one line.
        why: String,
    },
}

/// Makes a unix socket at a path.
type Bind = dyn Fn(&Path) -> io::Result<UnixListener> + Send + Sync;

/// Where answers come from.
pub struct Sources {
    /// How everything stands here.
    pub live: Live,
    /// What happens.
    pub hub: Hub,
    /// What happened, for `/history`.
    pub past: Read,
    /// How the other nodes stand, for `/peers`.
    pub peers: Arc<Peers>,
}

/// Serves until that is over; then every port is closed.
pub async fn serve(
    settings: Settings,
    Sources { live, hub, past, peers }: Sources,
    bind: impl Fn(&Path) -> io::Result<UnixListener> + Send + Sync + 'static,
    report: impl Fn(Report) + Send + Sync + 'static,
    until: impl Future<Output = ()>,
) {
    let settings = Arc::new(settings);
    let clients = Arc::new(Clients::default());
    let desk = Desk {
        settings: settings.clone(),
        live: live.clone(),
        hub,
        clients: clients.clone(),
        peers,
        past: Past::new(past),
    };
    let (bind, report): (Arc<Bind>, Arc<dyn Fn(Report) + Send + Sync>) = (Arc::new(bind), Arc::new(report));
    let mut ports = JoinSet::new();
    for listen in settings.listen.clone() {
        let (desk, bind, report) = (desk.clone(), bind.clone(), report.clone());
        ports.spawn(async move {
            match listen {
                Listen::Tcp(address) => {
                    let listener = open(&format!("HTTP on {address}"), || tcp(address), &*report).await;
                    let attend = |stream: TcpStream, client| attend_tcp(stream, desk.clone(), client);
                    accept_tcp(&listener, &desk.clients, attend).await;
                }
                Listen::Unix(path) => {
                    let place = format!("HTTP on unix:{}", path.display());
                    let listener = open(&place, || async { bind(&path) }, &*report).await;
                    let _file = Removed(path);
                    accept_unix(&listener, &desk).await;
                }
            }
        });
    }
    if let Some(address) = settings.agent_check {
        ports.spawn(async move {
            let listener = open(&format!("agent-check on {address}"), || tcp(address), &*report).await;
            let clients = Arc::new(Clients::default());
            accept_tcp(&listener, &clients, |stream, client| {
                agent_check::attend(stream, live.clone(), client)
            })
            .await;
        });
    }
    until.await;
    // Whoever opens the same ports next finds them free.
    ports.shutdown().await;
}

/// A socket's file, which goes with it.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Opens a port, however often that has to be tried.
async fn open<T, F: Future<Output = io::Result<T>>>(
    place: &str,
    attempt: impl Fn() -> F,
    report: &(dyn Fn(Report) + Send + Sync),
) -> T {
    let mut told = false;
    loop {
        match attempt().await {
            Ok(listener) => {
                report(Report::Serving { place: place.to_owned() });
                return listener;
            }
            Err(error) if !told => {
                told = true;
                report(Report::Trouble { place: place.to_owned(), why: error.to_string() });
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

async fn accept_tcp<F>(
    listener: &TcpListener,
    clients: &Clients,
    attend: impl Fn(TcpStream, Arc<Client>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let socket = SockRef::from(&stream);
        // Where these cannot be set, nothing but memory is lost.
        let _ = socket.set_send_buffer_size(UNREAD);
        let _ = socket.set_tcp_user_timeout(Some(UNHEARD));
        let _ = stream.set_nodelay(true);
        if clients.make_room().await {
            let client = Arc::new(Client::default());
            clients.seat(client.clone(), tasks.spawn(attend(stream, client)));
        }
    }
}

async fn accept_unix(listener: &UnixListener, desk: &Desk) {
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        if desk.clients.make_room().await {
            let client = Arc::new(Client::default());
            desk.clients.seat(client.clone(), tasks.spawn(attend_unix(stream, desk.clone(), client)));
        }
    }
}
