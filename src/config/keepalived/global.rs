//! `global_defs`: who this host is, and the defaults of everything else.

use super::command;
use super::document::{Advertising, Fifo, Global};
use super::keywords::Block;
use super::statement::{Statement, statements};
use super::tree::Word;
use super::value;
use crate::config::problem::Finding;
use crate::config::section::Wrong;
use serde_spanned::Spanned;
use std::net::IpAddr;
use std::time::Duration;

/// The longest pause of announcements, in seconds.
const LONGEST: f64 = 4294.0;
/// The port of mail.
const SMTP: u16 = 25;

/// Reads a `global_defs` on top of what an earlier one said.
pub(super) fn global(statement: &Statement<'_>, global: &mut Global) {
    statement.no_more_words();
    for inner in statements(statement.members(), Block::Global, statement.context) {
        let read = identity(&inner, global)
            || mail(&inner, global)
            || fifo(&inner, global)
            || snmp(&inner, global)
            || protocol(&inner, global);
        if !read && !advertising(&inner, &mut global.advertising) {
            inner.not_read();
        }
    }
}

fn identity(inner: &Statement<'_>, global: &mut Global) -> bool {
    match inner.name {
        "router_id" => match inner.node.arguments() {
            [word] if word.text.is_empty() => {
                inner.report().warning(
                    &word.span,
                    "a name of nothing: this host is called by its own",
                    "remove the line",
                );
            }
            _ => inner.one(&mut global.router_id, value::text),
        },
        "script_user" => command::user(inner, &mut global.script_user),
        "set_supplementary_groups" => inner.flag(&mut global.set_supplementary_groups),
        "enable_script_security" => inner.bare(&mut global.enable_script_security),
        "default_interface" => match inner.node.arguments().first().map(value::interface) {
            // Whoever needs it says that there is none.
            Some(Err(wrong)) => {
                inner.report().skip(Finding::error(&inner.span(), wrong.message), &inner.span());
            }
            _ => inner.one(&mut global.default_interface, value::interface),
        },
        "dynamic_interfaces" => {
            inner.put(&mut global.dynamic_interfaces, Some(Spanned::new(inner.span(), true)));
            inner.argument(0, value::choice(&[("allow_if_changes", ())]));
            inner.no_more_than(1);
        }
        "reload_check_config" => {
            let log = inner.argument(0, value::text).map(Spanned::into_inner);
            inner.put(&mut global.reload_check_config, Some(Spanned::new(inner.span(), log)));
            inner.no_more_than(1);
        }
        "vrrp_rt_priority" => inner.one(&mut global.vrrp_rt_priority, value::number(1, 99)),
        "vrrp_no_swap" => inner.sign(&mut global.vrrp_no_swap),
        _ => return false,
    }
    true
}

fn mail(inner: &Statement<'_>, global: &mut Global) -> bool {
    match inner.name {
        "notification_email" => {
            let words = inner.words();
            global
                .notification_email
                .extend(words.map(|word| Spanned::new(word.span.clone(), word.text.clone())));
        }
        "notification_email_from" => inner.one(&mut global.notification_email_from, value::text),
        "smtp_server" => {
            let host = inner.required(0, value::text);
            let port = inner.argument(1, value::number(1, 65_535)).map_or(SMTP, Spanned::into_inner);
            inner.put(
                &mut global.smtp_server,
                host.map(|host| Spanned::new(host.span(), (host.into_inner(), port))),
            );
            inner.no_more_than(2);
        }
        "smtp_helo_name" if inner.node.arguments().is_empty() => {
            let finding = Finding::error(&inner.span(), "smtp_helo_name has no value");
            inner.report().skip(finding.help("write one, or remove the line"), &inner.span());
        }
        "smtp_helo_name" => inner.one(&mut global.smtp_helo_name, value::text),
        "smtp_connect_timeout" => inner.one(&mut global.smtp_connect_timeout, value::seconds(1.0, LONGEST)),
        "smtp_alert" => inner.flag(&mut global.smtp_alert),
        "smtp_alert_vrrp" => inner.flag(&mut global.smtp_alert_vrrp),
        "no_email_faults" => inner.bare(&mut global.no_email_faults),
        _ => return false,
    }
    true
}

fn fifo(inner: &Statement<'_>, global: &mut Global) -> bool {
    match inner.name {
        "notify_fifo" => one_fifo(inner, &mut global.notify_fifo),
        "vrrp_notify_fifo" => one_fifo(inner, &mut global.vrrp_notify_fifo),
        "notify_fifo_script" => command::command(inner, &mut global.notify_fifo_script),
        "vrrp_notify_fifo_script" => command::command(inner, &mut global.vrrp_notify_fifo_script),
        "vrrp_notify_priority_changes" => inner.flag(&mut global.vrrp_notify_priority_changes),
        "fifo_write_vrrp_states_on_reload" => inner.bare(&mut global.fifo_write_vrrp_states_on_reload),
        _ => return false,
    }
    true
}

