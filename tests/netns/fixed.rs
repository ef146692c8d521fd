//! What is static: there from start to end, whatever the state of the routers.

use crate::lab::{Host, LONG, Lab, SOON, VIP, wait_until};
use crate::locum::Router;

const OWN: &str = "10.77.0.11";

fn with_static(routing: &str) -> String {
    let fixed = format!("[static]\ninterface = \"eth0\"\naddresses = [\"{OWN}/24\"]\n{routing}\n");
    Router::new(100).and(&fixed).toml()
}

fn table(host: &Host) -> String {
    host.attempt("ip route show table 124").1
}

#[test]
fn what_is_static_outlives_states_and_reloads_and_adverts_may_leave_from_it() {
    let lab = Lab::new(&["a", "client"]);
    let a = &lab["a"];
    // The only address there is on it.
    a.ip("address del 10.77.0.1/24 dev eth0");
    let route = r#"routes = [{ to = "10.99.0.0/16", via = "10.77.0.2", table = 124 }]"#;
    let rule = r#"rules = [{ from = "10.98.0.0/16", table = 124, priority = 1244 }]"#;
    let mut locum = a.locum_toml(&with_static(&format!("{route}\n{rule}")));
    lab.wait_owner(VIP, &["a"]);
    assert_eq!(locum.router()["instances"][0]["source"], OWN);
    assert!(table(a).contains("10.99.0.0/16 via 10.77.0.2"), "{}", table(a));
    assert!(a.run("ip rule show").contains("1244:"));

    a.ip(&format!("address del {OWN}/24 dev eth0"));
    lab.wait_owner(OWN, &["a"]);

    a.cable(false);
    locum.wait_state("FAULT");
    assert_eq!(lab.owners(OWN), ["a"], "it belongs to no state");
    a.cable(true);
    lab.wait_owner(VIP, &["a"]);

    let (code, text) = locum.reload(&with_static(rule));
    assert_eq!(code, Some(0), "{text}");
    wait_until("the route is gone", LONG, || !table(a).contains("10.99.0.0"));
    assert!(a.run("ip rule show").contains("1244:"));
    assert_eq!((lab.owners(OWN), locum.state().as_str()), (vec!["a"], "MASTER"));

    assert!(locum.stop().success());
    assert_eq!(lab.owners(OWN), [""; 0]);
    assert!(!a.run("ip rule show").contains("1244:"));
}

#[test]
fn after_a_crash_only_what_is_still_static_comes_back() {
    let lab = Lab::new(&["a"]);
    let mut locum = lab["a"].locum_toml(&with_static(""));
    lab.wait_owner(OWN, &["a"]);
    locum.kill9();
    assert_eq!(lab.owners(OWN), ["a"]);
    locum.restart();
    lab.wait_owner(OWN, &["a"]);
    locum.kill9();
    locum.write(&Router::new(100).toml());
    locum.restart();
    wait_until("it is swept", SOON, || lab.owners(OWN).is_empty());
}

#[test]
fn what_has_no_interface_yet_is_told_of_and_comes_with_it() {
    let lab = Lab::new(&["a"]);
    let a = &lab["a"];
    let fixed = "[static]\ninterface = \"later0\"\naddresses = [\"10.9.9.9/24\"]\n";
    let locum = a.locum(&Router::new(100).and(fixed));
    lab.wait_owner(VIP, &["a"]);
    let complaints = |text: &str| locum.status()["complaints"].to_string().contains(text);
    wait_until("status tells of it", SOON, || complaints("static: 10.9.9.9/24 on later0"));
    a.ip("link add later0 type veth peer name nowhere\nlink set later0 up\nlink set nowhere up");
    lab.wait_owner("10.9.9.9", &["a"]);
    wait_until("nothing is wrong", SOON, || !complaints("static"));
}
