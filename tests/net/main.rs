//! The network doers against the real kernel, in network namespaces of the tests' own. Needs root.

mod addresses;
mod adverts;
mod announcements;
mod connections;
mod firewall;
mod leases;
mod links;
mod macvlans;
mod namespace;
mod particulars;
mod routes;
mod together;
