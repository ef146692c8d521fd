//! keepalived.conf as written: every keyword that Locum reads, typed, with its place. No rule here
//! compares one with another; absent is `None`, and what absent means is beside the field or in a
//! method of the block.

use super::address::Address;
use super::route::{Route, Rule};
use crate::config::problem::Span;
use crate::vrrp::auth::Secret;
use serde_spanned::Spanned;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

/// A value that may be absent, with its place.
pub type Written<T> = Option<Spanned<T>>;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// `net_namespace`: the network namespace to run in.
    pub net_namespace: Written<String>,
    /// `instance`: the name of this daemon among several.
    pub instance: Written<String>,
    /// `global_defs`
    pub global: Global,
    /// `vrrp_script`
    pub scripts: Vec<Script>,
    /// `vrrp_track_process`
    pub processes: Vec<Process>,
    /// `track_file`
    pub files: Vec<File>,
    /// `bfd_instance`
    pub sessions: Vec<Bfd>,
    /// `vrrp_sync_group`
    pub groups: Vec<Group>,
    /// `vrrp_instance`
    pub instances: Vec<Instance>,
    /// `static_ipaddress`
    pub static_addresses: Vec<Address>,
    /// `static_routes`
    pub static_routes: Vec<Route>,
    /// `static_rules`
    pub static_rules: Vec<Rule>,
    /// `track_group`
    pub track_groups: Vec<TrackGroup>,
    /// `interface_up_down_delays`
    pub delays: Vec<LinkDelay>,
    /// `garp_group`
    pub pacing: Vec<Pacing>,
}

/// `IF down [up]` of `interface_up_down_delays`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkDelay {
    /// The interface.
    pub interface: Spanned<String>,
    /// How long it must be down to count as down.
    pub down: Duration,
    /// How long it must be up to count as up.
    pub up: Duration,
}

/// `track_group`: the instances that are out of order while the interface of a static entry is down which names it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackGroup {
    /// Its name.
    pub name: Spanned<String>,
    /// Its instances.
    pub group: Vec<Spanned<String>>,
}

/// `garp_group`: announcements on these interfaces together keep this distance.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Pacing {
    pub garp_interval: Written<Duration>,
    pub gna_interval: Written<Duration>,
    pub interfaces: Vec<Spanned<String>>,
}

/// `N [reverse]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Added when up where positive, and when down where negative; 0 is a fault when down.
    pub value: i32,
    /// The other way round.
    pub reverse: bool,
}

/// A command and who runs it. Its arguments do not print.
#[derive(Clone, PartialEq)]
pub struct Command {
    /// The program, as written, and its arguments; not empty.
    pub words: Vec<String>,
    /// Who runs it.
    pub user: Written<String>,
    /// The group it runs with; behind a colon, with all others of the user besides.
    pub group: Written<String>,
}

impl Command {
    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program())
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// `global_defs`
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Global {
    pub router_id: Written<String>,
    pub notification_email: Vec<Spanned<String>>,
    pub notification_email_from: Written<String>,
    /// Host and port, 25 by default.
    pub smtp_server: Written<(String, u16)>,
    pub smtp_helo_name: Written<String>,
    pub smtp_connect_timeout: Written<Duration>,
    pub smtp_alert: Written<bool>,
    pub smtp_alert_vrrp: Written<bool>,
    pub no_email_faults: Written<bool>,
    pub notify_fifo: Written<Fifo>,
    pub notify_fifo_script: Written<Command>,
    pub vrrp_notify_fifo: Written<Fifo>,
    pub vrrp_notify_fifo_script: Written<Command>,
    pub vrrp_notify_priority_changes: Written<bool>,
    pub fifo_write_vrrp_states_on_reload: Written<bool>,
    /// User and group.
    pub script_user: Written<(String, Option<String>)>,
    pub enable_script_security: Written<bool>,
    pub set_supplementary_groups: Written<bool>,
    pub vrrp_version: Written<u8>,
    pub vrrp_strict: Written<bool>,
    pub vrrp_skip_check_adv_addr: Written<bool>,
    pub vrrp_mcast_group4: Written<IpAddr>,
    pub vrrp_mcast_group6: Written<IpAddr>,
    pub vrrp_check_unicast_src: Written<bool>,
    pub v3_checksum_as_v2: Written<bool>,
    pub vrrp_startup_delay: Written<Duration>,
    pub vrrp_delay_after_boot: Written<Duration>,
    pub default_interface: Written<String>,
    pub dynamic_interfaces: Written<bool>,
    /// A file with any finding is refused, at the start and at a reload; there, findings go to this file.
    pub reload_check_config: Written<Option<String>>,
    pub vrrp_rt_priority: Written<u8>,
    pub vrrp_no_swap: Written<bool>,
    pub vrrp_min_garp: Written<bool>,
    pub enable_snmp_vrrp: Written<bool>,
    pub enable_snmp_rfcv2: Written<bool>,
    pub enable_snmp_rfcv3: Written<bool>,
    pub enable_traps: Written<bool>,
    pub snmp_socket: Written<String>,
    /// Pauses between frames on one interface.
    pub vrrp_garp_interval: Written<Duration>,
    pub vrrp_gna_interval: Written<Duration>,
    /// The defaults of all instances.
    pub advertising: Advertising,
}

