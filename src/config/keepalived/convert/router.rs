//! One router: the lines of `[router.NAME]`, in the words of the other front door.

use super::page::{Item, Table, inline, list, quoted};
use super::words::{self, named, route, rule, script, time, vip, virtual_interface, word};
use super::{Writer, at};
use crate::agent::config::{Interface, Router};
use crate::agent::{RouterName, Subject, VirtualInterface, VirtualMac};
use crate::config::keepalived::document::{Instance, Notify, Track, Tracking};
use crate::config::routes::FAMILIES;
use crate::health::OnFail;
use crate::notify::Hooks;
use crate::vrrp::announcing::Announcing;
use crate::vrrp::auth::{Auth, PASSWORD_LEN};
use crate::vrrp::hmac::{Keyring, Mode};
use crate::vrrp::sequence::AntiReplay;
use crate::vrrp::{ChecksumPolicy, Version};
use serde_spanned::Spanned;
use std::fmt::Write;

impl Writer<'_> {
    /// The tables of a router.
    pub(super) fn router(&mut self, router: &Router, instance: &Instance) -> Vec<Table> {
        let name = self.routers.here(&router.name.0);
        let mut table = Table::new(format!("[router.{name}]"), vec![instance.span.clone()]);
        election(&mut table, router, instance);
        held(&mut table, router, instance);
        self.wire(&mut table, router, instance);
        self.tracks(&mut table, self.config.agent.own_tracks(router), &instance.tracking);
        let notify = self.notify(
            &format!("[router.{name}.notify]"),
            &Subject::Router(router.name.clone()),
            &instance.notify,
            instance.span.clone(),
        );
        [table].into_iter().chain(notify).collect()
    }

    fn wire(&mut self, table: &mut Table, router: &Router, instance: &Instance) {
        let written = instance.unicast_peer.iter().flat_map(Spanned::get_ref);
        let peer = |peer: &std::net::IpAddr| {
            let found = written.clone().find(|other| other.address.get_ref() == peer);
            let text = words::peer(*peer, &router.ttls);
            Item::new(text, found.map(|found| found.address.span().start))
        };
        table.list("peers", router.peers.iter().map(peer).collect());
        if let [group] = router.groups.as_slice() {
            table.put("multicast_group", quoted(&group.to_string()), at(&instance.mcast_dst_ip));
        }
        if let [source] = router.sources.as_slice() {
            let place = at(&instance.unicast_src_ip).or(at(&instance.mcast_src_ip));
            table.put("source", quoted(&source.to_string()), place);
        }
        table.differs("ttl", router.ttl.to_string(), "255", at(&instance.unicast_ttl));
        let checksum = match router.checksum {
            ChecksumPolicy::Auto => "auto",
            ChecksumPolicy::Rfc9568 => "rfc9568",
            ChecksumPolicy::Pseudo => "pseudo",
        };
        table.differs("checksum", quoted(checksum), "\"auto\"", at(&instance.v3_checksum_as_v2));
        self.auth(table, router, instance);
        let announce = announce(&router.announce);
        let own = &instance.advertising;
        let place = [at(&own.garp_master_delay), at(&own.garp_master_repeat), at(&own.garp_master_refresh)];
        table.put("announce", announce, place.into_iter().flatten().min());
    }

    /// Secrets go into files of their own.
    fn auth(&mut self, table: &mut Table, router: &Router, instance: &Instance) {
        let place = instance.authentication.as_ref().and_then(|written| at(&written.auth_pass));
        let name = self.routers.here(&router.name.0);
        let name = name.trim_matches('"').to_owned();
        match &router.auth {
            Auth::None => {}
            Auth::Pass(secret) | Auth::Ah(secret) => {
                let bytes = secret.expose();
                let bytes = bytes.get(..PASSWORD_LEN).unwrap_or(bytes);
                let reference = self.secret(format!("{name}.pass"), bytes.to_vec());
                let scheme = if matches!(router.auth, Auth::Pass(_)) { "pass" } else { "ah" };
                table.put("auth", inline(&[(scheme, reference)]), place);
            }
            Auth::Hmac(ring) => {
                let written = instance.auth_hmac.as_ref().and_then(|written| written.keys.first());
                let place = written.map(|key| key.span().start);
                let hmac = self.keyring(&name, ring);
                table.put("auth", inline(&[("hmac", hmac)]), place);
            }
        }
    }

    fn keyring(&mut self, name: &str, ring: &Keyring) -> String {
        let mut keys = Vec::new();
        for key in ring.keys() {
            let digits = key.secret().expose().iter().fold(String::new(), |mut digits, byte| {
                let _ = write!(digits, "{byte:02x}");
                digits
            });
            let file = format!("{name}-{}.key", key.id());
            let reference = self.secret(file, format!("hex:{digits}").into_bytes());
            keys.push((key.id().to_string(), reference));
        }
        let keys: Vec<_> = keys.iter().map(|(id, reference)| (id.as_str(), reference.clone())).collect();
        let mut pairs = vec![("keys", inline(&keys)), ("active", ring.active().id().to_string())];
        match ring.anti_replay() {
            AntiReplay::Time(seconds) => pairs.push(("window", quoted(&format!("{seconds}s")))),
            AntiReplay::Monotonic => pairs.push(("anti_replay", quoted("monotonic"))),
        }
        match ring.mode() {
            Mode::Enforce => {}
            Mode::Permissive => pairs.push(("mode", quoted("permissive"))),
            Mode::ReceiveOnly => pairs.push(("mode", quoted("receive-only"))),
        }
        inline(&pairs)
    }

    /// What a router or a group tracks.
    pub(super) fn tracks<'a>(
        &self,
        table: &mut Table,
        tracks: impl Iterator<Item = &'a crate::health::Track>,
        tracking: &Tracking,
    ) {
        let written = [
            ("", &tracking.scripts),
            ("process.", &tracking.processes),
            ("file.", &tracking.files),
            ("interface.", &tracking.interfaces),
        ];
        let named = |name: &str| {
            let name = name.strip_suffix(".reverse").unwrap_or(name).to_owned();
            let one = |(prefix, list): (&str, &Vec<Track>)| {
                let bare = name.strip_prefix(prefix)?;
                list.iter().find(|track| track.name.get_ref() == bare).map(|track| track.name.span().start)
            };
            written.into_iter().find_map(one)
        };
        let item = |track: &crate::health::Track| {
            let check = quoted(&self.checks.name(&track.check.0));
            let text = match track.on_fail {
                OnFail::Fault => check,
                OnFail::Weight(weight) => inline(&[("check", check), ("weight", weight.to_string())]),
                OnFail::Times(times) => inline(&[("check", check), ("times", times.to_string())]),
            };
            Item::new(text, named(&track.check.0))
        };
        table.list("checks", tracks.map(item).collect());
    }

    /// The hooks of a router or a group, and how else it tells of itself.
    pub(super) fn notify(
        &self,
        title: &str,
        subject: &Subject,
        written: &Notify,
        block: crate::config::problem::Span,
    ) -> Option<Table> {
        let mut table = Table::new(title.to_owned(), vec![block]);
        let none = Hooks::default();
        let hooks = self.config.details.hooks.get(subject).unwrap_or(&none);
        for (key, hook, place) in [
            ("master", &hooks.master, at(&written.master)),
            ("backup", &hooks.backup, at(&written.backup)),
            ("fault", &hooks.fault, at(&written.fault)),
            ("stop", &hooks.stop, at(&written.stop)),
            ("any", &hooks.any, at(&written.any)),
            ("rx_lower", &hooks.rx_lower, at(&written.master_rx_lower_pri)),
        ] {
            if let Some(hook) = hook {
                table.put(key, script(hook, &self.usual), place);
            }
        }
        let told = &self.config.details.told;
        if matches!(subject, Subject::Router(name) if told.priorities.contains::<RouterName>(name)) {
            table.put("priority_changes", "true".to_owned(), at(&written.priority_changes));
        }
        if told.mail.is_some() {
            let mail = told.mailed.contains(subject).to_string();
            table.differs("mail", mail, "true", at(&written.smtp_alert));
        }
        (!table.is_empty()).then_some(table)
    }
}

