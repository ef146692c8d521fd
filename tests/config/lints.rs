//! Each warning once, and files as they should be without any.

use super::{claim, read, router};
use std::fmt::Write as _;

const CHECKS: &str = "[check.a]\ntype = 'tcp'\ntarget = 'h:1'\n[check.b]\ntype = 'tcp'\ntarget = 'h:2'\n";

/// The messages of the warnings for a router with `lines` that tracks check a, and b by `weight`.
fn warned(lines: &str, weight: i32) -> Vec<String> {
    let checks = format!("{lines}\nchecks = ['a', {{ check = 'b', weight = {weight} }}]");
    warnings(&format!("{}{CHECKS}", router(&checks)))
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = read(text).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    loaded.warnings.into_iter().map(|warning| warning.message).collect()
}

#[test]
fn a_sound_file_is_not_warned_about() {
    assert_eq!(warned("priority = 150\npeer_priority = 100", -60), [""; 0]);
    assert_eq!(warned("", 20), [""; 0]);
}

#[test]
fn a_weight_of_one_moves_little() {
    let wanted = "a weight of -1 moves little: it ties with a priority one below";
    assert_eq!(warned("", -1), [wanted]);
}

#[test]
fn weights_too_small_for_the_peers_priority_never_cause_a_failover() {
    let wanted = "all weighted checks down leave priority 110, not below the peer's 100: no failover";
    assert_eq!(warned("priority = 150\npeer_priority = 100", -40), [wanted]);
    assert_eq!(warned("priority = 150\npeer_priority = 100", -51), [""; 0]);
    // A Backup by its priority has nothing to lose.
    assert_eq!(warned("priority = 90\npeer_priority = 100", -5), [""; 0]);
}

#[test]
fn weights_do_nothing_without_preemption() {
    let wanted = "weights without preemption move nothing: a Master of lower priority is left alone";
    assert_eq!(warned("preempt = false", -60), [wanted]);
}

#[test]
fn weights_beyond_the_range_of_priorities_are_cut() {
    assert_eq!(warned("priority = 250", 20), ["priority and weights reach 270, and are cut to 254"]);
    assert_eq!(warned("priority = 20", -60), ["priority and weights reach -40, and are cut to 1"]);
}

#[test]
fn an_owner_has_no_use_for_weights_and_preempts_anyway() {
    assert_eq!(warned("priority = 255", -60), ["weights do not change priority 255, the owner's"]);
    let wanted = "priority 255 preempts whatever this says (RFC 9568 section 6.1)";
    assert_eq!(warnings(&router("priority = 255\npreempt = false")), [wanted]);
}

#[test]
fn a_check_that_nobody_tracks_is_unused() {
    let text = format!("{}{CHECKS}", router("checks = ['b']"));
    assert_eq!(warnings(&text), ["no router tracks check a"]);
}

fn many(count: usize, lines: &str) -> String {
    let mut list = String::new();
    for number in 1..=count {
        let _ = write!(list, "'10.7.{}.{}', ", number / 200, number % 200 + 1);
    }
    format!("[router.web]\ninterface = 'eth0'\nvrid = 1\naddresses = [{list}]\n{lines}\n")
}

#[test]
fn long_adverts_in_short_intervals_are_costly() {
    let wanted = "21 addresses in an advert every 90ms";
    assert_eq!(warnings(&many(21, "interval = '90ms'")), [wanted]);
    assert_eq!(warnings(&many(20, "interval = '90ms'")), [""; 0]);
    assert_eq!(warnings(&many(21, "interval = '100ms'")), [""; 0]);
}

#[test]
fn an_advert_has_room_for_255_addresses() {
    let wanted = "an advert has room for 255 IPv4 addresses: this and later ones are not in it";
    assert_eq!(warnings(&many(257, "")), [wanted]);
    assert_eq!(warnings(&many(255, "")), [""; 0]);
}

