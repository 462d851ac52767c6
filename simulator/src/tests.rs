//! What the policy is meant to do, for numbers of Ps that no machine at hand has.

mod apart;

use crate::gmp::world::{Config, World};
use crate::loads::{self, MS, Outcome, S};
use crate::policy::behaviour::APART_SLACK;
use crate::policy::retake::COMPUTING_PER_PROC;
use crate::proc::events::run;
use crate::proc::spawn::go;
use crate::report::Totals;

const SEED: u64 = 1;

fn machine(procs: usize) -> Config {
    Config { procs, cores: procs, sysmon: true, apart: true, seed: SEED }
}

/// The program says of all goroutines that they talk, so nothing begins apart.
fn all_talk(procs: usize) -> Config {
    Config { apart: false, ..machine(procs) }
}

#[test]
fn as_many_hogs_as_ps_hold_up_neither_a_ticker_nor_a_newcomer() {
    for procs in [2, 8, 32, 128] {
        let outcome = loads::hogs(machine(procs), procs);
        assert!(outcome.times.max() <= 30 * MS, "{procs} Ps: a gap of {} ns", outcome.times.max());
        let begins = outcome.totals.times("a beginning");
        assert!(
            begins.len() > 100 && begins.max() <= 30 * MS,
            "{procs} Ps: begins after {} ns",
            begins.max()
        );
        assert_eq!(outcome.retaken(), procs as u64, "each hog loses its P once");
    }
}

#[test]
fn two_hundred_hogs_leave_a_ticker_its_turn_and_make_few_threads() {
    for procs in [2, 8, 32] {
        let outcome = loads::hogs(machine(procs), 200);
        assert!(outcome.times.max() <= 60 * MS, "{procs} Ps: a gap of {} ns", outcome.times.max());
        // The residents, the Ms that compute until the start gate closes, and the Ms that start one
        // G at a time afterwards, ever more seldom.
        let limit = procs + COMPUTING_PER_PROC * procs + 12;
        let threads = loads::hogs(all_talk(procs), 200).threads;
        assert!(threads <= limit, "{procs} Ps: {threads} threads");
        // The Ms on which one began apart, and one that stands in the line for the next.
        let (apart, limit) = (outcome.threads, limit + procs + APART_SLACK);
        assert!(apart <= limit, "{procs} Ps: {apart} threads");
    }
}

#[test]
fn without_sysmon_the_simulated_hogs_hold_everybody_up() {
    let outcome = loads::hogs(Config { sysmon: false, ..machine(2) }, 2);
    assert!(outcome.times.max() >= S, "a gap of {} ns only", outcome.times.max());
}

#[test]
fn an_acceptors_children_spread() {
    for procs in [2, 4, 8, 32, 128] {
        let spread = loads::acceptor(machine(procs)).spread;
        assert!(spread.is_some_and(|percent| percent <= 130), "{procs} Ps: {spread:?} percent");
    }
}

#[test]
fn those_who_block_at_once_are_through_in_time_and_their_threads_go() {
    for (says_so, limit) in [(false, 80 * MS), (true, 60 * MS)] {
        let outcome = loads::blocking(machine(2), says_so);
        assert_eq!(outcome.totals.counted("calls"), 64);
        assert!(outcome.done_at <= limit, "done after {} ns", outcome.done_at);
        assert!(outcome.times.max() <= 10 * MS, "a gap of {} ns", outcome.times.max());
        // Two residents, one spare, sysmon, and an M on its way.
        assert!(outcome.threads_left <= 5, "{} threads are left", outcome.threads_left);
    }
}

/// A P makes 4.1 million round trips a second where all pairs are together.
#[test]
fn pairs_that_talk_stay_together() {
    for procs in [2, 8, 32] {
        let per_p = loads::pairs(machine(procs)).per_second / procs as u64;
        assert!(per_p > 3_600_000, "{procs} Ps: {per_p} round trips a second on each");
    }
}

/// The Ms may come early or late to take the goroutines from outside: each has room for those that
/// its own goroutines spawn.
#[test]
fn who_comes_from_outside_stays_with_its_helper() {
    for procs in [2, 8, 32] {
        let outcome = loads::helpers(machine(procs));
        assert!(
            outcome.times.at(500) < 500,
            "{procs} Ps: a round trip takes {} ns",
            outcome.times.at(500)
        );
    }
}

#[test]
fn callbacks_are_answered_however_many_there_are() {
    for procs in [2, 8, 32] {
        let outcome = loads::callbacks(machine(procs), false);
        assert!(outcome.times.len() > 1000, "{procs} Ps: {} callbacks", outcome.times.len());
        assert!(outcome.times.at(990) <= MS, "{procs} Ps: {} ns", outcome.times.at(990));
    }
}

#[test]
fn who_is_woken_without_a_p_waits_for_no_sixty_first_round() {
    for procs in [2, 8, 32, 128] {
        let outcome = loads::woken_outside(machine(procs));
        let (callbacks, p99) = (outcome.times.len(), outcome.times.at(990));
        assert!(callbacks > 100 && p99 <= 30 * MS, "{procs} Ps: {callbacks} callbacks, {p99} ns");
    }
}

