use std::sync::Arc;

use super::outcome::Kicked;
use super::state::Why;
use super::{Dispatch, Remote, Slept, Started, Takes, WaitedForP, until_woken};
use crate::ds::idle::Idle;
use crate::policy;

type S = Arc<Remote<u32>>;

fn world(ps: u32) -> (Dispatch<u32, S>, Idle) {
    let idle = Idle::new();
    let dispatch = Dispatch::new((0..ps).map(Box::new).collect(), &idle);
    (dispatch, idle)
}

/// Returns an M that stands in the line, put there by `kick`, if no P is idle.
fn stand_in_line(dispatch: &Dispatch<u32, S>, idle: &Idle, since: u64) -> S {
    let remote = fall_asleep(dispatch, Takes::Any);
    let _in_line = dispatch.kick(&remote, idle, || since);
    remote
}

/// Returns an M that sleeps. Does what `sleep` does before the thread sleeps.
fn fall_asleep(dispatch: &Dispatch<u32, S>, takes: Takes) -> S {
    let remote: S = Arc::new(Remote::new());
    dispatch.state.lock().fall_asleep(remote.clone(), takes);
    remote
}

#[test]
fn a_p_goes_round() {
    let (dispatch, idle) = world(1);
    let remote: S = Arc::new(Remote::new());
    let p = dispatch.try_take(&remote, &idle).expect("one is idle");
    assert!(dispatch.try_take(&remote, &idle).is_none());
    assert_eq!(idle.idle_ps(), 0);
    dispatch.release(p, &remote, &idle, 0);
    assert_eq!(idle.idle_ps(), 1);
    assert!(dispatch.try_take(&remote, &idle).is_some());
}

#[test]
fn a_kick_hands_over_an_idle_p() {
    let (dispatch, idle) = world(1);
    let remote = stand_in_line(&dispatch, &idle, 0);
    assert_eq!((idle.idle_ps(), dispatch.line_len()), (0, 0));
    let given = remote.take_next_p().expect("a P was idle");
    assert!(!given.searching);
}

#[test]
fn a_kick_of_an_m_that_is_awake_or_elsewhere_moves_nothing() {
    let (dispatch, idle) = world(1);
    let awake: S = Arc::new(Remote::new());
    assert_eq!(
        dispatch.kick(&awake, &idle, || 0),
        Kicked::Nobody,
        "it may be in user code: sysmon is to watch"
    );
    // An M that left for another runtime, and sleeps there.
    let (elsewhere, its_idle) = world(0);
    let remote = fall_asleep(&elsewhere, Takes::Any);
    dispatch.kick(&remote, &idle, || 0);
    assert_eq!((idle.idle_ps(), dispatch.line_len()), (1, 0));
    assert!(remote.take_next_p().is_none());
    assert!(matches!(elsewhere.give_to_sleeper(&its_idle), Started::NoP));
}

#[test]
fn a_resident_that_sleeps_is_brought_in_before_all_others() {
    let (dispatch, idle) = world(0);
    let _spare = fall_asleep(&dispatch, Takes::Any);
    assert!(!dispatch.kick_resident(&idle, || 0), "no resident M sleeps");
    let first = stand_in_line(&dispatch, &idle, 0);
    let resident: S = Arc::new(Remote::new());
    resident.set_resident(true);
    dispatch.state.lock().fall_asleep(resident.clone(), Takes::Any);
    assert!(dispatch.kick_resident(&idle, || 0), "there is no P");
    assert_eq!((dispatch.line_len(), dispatch.returning()), (2, 1));
    assert!(matches!(dispatch.hand_off(Box::new(1)), Started::Woken));
    assert!(resident.take_next_p().is_some() && first.take_next_p().is_none());
    // With an idle P it need not wait.
    let (dispatch, idle) = world(1);
    dispatch.state.lock().fall_asleep(resident.clone(), Takes::Any);
    assert!(!dispatch.kick_resident(&idle, || 0));
    assert!(resident.take_next_p().is_some());
    assert_eq!((idle.idle_ps(), dispatch.line_len()), (0, 0));
}

#[test]
fn a_resident_is_free_if_it_sleeps_or_gets_the_next_p() {
    for (takes, free) in [(Takes::Vacant, true), (Takes::Any, true), (Takes::Inbox, false)] {
        let (dispatch, idle) = world(0);
        let resident: S = Arc::new(Remote::new());
        resident.set_resident(true);
        let mut state = dispatch.state.lock();
        state.fall_asleep(resident.clone(), takes);
        dispatch.publish(&state);
        drop(state);
        assert_eq!(dispatch.resident_is_free(), free, "asleep: {takes:?}");
        assert_eq!(dispatch.kick(&resident, &idle, || 0), Kicked::InLine, "there is no P");
        let _spare = stand_in_line(&dispatch, &idle, 0);
        assert_eq!(dispatch.resident_is_free(), free, "the head: {takes:?}");
        assert!(matches!(dispatch.hand_off(Box::new(1)), Started::Woken));
        let p = resident.take_next_p().expect("it was the head").p;
        assert!(!dispatch.resident_is_free(), "a spare M is the head");
        assert!(dispatch.give_way(p, &resident, 0, takes).is_ok());
        assert_eq!(dispatch.resident_is_free(), free, "the head after a turn: {takes:?}");
        let _woken = stand_in_line(&dispatch, &idle, 0);
        assert!(!dispatch.resident_is_free(), "a spare M passes it");
    }
}

