//! What the command line says over the configuration, and how a configuration is read by a daemon of which it says so.

use super::levels::Levels;
use super::log::{Form, Log};
use crate::config::keepalived::{Options, log_of, write_log};
use crate::config::{Loaded, Problems, Secrets, is_keepalived, load_as};
use crate::snmp::{Master, Settings};
use std::path::{Path, PathBuf};
use tracing::warn;

/// What the command line says over the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Another control socket.
    pub control: Option<PathBuf>,
    /// Another network namespace.
    pub namespace: Option<String>,
    /// Where log lines go, in which form, and which.
    pub log: Log,
    /// The usual one where `None`.
    pub form: Option<Form>,
    /// As the environment says where `None`.
    pub levels: Option<Levels>,
    /// How a keepalived.conf is read.
    pub reading: Options,
    /// Given where the daemon stands in for keepalived.
    pub instead: Option<Instead>,
    /// What there is to be beside it.
    pub guardian: Guarding,
    /// Where the command line was written, if the process has gone elsewhere since.
    pub directory: Option<PathBuf>,
    /// The real-time priority of the guardian that has started this process; 0 without.
    pub usual_priority: u8,
}

/// What a guardian does for a daemon that is killed or crashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guarding {
    /// There is none.
    #[default]
    No,
    /// It says farewell and cleans up; somebody else starts the daemon again.
    CleansUp,
    /// It starts it again as well.
    Restarts,
}

/// What the daemon does otherwise where it stands in for keepalived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead {
    /// Where its dumps go, which signals ask for.
    pub dumps: PathBuf,
    /// Serve everything by SNMP, whatever the configuration says.
    pub snmp: bool,
    /// The master agent, whatever the configuration says.
    pub master: Option<Master>,
}

impl Instead {
    fn serve(&self, snmp: &mut Option<Settings>) {
        if self.snmp {
            let Settings { master, traps, .. } = snmp.take().unwrap_or_default();
            *snmp = Some(Settings { master, keepalived: true, rfc2787: true, rfc6527: true, traps });
        }
        if let (Some(settings), Some(master)) = (snmp, &self.master) {
            settings.master.clone_from(master);
        }
    }
}

impl Overrides {
    /// Reads the configuration the way this daemon does.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self, path: &Path, secrets: Secrets) -> Result<Loaded, Problems> {
        let mut loaded = load_as(path, secrets, &self.reading)?;
        let details = &mut loaded.config.details;
        if self.namespace.is_some() {
            let usual = details.control.path == details.identity.socket();
            details.identity.namespace.clone_from(&self.namespace);
            if usual {
                details.control.path = details.identity.socket();
            }
        }
        if let Some(control) = &self.control {
            details.control.path.clone_from(control);
        }
        if let Some(instead) = &self.instead {
            instead.serve(&mut loaded.config.details.snmp);
        }
        Ok(loaded)
    }

    /// Reads the configuration again, and does what keepalived.conf demands of a reload.
    pub(super) fn reload(&self, path: &Path, dry_run: bool) -> Result<Loaded, Problems> {
        let read = self.load(path, Secrets::BarRouter);
        let log = match &read {
            Ok(loaded) => loaded.inspection.log().map(Path::to_owned),
            Err(_) if is_keepalived(path) => log_of(path, &self.reading),
            Err(_) => None,
        };
        let read = read.and_then(Loaded::as_demanded);
        if let Some(log) = log.filter(|_| !dry_run) {
            let found = read.as_ref().err().map_or(&[][..], |problems| &problems.0);
            if let Err(error) = write_log(&log, found) {
                warn!("findings cannot be written to {}: {error}", log.display());
            }
        }
        read
    }
}
