//! Thousands of random worlds, each with faults, healing and one clean loss, and the laws throughout.

use locum::agent::Config;
use locum::config::{self, Secrets};
use locum::sim::{Law, Outcome, Run, Sabotage, fingerprint, run_seed, run_seeds};
use locum::vrrp::Family;
use std::io::Write;

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error");
}

/// Runs seeds on two threads.
fn run(first: u64, count: u64, run: Run<'static>) -> Outcome {
    let half = count / 2;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| run_seeds(first + half, count - half, run));
        let mut outcome = run_seeds(first, half, run);
        outcome.add(other.join().expect("a thread"));
        outcome
    })
}

#[test]
fn every_law_holds_in_two_thousand_random_worlds() {
    let outcome = run(0, 2000, Run::default());
    say(&outcome.text());
    assert_eq!(outcome.count, 2000);
    assert!(outcome.failures.is_empty(), "{} seeds failed", outcome.failures.len());
    assert!(outcome.takeovers.len() > 1500, "only {} takeovers were measured", outcome.takeovers.len());
}

#[test]
fn every_law_holds_in_two_thousand_random_worlds_under_a_quorum() {
    let outcome = run(0, 2000, Run { voting: true, ..Run::default() });
    say(&outcome.text());
    assert_eq!(outcome.count, 2000);
    assert!(outcome.failures.is_empty(), "{} seeds failed", outcome.failures.len());
    assert!(outcome.takeovers.len() > 1500, "only {} takeovers were measured", outcome.takeovers.len());
}

#[test]
fn every_law_holds_in_a_thousand_random_worlds_under_an_etcd() {
    let outcome = run(0, 1000, Run { voting: true, store: true, ..Run::default() });
    say(&outcome.text());
    assert_eq!(outcome.count, 1000);
    assert!(outcome.failures.is_empty(), "{} seeds failed", outcome.failures.len());
    assert!(outcome.takeovers.len() > 750, "only {} takeovers were measured", outcome.takeovers.len());
}

#[test]
fn every_law_holds_in_a_thousand_random_worlds_with_two_networks() {
    let outcome = run(0, 1000, Run { second_path: true, ..Run::default() });
    say(&outcome.text());
    assert_eq!(outcome.count, 1000);
    assert!(outcome.failures.is_empty(), "{} seeds failed", outcome.failures.len());
    assert!(outcome.takeovers.len() > 750, "only {} takeovers were measured", outcome.takeovers.len());
}

#[test]
fn every_law_holds_in_a_thousand_random_worlds_with_two_networks_under_a_quorum() {
    let outcome = run(0, 1000, Run { voting: true, second_path: true, ..Run::default() });
    say(&outcome.text());
    assert_eq!(outcome.count, 1000);
    assert!(outcome.failures.is_empty(), "{} seeds failed", outcome.failures.len());
    assert!(outcome.takeovers.len() > 750, "only {} takeovers were measured", outcome.takeovers.len());
}

#[test]
fn every_law_holds_in_a_thousand_random_worlds_with_damping() {
    let outcome = run(0, 1000, Run { damping: true, ..Run::default() });
    say(&outcome.text());
    assert_eq!(outcome.count, 1000);
    assert!(outcome.failures.is_empty(), "{} seeds failed", outcome.failures.len());
    assert!(outcome.takeovers.len() > 750, "only {} takeovers were measured", outcome.takeovers.len());
}

/// The seeds of a file, a line each.
fn seeds(text: &str) -> Vec<u64> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    lines.filter(|line| !line.is_empty()).map(|line| line.parse().expect("a seed")).collect()
}