/// What an instance has, and `global_defs` has defaults of: `garp_*` and adverts.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Advertising {
    /// The pause before the second announcement, 5 s; zero for none.
    pub garp_master_delay: Written<Duration>,
    /// Frames of an announcement for each address, 5.
    pub garp_master_repeat: Written<u32>,
    /// The pause between refreshes, none.
    pub garp_master_refresh: Written<Duration>,
    /// Frames of a refresh for each address, 1.
    pub garp_master_refresh_repeat: Written<u32>,
    pub garp_lower_prio_delay: Written<Duration>,
    pub garp_lower_prio_repeat: Written<u32>,
    /// The pause, and whether for all addresses.
    pub garp_extra_if: Written<(Duration, bool)>,
    /// Missed adverts before a takeover, 3.
    pub down_timer_adverts: Written<u8>,
    pub lower_prio_no_advert: Written<bool>,
    pub higher_prio_send_advert: Written<bool>,
    pub owner_ignore_adverts: Written<bool>,
}

/// `PATH [user [group]]`
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as the arguments they hold")]
pub struct Fifo {
    pub path: String,
    pub user: Option<String>,
    pub group: Option<String>,
}

/// `vrrp_script`
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Script {
    pub name: Spanned<String>,
    /// All of it, with its block.
    pub span: Span,
    pub script: Written<Command>,
    /// 1 s.
    pub interval: Written<Duration>,
    /// The interval.
    pub timeout: Written<Duration>,
    /// 0: a failure is a fault.
    pub weight: Written<Weight>,
    /// 1
    pub rise: Written<u32>,
    /// 1
    pub fall: Written<u32>,
    /// User and group.
    pub user: Written<(String, Option<String>)>,
    pub init_fail: Written<bool>,
}

/// `vrrp_track_process`
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Process {
    pub name: Spanned<String>,
    /// The command and its arguments; not empty.
    pub process: Written<Vec<String>>,
    /// How the arguments are compared, if at all.
    pub param_match: Written<ParamMatch>,
    pub weight: Written<Weight>,
    /// 1
    pub quorum: Written<u32>,
    pub quorum_max: Written<u32>,
    pub fork_delay: Written<Duration>,
    pub terminate_delay: Written<Duration>,
    /// Compare the whole command line.
    pub full_command: Written<bool>,
}

/// `param_match`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamMatch {
    /// All arguments, and no more.
    Exact,
    /// The first arguments, the last of them in part.
    Initial,
    /// The first arguments.
    Partial,
}

/// `track_file`
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct File {
    pub name: Spanned<String>,
    pub file: Written<String>,
    /// 1, a factor of the number in the file.
    pub weight: Written<Weight>,
    /// The number it is made with, and whether an old one is replaced.
    pub init_file: Written<(i32, bool)>,
}

/// `bfd_instance`
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Bfd {
    pub name: Spanned<String>,
    pub neighbor_ip: Written<IpAddr>,
    /// What stands behind `%` in it.
    pub interface: Written<String>,
    pub source_ip: Written<IpAddr>,
    /// 10 ms
    pub min_rx: Written<Duration>,
    /// 10 ms
    pub min_tx: Written<Duration>,
    /// 1 s
    pub idle_tx: Written<Duration>,
    /// 5
    pub multiplier: Written<u8>,
    pub passive: Written<bool>,
    /// 255, also `hoplimit`
    pub ttl: Written<u8>,
    /// 0
    pub max_hops: Written<u8>,
    pub multihop: Written<bool>,
    /// 0: down is a fault.
    pub weight: Written<Weight>,
}

/// One line of `track_*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// What is tracked.
    pub name: Spanned<String>,
    /// Its weight here, instead of its own.
    pub weight: Written<Weight>,
}

/// What an instance or a group tracks.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Tracking {
    pub scripts: Vec<Track>,
    pub interfaces: Vec<Track>,
    pub files: Vec<Track>,
    pub processes: Vec<Track>,
    pub sessions: Vec<Track>,
}

