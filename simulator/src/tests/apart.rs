//! Goroutines that keep their threads, or take long turns, hold up nobody else.

use super::{all_talk, machine};
use crate::loads::apart::{self, Begin, Hog};
use crate::loads::{MS, US};
use crate::policy::behaviour::may_make_apart;

const PROCS: [usize; 7] = [2, 4, 8, 16, 32, 64, 128];
const HOGS: [Hog; 2] = [Hog::Computes, Hog::Blocks];
const BEGINS: [Begin; 3] = [Begin::Before, Begin::After, Begin::Known];

/// Where there may be an M for each of them. Beyond that the hogs begin on any M.
#[test]
fn those_who_serve_answer_beside_goroutines_that_keep_their_threads() {
    for procs in PROCS {
        for hogs in [2, 8, 32].into_iter().filter(|hogs| may_make_apart(hogs + 2, procs)) {
            for (hog, begin) in HOGS.iter().flat_map(|hog| BEGINS.map(|begin| (*hog, begin))) {
                let times = apart::service(machine(procs), hog, hogs, begin).times;
                let what = format!("{procs} Ps, {hogs} begin {begin:?} and {hog:?}");
                assert!(times.len() > 20, "{what}: {} callbacks", times.len());
                assert!(times.max() <= 30 * MS, "{what}: {} ns", times.max());
                // A core for each, one for a server, and one for the thread that waits.
                if hogs + 2 <= procs {
                    assert!(times.at(500) <= 50 * US, "{what}: half {} ns", times.at(500));
                }
            }
        }
    }
}

/// However many they are, and wherever they have begun.
#[test]
fn those_who_serve_answer_beside_any_number_that_computes_in_pieces() {
    for (procs, hogs) in PROCS.iter().flat_map(|procs| [2, 8, 32, 200].map(|hogs| (*procs, hogs))) {
        for hog in [Hog::InPieces, Hog::InPiecesLater] {
            let times = apart::service(machine(procs), hog, hogs, Begin::After).times;
            let what = format!("{procs} Ps, {hogs} that {hog:?}");
            assert!(times.len() > 100, "{what}: {} callbacks", times.len());
            let (half, worst) = (times.at(500), times.max());
            assert!(half <= 4 * MS && worst <= 20 * MS, "{what}: {half}, {worst} ns");
        }
    }
}

/// All begin, also where every M always has one that has yielded.
#[test]
fn a_burst_begins_beside_any_number_that_computes_in_pieces() {
    for (procs, hogs) in PROCS.iter().flat_map(|procs| [2, 8, 32, 200].map(|hogs| (*procs, hogs))) {
        for (hog, migratory) in
            [Hog::InPieces, Hog::InPiecesLater].iter().flat_map(|hog| [(*hog, false), (*hog, true)])
        {
            let times = apart::bursts(machine(procs), hog, hogs, migratory).times;
            let what = format!(
                "{procs} Ps, {hogs} that {hog:?}, migratory {migratory}: {} begun",
                times.len()
            );
            // Each of the many has a turn before a new one that comes after it.
            let most = if hogs > 32 { 400 * MS } else { 50 * MS };
            assert!(times.len() == 100 && times.max() <= most, "{what}, {} ns", times.max());
        }
    }
}

#[test]
fn without_placement_the_simulated_servers_wait_for_the_hogs() {
    for (procs, hogs) in [(2, 8), (8, 8), (32, 32)] {
        for (hog, begin) in HOGS.iter().flat_map(|hog| BEGINS.map(|begin| (*hog, begin))) {
            let times = apart::service(all_talk(procs), hog, hogs, begin).times;
            let what = format!("{procs} Ps, {hogs} begin {begin:?} and {hog:?}");
            assert!(times.len() <= 20 || times.max() > 30 * MS, "{what}: {} ns", times.max());
        }
    }
}

#[test]
fn a_root_sleeps_as_long_as_it_wants_beside_what_it_has_made() {
    for (procs, hog) in PROCS.iter().flat_map(|procs| HOGS.map(|hog| (*procs, hog))) {
        let times = apart::root(machine(procs), hog).times;
        assert!(times.len() > 10 && times.max() <= 30 * MS, "{procs}, {hog:?}: {}", times.max());
    }
}

#[test]
fn without_placement_the_simulated_root_waits_for_what_it_has_made() {
    for hog in HOGS {
        let slept = apart::root(all_talk(2), hog).times.max();
        assert!(slept > 200 * MS, "{hog:?}: {slept} ns");
    }
}

#[test]
fn who_polls_gives_way_to_what_it_polls_for() {
    for procs in [2, 8] {
        let outcome = apart::polling(machine(procs));
        let (items, worst) = (outcome.times.len(), outcome.times.max());
        assert!(items >= 2 * procs && worst <= 30 * MS, "{procs} Ps: {items}, {worst} ns");
    }
}

/// Each pair has at least a tenth of the time of the other, whatever their turns, on the same M and
/// on another. The most is what turns of 9 ms give: sysmon ends no turn.
#[test]
fn short_turns_have_their_time_beside_long_ones() {
    const UNTIL: u64 = 300 * MS;
    let cases = [(100, 10 * US, 1), (100, 100 * US, 2), (US, 3 * MS, 8), (2 * US, 9 * MS, 128)];
    let runs = [apart::turns_of, apart::turns_apart];
    for ((short, long, procs), run) in cases.iter().flat_map(|case| runs.map(|run| (*case, run))) {
        let totals = run(machine(procs), short, long, UNTIL).totals;
        // No M is ever idle, so what is not theirs is the others'.
        let of_long = totals.counted(apart::LONG) * 2 * long;
        let of_short = procs as u64 * UNTIL - of_long;
        let what = format!("{procs} Ps, turns of {short} and {long} ns: {of_short} {of_long}");
        assert!(10 * of_short >= of_long && 10 * of_long >= of_short, "{what}");
    }
}

/// What was made in the same round talks already, and needs nothing of the one that computes.
#[test]
fn a_hog_made_among_talkers_keeps_none_of_them() {
    for procs in PROCS {
        let outcome = apart::mix(machine(procs));
        let (trips, worst) = (outcome.times.len(), outcome.times.max());
        assert!(trips > 10_000 && worst <= 30 * MS, "{procs} Ps: {trips}, {worst} ns");
    }
}

/// Where the workers began together they had one core.
#[test]
fn a_pool_that_is_made_at_once_has_more_than_one_core() {
    for procs in [2, 4, 8] {
        let outcome = apart::pool(machine(procs));
        let done_ns = outcome.totals.counted(apart::JOBS) * apart::JOB;
        let bound = procs as u64 * 100 * MS * 7 / 10;
        assert!(done_ns >= bound, "{procs} Ps: {} of a core", done_ns as f64 / 1e8);
    }
}
