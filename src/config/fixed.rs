//! `[static]`: addresses, routes and rules that are there as long as the daemon runs.

use super::address::{Address, one_address};
use super::file::Router;
use super::problem::{Finding, Span};
use super::routes::{routes, rules};
use super::section::Section;
use super::value::interface;
use crate::agent::Holding;
use crate::agent::route::{Route, Rule};
use serde_spanned::Spanned;

/// As written; also what keepalived.conf calls `static_ipaddress` and so on.
#[derive(Default)]
pub(super) struct Fixed {
    /// Where addresses go that name no `dev`.
    pub(super) interface: Option<String>,
    pub(super) addresses: Vec<Address>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
}

pub(super) fn read(section: Section<'_>) -> Fixed {
    let members = section.members("addresses", "a list: [\"10.0.0.5/24\"]").unwrap_or_default();
    let fixed = Fixed {
        interface: section.optional("interface", interface).map(Spanned::into_inner),
        addresses: members.iter().filter_map(|value| one_address(&section, value)).collect(),
        routes: routes(&section),
        rules: rules(&section),
    };
    for address in &fixed.addresses {
        let homeless = fixed.interface.is_none() && address.vip.dev.is_none();
        let refuse = |why: &str, help: &str| {
            let message = format!("{} is static, and {why}", address.vip.address);
            section.sink().add(Finding::error(&address.span, message).help(help));
        };
        if homeless {
            refuse("goes on no interface", "add interface = \"eth0\" to [static], or dev to the address");
        }
        if !address.advertise {
            refuse("such are never advertised", "remove `advertise`");
        }
        if !address.hold {
            refuse("such are held always", "remove `hold`");
        }
    }
    section.finish();
    fixed
}

impl Fixed {
    /// What the agent is to hold: each address once, and none that moves as well, which is told of.
    pub(super) fn holding(self, routers: &[Router], tell: impl Fn(Finding, &Span)) -> Holding {
        let mut kept: Vec<Address> = Vec::new();
        for address in self.addresses {
            let ip = address.vip.address;
            let moving = routers.iter().flat_map(Router::held);
            if let Some(other) = kept.iter().chain(moving).find(|other| other.vip.address == ip) {
                let finding = Finding::error(&address.span, format!("{ip} is static, and stands here twice"));
                let help = "an address stays, or moves with one router: remove one";
                tell(finding.also(&other.span, "also here").help(help), &address.span);
            } else {
                kept.push(address);
            }
        }
        if kept.is_empty() && self.routes.is_empty() && self.rules.is_empty() {
            return Holding::default();
        }
        Holding {
            interface: self.interface.unwrap_or_default(),
            own: true,
            vips: kept.into_iter().map(|address| address.vip).collect(),
            routes: self.routes,
            rules: self.rules,
            ..Holding::default()
        }
    }
}
