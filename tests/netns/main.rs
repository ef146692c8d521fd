//! The real binary on real kernels, with real neighbours: each test makes its own network of
//! namespaces. Needs root, iproute2, util-linux, tcpdump, keepalived, frr, etcd-server, snmpd, snmp, snmptrapd,
//! prometheus, haproxy, nginx-light, bind9, chromium, chromium-driver, python3 and curl.

mod browser;
mod capture;
mod kernel;
mod lab;
mod locum;
mod memory;
mod neighbour;
mod probe;
mod process;
mod prometheus;

mod addresses;
mod alone;
mod authentication;
mod balancers;
mod bfd;
mod checks;
mod checksums;
mod dns;
mod doctor;
mod doctor_host;
mod drill;
mod drop_in;
mod etcd;
mod fixed;
mod frr;
mod game_server;
mod guardian;
mod handover;
mod history;
mod holding;
mod http;
mod init;
mod interface;
mod keepalived;
mod lease;
mod logs;
mod messages;
mod namespaces;
mod page;
mod pool;
mod privileges;
mod quorum;
mod restart;
mod rivals;
mod running;
mod second_path;
mod shared_number;
mod snmp;
mod starter;
mod succession;
mod takeover;
mod together;
mod websockets;
