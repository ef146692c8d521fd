//! keepalived.conf: read, judged, and made into what the agent runs by.

mod addresses;
mod convert;
mod corpus;
mod grammar;
mod hostile;
mod includes;
mod lowering;
mod routing;
mod spoken;
mod traps;
