//! DNS in a drill's lab: a name server, and a record that the Master writes; when it came to hold what.

use super::drill_lab::Pair;
use super::drill_watch::ms;
use crate::drill::Run;
use crate::lab::{Host, NameServer};
use data_encoding::BASE64;
use std::fs::{self, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

const ZONE: &str = "lab";
const RECORD: &str = "www.lab";
/// Of the name server in the lab.
const SERVER: &str = "10.77.0.4";
const KEY_NAME: &str = "drill";
/// Nobody outside can send it anything.
const KEY: &[u8] = b"of a lab that ends with its drill";
const KEY_FILE: &str = "/run/dns.key";
/// How long resolvers may remember the record, in seconds.
const TTL: u32 = 5;
const AGAIN: Duration = Duration::from_millis(2);

/// Starts the name server, and puts its key down.
///
/// # Errors
/// One line.
pub(super) fn serve(host: &Host) -> Result<NameServer, String> {
    let about = |error: io::Error| format!("the lab's name server: {error}");
    fs::write(KEY_FILE, BASE64.encode(KEY)).map_err(about)?;
    fs::set_permissions(KEY_FILE, Permissions::from_mode(0o600)).map_err(about)?;
    NameServer::start(host, ZONE, RECORD, (KEY_NAME, KEY)).map_err(about)
}

/// The lines of a host's configuration that have the record follow this router.
pub(super) fn section(host: &Host, router: &str) -> String {
    format!(
        "[dns.www]\ntype = \"rfc2136\"\nname = \"{RECORD}\"\nzone = \"{ZONE}\"\nserver = \"{SERVER}\"\n\
         key_name = \"{KEY_NAME}\"\nkey = \"file:{KEY_FILE}\"\nrouter = \"{router}\"\naddress = \"{}\"\n\
         ttl = \"{TTL}s\"\n",
        host.address
    )
}

impl Pair {
    /// Waits until the record holds the address of a.
    pub(super) fn recorded(&self, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        while self.names.holds() != [self.a.address] {
            if Instant::now() > end {
                return Err(format!("{RECORD} does not hold the address of a again: {}", self.record()));
            }
            thread::sleep(AGAIN);
        }
        Ok(())
    }

    fn record(&self) -> String {
        held(&self.names.holds())
    }

    /// What the record has held since then.
    pub(super) fn tell_of_record(&self, began: Instant, run: &mut Run) {
        for (at, addresses) in self.names.moments(began) {
            run.happened(ms(began, at), format!("{RECORD} holds {}", held(&addresses)));
        }
    }

    /// The record moves to b, and back.
    pub(super) fn dns(&mut self) -> Result<Run, String> {
        let (mut run, began) = self.service()?;
        let moments = self.names.moments(began);
        let b = [IpAddr::from(self.b.address)];
        match moments.iter().find(|(_, addresses)| *addresses == b) {
            Some((at, _)) => {
                let moved = ms(began, *at);
                let found = run.measured.detection_ms.unwrap_or_default();
                run.measured.takeover_ms = Some((moved - found).max(0.0));
                run.notes.push(format!(
                    "who asks for {RECORD} is sent to a for {moved:.0} ms after the failure; who remembers it, for \
                     {TTL} s more at most"
                ));
            }
            None => run.problems.push(format!("{RECORD} never held the address of b")),
        }
        if moments.len() > 2 {
            let each: Vec<_> = moments.iter().map(|(_, addresses)| held(addresses)).collect();
            run.problems.push(format!("{RECORD} was written more than twice: {}", each.join(", then ")));
        }
        // That of a client of the address says nothing of who goes by the name.
        run.measured.outage = None;
        Ok(run)
    }
}

fn held(addresses: &[IpAddr]) -> String {
    match addresses {
        [] => "nothing".to_owned(),
        all => all.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "),
    }
}
