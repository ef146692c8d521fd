//! Probes: one file per kind of check, and the loop that runs one on its interval.
