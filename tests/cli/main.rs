//! The program as its users call it: the real binary, real sockets, real files.

mod canned;
mod captures;
mod check;
mod convert;
mod doctor;
mod drill;
mod explain;
mod history;
mod hostile;
mod live;
mod orders;
mod pages;
mod program;
mod schema;
mod simulate;
mod status;
mod stub;
mod top;
mod usage;
