//! Large values through every operation, on stacks of the usual size; and how many copies of a
//! value an operation has on the stack.
//!
//! A test's own copies count, too. So the closures here keep what they receive where it is.

use std::hint::black_box;
use std::time::Duration;

use gosched::chan::{self, Receiver, Select, Sender};
use gosched::{Mode, Runtime, go, goroutine, select};
use test_support::{each_mode, settled};

const LARGE: usize = 64 << 10;
const LONG: Duration = Duration::from_secs(60);

/// A value that knows whether it arrived whole.
struct Value<const N: usize>([u8; N]);

impl<const N: usize> Value<N> {
    #[inline(never)]
    fn new() -> Self {
        Self([7; N])
    }

    #[inline(never)]
    fn check(&self) {
        assert!(black_box(self).0.iter().all(|byte| *byte == 7));
    }
}

type Case = (&'static str, fn());

/// Puts a value into a channel, in a frame of its own.
#[inline(never)]
fn filled<const N: usize>() -> Receiver<Value<N>> {
    let (tx, rx) = chan::unbounded();
    put::<N>(&tx);
    rx
}

#[inline(never)]
fn put<const N: usize>(tx: &Sender<Value<N>>) {
    assert!(tx.send(Value::new()).is_ok());
}

#[inline(never)]
fn get<const N: usize>(rx: &Receiver<Value<N>>) {
    rx.recv().as_ref().map(Value::check).expect("it was sent");
}

fn sends<const N: usize>() {
    let (tx, rx) = chan::bounded(1);
    put::<N>(&tx);
    assert_eq!(rx.len(), 1);
}

fn receives<const N: usize>() {
    get::<N>(&filled());
}

#[inline(never)]
fn tries_to_send<const N: usize>() {
    let (tx, rx) = chan::bounded(1);
    assert!(tx.try_send(Value::<N>::new()).is_ok());
    assert_eq!(rx.len(), 1);
}

fn tries_to_receive<const N: usize>() {
    try_get::<N>(&filled());
}

#[inline(never)]
fn try_get<const N: usize>(rx: &Receiver<Value<N>>) {
    rx.try_recv().as_ref().map(Value::check).expect("it was sent");
}

#[inline(never)]
fn sends_in_time<const N: usize>() {
    let (tx, rx) = chan::bounded(1);
    assert!(tx.send_timeout(Value::<N>::new(), LONG).is_ok());
    assert_eq!(rx.len(), 1);
}

fn receives_in_time<const N: usize>() {
    get_in_time::<N>(&filled());
}

#[inline(never)]
fn get_in_time<const N: usize>(rx: &Receiver<Value<N>>) {
    rx.recv_timeout(LONG).as_ref().map(Value::check).expect("it was sent");
}

/// As a user writes it: all the copies are in one frame.
#[inline(never)]
fn sends_and_receives<const N: usize>() {
    let (tx, rx) = chan::bounded(1);
    tx.send(Value::<N>::new()).expect("there is room");
    rx.recv().expect("it was sent").check();
}

fn meets<const N: usize>() {
    let ((tx, rx), (back_tx, back)) = (chan::bounded(0), chan::bounded(0));
    let other = go(move || {
        get::<N>(&rx);
        put::<N>(&back_tx);
    });
    put::<N>(&tx);
    get::<N>(&back);
    other.join().expect("its asserts hold");
}

fn receives_from_a_list<const N: usize>() {
    get_from_a_list::<N>(&filled());
}

#[inline(never)]
fn get_from_a_list<const N: usize>(rx: &Receiver<Value<N>>) {
    let mut list = Select::new();
    list.recv(rx);
    list.select().recv(rx).as_ref().map(Value::check).expect("it was sent");
}

#[inline(never)]
fn sends_from_a_list<const N: usize>() {
    let (tx, rx) = chan::bounded::<Value<N>>(1);
    let mut list = Select::new();
    add(&mut list, &tx);
    assert!(list.select().send(&tx).is_ok());
    assert_eq!(rx.len(), 1);
}

#[inline(never)]
fn add<'a, const N: usize>(list: &mut Select<'a>, tx: &'a Sender<Value<N>>) {
    list.send(tx, Value::new());
}

