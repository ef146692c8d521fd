//! Whether the clock is kept right, where signed adverts are believed by it.

use super::Report;
use crate::agent::config::Router;
use crate::vrrp::auth::Auth;
use crate::vrrp::sequence::AntiReplay;

/// Judges whether the clock is kept right; `Err` where nobody says.
pub fn judge(routers: &[Router], synchronized: Result<bool, String>, report: &mut Report) {
    let window = |router: &Router| match &router.auth {
        Auth::Hmac(ring) => match ring.anti_replay() {
            AntiReplay::Time(window) => Some((router.name.clone(), window)),
            AntiReplay::Monotonic => None,
        },
        _ => None,
    };
    let Some((name, window)) = routers.iter().filter_map(window).min_by_key(|(_, window)| *window) else {
        return;
    };
    match synchronized {
        Ok(true) => report.fine("clock", "the clock of this host is kept right"),
        Ok(false) => {
            let what = format!(
                "nothing keeps the clock right, and {name} believes signatures {window} s old at most"
            );
            let why = "clocks drift: one night every advert is refused as too old, and both hosts are Master";
            report.doubt("clock", what, why, "timedatectl set-ntp true, on every host; or chrony");
        }
        Err(why) => report.unseen("whether the clock is kept right", why),
    }
}
