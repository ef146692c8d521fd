//! Runs the binary and keeps what came of it.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// What came of one call.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        let code = output.status.code().expect("the program ends by itself");
        Ran { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// The one line on stderr, without the program's name.
    pub(crate) fn complaint(&self) -> &str {
        let line = self.err.strip_suffix('\n').unwrap_or(&self.err);
        assert!(!line.contains('\n'), "more than one line: {}", self.err);
        line.strip_prefix("locum: ").unwrap_or_else(|| panic!("no complaint: {self:?}"))
    }
}

/// The binary with its arguments, in an environment without settings of its own.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_locum"));
    command.args(arguments).env_remove("LOCUM_SOCKET").env_remove("NO_COLOR");
    command
}

/// Runs the binary to its end.
pub(crate) fn locum<S: AsRef<OsStr>>(arguments: &[S]) -> Ran {
    command(arguments).output().expect("the binary runs").into()
}
