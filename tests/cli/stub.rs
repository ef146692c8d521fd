//! A daemon that is all control socket: the real server, with answers made up by the test.

use locum::control::{Answer, Asked, Question, bind, serve};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

/// Listens until it is dropped.
pub(crate) struct Stub {
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// Answers each question by `answer`; `None` leaves it unanswered for ever.
    pub(crate) fn new(answer: impl FnMut(Question) -> Option<Answer> + Send + 'static) -> Self {
        Stub::in_group(None, answer)
    }

    pub(crate) fn in_group(
        group: Option<u32>,
        answer: impl FnMut(Question) -> Option<Answer> + Send + 'static,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = listen(path_in(folder.path()), group, answer, stopped);
        Stub { folder, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        path_in(self.folder.path())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || !matches!(ended, Some(Err(_))), "the server panicked");
    }
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("locum.sock")
}

fn listen(
    path: PathBuf,
    group: Option<u32>,
    mut answer: impl FnMut(Question) -> Option<Answer> + Send + 'static,
    stopped: oneshot::Receiver<()>,
) -> JoinHandle<()> {
    let (bound, ready) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = bind(&path, group).unwrap();
            bound.send(()).unwrap();
            let (questions, mut asked) = mpsc::channel::<Asked>(4);
            tokio::spawn(serve(listener, group, questions));
            tokio::spawn(async move {
                let mut unanswered = Vec::new();
                while let Some(Asked { question, answer: to, .. }) = asked.recv().await {
                    match answer(question) {
                        Some(answer) => drop(to.send(answer)),
                        None => unanswered.push(to),
                    }
                }
            });
            let _ = stopped.await;
        });
    });
    ready.recv().expect("the socket is bound");
    thread
}
