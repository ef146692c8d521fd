//! Tasks for one thread, which sleeps while there are none.
//!
//! A sleeper in `mpsc::Receiver::recv` is woken while the sender still has the lock that it needs next, and
//! mostly sleeps once more before it gets on. Here it is woken without one: an order costs one wake-up.

use std::cell::RefCell;
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
pub(super) struct Queue<T> {
    tasks: mpsc::Receiver<T>,
    /// The next task, where it was looked at.
    next: RefCell<Option<T>>,
}

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
        self.take().ok()
    }

    /// Whether the next task is there and such a one. It stays where it is.
    pub(super) fn is_next(&self, such: impl Fn(&T) -> bool) -> bool {
        let next = self.take().ok();
        let is_such = next.as_ref().is_some_and(such);
        self.next.replace(next);
        is_such
    }

    fn take(&self) -> Result<T, TryRecvError> {
        self.next.take().map_or_else(|| self.tasks.try_recv(), Ok)
    }

    /// The next task; waits for it until then, or for ever. To be called by the thread that was started for it.
    pub(super) fn next(&self, until: Option<Instant>) -> Result<T, Nothing> {
        loop {
            match self.take() {
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
    let thread = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || body(&Queue { tasks: queue, next: RefCell::default() }))?;
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
    fn a_task_that_was_looked_at_comes_in_its_order_all_the_same() {
        let (done, results) = channel();
        let body = move |queue: &Queue<u32>| {
            let seen = queue.next(None).map(|first| (first, queue.is_next(|next| *next == 3)));
            let looked =
                (queue.is_next(|next| *next == 2), queue.ready(), queue.next(None), queue.is_next(|_| true));
            done.send((seen, looked)).unwrap();
        };
        let (tasks, queue) = channel();
        for task in 1..=3 {
            tasks.send(task).unwrap();
        }
        body(&Queue { tasks: queue, next: RefCell::default() });
        assert_eq!(results.recv().unwrap(), (Ok((1, false)), (true, Some(2), Ok(3), false)));
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