#[test]
fn every_seed_that_ever_taught_something_holds() {
    let voting = Run { voting: true, ..Run::default() };
    let second_path = Run { second_path: true, ..Run::default() };
    for (text, run) in [
        (include_str!("seeds.txt"), Run::default()),
        (include_str!("seeds-quorum.txt"), voting),
        (include_str!("seeds-second-path.txt"), second_path),
    ] {
        let seeds = seeds(text);
        assert!(!seeds.is_empty());
        for seed in seeds {
            let outcome = run_seeds(seed, 1, run);
            assert!(outcome.failures.is_empty(), "{}", outcome.text());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let mut different = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let first = fingerprint(seed, Run::default());
        assert_eq!(first, fingerprint(seed, Run::default()), "seed {seed}");
        different.insert(first);
    }
    assert_eq!(different.len(), 60, "seeds must differ from each other");
}

#[test]
#[ignore = "prints the run of the seed named by SEED"]
fn one_seed_is_shown() {
    let seed = std::env::var("SEED").expect("SEED").parse().expect("a number");
    for failure in run_seed(seed, Run { keep: true, ..Run::default() }).failures {
        say(&failure.lines.join("\n"));
        say(&failure.breach.to_string());
    }
}

/// Plants a fault into every node and runs seeds until a law is broken. It has to be this law: any
/// other would be luck.
fn is_caught(sabotage: Sabotage, law: Law) {
    is_caught_in(Run { sabotage: Some(sabotage), ..Run::default() }, law);
}

/// The same under a quorum.
fn makes_two_holders(sabotage: Sabotage) {
    is_caught_in(Run { sabotage: Some(sabotage), voting: true, ..Run::default() }, Law::TwoHolders);
}

/// The same with an etcd in the place of the voters.
fn makes_two_holders_by_an_etcd(sabotage: Sabotage) {
    let run = Run { sabotage: Some(sabotage), voting: true, store: true, ..Run::default() };
    is_caught_in(run, Law::TwoHolders);
}

fn is_caught_in(run: Run<'_>, law: Law) {
    let mut others = Vec::new();
    for seed in 0..400 {
        for failure in run_seed(seed, run).failures {
            if failure.breach.law == law {
                return;
            }
            others.push(failure.breach.to_string());
        }
    }
    panic!("{:?} never broke the law that {law}, but:\n{}", run.sabotage, others.join("\n"));
}

#[test]
fn keeping_addresses_is_caught() {
    is_caught(Sabotage::KeepAddresses, Law::Holding);
}

#[test]
fn holding_nothing_is_caught() {
    is_caught(Sabotage::HoldNothing, Law::Announcing);
}

#[test]
fn not_hearing_farewells_is_caught() {
    is_caught(Sabotage::DeafToFarewells, Law::Takeover);
}

#[test]
fn a_missing_tie_break_is_caught() {
    is_caught(Sabotage::NoTieBreak, Law::TwoMasters);
}

#[test]
fn a_skew_in_whole_seconds_is_caught() {
    is_caught(Sabotage::WholeSeconds, Law::Takeover);
}

#[test]
fn a_clock_that_runs_too_fast_is_caught() {
    is_caught(Sabotage::FastClock, Law::Takeover);
}

#[test]
fn a_wrong_unit_of_the_interval_is_caught() {
    is_caught(Sabotage::WrongUnit, Law::Rhythm);
}

#[test]
fn believing_broken_packets_is_caught() {
    is_caught(Sabotage::BelieveAnything, Law::InvalidPacket);
}

#[test]
fn never_preempting_is_caught() {
    is_caught(Sabotage::NeverPreempt, Law::OneMaster);
}

#[test]
fn leaving_out_adverts_is_caught() {
    is_caught(Sabotage::Stammer, Law::Rhythm);
}

#[test]
fn leaving_out_hooks_is_caught() {
    is_caught(Sabotage::ForgetHooks, Law::Alternation);
}

#[test]
fn a_timer_that_stays_in_the_past_is_caught() {
    is_caught(Sabotage::StuckTimer, Law::Deadline);
}

#[test]
fn a_reload_that_starts_anew_is_caught() {
    is_caught(Sabotage::AmnesiaOnReload, Law::EqualReload);
}

#[test]
fn unanswered_requests_are_caught() {
    is_caught(Sabotage::NoAnswers, Law::Answers);
}

#[test]
fn a_stop_that_never_ends_is_caught() {
    is_caught(Sabotage::NeverStops, Law::Stopping);
}

#[test]
fn a_second_takeover_is_caught() {
    is_caught(Sabotage::DeafToNewcomers, Law::Takeover);
}

#[test]
fn a_voter_that_forgets_after_its_restart_is_caught() {
    makes_two_holders(Sabotage::ForgetfulVoter);
}

#[test]
fn a_voter_that_grants_to_whoever_asks_is_caught() {
    makes_two_holders(Sabotage::GenerousVoter);
}

#[test]
fn a_lease_that_does_not_end_with_the_claim_is_caught() {
    makes_two_holders(Sabotage::LongLease);
}

#[test]
fn a_claim_that_goes_back_before_the_addresses_is_caught() {
    makes_two_holders(Sabotage::EarlyRelease);
}

#[test]
fn a_guardian_that_gives_the_claim_back_before_the_addresses_are_gone_is_caught() {
    makes_two_holders(Sabotage::HastyGuardian);
}

#[test]
fn clocks_that_differ_by_more_than_the_margin_are_caught() {
    makes_two_holders(Sabotage::WildClocks);
}

#[test]
fn a_second_path_that_nobody_listens_to_is_caught() {
    let run = Run { sabotage: Some(Sabotage::DeafThere), second_path: true, ..Run::default() };
    is_caught_in(run, Law::SecondPath);
}

#[test]
fn farewells_that_do_not_take_the_second_path_are_caught() {
    let run = Run { sabotage: Some(Sabotage::MuteThere), second_path: true, ..Run::default() };
    is_caught_in(run, Law::Takeover);
}

#[test]
fn taking_back_at_once_whatever_was_before_is_caught() {
    let run = Run { sabotage: Some(Sabotage::Undamped), damping: true, ..Run::default() };
    is_caught_in(run, Law::Damping);
}

#[test]
fn taking_from_a_master_that_has_only_just_come_is_caught() {
    let run = Run { sabotage: Some(Sabotage::Unheld), damping: true, ..Run::default() };
    is_caught_in(run, Law::Damping);
}

#[test]
fn never_taking_back_again_is_caught() {
    let run = Run { sabotage: Some(Sabotage::DampedForEver), damping: true, ..Run::default() };
    is_caught_in(run, Law::Damping);
}

#[test]
fn a_host_that_keeps_its_old_key_is_caught() {
    is_caught(Sabotage::OldKey, Law::OneMaster);
}

/// The configuration of a second host: less preferred, and with the unicast addresses swapped.
fn twin(config: &Config) -> Config {
    let mut twin = config.clone();
    for router in &mut twin.routers {
        router.priority = router.priority.adjusted(-10);
        let families = router.families();
        let theirs = std::mem::take(&mut router.sources);
        let first = |family| router.peers.iter().copied().find(|peer| Family::of(*peer) == family);
        if let Some(path) = &mut router.second_path {
            path.peers = [("10.0.0.1".parse().unwrap(), "10.1.0.1".parse().unwrap())].into();
        }
        router.sources = families.into_iter().filter_map(first).collect();
        router.peers = theirs;
    }
    twin
}

#[test]
fn laws_hold_for_every_example_and_its_twin() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        // Secrets that cannot be read, or scripts that are not here, say nothing about the protocol.
        let Ok(loaded) = config::load(&path, Secrets::BarRouter) else { continue };
        let config = loaded.config.agent;
        if config.routers.is_empty() || config.routers.iter().any(|router| router.barred.is_some()) {
            continue;
        }
        let configs = [config.clone(), twin(&config)];
        let outcome = run_seeds(0, 6, Run { configs: Some(&configs), ..Run::default() });
        assert!(outcome.failures.is_empty(), "{}: {}", path.display(), outcome.text());
        assert!(!outcome.takeovers.is_empty(), "{}: nothing was taken over", path.display());
        played += 1;
    }
    assert!(played > 10, "only {played} examples were played");
}

