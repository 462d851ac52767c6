//! A request's slot under loom: whoever leaves when, the request is taken or comes back, a reply
//! comes or stays, and the slot may be used again.

use crate::bridge::slot::{Asked, Left, Owed, Ticket, Vacant, Wakes};
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::sync::primitive::{loom, switch_on, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Wakes for &'static Note {
    fn wake(&self) {
        Note::wake(self);
    }
}

fn vacant() -> Vacant<u32, u32, &'static Note> {
    Vacant::new(&*Box::leak(Box::new(Note::new())))
}

fn wait<T>(
    asked: Asked<u32, u32, &'static Note>,
    then: impl FnOnce(Left<u32, u32, &'static Note>) -> T,
) -> T {
    while !asked.is_over() {
        asked.caller().sleep();
    }
    then(asked.leave())
}

fn owed(ticket: Ticket<u32, u32, &'static Note>) -> (u32, Owed<u32, u32, &'static Note>) {
    ticket.take().expect("the caller waits")
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Two requests in the same slot, and two servers: what the first one still does when it has
/// replied is nothing to the second request.
fn a_slot_is_used_again() {
    check(|| {
        let serve = |ticket| {
            thread::spawn(move || {
                let (request, owed) = owed(ticket);
                assert_eq!(owed.reply(request + 10), Ok(()));
            })
        };
        let (asked, ticket) = vacant().ask(1);
        let first = serve(ticket);
        let slot = wait(asked, |left| match left {
            Left::Replied(11, slot) => slot,
            _ => panic!("a reply to the first"),
        });
        let (asked, ticket) = slot.ask(2);
        let second = serve(ticket);
        wait(asked, |left| assert!(matches!(left, Left::Replied(12, _)), "a reply to the second"));
        first.join().expect("joined");
        second.join().expect("joined");
    });
}

/// A caller that leaves at any moment: of the request and the reply none is lost, and none is there
/// twice.
fn a_caller_leaves() {
    check(|| {
        let (asked, ticket) = vacant().ask(1);
        let server = thread::spawn(move || {
            ticket.take().map(|(request, owed)| {
                assert_eq!(request, 1);
                owed.reply(2)
            })
        });
        let left = asked.leave();
        match (left, server.join().expect("joined")) {
            (Left::Back(1, None), None)
            | (Left::Taken, Some(Err(2)))
            | (Left::Replied(2, _), Some(Ok(()))) => {}
            _ => panic!("something is lost"),
        }
    });
}

/// A server that drops the ticket, or what it owes, while the caller waits.
fn a_server_goes() {
    check(|| {
        let (asked, ticket) = vacant().ask(1);
        let server = thread::spawn(move || drop(ticket));
        let slot = wait(asked, |left| match left {
            Left::Back(1, Some(slot)) => slot,
            _ => panic!("it was not taken"),
        });
        server.join().expect("joined");
        let (asked, ticket) = slot.ask(2);
        let server = thread::spawn(move || drop(owed(ticket)));
        let slot = wait(asked, |left| match left {
            Left::Unanswered(slot) => slot,
            _ => panic!("it was not answered"),
        });
        let (asked, _refused) = slot.ask(3);
        assert!(matches!(asked.leave(), Left::Back(3, None)), "it was empty");
        server.join().expect("joined");
    });
}

fn catches(mutant: &'static str, model: fn()) {
    switch_on(mutant);
    let outcome = catch_unwind(AssertUnwindSafe(model));
    switch_on("");
    assert!(outcome.is_err(), "{mutant} went unnoticed");
}

#[test]
fn slot_that_is_used_again_holds() {
    a_slot_is_used_again();
}

#[test]
fn slot_whose_caller_leaves_holds() {
    a_caller_leaves();
}

#[test]
fn slot_whose_server_goes_holds() {
    a_server_goes();
}

#[test]
fn slot_mutant_end_relaxed_is_caught() {
    catches("slot.end_relaxed", a_slot_is_used_again);
}

#[test]
fn slot_mutant_no_wake_is_caught() {
    catches("slot.no_wake", a_slot_is_used_again);
}

#[test]
fn slot_mutant_end_twice_is_caught() {
    catches("slot.end_twice", a_slot_is_used_again);
}

#[test]
fn slot_mutant_move_by_store_is_caught() {
    catches("slot.move_by_store", a_caller_leaves);
}
