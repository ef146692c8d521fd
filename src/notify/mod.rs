//! Hooks: scripts run on transitions, in order per router, within a time limit.
