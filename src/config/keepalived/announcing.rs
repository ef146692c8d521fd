//! `garp_*` of an instance, or of `global_defs`: when its addresses are announced.

use super::document::{Document, Instance, Written, is_on};
use super::report::Report;
use super::router::either;
use crate::vrrp::announcing::Announcing;
use serde_spanned::Spanned;
use std::time::Duration;

/// Frames of an announcement in keepalived.
const FRAMES: u32 = 5;
/// The most of them here.
const MOST_FRAMES: u32 = 100;
/// The pause before keepalived's second announcement.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) fn announcing(
    instance: &Instance,
    document: &Document,
    strict: bool,
    report: &Report,
) -> Announcing {
    let (own, usual) = (&instance.advertising, &document.global.advertising);
    let some = |time: &Duration| !time.is_zero();
    // One frame, and none after it.
    let few = is_on(&document.global.vrrp_min_garp) && own.garp_master_repeat.is_none();
    let written = |own: &Written<u32>, usual: &Written<u32>| frames(own.as_ref().or(usual.as_ref()), report);
    let time = |own: &Written<Duration>, usual: &Written<Duration>| either(own.as_ref(), usual.as_ref());

    let master = written(&own.garp_master_repeat, &usual.garp_master_repeat).filter(|_| !few);
    let count = master.unwrap_or(if few { 1 } else { FRAMES }).max(1);
    let again = time(&own.garp_master_delay, &usual.garp_master_delay).unwrap_or(AGAIN);
    let again = Some(again).filter(some).filter(|_| !few);
    let refresh_count = written(&own.garp_master_refresh_repeat, &usual.garp_master_refresh_repeat);
    let losing = written(&own.garp_lower_prio_repeat, &usual.garp_lower_prio_repeat);
    let losing_again =
        time(&own.garp_lower_prio_delay, &usual.garp_lower_prio_delay).or(again.filter(|_| !strict));
    Announcing {
        count: narrow(count),
        again: again.into_iter().collect(),
        refresh: time(&own.garp_master_refresh, &usual.garp_master_refresh).filter(some),
        refresh_count: narrow(refresh_count.unwrap_or(1).max(1)),
        losing_count: narrow(losing.unwrap_or(if strict { 0 } else { count })),
        losing_again: losing_again.filter(some).filter(|_| !few),
        elsewhere: elsewhere(instance, document, report),
    }
}

/// How many frames, as far as that many are sent here.
fn frames(written: Option<&Spanned<u32>>, report: &Report) -> Option<u32> {
    let written = written?;
    if *written.get_ref() > MOST_FRAMES {
        let message = format!("an announcement has at most {MOST_FRAMES} frames for each address here");
        report.warning(&written.span(), message, format!("write {MOST_FRAMES} or less"));
    }
    Some(*written.get_ref())
}

fn narrow(count: u32) -> u8 {
    u8::try_from(count.min(MOST_FRAMES)).unwrap_or(u8::MAX)
}

/// `garp_extra_if [all] SECS`. Without `all` it is for virtual MAC addresses that adverts do not leave
/// from.
fn elsewhere(instance: &Instance, document: &Document, report: &Report) -> Option<Duration> {
    let usual = &document.global.advertising.garp_extra_if;
    let written = instance.advertising.garp_extra_if.as_ref().or(usual.as_ref())?;
    let (pause, all) = *written.get_ref();
    let there_are = all || (instance.use_vmac.is_some() && instance.vmac_xmit_base.is_some());
    if !there_are && !pause.is_zero() {
        let message = "without all this is for virtual MAC addresses that adverts do not leave from: \
                       there are none here";
        report.warning(&written.span(), message, "write all before the time, or remove it");
    }
    Some(pause).filter(|pause| there_are && !pause.is_zero())
}
