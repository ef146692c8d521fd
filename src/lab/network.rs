//! The hosts of a lab and the switch between them.

use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::{Child, Command};
use std::thread;
use tokio::runtime::Builder;

/// Where a thread's network namespace is.
const HERE: &str = "/proc/thread-self/ns/net";
const SWITCH: &str = "br0";

/// A switch in the namespace of whoever makes it, and hosts plugged into it.
#[derive(Debug)]
pub struct Lab {
    /// In the order in which they were named.
    pub hosts: Vec<Host>,
}

/// One host: `eth0` with 10.77.0.N/24, N counted from 1.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: &'static str,
    /// Its own address.
    pub address: Ipv4Addr,
    door: File,
}

impl Lab {
    /// Makes the switch and hosts of these names. Whoever calls is in a network namespace of its own, and becomes the
    /// switch.
    ///
    /// # Errors
    /// One line.
    pub fn build(names: &[&'static str]) -> Result<Lab, String> {
        let about = |error: io::Error| format!("the lab's network cannot be made: {error}");
        netlink(async |link| {
            link.link().add(LinkBridge::new(SWITCH).build()).execute().await.map_err(io::Error::other)?;
            change(&link, LinkUnspec::new_with_name(SWITCH).up().build()).await
        })
        .map_err(about)?;
        let hosts = names.iter().zip(1..).map(|(name, number)| Host::new(name, number));
        Ok(Lab { hosts: hosts.collect::<io::Result<_>>().map_err(about)? })
    }
}

impl Host {
    fn new(name: &'static str, number: u8) -> io::Result<Host> {
        let door = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open(HERE)
        });
        let door = door.join().map_err(|_| io::Error::other("a thread broke off"))??;
        let host = Host { name, address: Ipv4Addr::new(10, 77, 0, number), door };
        let port = format!("p{number}");
        netlink(async |link| {
            link.link()
                .add(LinkVeth::new(&port, "eth0").build())
                .execute()
                .await
                .map_err(io::Error::other)?;
            let there = LinkUnspec::new_with_name("eth0").setns_by_fd(host.door.as_raw_fd());
            change(&link, there.build()).await?;
            let switch = index(SWITCH)?;
            change(&link, LinkUnspec::new_with_name(&port).controller(switch).up().build()).await
        })?;
        let address = host.address;
        host.within(|| {
            netlink(async |link| {
                change(&link, LinkUnspec::new_with_name("lo").up().build()).await?;
                change(&link, LinkUnspec::new_with_name("eth0").up().build()).await?;
                let added = link.address().add(index("eth0")?, address.into(), 24);
                added.execute().await.map_err(io::Error::other)
            })
        })??;
        Ok(host)
    }

    /// Does something in this host's network: sockets and processes made in there stay there.
    ///
    /// # Errors
    /// Its namespace cannot be entered.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.door, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            });
            inside.join().map_err(|_| io::Error::other("a thread broke off"))?
        })
    }

    /// The door to its network, for threads that live longer.
    ///
    /// # Errors
    /// The kernel has no file handle left.
    pub fn door(&self) -> io::Result<File> {
        self.door.try_clone()
    }

    /// Starts a process on it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(&self, mut command: Command) -> io::Result<Child> {
        self.within(move || command.spawn())?
    }
}

/// The number of an interface of the calling thread's network.
fn index(name: &str) -> io::Result<u32> {
    nix::net::if_::if_nametoindex(name).map_err(io::Error::from)
}

async fn change(link: &Handle, message: LinkMessage) -> Result<(), io::Error> {
    link.link().set(message).execute().await.map_err(io::Error::other)
}

/// Talks to the kernel about the network of the calling thread.
fn netlink<T>(work: impl AsyncFnOnce(Handle) -> Result<T, io::Error>) -> io::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::select! {
            () = connection => Err(io::Error::other("the netlink socket failed")),
            done = work(handle) => done,
        }
    })
}
