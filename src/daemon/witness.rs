//! `locum witness`: a voter that holds nothing, needs no privilege and keeps nothing on disk.

use super::clock::{chance, now, wall_clock};
use crate::claim::channel::{Channel, Heard};
use crate::claim::datagram::Key;
use crate::claim::voter::Voter;
use crate::claim::{Plea, Term, Ttl, VoterId};
use crate::net::vote_socket::{SecondPath, VoteSocket};
use std::io;
use std::thread::sleep;
use std::time::Duration;
use tracing::warn;

/// So often one after the other it tries again to hear, with a pause each time.
const PATIENCE: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Votes at `own`, and by a second path, until it is ended. It grants nothing for more than `longest`, and nothing at all for as
/// long after its start.
///
/// # Errors
/// Those of the kernel.
pub fn witness(own: VoterId, second: Option<&SecondPath>, key: Key, longest: Ttl) -> io::Result<()> {
    let mut socket = VoteSocket::open(own, second)?;
    let mut channel = Channel::new(own, key, chance()?);
    let mut voter = Voter::new(now(), longest, Term::floor(wall_clock()));
    let mut failed = 0;
    loop {
        let bytes = match socket.wait().and_then(|()| socket.receive()) {
            Ok(bytes) => bytes,
            // It starts again silent, and forgets: worth some patience.
            Err(error) if failed < PATIENCE => {
                failed += 1;
                warn!("cannot hear for a moment: {error}");
                sleep(PAUSE);
                continue;
            }
            Err(error) => return Err(error),
        };
        failed = 0;
        let Some(bytes) = bytes else { continue };
        match channel.hear(&bytes, chance()?) {
            Ok(Heard::Plea(from, Plea::Request(request))) => {
                let answer = voter.answer(now(), from, &request);
                socket.send(from, &channel.answer(from, answer));
            }
            Ok(Heard::Plea(from, Plea::Release(release))) => voter.release(from, &release),
            Ok(Heard::Stranger(to, bytes) | Heard::Unproven(to, bytes)) => socket.send(to, &bytes),
            // It asks nobody. What it does not believe, it forgets.
            Ok(Heard::Answer(..) | Heard::Greeted(_) | Heard::GreetedAgain(_)) | Err(_) => {}
        }
    }
}
