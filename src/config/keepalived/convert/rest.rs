//! All tables but those of routers and groups: `[agent]`, `[link.NAME]`, `[static]`, `[check.NAME]`.

use super::page::{Item, Table, key, list, quoted};
use super::words::{route, rule, script, time, user, vip};
use super::{Writer, at};
use crate::agent::config::Pace;
use crate::check::file::Make;
use crate::check::{Probe, Spec};
use crate::check::{Schedule, bfd, bfd_session};
use crate::config::hooks::NOBODY;
use crate::health::{Config as Counting, Initial};
use crate::notify::fifo::Fifo;
use crate::notify::mail::Mail;
use crate::process::{User, owner_name};
use crate::snmp::{Master, Settings};
use serde_spanned::Spanned;
use std::path::Path;

const GLOBAL: &str = "global_defs";

impl Writer<'_> {
    /// `[agent]` and what belongs to it; nothing where nothing differs from the default.
    pub(super) fn agent(&self) -> Vec<Table> {
        let (global, details) = (&self.document.global, &self.config.details);
        let blocks = self.blocks(&[GLOBAL]);
        let mut agent = Table::new("[agent]".to_owned(), blocks.clone());
        if global.router_id.is_some() {
            agent.put("node", quoted(&details.node), at(&global.router_id));
        }
        for (key, written) in
            [("namespace", &self.document.net_namespace), ("instance", &self.document.instance)]
        {
            if let Some(name) = written {
                agent.put(key, quoted(name.get_ref()), at(written));
            }
        }
        if self.usual != NOBODY {
            agent.put("script_user", quoted(&self.usual), at(&global.script_user));
        }
        if self.scripts {
            // As with keepalived; without it scripts have a clean one.
            agent.put("inherit_environment", "true".to_owned(), None);
        }
        for (key, delay) in
            [("start_delay", &global.vrrp_startup_delay), ("delay_after_boot", &global.vrrp_delay_after_boot)]
        {
            if let Some(delay) = delay {
                agent.put(key, time(*delay.get_ref()), Some(delay.span().start));
            }
        }
        if let Some(priority) = &global.vrrp_rt_priority {
            agent.put("realtime", priority.get_ref().to_string(), Some(priority.span().start));
        }
        if details.scheduling.lock_memory {
            agent.put("lock_memory", "true".to_owned(), at(&global.vrrp_no_swap));
        }
        let mut control = Table::new("[agent.control]".to_owned(), Vec::new());
        if details.control.path != details.identity.socket() {
            control.put("path", quoted(&details.control.path.to_string_lossy()), None);
        }
        let several = details.told.fifos.len() > 1;
        let fifos = details.told.fifos.iter().map(|fifo| self.fifo(fifo, several));
        let mail = details.told.mail.as_ref().map(|mail| self.mail(mail));
        let snmp = details.snmp.as_ref().map(|snmp| self.snmp(snmp));
        let tables = [agent, control].into_iter().chain(fifos).chain(mail).chain(snmp);
        tables.filter(|table| !table.is_empty()).collect()
    }

    fn fifo(&self, fifo: &Fifo, several: bool) -> Table {
        let title = if several { "[[agent.notify_fifo]]" } else { "[agent.notify_fifo]" };
        let mut table = Table::new(title.to_owned(), self.blocks(&[GLOBAL]));
        let global = &self.document.global;
        let both = [
            (&global.notify_fifo, &global.notify_fifo_script),
            (&global.vrrp_notify_fifo, &global.vrrp_notify_fifo_script),
        ];
        let mine = both.into_iter().find(|(written, _)| {
            written.as_ref().is_some_and(|written| Path::new(&written.get_ref().path) == fifo.path)
        });
        let path = quoted(&fifo.path.to_string_lossy());
        table.put("path", path, mine.and_then(|(written, _)| at(written)));
        let readers = fifo.reader.as_ref().map(|reader| (reader.user.uid, reader.user.gid));
        let named = fifo.owner.filter(|owner| Some(*owner) != readers);
        if let Some((uid, gid)) = named {
            table.put(
                "user",
                quoted(&user(&User { name: owner_name(uid), uid, gid, groups: Vec::new() })),
                None,
            );
        }
        if let Some(reader) = &fifo.reader {
            // Beside another owner it must say itself who runs it.
            let usual = if named.is_some() { "" } else { &self.usual };
            table.put("script", script(reader, usual), mine.and_then(|(_, script)| at(script)));
        }
        table
    }

    fn mail(&self, mail: &Mail) -> Table {
        let global = &self.document.global;
        let mut table = Table::new("[agent.mail]".to_owned(), self.blocks(&[GLOBAL]));
        let (host, port) = &mail.relay;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        table.put("relay", quoted(&format!("{host}:{port}")), at(&global.smtp_server));
        table.put("from", quoted(&mail.from.written), at(&global.notification_email_from));
        let written = global.notification_email.iter().map(|to| Some(to.span().start));
        let places = written.chain(std::iter::repeat(None));
        let to = mail.to.iter().zip(places).map(|(to, at)| Item::new(quoted(&to.written), at));
        table.list("to", to.collect());
        if global.smtp_helo_name.is_some() {
            table.put("helo", quoted(&mail.helo), at(&global.smtp_helo_name));
        }
        table.differs("timeout", time(mail.timeout), "\"30s\"", at(&global.smtp_connect_timeout));
        table.differs("faults", mail.faults.to_string(), "true", at(&global.no_email_faults));
        table
    }

    fn snmp(&self, snmp: &Settings) -> Table {
        let global = &self.document.global;
        let mut table = Table::new("[snmp]".to_owned(), self.blocks(&[GLOBAL]));
        let usual = quoted(&Master::default().to_string());
        table.differs("socket", quoted(&snmp.master.to_string()), &usual, at(&global.snmp_socket));
        table.put("keepalived", snmp.keepalived.to_string(), at(&global.enable_snmp_vrrp));
        table.differs("rfc2787", snmp.rfc2787.to_string(), "false", at(&global.enable_snmp_rfcv2));
        table.differs("rfc6527", snmp.rfc6527.to_string(), "false", at(&global.enable_snmp_rfcv3));
        table.differs("traps", snmp.traps.to_string(), "false", at(&global.enable_traps));
        table
    }

    pub(super) fn links(&self) -> Vec<Table> {
        let blocks = self.blocks(&["interface_up_down_delays"]);
        let link = |(name, delay): (&String, &crate::agent::config::LinkDelay)| {
            let written = self.document.delays.iter().find(|written| written.interface.get_ref() == name);
            let place = written.map(|written| written.interface.span().start);
            let mut table = Table::new(format!("[link.{}]", key(name)), blocks.clone());
            table.put("down_delay", time(delay.down), place);
            table.put("up_delay", time(delay.up), place);
            table
        };
        self.config.agent.link_delays.iter().map(link).collect()
    }

    pub(super) fn paces(&self) -> Vec<Table> {
        let pace = |pace: &Pace| {
            let name = pace.interfaces.first().map_or("all".to_owned(), |first| format!("on-{first}"));
            let blocks = self.blocks(&[if pace.interfaces.is_empty() { GLOBAL } else { "garp_group" }]);
            let mut table = Table::new(format!("[pace.{}]", key(&name)), blocks);
            if !pace.interfaces.is_empty() {
                table.put("interfaces", list(pace.interfaces.iter().map(|name| quoted(name))), None);
            }
            table.put("arp", time(pace.arp), None);
            table.put("na", time(pace.na), None);
            table
        };
        self.config.agent.paces.iter().map(pace).collect()
    }

    pub(super) fn fixed(&self) -> Option<Table> {
        let fixed = &self.config.agent.fixed;
        let blocks = self.blocks(&["static_ipaddress", "static_routes", "static_rules"]);
        let mut table = Table::new("[static]".to_owned(), blocks);
        let place = |address| {
            let written = self.document.static_addresses.iter();
            written.clone().find(|written| written.address == address).map(|written| written.span.start)
        };
        if fixed.vips.iter().any(|vip| vip.dev.is_none()) || !fixed.interface.is_empty() {
            table.put("interface", quoted(&fixed.interface), None);
        }
        let addresses = fixed.vips.iter().map(|held| Item::new(vip(held, true), place(held.address)));
        table.list("addresses", addresses.collect());
        table.list("routes", fixed.routes.iter().map(|each| Item::new(route(each), None)).collect());
        table.list("rules", fixed.rules.iter().map(|each| Item::new(rule(each), None)).collect());
        (!table.is_empty()).then_some(table)
    }

    /// A check, and where it comes from.
    pub(super) fn check(&self, check: &Counting) -> (Table, Option<usize>) {
        let name = check.name.0.strip_suffix(".reverse").unwrap_or(&check.name.0);
        let is = |known: &Spanned<String>, prefix: &str| name.strip_prefix(prefix) == Some(known.get_ref());
        let document = self.document;
        let scripts = document.scripts.iter().map(|script| (&script.name, ""));
        let processes = document.processes.iter().map(|process| (&process.name, "process."));
        let files = document.files.iter().map(|file| (&file.name, "file."));
        let sessions = document.sessions.iter().map(|session| (&session.name, "bfd."));
        let all = scripts.chain(processes).chain(files).chain(sessions);
        let written = all.into_iter().find(|(known, prefix)| is(known, prefix));
        let place = written.map(|(known, _)| known.span().start);
        let block = self.reading.blocks.iter().map(|(_, block)| block);
        let block = block.filter(|block| place.is_some_and(|place| block.contains(&place))).cloned();
        let mut table = Table::new(format!("[check.{}]", self.checks.here(&check.name.0)), block.collect());
        if let Some(link) = &check.link {
            table.put("type", quoted("link"), None);
            table.put("interface", quoted(link), None);
        } else if let Some(spec) = self.config.details.checks.get(&check.name) {
            self.probe(&mut table, name, place, spec);
            let script = document.scripts.iter().find(|script| is(&script.name, ""));
            let (rise, fall) = script.map_or((None, None), |script| (at(&script.rise), at(&script.fall)));
            if !matches!(spec.probe, Probe::Bfd(_)) {
                table.differs("rise", check.rise.to_string(), "1", rise);
                table.differs("fall", check.fall.to_string(), "2", fall);
            }
            let initial = match check.initial {
                Initial::Pending => "pending",
                Initial::Up => "up",
                Initial::Down => "down",
            };
            let place = script.and_then(|script| at(&script.init_fail));
            table.differs("initial", quoted(initial), "\"pending\"", place);
        }
        table.differs("inverse", check.inverse.to_string(), "false", None);
        (table, place)
    }

    fn probe(&self, table: &mut Table, name: &str, place: Option<usize>, spec: &Spec) {
        let written = self.document.scripts.iter().find(|script| script.name.get_ref() == name);
        let (mut command, mut interval, mut timeout) = (None, None, None);
        if let Some(script) = written {
            (command, interval, timeout) = (at(&script.script), at(&script.interval), at(&script.timeout));
        }
        match &spec.probe {
            Probe::Script(script) => {
                table.put("type", quoted("script"), place);
                table.put("command", list(script.argv.iter().map(|word| quoted(word))), command);
                let by = user(&script.user);
                if by != self.usual {
                    table.put("user", quoted(&by), written.and_then(|script| at(&script.user)));
                }
            }
            Probe::File(file) => {
                table.put("type", quoted("file"), place);
                table.put("path", quoted(&file.path.to_string_lossy()), command);
                table.differs("readable", file.readable.to_string(), "false", None);
                table.differs("number", file.number.to_string(), "false", None);
                if let Some(Make { number, overwrite }) = file.make {
                    table.put("make", format!("{{ number = {number}, overwrite = {overwrite} }}"), None);
                }
            }
            Probe::Process(process) => {
                table.put("type", quoted("process"), place);
                if let Some(name) = &process.name {
                    table.put("name", quoted(name), None);
                }
                if let Some(pattern) = &process.command {
                    table.put("command", quoted(pattern.as_str()), None);
                }
                table.put("min", process.min.to_string(), None);
                if let Some(max) = process.max {
                    table.put("max", max.to_string(), None);
                }
            }
            Probe::Bfd(session) => return bfd(table, place, session, &spec.schedule),
            // keepalived.conf has no other.
            Probe::Tcp(_) | Probe::Http(_) | Probe::Websocket(_) | Probe::Ping(_) | Probe::Dns(_) => {}
        }
        table.put("interval", time(spec.schedule.interval), interval);
        table.put("timeout", time(spec.schedule.timeout), timeout);
    }
}

fn bfd(table: &mut Table, place: Option<usize>, session: &bfd::Config, schedule: &Schedule) {
    let usual = bfd_session::Timing::default();
    table.put("type", quoted("bfd"), place);
    table.put("neighbor", quoted(&session.neighbor.to_string()), None);
    if let Some(source) = schedule.source {
        table.put("source", quoted(&source.to_string()), None);
    }
    if let Some(device) = &schedule.device {
        table.put("dev", quoted(device), None);
    }
    let timing = session.timing;
    for (key, is, usual) in [
        ("min_rx", timing.min_rx, usual.min_rx),
        ("min_tx", timing.min_tx, usual.min_tx),
        ("idle_tx", timing.idle_tx, usual.idle_tx),
    ] {
        table.differs(key, time(is), &time(usual), None);
    }
    table.differs("multiplier", timing.multiplier.to_string(), &usual.multiplier.to_string(), None);
    table.differs("passive", timing.passive.to_string(), "false", None);
    table.differs("ttl", session.ttl.to_string(), "255", None);
    table.differs("max_hops", session.max_hops.to_string(), "0", None);
    table.differs("multihop", session.multihop.to_string(), "false", None);
}
