//! A small service on a host of a lab: takes TCP connections, and answers datagrams as hosts answer echo requests.

use super::network::Host;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// How often it looks whether it is to end, in milliseconds.
const LOOK: u16 = 1;

/// It runs until it is dropped.
#[derive(Debug)]
pub struct Service {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts it on this port of all addresses of a host. Datagrams that begin with the first byte of `echo` come
    /// back with the second.
    ///
    /// # Errors
    /// The port is taken.
    pub fn start(host: &Host, port: u16, echo: (u8, u8)) -> io::Result<Self> {
        let sockets = host.within(|| {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
            let datagrams = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            listener.set_nonblocking(true)?;
            datagrams.set_nonblocking(true)?;
            io::Result::Ok((listener, datagrams))
        });
        let (listener, datagrams) = sockets??;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                serve(&listener, &datagrams, echo);
            }
        });
        Ok(Service { stop, thread: Some(thread) })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, datagrams: &UdpSocket, (request, answer): (u8, u8)) {
    let mut waits =
        [PollFd::new(listener.as_fd(), PollFlags::POLLIN), PollFd::new(datagrams.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut waits, PollTimeout::from(LOOK));
    while listener.accept().is_ok() {}
    let mut bytes = [0; 64];
    while let Ok((length, from)) = datagrams.recv_from(&mut bytes) {
        if let Some(message) = bytes.get_mut(..length).filter(|message| message.first() == Some(&request)) {
            message[0] = answer;
            let _ = datagrams.send_to(message, from);
        }
    }
}
