//! Spans of time as people read them: two units at most.

/// `612ms`, `2.4s`, `41s`, `3m12s`, `5h07m`, `12d4h`.
pub(super) fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => format!("{millis}ms"),
        1..10 if millis % 1000 < 100 => format!("{seconds}s"),
        1..10 => format!("{seconds}.{}s", millis % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn every_span_has_two_units_at_most() {
        for (millis, text) in [
            (0, "0ms"),
            (612, "612ms"),
            (1000, "1s"),
            (2_450, "2.4s"),
            (41_900, "41s"),
            (192_000, "3m12s"),
            (5 * 3_600_000 + 7 * 60_000, "5h07m"),
            (u64::MAX, "213503982334d14h"),
        ] {
            assert_eq!(span(millis), text);
        }
    }
}
