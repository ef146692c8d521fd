//! The agent: owns every router, routes what comes in, and answers with what shall be done.

pub mod config;
pub mod effect;
pub mod link;
pub mod request;
pub mod status;
pub mod transition;

pub use link::{Link, LinkAddress};
pub use transition::{RouterName, Standing, Transition};