#[test]
fn a_released_p_lies_idle_and_the_head_takes_it() {
    let (dispatch, idle) = world(0);
    let head = stand_in_line(&dispatch, &idle, 0);
    dispatch.put_back(Box::new(1), &idle, policy::PASSED_OVER_NS - 1);
    assert_eq!((idle.idle_ps(), dispatch.line_len()), (1, 1));
    // The head was woken, so this returns.
    head.note.sleep();
    assert_eq!(*dispatch.wait_for_turn(&head, &idle), 1);
    assert_eq!((idle.idle_ps(), dispatch.line_len()), (0, 0));
}

#[test]
fn a_head_that_was_passed_over_for_long_is_handed_the_next_p() {
    let (dispatch, idle) = world(0);
    let head = stand_in_line(&dispatch, &idle, 5);
    let second = stand_in_line(&dispatch, &idle, 6);
    dispatch.put_back(Box::new(1), &idle, 5 + policy::PASSED_OVER_NS);
    assert_eq!(
        (idle.idle_ps(), dispatch.line_len()),
        (0, 1),
        "it does not lie idle for others to take"
    );
    assert_eq!(*dispatch.wait_for_turn(&head, &idle), 1);
    dispatch.put_back(Box::new(2), &idle, 5 + policy::PASSED_OVER_NS);
    assert_eq!(idle.idle_ps(), 1, "the next one has not waited so long");
    assert_eq!(*dispatch.wait_for_turn(&second, &idle), 2);
}

#[test]
fn a_head_that_came_too_late_is_woken_again() {
    let (dispatch, idle) = world(0);
    let head = stand_in_line(&dispatch, &idle, 0);
    let other = Remote::new();
    for _ in 0..2 {
        dispatch.put_back(Box::new(1), &idle, 0);
        head.note.sleep();
        assert!(dispatch.try_take(&other, &idle).is_some(), "any running M may take it first");
        assert!(dispatch.take_turn(&head, &idle).is_none());
    }
}

#[test]
fn giving_way_hands_over_and_stands_behind() {
    let (dispatch, idle) = world(0);
    let me: S = Arc::new(Remote::new());
    assert_eq!(
        dispatch.give_way(Box::new(1), &me, 0, Takes::Any),
        Err(Box::new(1)),
        "nobody waits"
    );
    let head = stand_in_line(&dispatch, &idle, 0);
    let second = stand_in_line(&dispatch, &idle, 0);
    assert_eq!(dispatch.give_way(Box::new(1), &me, 7, Takes::Any), Ok(()));
    assert_eq!(*dispatch.wait_for_turn(&head, &idle), 1);
    assert_eq!(dispatch.line_len(), 2);
    dispatch.put_back(Box::new(2), &idle, 7 + policy::PASSED_OVER_NS);
    assert_eq!(*dispatch.wait_for_turn(&second, &idle), 2);
    dispatch.put_back(Box::new(3), &idle, 7 + policy::PASSED_OVER_NS);
    assert_eq!(*dispatch.wait_for_turn(&me, &idle), 3);
}

#[test]
fn work_goes_to_the_line_then_to_sleepers_then_to_a_new_m() {
    let (dispatch, idle) = world(0);
    let sleeper = fall_asleep(&dispatch, Takes::Any);
    let head = stand_in_line(&dispatch, &idle, 0);
    assert!(matches!(dispatch.hand_off(Box::new(1)), Started::Woken));
    assert!(matches!(dispatch.hand_off(Box::new(2)), Started::Woken));
    assert!(matches!(dispatch.hand_off(Box::new(3)), Started::NeedM(p) if *p == 3));
    assert_eq!(head.take_next_p().map(|given| *given.p), Some(1));
    assert_eq!(sleeper.take_next_p().map(|given| *given.p), Some(2));
}

#[test]
fn a_woken_m_searches() {
    let (dispatch, idle) = world(1);
    let sleeper = fall_asleep(&dispatch, Takes::Any);
    assert!(matches!(dispatch.give_to_sleeper(&idle), Started::Woken));
    assert!(sleeper.take_next_p().is_some_and(|given| given.searching));
    assert!(matches!(dispatch.give_to_sleeper(&idle), Started::NoP));
}

