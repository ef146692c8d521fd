//! Tasks for one thread, which sleeps while there are none.
//!
//! A sleeper in `mpsc::Receiver::recv` is woken while the sender still has the lock that it needs next, and
//! mostly sleeps once more before it gets on. Here it is woken without one: an order costs one wake-up.

use std::sync::mpsc::{self, TryRecvError, channel};
use std::thread::{self, Thread};
use std::time::Instant;

/// Where tasks are put in. Without any of these left, the thread hears of it.
#[derive(Debug)]
pub(super) struct Sender<T> {
    // Dropped before the sleeper is woken for it.
    tasks: mpsc::Sender<T>,
    sleeper: Sleeper,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { tasks: self.tasks.clone(), sleeper: self.sleeper.clone() }
    }
}

#[derive(Clone, Debug)]
struct Sleeper(Thread);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.unpark();
    }
}

impl<T> Sender<T> {
    /// Never waits. Whether somebody is there to do it.
    pub(super) fn put(&self, task: T) -> bool {
        let put = self.tasks.send(task).is_ok();
        self.sleeper.0.unpark();
        put
    }
}

/// The thread's own end.
pub(super) struct Queue<T>(mpsc::Receiver<T>);

/// Why there is no task.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Nothing {
    /// It is late.
    Late,
    /// Nobody can put one in any more.
    Ended,
}

impl<T> Queue<T> {
    /// The next task, if it is there.
    pub(super) fn ready(&self) -> Option<T> {
        self.0.try_recv().ok()
    }

    /// The next task; waits for it until then, or for ever. To be called by the thread that was started for it.
    pub(super) fn next(&self, until: Option<Instant>) -> Result<T, Nothing> {
        loop {
            match self.0.try_recv() {
                Ok(task) => return Ok(task),
                Err(TryRecvError::Disconnected) => return Err(Nothing::Ended),
                Err(TryRecvError::Empty) => {}
            }
            match until.map(|at| at.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(rest) if rest.is_zero() => return Err(Nothing::Late),
                Some(rest) => thread::park_timeout(rest),
            }
        }
    }
}

/// Starts a thread of this name with a queue of its own. It may end once the last sender has gone.
pub(super) fn start<T: Send + 'static>(
    name: &str,
    body: impl FnOnce(&Queue<T>) + Send + 'static,
) -> std::io::Result<Sender<T>> {
    let (tasks, queue) = channel();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || body(&Queue(queue)))?;
    Ok(Sender { tasks, sleeper: Sleeper(thread.thread().clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_task_comes_in_its_order_and_the_end_after_the_last() {
        let (done, results) = channel();
        let body = move |queue: &Queue<u32>| {
            while let Ok(task) = queue.next(None) {
                done.send(task).unwrap();
            }
        };
        let sender = start("test", body).unwrap();
        let other = sender.clone();
        for task in 0..1000 {
            assert!(if task % 2 == 0 { &sender } else { &other }.put(task));
            if task % 100 == 0 {
                // Long enough for it to sleep now and then.
                thread::sleep(Duration::from_millis(1));
            }
        }
        drop(sender);
        drop(other);
        assert_eq!(results.iter().collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn who_waits_until_then_hears_that_it_is_late() {
        let (done, results) = channel();
        let body = move |queue: &Queue<u32>| {
            done.send(queue.next(Some(Instant::now() + Duration::from_millis(1)))).unwrap();
            done.send(queue.next(None)).unwrap();
        };
        let sender = start("test", body).unwrap();
        assert_eq!(results.recv().unwrap(), Err(Nothing::Late));
        drop(sender);
        assert_eq!(results.recv().unwrap(), Err(Nothing::Ended));
    }
}
