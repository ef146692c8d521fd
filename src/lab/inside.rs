//! The namespaces of a lab, from both sides: who begins it, and the first process within.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::io::{self, Read, stdin};
use std::process::{Command, ExitStatus, Stdio, exit};
use std::thread;

/// The folder that is empty and in memory within a lab: sockets and files go there.
const RUN: &str = "/run";

/// Runs a command as the first process of a new namespace of processes, and waits for its end. Returns that, and
/// what it wrote to its standard output. To be called before any other thread is there; no other process can be
/// started afterwards.
///
/// # Errors
/// One line.
pub fn begin(mut command: Command) -> Result<(ExitStatus, Vec<u8>), String> {
    let about = |error: io::Error| format!("the lab cannot be made: {error}");
    unshare(CloneFlags::CLONE_NEWPID).map_err(|errno| about(errno.into()))?;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(about)?;
    // Its other end tells the lab that we are still there.
    let ours = child.stdin.take();
    let mut said = Vec::new();
    if let Some(out) = &mut child.stdout {
        out.read_to_end(&mut said).map_err(about)?;
    }
    let ended = child.wait().map_err(about)?;
    drop(ours);
    Ok((ended, said))
}

/// Has this process, which [`begin`] has started, end with whoever started it, and see files and networks of its own.
/// To be called before any other thread is there.
///
/// # Errors
/// One line.
pub fn enter() -> Result<(), String> {
    let about =
        |what: &'static str| move |errno: nix::Error| format!("the lab cannot be made: {what}: {errno}");
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).map_err(about("namespaces"))?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(about("mounts of its own"))?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), quiet, none).map_err(about("/proc"))?;
    mount(Some("tmpfs"), RUN, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))
        .map_err(about(RUN))?;
    thread::spawn(|| {
        let _ = stdin().read_to_end(&mut Vec::new());
        // The kernel ends all others with the first.
        exit(1);
    });
    Ok(())
}