#[test]
fn one_that_is_about_to_leave_is_woken_for_its_own_only() {
    let (dispatch, idle) = world(1);
    let leaving = fall_asleep(&dispatch, Takes::Inbox);
    let Started::NeedM(p) = dispatch.give_to_sleeper(&idle) else {
        panic!("it may not run what others may")
    };
    let Started::NeedM(p) = dispatch.hand_off(p) else { panic!("it may not run what others may") };
    dispatch.put_back(p, &idle, 0);
    dispatch.kick(&leaving, &idle, || 0);
    assert!(leaving.take_next_p().is_some());
}

#[test]
fn an_m_that_would_sleep_and_is_asked_to_look_again_does_so_once() {
    let (dispatch, idle) = world(0);
    assert!(dispatch.ask_next_sleeper_to_look(), "nobody sleeps");
    let remote: S = Arc::new(Remote::new());
    assert!(matches!(
        dispatch.sleep(&remote, &idle, Takes::Any, || false, until_woken),
        WaitedForP::Retry
    ));
    dispatch.close();
    assert!(
        matches!(
            dispatch.sleep(&remote, &idle, Takes::Any, || false, until_woken),
            WaitedForP::Closed
        ),
        "it slept this time"
    );
    fall_asleep(&dispatch, Takes::Any);
    assert!(!dispatch.ask_next_sleeper_to_look(), "there is somebody to wake");
}

#[test]
fn a_g_in_the_inbox_ends_the_sleep_without_a_p() {
    let (dispatch, idle) = world(0);
    let remote: S = Arc::new(Remote::new());
    assert!(matches!(
        dispatch.sleep(&remote, &idle, Takes::Any, || true, until_woken),
        WaitedForP::Retry
    ));
    dispatch.kick(&remote, &idle, || 0);
    assert_eq!(dispatch.line_len(), 0, "it is awake");
}

#[test]
fn a_sleeper_whose_time_has_come_looks_without_a_p() {
    let (dispatch, idle) = world(1);
    let remote: S = Arc::new(Remote::new());
    assert!(matches!(
        dispatch.sleep(&remote, &idle, Takes::Any, || false, |_| Slept::Look),
        WaitedForP::Retry
    ));
    assert!(!dispatch.wake_a_sleeper(), "nobody sleeps");
    dispatch.kick(&remote, &idle, || 0);
    assert_eq!(idle.idle_ps(), 1, "it is awake, and was given nothing");
}

#[test]
fn a_sleeper_that_was_given_a_p_has_it_even_if_its_time_has_come() {
    let (dispatch, idle) = world(1);
    let remote: S = Arc::new(Remote::new());
    let time_comes = |_: &_| {
        let _in_line = dispatch.kick(&remote, &idle, || 0);
        Slept::Look
    };
    assert!(matches!(
        dispatch.sleep(&remote, &idle, Takes::Any, || false, time_comes),
        WaitedForP::Got(_)
    ));
}

#[test]
fn a_wake_without_a_p_ends_one_nap_and_not_the_sleep() {
    let (dispatch, idle) = world(0);
    let remote: S = Arc::new(Remote::new());
    let naps = std::cell::Cell::new(0);
    let nap = |note: &gosched_runtime_sys::sync::note::Note| {
        naps.set(naps.get() + 1);
        if naps.get() == 1 {
            assert!(dispatch.wake_a_sleeper());
        } else {
            dispatch.close();
        }
        note.sleep();
        Slept::Woken
    };
    assert!(matches!(
        dispatch.sleep(&remote, &idle, Takes::Any, || false, nap),
        WaitedForP::Closed
    ));
    assert_eq!(naps.get(), 2);
}

/// What was woken goes before what has had a turn, for a while.
#[test]
fn a_woken_m_passes_those_that_had_a_turn_until_these_have_waited() {
    let (dispatch, idle) = world(1);
    let owner: S = Arc::new(Remote::new());
    let mut p = dispatch.try_take(&owner, &idle).expect("one is idle");
    let [early, late]: [S; 2] = [0, 1].map(|_| Arc::new(Remote::new()));
    for (remote, since) in [(&early, 0), (&late, policy::LETS_PASS_NS)] {
        assert!(dispatch.join_line(remote, &idle, since, Why::LetsPass, Takes::Any).is_none());
    }
    let woken = stand_in_line(&dispatch, &idle, policy::LETS_PASS_NS);
    let mut order = Vec::new();
    while let Started::Woken = dispatch.hand_off(p) {
        let known = [&early, &late, &woken];
        let next = known.iter().position(|remote| remote.next_p.lock().is_some());
        let next = next.expect("one of them has the P");
        order.push(["early", "late", "woken"][next]);
        p = known[next].take_next_p().expect("just seen").p;
        if order.len() == 3 {
            break;
        }
    }
    assert_eq!(order, ["early", "woken", "late"]);
}