fn selects_what_is_received<const N: usize>() {
    select_one::<N>(&filled());
}

#[inline(never)]
fn select_one<const N: usize>(rx: &Receiver<Value<N>>) {
    select! { recv(rx) -> got => got.as_ref().map(Value::check).expect("it was sent") }
}

#[inline(never)]
fn selects_what_is_sent<const N: usize>() {
    let (tx, rx) = chan::bounded(1);
    select! { send(tx, Value::<N>::new()) -> sent => assert!(sent.is_ok()) }
    assert_eq!(rx.len(), 1);
}

fn selects_what_is_offered<const N: usize>() {
    let mut slot = nothing::<N>();
    fill(&mut slot);
    offer_one(&mut slot);
    assert!(slot.is_none());
}

#[inline(never)]
fn offer_one<const N: usize>(slot: &mut Option<Value<N>>) {
    let (tx, rx) = chan::bounded(1);
    select! { offer(tx, *slot) -> sent => assert!(sent.is_ok()) }
    assert_eq!(rx.len(), 1);
}

#[inline(never)]
fn nothing<const N: usize>() -> Box<Option<Value<N>>> {
    Box::new(None)
}

#[inline(never)]
fn fill<const N: usize>(slot: &mut Option<Value<N>>) {
    *slot = Some(Value::new());
}

/// Operations of which the user's frame has one or two copies.
fn plain<const N: usize>() -> [Case; 9] {
    [
        ("send", sends::<N>),
        ("recv", receives::<N>),
        ("try_send", tries_to_send::<N>),
        ("try_recv", tries_to_receive::<N>),
        ("send_timeout", sends_in_time::<N>),
        ("recv_timeout", receives_in_time::<N>),
        ("both, without a buffer", meets::<N>),
        ("Select, recv", receives_from_a_list::<N>),
        ("Select, send", sends_from_a_list::<N>),
    ]
}

/// Those of which the frame has the value, the place of the case, and the result.
fn selected<const N: usize>() -> [Case; 3] {
    [
        ("select!, recv", selects_what_is_received::<N>),
        ("select!, send", selects_what_is_sent::<N>),
        ("select!, offer", selects_what_is_offered::<N>),
    ]
}

#[test]
fn large_values_pass_on_usual_stacks() {
    each_mode(|rt, mode: Mode| {
        let cases = plain::<LARGE>().into_iter().chain(selected::<LARGE>());
        for (name, case) in cases.chain([("both", sends_and_receives::<LARGE> as fn())]) {
            println!("{name} in {mode:?}");
            let done = rt.handle().go(case).join();
            assert!(done.is_ok(), "{name} in {mode:?}");
        }
    });
}

#[test]
fn an_operation_has_few_copies_on_the_stack() {
    const N: usize = 256 << 10;
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    let cases = plain::<N>().into_iter().chain(selected::<N>());
    // The two that meet run on usual stacks.
    let alone = cases.filter(|(name, _)| !name.starts_with("both"));
    for (index, (name, case)) in alone.enumerate() {
        // A size of its own for each: a fresh stack.
        let stack = (8 << 20) + index * 4096;
        let builder = goroutine::Builder::new().runtime(&rt.handle()).stack_size(stack);
        let used = builder.go(move || {
            let before = goroutine::stack_used().expect("it has a stack");
            case();
            goroutine::stack_used().expect("it has a stack") - before
        });
        let copies = used.join().expect("its asserts hold") as f64 / N as f64;
        println!("{name}: {copies:.2} copies");
        assert!(copies < 4.1, "{name}: {copies:.2}");
    }
}