#[test]
fn a_fork_join_tree_is_whole() {
    let outcome = loads::fork_join(machine(8), 9);
    assert_eq!(outcome.totals.counted("goroutines"), (1 << 10) - 1);
}

/// An M has its share of a tree when it is as deep in it. Then it waits until other Ms have as
/// much.
#[test]
fn a_tree_deeper_than_the_slack_is_not_slower_on_more_ps() {
    let rates = [2, 4, 8, 16].map(|procs| loads::fork_join(machine(procs), 12).per_second);
    assert!(rates.iter().all(|rate| *rate >= rates[0]), "{rates:?} a second");
}

#[test]
fn an_acceptor_hands_out_more_than_a_child_in_ten_microseconds() {
    for procs in [2, 4, 8, 32] {
        let rate = loads::acceptor(machine(procs)).per_second;
        assert!(rate > 200_000, "{procs} Ps: {rate} a second");
    }
}

/// No M searches where all are busy. But each takes, in one of its rounds, what is too much for
/// another M.
#[test]
fn loops_made_in_one_burst_do_not_stay_with_their_maker() {
    for procs in [4, 8, 16] {
        let spread = loads::yields(all_talk(procs)).spread;
        assert!(spread.is_some_and(|percent| percent <= 600), "{procs} Ps: {spread:?} percent");
    }
}

#[test]
fn yields_starve_no_newcomer() {
    for procs in [2, 8] {
        let outcome = loads::yields(machine(procs));
        assert!(
            outcome.times.len() > 5 && outcome.times.max() <= 10 * MS,
            "{procs} Ps: {} ns",
            outcome.times.max()
        );
    }
}

/// A P starts the newest G first, and here each G spawns another.
#[test]
fn newer_ones_that_keep_coming_keep_the_older_for_a_while_only() {
    for procs in [1, 4] {
        let begins = loads::flood(machine(procs)).times;
        assert!(
            begins.len() == 100 && begins.max() <= 50 * MS,
            "{procs} Ps: {} of 100, {} ns",
            begins.len(),
            begins.max()
        );
    }
}

/// Each goroutine gets a preempt request when its slice is nearly over, and suspends. So no P has
/// to be revoked.
#[test]
fn those_who_never_wait_give_each_other_a_turn() {
    for procs in [1, 2, 8] {
        let outcome = loads::never_wait(all_talk(procs));
        // Some Ms have more than their share of siblings.
        assert!(
            outcome.times.max() <= 11 * 12 * MS,
            "{procs} Ps: a turn after {} ns",
            outcome.times.max()
        );
        assert!(outcome.times.max() >= 9 * MS, "{procs} Ps: nobody had a slice to itself");
        // A P without more work becomes idle, and is used again.
        let handed_over = outcome.totals.counted("hand-overs");
        assert!(handed_over <= 2 * procs as u64, "{procs} Ps: {handed_over} hand-overs");
        let begins = outcome.totals.times("a beginning");
        assert!(
            begins.len() >= 48 && begins.max() <= 30 * MS,
            "{procs} Ps: begins after {} ns",
            begins.max()
        );
    }
}

#[test]
fn the_number_of_ps_follows_what_is_asked_for_and_nothing_is_lost() {
    for procs in [2, 4, 8, 32] {
        let outcome = loads::resized(machine(procs));
        assert_eq!(outcome.totals.times("Ps too many").max(), 0, "{procs} Ps");
        let least = outcome.totals.times("pieces in 100 ms").at(0);
        assert!(least >= 400, "{procs} Ps: {least} pieces");
        assert!(outcome.times.max() <= 30 * MS, "{procs} Ps: a gap of {} ns", outcome.times.max());
    }
}

#[test]
fn nothing_to_do_is_nothing_done() {
    let mut world = World::new(machine(4));
    let mut left = 10;
    go(&mut world, move |_: &mut crate::gmp::g::Me<'_>| {
        left -= 1;
        if left > 0 { crate::gmp::g::Op::Sleep(MS) } else { crate::gmp::g::Op::End }
    });
    run(&mut world, S);
    let looks = |totals: &Totals| totals.counted("looks");
    let before = looks(&world.totals);
    run(&mut world, 100 * S);
    assert_eq!(looks(&world.totals), before);
}

#[test]
fn the_same_seed_gives_the_same_run_and_others_the_same_verdict() {
    let runs: Vec<Outcome> = [1, 1, 2, 3, 4]
        .map(|seed| loads::hogs(Config { seed, ..machine(4) }, 20))
        .into_iter()
        .collect();
    let figures = |outcome: &Outcome| {
        (outcome.times.at(500), outcome.times.max(), outcome.retaken(), outcome.threads)
    };
    assert_eq!(figures(&runs[0]), figures(&runs[1]));
    assert!(runs.iter().all(|outcome| outcome.times.max() <= 60 * MS));
}

#[test]
fn a_load_that_does_not_exist_is_refused() {
    assert_eq!(crate::check_load("fork-join"), Ok(()));
    let refused = crate::check_load("nosuch").expect_err("there is none");
    assert!(refused.contains("`nosuch`") && refused.contains("`fork-join`"), "{refused}");
}
