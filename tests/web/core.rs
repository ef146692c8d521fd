//! A core on a string, and HTTP in front of it.

use crate::canned;
use crate::client::{self, Answer};
use locum::agent::Response;
use locum::agent::status::Status;
use locum::web::{Hub, Listen, Live, Peers, Report, Settings, Sources, serve};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// How the core behaves.
#[derive(Default)]
pub struct Core {
    pub hangs: AtomicBool,
    /// Questions put so far, and those that wait at present.
    pub asked: AtomicUsize,
    waiting: Mutex<Vec<oneshot::Sender<Response>>>,
    /// What it says, where that is not [`status`].
    says: Mutex<Option<Status>>,
}

impl Core {
    fn ask(&self, answer: oneshot::Sender<Response>) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            self.waiting.lock().unwrap().push(answer);
        } else {
            let says = self.says.lock().unwrap().clone();
            let _ = answer.send(Response::Status(Box::new(says.unwrap_or_else(status))));
        }
    }

    /// Says this from now on.
    pub fn be(&self, status: Status) {
        *self.says.lock().unwrap() = Some(status);
    }

    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Questions that have no answer yet.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }

    /// Answers what was asked while it hung, and goes on.
    pub fn go_on(&self) {
        self.hangs.store(false, Ordering::SeqCst);
        for answer in self.waiting.lock().unwrap().drain(..) {
            let _ = answer.send(Response::Status(Box::new(status())));
        }
    }
}

/// A Master, `web`.
pub fn status() -> Status {
    canned::healthy()
}

/// HTTP on a unix socket, on TCP, and the agent-check.
pub struct Http {
    pub core: Arc<Core>,
    pub hub: Hub,
    pub unix: PathBuf,
    pub tcp: SocketAddr,
    pub agent: SocketAddr,
    _place: TempDir,
}

/// A port that nobody has.
/// A port that nobody else is given: the kernel takes those of its own choice from above.
fn free() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let mut each = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
    let bound = each.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    bound.unwrap().local_addr().unwrap()
}

impl Http {
    pub fn start() -> Http {
        Http::with(Settings::default())
    }

    /// With these settings, but for the places.
    pub fn with(settings: Settings) -> Http {
        let place = tempfile::tempdir().unwrap();
        let (unix, tcp, agent) = (place.path().join("http"), free(), free());
        let listen = vec![Listen::Unix(unix.clone()), Listen::Tcp(tcp)];
        let settings = Settings { listen, agent_check: Some(agent), ..settings };
        let core = Arc::new(Core::default());
        let asked = core.clone();
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let live = Live::start(move |answer| asked.ask(answer));
                let hub = Hub::start(live.clone());
                let ready = tell.clone();
                let report = move |report| match report {
                    Report::Serving { .. } => drop(ready.send(None)),
                    Report::Trouble { place, why } => panic!("{place}: {why}"),
                };
                tell.send(Some(hub.clone())).unwrap();
                let ever = std::future::pending();
                let past = Arc::new(|last: Vec<String>| last.join("\n").into_bytes());
                let peers = Arc::new(Peers::new(&settings.peers));
                let sources = Sources { live, hub, past, peers };
                serve(settings, sources, |path| UnixListener::bind(path), report, ever).await;
            });
        });
        let hub = told.recv().unwrap().expect("the hub comes first");
        for _ in 0..3 {
            assert!(told.recv_timeout(Duration::from_secs(10)).unwrap().is_none());
        }
        Http { core, hub, unix, tcp, agent, _place: place }
    }

    /// `GET`, over the unix socket.
    pub fn get(&self, path: &str) -> Answer {
        client::get(client::unix(&self.unix), path, "")
    }
}