fn election(table: &mut Table, router: &Router, instance: &Instance) {
    let interface = match &router.interface {
        Interface::Named(name) => quoted(name),
        Interface::Subnet(address, prefix) => inline(&[("subnet", quoted(&format!("{address}/{prefix}")))]),
    };
    let own = &instance.advertising;
    let manner = &router.manner;
    table.put("interface", interface, at(&instance.interface));
    table.put("vrid", router.vrid.to_string(), at(&instance.virtual_router_id));
    let version = if router.version == Version::V2 { "2" } else { "3" };
    table.put("version", version.to_owned(), at(&instance.version));
    table.put("priority", router.priority.get().to_string(), at(&instance.priority));
    table.put("interval", time(router.interval.duration()), at(&instance.advert_int));
    let preempt = at(&instance.nopreempt).or(at(&instance.preempt));
    table.differs("preempt", router.preempt.to_string(), "true", preempt);
    table.differs("preempt_delay", time(manner.preempt_delay), "\"0ms\"", at(&instance.preempt_delay));
    table.differs("down_adverts", manner.down_adverts.to_string(), "3", at(&own.down_timer_adverts));
    let usual = if router.version == Version::V3 { "true" } else { "false" };
    let losing = at(&own.lower_prio_no_advert);
    table.differs("answer_losing", manner.answer_losing.to_string(), usual, losing);
    let parting = at(&own.higher_prio_send_advert);
    let owner = at(&own.owner_ignore_adverts);
    table.differs("owner_ignores", manner.owner_ignores.to_string(), "false", owner);
    table.differs("parting_advert", manner.parting_advert.to_string(), "false", parting);
    table.differs("eager", manner.eager.to_string(), "false", at(&instance.state));
    if let Some(why) = &router.barred {
        table.put("barred", quoted(why), None);
    }
}