/// The two hosts of the example with a second path, and the same where nobody hears what comes by it.
#[test]
fn a_configured_second_path_is_played_too() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/second-path.toml");
    let config = config::load(&path, Secrets::BarRouter).unwrap().config.agent;
    let configs = [config.clone(), twin(&config)];
    let play = |sabotage| run_seeds(0, 40, Run { configs: Some(&configs), sabotage, ..Run::default() });
    let outcome = play(None);
    assert!(outcome.failures.is_empty(), "{}", outcome.text());
    assert!(!play(Some(Sabotage::DeafThere)).failures.is_empty(), "nothing is lost without it");
}

#[test]
fn an_etcd_that_forgets_what_it_granted_is_caught() {
    makes_two_holders_by_an_etcd(Sabotage::ForgetfulVoter);
}

#[test]
fn a_lease_that_outlasts_the_claim_of_an_etcd_is_caught() {
    makes_two_holders_by_an_etcd(Sabotage::LongLease);
}

#[test]
fn a_claim_given_back_to_an_etcd_before_the_addresses_is_caught() {
    makes_two_holders_by_an_etcd(Sabotage::EarlyRelease);
}

#[test]
fn clocks_further_off_than_the_margin_are_caught_by_an_etcd_too() {
    makes_two_holders_by_an_etcd(Sabotage::WildClocks);
}
