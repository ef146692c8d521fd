//! What touches the network: raw sockets, addresses, announcements, links.
