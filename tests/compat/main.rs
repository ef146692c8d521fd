//! What people around keepalived rely on: events, FIFOs, mails, dumps, signals, its command line.

mod incidents;
