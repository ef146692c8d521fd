//! What this process and others may do, as /proc tells: proc(5).

use crate::doctor::privileges::Privileges;

/// What this process may do.
#[must_use]
pub fn own() -> Privileges {
    read("self").unwrap_or(Privileges { uid: u32::MAX, effective: 0 })
}

/// What the daemon with this number may do; `None` where that is another process, as a number from within a
/// container is.
#[must_use]
pub fn of_daemon(pid: u32) -> Option<Privileges> {
    let read = read(&pid.to_string())?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    ["locum", "keepalived"].contains(&name.trim()).then_some(read)
}

fn read(process: &str) -> Option<Privileges> {
    parse(&std::fs::read_to_string(format!("/proc/{process}/status")).ok()?)
}

fn parse(status: &str) -> Option<Privileges> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|values| values.split_whitespace().collect::<Vec<_>>())
    };
    // Real, effective, saved and that of files.
    let uid = field("Uid")?.get(1)?.parse().ok()?;
    let effective = u64::from_str_radix(field("CapEff")?.first()?, 16).ok()?;
    Some(Privileges { uid, effective })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_user_and_capabilities_count() {
        let status = "Name:\tlocum\nUid:\t1\t2\t3\t4\nCapPrm:\t0000\nCapEff:\t0000000000003000\n";
        assert_eq!(parse(status), Some(Privileges { uid: 2, effective: 1 << 12 | 1 << 13 }));
        assert_eq!(parse("Uid:\t1\n"), None);
        assert_eq!(own().uid, nix::unistd::geteuid().as_raw());
    }
}
