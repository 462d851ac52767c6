//! `goroutine::Builder`: names, threads of their own, stacks of another size, and settling beside
//! another goroutine.
#![expect(unsafe_code, reason = "a migratory goroutine")]

use std::io::ErrorKind;
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use gosched::goroutine::{self, Builder};
use gosched::{Cancelled, Mode, NotStarted, Runtime, chan, go, go_migratory, yield_now};
use test_support::{
    each_mode, each_procs, in_child, migratory, modes, settled, without_memory_for_threads,
};

/// A time limit for events that happen at once.
const LONG: Duration = Duration::from_secs(30);

fn runtime(mode: Mode, procs: usize) -> Runtime {
    Runtime::builder(mode).procs(procs).name("x").build().expect("a runtime")
}

#[test]
fn without_wishes_it_is_go() {
    each_mode(|rt, _| {
        assert_eq!(rt.run(|| Builder::new().go(|| 6 * 7).join().expect("no panic")), 42);
        let tried = rt.run(|| Builder::new().try_go(|| 6 * 7).expect("it is made").join());
        assert_eq!(tried.expect("no panic"), 42);
        let outside = Builder::new().runtime(&rt.handle()).go(|| 5);
        assert_eq!(outside.join().expect("no panic"), 5);
    });
}

#[test]
fn outside_of_a_runtime_it_says_so() {
    let refused = Builder::new().try_go(|| ()).expect_err("there is no runtime");
    assert_eq!(refused.kind(), ErrorKind::NotConnected);
    let panicked = thread::spawn(|| drop(Builder::new().go(|| ()))).join();
    let message =
        *panicked.expect_err("there is no runtime").downcast::<String>().expect("a message");
    assert!(message.contains("in no runtime"), "{message}");
}

#[test]
fn a_name_is_the_goroutines_for_its_life() {
    each_mode(|rt, _| {
        rt.run(|| {
            assert_eq!(goroutine::current_name(), None);
            let names = Builder::new().name("a name").go(|| {
                let child = go(goroutine::current_name).join().expect("no panic");
                yield_now();
                (goroutine::current_name(), child)
            });
            assert_eq!(names.join().expect("no panic"), (Some("a name".to_owned()), None));
            // The record and the stack are used again.
            assert_eq!(go(goroutine::current_name).join().expect("no panic"), None);
        });
    });
    assert_eq!(goroutine::current_name(), None);
}

/// Returns the goroutine's name in the dump, and its line there.
fn told(rt: &Runtime, id: u64) -> (Option<String>, String) {
    let told = rt.dump().goroutines.into_iter().find(|g| g.id == id).expect("it has not ended");
    (told.name.clone(), told.to_string())
}

