//! A client that asks an address for an echo every millisecond, and how long it got no answer.

use crate::lab::Host;
use locum::drill::Outage;
use locum::survey::{Client, Target};
use std::time::Instant;

pub struct Probe {
    client: Client,
    began: Instant,
}

impl Host {
    /// Begins to ask `address` for echoes from here.
    pub fn probe(&self, address: &str) -> Probe {
        let client = Client::begin(Target::Host(address.parse().unwrap()), Some(self.door()));
        Probe { client, began: Instant::now() }
    }
}

impl Probe {
    pub fn end(self) -> Outage {
        self.client.end(self.began).unwrap()
    }
}
