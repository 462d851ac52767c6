//! A settled goroutine never changes its thread, and values bound to its thread stay right.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use gosched::chan::{self, Receiver, Sender, TryRecvError};
use gosched::{Mode, Runtime, go, goroutine, yield_now};
use gosched_runtime_sys::thread;
use test_support::settled;

/// Waits for a partner, counted over all goroutines.
const PARKS: u64 = 1_000_000;
/// Goroutines pass a token round, in rings of this many: all but the holder park.
const RING: usize = 4;
const RINGS: usize = 24;
/// After this many rounds a goroutine spawns a short-lived one, so that thieves always find
/// something.
const SPAWN_EVERY: u64 = 64;

thread_local! {
    /// Counts on its thread alone. A lost update means that two threads shared it.
    static ROUNDS: Cell<u64> = const { Cell::new(0) };
    /// Lazy and with a destructor: the kind whose address an optimiser likes to keep.
    static RESIDENTS: RefCell<HashMap<u64, Rc<Cell<u64>>>> = RefCell::new(HashMap::new());
}

#[derive(Default)]
struct Tally {
    parks: AtomicU64,
    rounds: AtomicU64,
    /// Per thread, what `ROUNDS` there must come to.
    by_thread: Mutex<HashMap<i32, u64>>,
    short_lived: AtomicU64,
}

/// A goroutine's view of its thread: everything in it must stay what it was.
struct Resident {
    id: u64,
    thread: i32,
    std_thread: std::thread::ThreadId,
    rounds_at: *const Cell<u64>,
    shared: Rc<Cell<u64>>,
    rounds: u64,
}

impl Resident {
    fn settle() -> Self {
        let id = goroutine::current_id().expect("a goroutine");
        let shared = Rc::new(Cell::new(0));
        RESIDENTS.with_borrow_mut(|all| assert!(all.insert(id, Rc::clone(&shared)).is_none()));
        Self {
            id,
            thread: thread::id(),
            std_thread: std::thread::current().id(),
            rounds_at: ROUNDS.with(std::ptr::from_ref),
            shared,
            rounds: 0,
        }
    }

    /// Checks after a suspension: the same thread by the kernel, by std and by address; the `Rc`
    /// belongs to this thread and counts right.
    fn check(&mut self) {
        assert_eq!(thread::id(), self.thread, "goroutine {} changed thread", self.id);
        assert_eq!(std::thread::current().id(), self.std_thread);
        assert_eq!(goroutine::current_id(), Some(self.id));
        ROUNDS.with(|rounds| {
            assert!(std::ptr::eq(rounds, self.rounds_at));
            rounds.set(rounds.get() + 1);
        });
        self.rounds += 1;
        let registered = RESIDENTS.with_borrow(|all| Rc::clone(&all[&self.id]));
        registered.set(registered.get() + 1);
        assert_eq!((self.shared.get(), Rc::strong_count(&self.shared)), (self.rounds, 3));
    }

    fn leave(self, tally: &Tally) {
        RESIDENTS.with_borrow_mut(|all| assert!(all.remove(&self.id).is_some()));
        assert_eq!(Rc::strong_count(&self.shared), 1);
        tally.rounds.fetch_add(self.rounds, Relaxed);
        let mut by_thread = tally.by_thread.lock().expect("no panic under it");
        // The thread's own counter: the sum over all goroutines that have left and those that have
        // not.
        let seen = by_thread.entry(self.thread).or_default();
        *seen = ROUNDS.get().max(*seen);
    }
}

/// Passes the token on until enough parks were counted. Then it passes the token once more, so that
/// all may end.
fn member(tally: &Tally, from: &Receiver<()>, to: &Sender<()>) {
    let mut me = Resident::settle();
    loop {
        let token = from.try_recv().or_else(|error| {
            if error == TryRecvError::Empty {
                tally.parks.fetch_add(1, Relaxed);
            }
            from.recv()
        });
        me.check();
        if token.is_err() || to.send(()).is_err() || tally.parks.load(Relaxed) >= PARKS {
            break;
        }
        me.check();
        if me.rounds.is_multiple_of(SPAWN_EVERY) {
            let (thread, id) = (me.thread, me.id);
            let elsewhere = go(move || {
                let mut me = Resident::settle();
                yield_now();
                me.check();
                RESIDENTS.with_borrow_mut(|all| all.remove(&me.id));
                (me.thread != thread, id)
            });
            let (_, parent) = elsewhere.join().expect("it only yields");
            tally.short_lived.fetch_add(1, Relaxed);
            me.check();
            assert_eq!(parent, me.id);
        }
    }
    me.leave(tally);
}

fn ring(tally: &Arc<Tally>) -> Vec<gosched::JoinHandle<()>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..RING).map(|_| chan::bounded(1)).unzip();
    senders[0].send(()).expect("the receiver is there");
    let mut to: Vec<_> = senders;
    to.rotate_left(1);
    receivers
        .into_iter()
        .zip(to)
        .map(|(from, to)| {
            let tally = Arc::clone(tally);
            go(move || member(&tally, &from, &to))
        })
        .collect()
}

fn million_parks(mode: Mode) -> (Tally, HashSet<i32>) {
    let tally = Arc::new(Tally::default());
    let rt = Runtime::builder(mode).procs(4).build().expect("a runtime");
    let ours = Arc::clone(&tally);
    rt.run(move || {
        let members: Vec<_> = (0..RINGS).flat_map(|_| ring(&ours)).collect();
        members.into_iter().for_each(|member| member.join().expect("every check held"));
    });
    drop(rt);
    let tally = Arc::into_inner(tally).expect("all goroutines have ended");
    let threads = tally.by_thread.lock().expect("no panic under it").keys().copied().collect();
    (tally, threads)
}

#[test]
fn a_settled_goroutine_never_changes_thread_in_a_million_parks() {
    let (tally, threads) = million_parks(settled());
    assert!(tally.parks.into_inner() >= PARKS);
    assert!(tally.short_lived.into_inner() > 0);
    assert!(threads.len() > 1, "nothing was stolen: all goroutines were on one thread");
}