#[test]
fn a_dump_names_goroutines_that_run_wait_or_have_not_begun() {
    for mode in modes() {
        for procs in [1, 2, 4, 8] {
            let rt = runtime(mode, procs);
            let (release, released) = chan::bounded::<()>(0);
            let builder = Builder::new().runtime(&rt.handle());
            let waits = || {
                let released = released.clone();
                move || released.recv().expect_err("nothing is sent")
            };
            let all: Vec<_> =
                (0..20).map(|n| builder.clone().name(format!("\"{n}\"")).go(waits())).collect();
            let thread = builder.clone().name("a thread").own_thread().go(waits());
            let nameless = builder.clone().go(waits());
            for (n, one) in all.iter().enumerate() {
                let (name, line) = told(&rt, one.id());
                assert_eq!(name, Some(format!("\"{n}\"")));
                assert!(
                    line.starts_with(&format!(r#"goroutine {} "\"{n}\"" "#, one.id())),
                    "{line}"
                );
            }
            assert_eq!(told(&rt, thread.id()).0.as_deref(), Some("a thread"));
            assert_eq!(told(&rt, nameless.id()).0, None);
            drop(release);
            for one in all.into_iter().chain([thread, nameless]) {
                one.join().expect("no panic");
            }
            // Records are used again, names are not.
            let (release, released) = chan::bounded::<()>(0);
            let later = rt.handle().go(move || released.recv());
            assert_eq!(told(&rt, later.id()).0, None);
            drop(release);
            later.join().expect("no panic").expect_err("nothing was sent");
        }
    }
    let rt = runtime(settled(), 1);
    rt.run(|| {
        let unstarted = Builder::new().name("to come").go(|| ());
        assert_eq!(told(&rt, unstarted.id()).0.as_deref(), Some("to come"));
        unstarted.join().expect("no panic");
    });
}

#[test]
fn one_with_a_thread_of_its_own_holds_nobody_up() {
    for mode in modes() {
        each_procs(mode, |rt| {
            let (started, waits) = mpsc::channel();
            let (tx, rx) = mpsc::channel();
            let blocks = Builder::new().runtime(&rt.handle()).own_thread().go(move || {
                started.send(thread::current().id()).expect("somebody waits");
                // It is reported to no one and hands off no P: it has none.
                rx.recv().expect("sent")
            });
            let its = waits.recv_timeout(LONG).expect("it runs");
            let (sum, threads) = rt.run(|| {
                let others: Vec<_> =
                    (0..100).map(|n| go(move || (n, thread::current().id()))).collect();
                others
                    .into_iter()
                    .map(|other| other.join().expect("no panic"))
                    .unzip::<_, _, Vec<i32>, Vec<_>>()
            });
            assert_eq!(sum.into_iter().sum::<i32>(), 4950);
            assert!(!threads.contains(&its), "nobody shares its thread");
            tx.send(7).expect("it waits");
            assert_eq!(blocks.join().expect("no panic"), 7);
        });
    }
}

thread_local! {
    static ENDS: std::cell::RefCell<Option<Told>> = const { std::cell::RefCell::new(None) };
}

/// Tells when it is dropped.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _somebody_waits = self.0.send(());
    }
}

#[test]
fn threads_that_nobody_needs_end() {
    for mode in modes() {
        let rt = runtime(mode, 2);
        let (tx, ended) = mpsc::channel();
        let all: Vec<_> = (0..8)
            .map(|_| {
                let tx = tx.clone();
                let tells = move || ENDS.with(|ends| *ends.borrow_mut() = Some(Told(tx)));
                Builder::new().runtime(&rt.handle()).own_thread().go(tells)
            })
            .collect();
        drop(tx);
        all.into_iter().for_each(|one| one.join().expect("no panic"));
        // The sender is dropped with the last of their threads.
        while ended.recv_timeout(LONG).is_ok() {}
        assert_eq!(
            ended.try_recv(),
            Err(mpsc::TryRecvError::Disconnected),
            "{mode:?}: threads stay"
        );
        assert_eq!(
            Builder::new().runtime(&rt.handle()).own_thread().go(|| 5).join().expect("no panic"),
            5
        );
    }
}

#[test]
fn one_with_a_thread_of_its_own_waits_and_is_cancelled_like_others() {
    for mode in modes() {
        let rt = runtime(mode, 2);
        let (tx, rx) = chan::bounded(0);
        let (last, never) = chan::bounded::<()>(0);
        let waits = Builder::new().runtime(&rt.handle()).own_thread().go(move || {
            assert_eq!(rx.recv(), Ok(goroutine::current_id().is_some()));
            let _until_the_end = never.recv();
        });
        tx.send(true).expect("it receives");
        rt.shutdown(LONG).expect("it unwinds");
        assert!(waits.join().expect_err("cancelled").is::<Cancelled>());
        drop(last);
    }
}

/// Uses about so many bytes of stack, and gives something back that depends on them.
fn deep(bytes: usize) -> usize {
    let room = std::hint::black_box([1_u8; 4096]);
    let below = if bytes > room.len() { deep(bytes - room.len()) } else { 0 };
    below + usize::from(room[bytes % room.len()])
}

