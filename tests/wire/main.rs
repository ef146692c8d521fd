//! What goes over the wire, against packets others made and packets nobody should make.
//!
//! The folder named by `CONFORMANCE_DIR`, else `tests/conformance` and, where it is there,
//! `../shared/conformance`, holds the vectors, tables and captures.

mod captures;
mod folder;
mod hostile;
mod invariants;
mod receivers;
mod sum;
mod tables;
mod vectors;