/// The commands of an instance or a group, and how else it tells of itself.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Notify {
    pub master: Written<Command>,
    pub backup: Written<Command>,
    pub fault: Written<Command>,
    pub stop: Written<Command>,
    pub any: Written<Command>,
    /// Instances only: told of removal as DELETED, with a command or without.
    pub deleted: Written<Option<Command>>,
    /// Instances only.
    pub master_rx_lower_pri: Written<Command>,
    pub priority_changes: Written<bool>,
    pub smtp_alert: Written<bool>,
}

/// `vrrp_sync_group`
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: Spanned<String>,
    /// All of it, with its block.
    pub span: Span,
    /// Its instances.
    pub group: Vec<Spanned<String>>,
    /// What all its instances track.
    pub tracking: Tracking,
    /// `sync_group_tracking_weight`: the weights of its instances' own trackers count.
    pub member_weights: Written<bool>,
    /// Its commands.
    pub notify: Notify,
}

/// `state`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as the words they stand for")]
pub enum State {
    Master,
    Backup,
}

/// `auth_type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as the words they stand for")]
pub enum AuthType {
    Pass,
    Ah,
}

/// `authentication`
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Authentication {
    pub span: Span,
    pub auth_type: Written<AuthType>,
    pub auth_pass: Written<Secret>,
}

/// `auth_hmac`
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct AuthHmac {
    pub span: Span,
    /// Number and key, 32 to 64 bytes.
    pub keys: Vec<Spanned<(NonZeroU8, Secret)>>,
    pub active_key: Written<NonZeroU8>,
    pub anti_replay: Written<AntiReplay>,
    pub time_window: Written<Duration>,
    pub mode: Written<HmacMode>,
}

/// `anti_replay`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as the words they stand for")]
pub enum AntiReplay {
    #[default]
    Time,
    Monotonic,
}

/// `mode` of `auth_hmac`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as the words they stand for")]
pub enum HmacMode {
    #[default]
    Enforce,
    Permissive,
    ReceiveOnly,
}

/// One of `unicast_peer`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the words they stand for")]
pub struct Peer {
    pub address: Spanned<IpAddr>,
    pub min_ttl: Written<u8>,
    pub max_ttl: Written<u8>,
}

/// `use_vmac` or `use_ipvlan`: what is behind the keyword, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualMac {
    /// `use_ipvlan`
    pub ipvlan: bool,
    /// The words after the keyword.
    pub words: Vec<String>,
}

/// `vrrp_instance`
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Instance {
    pub name: Spanned<String>,
    /// All of it, with its block.
    pub span: Span,
    pub state: Written<State>,
    pub interface: Written<String>,
    pub virtual_router_id: Written<u8>,
    /// 100, or 255 with `state MASTER`.
    pub priority: Written<u8>,
    /// 1 s.
    pub advert_int: Written<Duration>,
    pub version: Written<u8>,
    pub virtual_ipaddress: Vec<Address>,
    pub virtual_ipaddress_excluded: Vec<Address>,
    pub no_virtual_ipaddress: Written<bool>,
    pub virtual_routes: Vec<Route>,
    pub virtual_rules: Vec<Rule>,
    pub authentication: Option<Authentication>,
    pub auth_hmac: Option<AuthHmac>,
    pub nopreempt: Written<bool>,
    pub preempt: Written<bool>,
    pub preempt_delay: Written<Duration>,
    pub strict_mode: Written<bool>,
    /// `accept` is yes, `no_accept` is no.
    pub accept: Written<bool>,
    pub mcast_src_ip: Written<IpAddr>,
    pub mcast_dst_ip: Written<IpAddr>,
    pub unicast_src_ip: Written<IpAddr>,
    /// `None` where there is no block.
    pub unicast_peer: Written<Vec<Peer>>,
    pub unicast_ttl: Written<u8>,
    pub unicast_fault_no_peer: Written<bool>,
    pub check_unicast_src: Written<bool>,
    pub v3_checksum_as_v2: Written<bool>,
    pub skip_check_adv_addr: Written<bool>,
    pub tracking: Tracking,
    pub dont_track_primary: Written<bool>,
    pub use_vmac: Written<VirtualMac>,
    pub use_vmac_addr: Written<bool>,
    pub vmac_xmit_base: Written<bool>,
    pub advertising: Advertising,
    pub notify: Notify,
}

impl Instance {
    /// Its priority, 1..=255.
    #[must_use]
    pub fn priority(&self) -> u8 {
        let usual = if self.is_master() { 255 } else { 100 };
        self.priority.as_ref().map_or(usual, |priority| *priority.get_ref())
    }

    /// Whether it says `state MASTER`.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.state.as_ref().is_some_and(|state| *state.get_ref() == State::Master)
    }
}

/// Whether a flag is written and on.
#[must_use]
pub fn is_on(flag: &Written<bool>) -> bool {
    flag.as_ref().is_some_and(|flag| *flag.get_ref())
}