fn held(table: &mut Table, router: &Router, instance: &Instance) {
    let written = instance.virtual_ipaddress.iter().chain(&instance.virtual_ipaddress_excluded);
    let place = |address| written.clone().find(|other| other.address == address);
    let item = |address, text| Item::new(text, place(address).map(|found| found.span.start));
    let held = |vips: &[crate::vrrp::Vip], advertise| -> Vec<Item> {
        vips.iter().map(|held| item(held.address, vip(held, advertise))).collect()
    };
    let mut addresses = held(&router.vips, true);
    addresses.extend(held(&router.excluded, false));
    addresses.extend(router.named.iter().map(|address| item(*address, named(*address))));
    if addresses.is_empty() {
        table.put("addresses", "[]".to_owned(), None);
    }
    table.list("addresses", addresses);
    if let Some(family) = &router.family {
        table.put("family", word(FAMILIES, family), None);
    }
    let virtual_mac = match router.virtual_mac {
        VirtualMac::Off => "false",
        VirtualMac::Own => "true",
        VirtualMac::Elsewhere => "\"elsewhere\"",
        VirtualMac::Everywhere => "\"everywhere\"",
    };
    let place = at(&instance.use_vmac).or(at(&instance.use_vmac_addr));
    table.differs("virtual_mac", virtual_mac.to_owned(), "false", place);
    if router.virtual_interface != VirtualInterface::default() {
        table.put("virtual_interface", virtual_interface(&router.virtual_interface), at(&instance.use_vmac));
    }
    let base = at(&instance.vmac_xmit_base);
    table.differs("adverts_from_base", router.adverts_from_base.to_string(), "false", base);
    table.differs("accept", router.accept.to_string(), "true", at(&instance.accept));
    table.differs("ignore_link", router.ignore_link.to_string(), "false", at(&instance.dont_track_primary));
    // Where one was left out, nobody can say which is which.
    let every = instance.virtual_routes.len() == router.routes.len();
    let spans = instance.virtual_routes.iter().map(|route| every.then_some(route.span.start));
    let texts = router.routes.iter().map(route).zip(spans.chain(std::iter::repeat(None)));
    table.list("routes", texts.map(|(text, at)| Item::new(text, at)).collect());
    let every = instance.virtual_rules.len() == router.rules.len();
    let spans = instance.virtual_rules.iter().map(|rule| every.then_some(rule.span.start));
    let texts = router.rules.iter().map(rule).zip(spans.chain(std::iter::repeat(None)));
    table.list("rules", texts.map(|(text, at)| Item::new(text, at)).collect());
}

fn announce(announcing: &Announcing) -> String {
    let Announcing { count, again, refresh, refresh_count, losing_count, losing_again, elsewhere } =
        announcing;
    let mut pairs = vec![
        ("count", count.to_string()),
        ("again", list(again.iter().map(|pause| time(*pause)))),
        ("refresh", refresh.map_or_else(|| quoted("off"), time)),
    ];
    if *refresh_count != 1 {
        pairs.push(("refresh_count", refresh_count.to_string()));
    }
    if losing_count != count {
        pairs.push(("losing_count", losing_count.to_string()));
    }
    pairs.extend(losing_again.map(|pause| ("losing_again", time(pause))));
    pairs.extend(elsewhere.map(|pause| ("elsewhere", time(pause))));
    inline(&pairs)
}
