//! What the process may do: checked before anything else, so that the reason is one line.

use std::fs;

const NET_ADMIN: (u32, &str) = (12, "CAP_NET_ADMIN");
const NET_RAW: (u32, &str) = (13, "CAP_NET_RAW");

/// Whether addresses can be changed and raw sockets opened.
pub(super) fn check() -> Result<(), String> {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("cannot read /proc/self/status: {error}; is /proc mounted?"))?;
    missing(&status).map_or(Ok(()), |names| {
        Err(format!(
            "missing {names}: run as root, or give the process these capabilities \
             (systemd: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)"
        ))
    })
}

fn missing(status: &str) -> Option<String> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let names: Vec<&str> = [NET_ADMIN, NET_RAW]
        .into_iter()
        .filter(|(bit, _)| effective >> bit & 1 == 0)
        .map(|(_, name)| name)
        .collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn each_missing_capability_is_named() {
        assert_eq!(missing("CapEff:\t0000000000003000\n"), None);
        assert_eq!(missing("CapEff:\t0000000000001000\n").as_deref(), Some("CAP_NET_RAW"));
        assert_eq!(missing("nothing").as_deref(), Some("CAP_NET_ADMIN and CAP_NET_RAW"));
    }
}