#[test]
fn a_stack_is_as_large_as_asked_for() {
    for mode in [settled(), migratory()] {
        let rt = Runtime::builder(mode).procs(2).stack_size(64 << 10).build().expect("a runtime");
        rt.run(|| {
            for _ in 0..3 {
                let all: Vec<_> = (0..8)
                    .map(|_| Builder::new().stack_size(4 << 20).go(|| deep(1 << 20)))
                    .collect();
                all.into_iter().for_each(|one| assert!(one.join().expect("no panic") >= 200));
                go(|| ()).join().expect("the others have theirs");
            }
        });
    }
}

#[test]
fn a_stack_of_an_impossible_size_is_an_error() {
    let rt = runtime(settled(), 1);
    let builder = || Builder::new().runtime(&rt.handle()).stack_size(1);
    assert_eq!(builder().try_go(|| ()).expect_err("too small").kind(), ErrorKind::InvalidInput);
    let error = *builder()
        .go(|| ())
        .join()
        .expect_err("too small")
        .downcast::<NotStarted>()
        .expect("the reason");
    assert_eq!(error.0.kind(), ErrorKind::InvalidInput);
}

#[test]
fn without_a_thread_of_its_own_it_is_an_error_and_the_closure_is_dropped() {
    let name = "without_a_thread_of_its_own_it_is_an_error_and_the_closure_is_dropped";
    let Some(output) = in_child(name) else {
        let rt = runtime(settled(), 1);
        let handle = rt.handle();
        let builder = || Builder::new().runtime(&handle).own_thread();
        let (kept, dropped) = mpsc::channel::<()>();
        let also_kept = kept.clone();
        let (tried, made) = without_memory_for_threads(1 << 20, || {
            let tried = builder().try_go(move || kept.send(())).map(drop);
            (tried, builder().go(move || also_kept.send(())).join())
        });
        assert!(tried.expect_err("no thread").raw_os_error().is_some());
        assert!(made.expect_err("no thread").is::<NotStarted>());
        assert!(dropped.recv().is_err(), "both closures are gone");
        assert_eq!(builder().go(|| 4).join().expect("there is memory again"), 4);
        rt.shutdown(LONG).expect("nothing is left over");
        return;
    };
    assert!(
        output.status.success(),
        "{:?}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Spawns a goroutine that settles somewhere and stays until `last` is dropped.
fn resident(rt: &Runtime) -> (gosched::JoinHandle<()>, ThreadId, chan::Sender<()>) {
    let (last, stay) = chan::bounded::<()>(0);
    let (tx, at) = mpsc::channel();
    let resident = rt.handle().go(move || {
        tx.send(thread::current().id()).expect("somebody waits");
        let _until_the_end = stay.recv();
    });
    let at = at.recv_timeout(LONG).expect("it begins");
    (resident, at, last)
}

#[test]
fn it_settles_beside_one_that_runs() {
    each_procs(settled(), |rt| {
        let residents: Vec<_> = (0..16).map(|_| resident(rt)).collect();
        let beside: Vec<_> = residents
            .iter()
            .cycle()
            .take(200)
            .map(|(resident, at, _)| {
                let here = || thread::current().id();
                (Builder::new().runtime(&rt.handle()).with(resident).go(here), *at)
            })
            .collect();
        for (one, at) in beside {
            assert_eq!(one.join().expect("no panic"), at);
        }
    });
}

#[test]
fn it_begins_with_one_that_has_not_begun() {
    each_procs(settled(), |rt| {
        for _ in 0..20 {
            let threads = rt.run(|| {
                // None of them ends before all are spawned: a goroutine beside one that has ended
                // begins anywhere.
                let (open, gate) = chan::bounded::<()>(0);
                let here = || {
                    let gate = gate.clone();
                    move || {
                        let _it_is_open = gate.recv();
                        thread::current().id()
                    }
                };
                let first = go(here());
                let second = Builder::new().with(&first).go(here());
                let third = Builder::new().with(&second).go(here());
                let fourth = Builder::new().with(&first).go(here());
                drop(open);
                [first, second, third, fourth].map(|one| one.join().expect("no panic"))
            });
            assert_eq!(threads, [threads[0]; 4]);
        }
    });
}

#[test]
fn where_nobody_is_to_settle_beside_it_begins_anywhere() {
    for mode in modes() {
        let (here, there) = (runtime(mode, 2), runtime(mode, 2));
        let (stranger, _, last) = resident(&there);
        here.run(|| {
            let (stay, goes) = chan::bounded::<()>(0);
            let also_goes = goes.clone();
            let ended = go(|| ());
            while !ended.is_finished() {
                yield_now();
            }
            let own_thread = Builder::new().own_thread().go(move || goes.recv());
            // SAFETY: it holds nothing that is bound to a thread.
            let roams = unsafe { go_migratory(move || also_goes.recv()) };
            let answers = [
                Builder::new().with(&ended).go(|| 1).join().expect("no panic"),
                Builder::new().with(&own_thread).go(|| 2).join().expect("no panic"),
                Builder::new().with(&roams).go(|| 3).join().expect("no panic"),
                Builder::new().with(&stranger).go(|| 4).join().expect("no panic"),
            ];
            assert_eq!(answers, [1, 2, 3, 4], "{mode:?}");
            drop(stay);
        });
        drop(last);
    }
}

#[test]
fn hosts_that_end_meanwhile_lose_nobody() {
    each_procs(settled(), |rt| {
        let sum = rt.run(|| {
            let newcomers: Vec<_> = (0..2000)
                .map(|n| {
                    let host = go(move || {
                        if n % 3 == 0 {
                            yield_now();
                        }
                    });
                    Builder::new().with(&host).go(move || n)
                })
                .collect();
            newcomers.into_iter().map(|newcomer| newcomer.join().expect("no panic")).sum::<i32>()
        });
        assert_eq!(sum, 1_999_000);
    });
}

#[test]
fn who_settles_beside_one_of_a_lent_thread_is_waited_for() {
    for _ in 0..50 {
        let rt = runtime(settled(), 1);
        let (tx, rx) = mpsc::channel();
        let lent = thread::current().id();
        let handle = rt.handle();
        rt.run(move || {
            // With the only P here it begins on the root's thread, and it is the last to end there.
            // By then it has spawned another goroutine beside itself.
            let (host, made) = chan::bounded::<gosched::JoinHandle<()>>(1);
            let (begun, begins) = chan::bounded::<()>(0);
            let first = Builder::new().talks().go(move || {
                begun.send(()).expect("the root waits");
                let myself = made.recv().expect("it is sent");
                Builder::new().runtime(&handle).with(&myself).go(move || {
                    yield_now();
                    tx.send(thread::current().id()).expect("somebody waits");
                });
            });
            begins.recv().expect("it begins");
            host.send(first).expect("there is room");
        });
        assert_eq!(
            rx.try_recv(),
            Ok(lent),
            "it ran before `run` returned, on the thread of its host"
        );
    }
}

#[test]
fn a_shutdown_ends_those_who_wait_for_their_host() {
    let rt = runtime(settled(), 1);
    let handle = rt.handle();
    // The only M is kept busy, so that the host does not begin.
    let (tx, rx) = mpsc::channel();
    let (inside, entered) = mpsc::channel();
    let busy = handle.go(move || {
        inside.send(()).expect("somebody waits");
        while rx.try_recv().is_err() {
            std::hint::spin_loop();
        }
    });
    entered.recv_timeout(LONG).expect("it runs");
    let host = handle.go(|| chan::bounded::<()>(0).1.recv().is_err());
    let newcomer =
        Builder::new().runtime(&handle).with(&host).go(|| chan::bounded::<()>(0).1.recv().is_err());
    tx.send(()).expect("it spins");
    rt.shutdown(LONG).expect("nobody is left");
    busy.join().expect("no panic");
    for ended in [host.join(), newcomer.join()] {
        assert!(ended.err().is_none_or(|payload| payload.is::<Cancelled>()));
    }
}