fn snmp(inner: &Statement<'_>, global: &mut Global) -> bool {
    match inner.name {
        "enable_snmp_vrrp" => inner.bare(&mut global.enable_snmp_vrrp),
        "enable_snmp_rfcv2" => inner.bare(&mut global.enable_snmp_rfcv2),
        "enable_snmp_rfcv3" => inner.bare(&mut global.enable_snmp_rfcv3),
        "enable_snmp_rfc" => {
            inner.bare(&mut global.enable_snmp_rfcv2);
            inner.bare(&mut global.enable_snmp_rfcv3);
        }
        "enable_traps" => inner.bare(&mut global.enable_traps),
        "snmp_socket" => inner.one(&mut global.snmp_socket, value::text),
        _ => return false,
    }
    true
}

/// `PATH [user [[:]group]]`
fn one_fifo(inner: &Statement<'_>, slot: &mut Option<Spanned<Fifo>>) {
    let path = inner.required(0, value::text);
    let word = |place| inner.argument(place, value::text).map(Spanned::into_inner);
    let group = word(2).map(|group| group.trim_start_matches(':').to_owned());
    let fifo =
        path.map(|path| Spanned::new(path.span(), Fifo { path: path.into_inner(), user: word(1), group }));
    inner.put(slot, fifo);
    inner.no_more_than(3);
}

fn protocol(inner: &Statement<'_>, global: &mut Global) -> bool {
    match inner.name {
        "vrrp_version" => inner.one(&mut global.vrrp_version, value::number(2, 3)),
        "vrrp_strict" => inner.sign(&mut global.vrrp_strict),
        "vrrp_skip_check_adv_addr" => inner.sign(&mut global.vrrp_skip_check_adv_addr),
        "vrrp_mcast_group4" => inner.one(&mut global.vrrp_mcast_group4, four),
        "vrrp_mcast_group6" => inner.one(&mut global.vrrp_mcast_group6, six),
        "vrrp_check_unicast_src" => inner.sign(&mut global.vrrp_check_unicast_src),
        "v3_checksum_as_v2" => inner.sign(&mut global.v3_checksum_as_v2),
        "vrrp_startup_delay" => inner.one(&mut global.vrrp_startup_delay, value::seconds(0.0, LONGEST)),
        "vrrp_delay_after_boot" => inner.one(&mut global.vrrp_delay_after_boot, value::seconds(0.0, LONGEST)),
        "vrrp_min_garp" => inner.flag(&mut global.vrrp_min_garp),
        "vrrp_garp_interval" => inner.one(&mut global.vrrp_garp_interval, value::seconds(0.0, LONGEST)),
        "vrrp_gna_interval" => inner.one(&mut global.vrrp_gna_interval, value::seconds(0.0, LONGEST)),
        _ => return false,
    }
    true
}

fn four(word: &Word) -> Result<IpAddr, Wrong> {
    value::group(word).and_then(|ip| if ip.is_ipv4() { Ok(ip) } else { Err(Wrong::new("this is not IPv4")) })
}

fn six(word: &Word) -> Result<IpAddr, Wrong> {
    value::group(word).and_then(|ip| if ip.is_ipv6() { Ok(ip) } else { Err(Wrong::new("this is not IPv6")) })
}

/// Reads `garp_…` and its kin, by their names here or with `vrrp_` before; `false` where it is none.
pub(super) fn advertising(inner: &Statement<'_>, to: &mut Advertising) -> bool {
    let pause = || value::seconds(0.0, LONGEST);
    let count = || value::number(0, i64::from(u32::MAX));
    match inner.name.strip_prefix("vrrp_").unwrap_or(inner.name) {
        "garp_master_delay" => inner.one(&mut to.garp_master_delay, pause()),
        "garp_master_repeat" => inner.one(&mut to.garp_master_repeat, value::number(1, i64::from(u32::MAX))),
        "garp_master_refresh" => inner.one(&mut to.garp_master_refresh, pause()),
        "garp_master_refresh_repeat" => inner.one(&mut to.garp_master_refresh_repeat, count()),
        "garp_lower_prio_delay" => inner.one(&mut to.garp_lower_prio_delay, pause()),
        "garp_lower_prio_repeat" => inner.one(&mut to.garp_lower_prio_repeat, count()),
        "garp_extra_if" => extra(inner, &mut to.garp_extra_if),
        "down_timer_adverts" => inner.one(&mut to.down_timer_adverts, value::number(1, 100)),
        "lower_prio_no_advert" => inner.flag(&mut to.lower_prio_no_advert),
        "higher_prio_send_advert" => inner.flag(&mut to.higher_prio_send_advert),
        "owner_ignore_adverts" => inner.flag(&mut to.owner_ignore_adverts),
        _ => return false,
    }
    true
}

/// `[all] SECS`
fn extra(inner: &Statement<'_>, slot: &mut Option<Spanned<(Duration, bool)>>) {
    let all = inner.node.arguments().first().is_some_and(|word| word.text == "all");
    let read = |word: &Word| -> Result<_, Wrong> { Ok((value::seconds(0.0, 86_400.0)(word)?, all)) };
    let found = inner.required(usize::from(all), read);
    inner.put(slot, found);
    inner.no_more_than(1 + usize::from(all));
}