#[test]
fn a_low_ttl_by_multicast_lets_strangers_in() {
    let wanted = "this lets hosts of other networks take part (RFC 9568 section 5.1.1.3)";
    assert_eq!(warnings(&router("min_ttl = 254")), [wanted]);
    assert_eq!(warnings(&router("min_ttl = 254\npeers = ['10.0.0.2']")), [""; 0]);
}

fn holding(address: &str, lines: &str) -> Vec<String> {
    warnings(&format!("[router.web]\ninterface = 'eth0'\nvrid = 1\naddresses = [{address}]\n{lines}\n"))
}

#[test]
fn an_address_that_is_its_networks_name_is_a_likely_slip() {
    assert_eq!(holding("'10.0.0.0/24'", ""), ["10.0.0.0 is the name of the network 10.0.0.0/24 itself"]);
    assert_eq!(holding("'10.0.0.0/31'", ""), [""; 0]);
}

#[test]
fn a_label_should_begin_with_its_interface() {
    let wanted = "label \"web\" does not begin with eth0, and old tools hide the address";
    assert_eq!(holding("{ address = '10.0.0.1', label = 'web' }", ""), [wanted]);
    assert_eq!(holding("{ address = '10.0.0.1', label = 'eth0:web' }", ""), [""; 0]);
}

#[test]
fn strict_peers_want_a_link_local_address_first() {
    let wanted =
        "strict peers refuse adverts whose first IPv6 address is not link-local (RFC 9568 section 5.2.9)";
    assert_eq!(holding("'2001:db8::1'", "strict = true"), [wanted]);
    assert_eq!(holding("'fe80::1', '2001:db8::1'", "strict = true"), [""; 0]);
}

#[test]
fn a_file_without_a_router_holds_nothing() {
    assert_eq!(warnings(""), ["this file has no router: nothing will be held"]);
}

/// What is warned about under a quorum, of a router with `lines`.
fn under_a_quorum(lines: &str) -> Vec<String> {
    let (_key, claim) = claim();
    warnings(&format!("{claim}[router.web]\ninterface = 'eth0'\nvrid = 1\n{lines}\n"))
}

#[test]
fn what_can_outlast_its_claim_is_told_where_never_two_may_hold() {
    let four = "addresses = ['10.7.0.1']\n";
    let stays = |what: &str| {
        [format!("{what}: a Master that is cut off and then frozen keeps it beside the new one")]
    };
    assert_eq!(under_a_quorum(four), [""; 0]);
    assert_eq!(under_a_quorum(&format!("{four}interval = '600ms'")), [""; 0]);
    let short = format!("{four}interval = '500ms'");
    assert_eq!(under_a_quorum(&short), stays("the claim is too short for a lease of whole seconds"));
    assert_eq!(under_a_quorum(&format!("{short}\nquorum = 'prefer'")), [""; 0]);
    assert_eq!(under_a_quorum(&format!("{four}lease = 'off'")), stays("the addresses have no lease"));
    assert_eq!(
        under_a_quorum(&format!("{four}install = 'local-route'")),
        stays("local routes have no lease")
    );
    assert_eq!(under_a_quorum("addresses = ['2001:db8::1/64']"), stays("2001:db8::1/64 has no lease"));
    let pool = |last| {
        let other = |host| format!(", {{ address = '2001:db8::{host:x}', advertise = false }}");
        format!("addresses = ['fe80::1'{}]", (2..=last).map(other).collect::<String>())
    };
    assert_eq!(under_a_quorum(&pool(250)), [""; 0]);
    assert_eq!(under_a_quorum(&pool(251)), stays("more than 250 IPv6 addresses have no lease"));
}

#[test]
fn damping_that_holds_nothing_back_is_of_no_use() {
    let damping = "damping = { failures = 2 }";
    assert_eq!(warnings(&router(damping)), [""; 0]);
    let owner = warnings(&router(&format!("priority = 255\n{damping}")));
    assert_eq!(owner, ["priority 255 takes its addresses back whatever was before"]);
    let never = warnings(&router(&format!("preempt = false\n{damping}")));
    assert_eq!(never, ["without preemption nothing is taken back anyway"]);
}
