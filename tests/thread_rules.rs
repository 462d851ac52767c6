//! What a runtime does with threads: which lend themselves to it, how many it makes, what it does
//! without threads, and that they sleep when there is nothing to do.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gosched::callback::{Binding, Bridge};
use gosched::runtime::Builder;
use gosched::{Mode, NotStarted, Runtime, chan, go, goroutine, yield_now};
use gosched_runtime_sys::thread;
use test_support::{death, in_child, migratory, modes, settled, without_memory_for_threads};

fn runtime(mode: Mode) -> Runtime {
    Runtime::builder(mode).procs(4).build().expect("a runtime")
}

#[test]
fn run_runs_on_the_calling_thread() {
    for mode in modes() {
        let rt = runtime(mode);
        let here = thread::id();
        // It borrows, and is not `Send`: it stays on this thread.
        let local = std::rc::Rc::new(5);
        let seen = rt.run(|| {
            let before = thread::id();
            go(|| ()).join().expect("no panic");
            if mode != migratory() {
                assert_eq!(thread::id(), before);
            }
            (before, *local, goroutine::current_id().is_some())
        });
        assert_eq!((seen, goroutine::current_id()), ((here, 5, true), None), "{mode:?}");
    }
}

#[test]
fn the_root_comes_back_to_the_calling_thread_in_every_mode() {
    for mode in modes() {
        let rt = runtime(mode);
        let local = std::rc::Rc::new(5);
        rt.run(|| {
            for _ in 0..200 {
                let here = thread::id();
                go(yield_now).join().expect("no panic");
                yield_now();
                assert_eq!(thread::id(), here, "the root is settled, whatever the mode ({mode:?})");
            }
            assert_eq!(std::rc::Rc::strong_count(&local), 1);
        });
    }
}

#[test]
fn run_inside_a_runtime_panics_and_says_why() {
    for mode in modes() {
        let (rt, other) = (runtime(mode), runtime(mode));
        let bridge = Bridge::new(&rt);
        let says_why = |inner: &Runtime| {
            let outcome =
                catch_unwind(AssertUnwindSafe(|| inner.run(|| unreachable!("not inside another"))));
            let payload = outcome.expect_err("it panics");
            *payload.downcast_ref::<&str>().expect("a message")
                == "Runtime::run was called on a thread that is in a runtime already"
        };
        assert!(rt.run(|| says_why(&rt) && says_why(&other)));
        assert!(bridge.enter(|| says_why(&rt) && says_why(&other)).expect("the callback runs"));
        assert_eq!(other.run(|| 1), 1, "outside again, it may");
    }
}

#[test]
fn go_outside_of_a_runtime_panics_and_says_what_serves() {
    let payload = catch_unwind(|| go(|| ()).is_finished()).expect_err("it panics");
    let message = payload.downcast_ref::<String>().cloned();
    let message = message.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    assert!(message.expect("a message").contains("Handle::go"));
}

#[test]
fn builders_refuse_what_cannot_be() {
    type Change = fn(Builder) -> Builder;
    let wrong: [(Change, &str); 6] = [
        (|b| b.procs(0), "procs must be 1 to 1024, not 0"),
        (|b| b.procs(1025), "procs must be 1 to 1024, not 1025"),
        (|b| b.stack_size(0), "stack_size must be"),
        (|b| b.stack_size(32 * 1024 - 1), "not 32767"),
        (|b| b.stack_size(usize::MAX), "stack_size must be"),
        (|b| b.name("a\0b"), "NUL"),
    ];
    for mode in modes() {
        for (change, why) in wrong {
            let error = change(Runtime::builder(mode)).build().expect_err("out of range");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(why), "`{error}` instead of `{why}`");
        }
        let least = Runtime::builder(mode)
            .procs(1)
            .stack_size(32 * 1024)
            .name("")
            .build()
            .expect("the least there is");
        assert_eq!(least.run(|| go(|| 3).join().expect("no panic")), 3);
        let most = Runtime::builder(mode).procs(1024).build().expect("the most Ps there are");
        assert_eq!(most.run(|| go(|| 3).join().expect("no panic")), 3);
    }
}

#[test]
fn its_threads_have_its_name() {
    for mode in modes() {
        let rt = Runtime::builder(mode).procs(1).name("kitchen").build().expect("a runtime");
        let name = rt
            .handle()
            .go(|| std::thread::current().name().map(str::to_owned))
            .join()
            .expect("no panic");
        assert!(name.as_deref().is_some_and(|name| name.starts_with("kitchen-")), "{name:?}");
    }
}

/// Less than a thread's stack takes, and more than a few goroutines do.
const SPARE: usize = 1 << 20;

#[track_caller]
fn assert_succeeded(output: &std::process::Output) {
    assert!(output.status.success(), "{:?}\n{}", output.status, death(output).1);
}

#[test]
fn without_a_thread_a_goroutine_of_threads_mode_is_not_started_and_its_joiner_told() {
    let name = "without_a_thread_a_goroutine_of_threads_mode_is_not_started_and_its_joiner_told";
    let Some(output) = in_child(name) else {
        let rt = runtime(Mode::threads());
        let handle = rt.handle();
        let (told, dropped) = without_memory_for_threads(SPARE, || {
            let (kept, closed) = std::sync::mpsc::channel::<()>();
            let told = handle.go(move || kept.send(())).join();
            (told, closed.recv().is_err())
        });
        let error =
            *told.expect_err("no thread for it").downcast::<NotStarted>().expect("the reason");
        assert!(error.0.raw_os_error().is_some(), "{error}");
        assert!(error.to_string().starts_with("the goroutine could not be started: "));
        assert!(dropped, "the closure was dropped");
        assert_eq!(handle.go(|| 4).join().expect("there is memory again"), 4);
        rt.shutdown(Duration::from_secs(30)).expect("nothing is left over");
        return;
    };
    assert_succeeded(&output);
}

/// In a child of its own: an ended thread leaves its stack behind for the next one.
fn runs_without_threads(name: &str, mode: Mode) {
    let Some(output) = in_child(name) else {
        let rt = Runtime::builder(mode).procs(4).stack_size(64 * 1024).build().expect("a runtime");
        let sum = without_memory_for_threads(SPARE, || {
            // No M can be made for this one, and there is none: it is not started.
            let early = rt.handle().go(|| 1000).join().expect_err("there is no thread");
            assert!(early.is::<NotStarted>());
            rt.run(|| {
                let child = |n| {
                    move || {
                        yield_now();
                        (thread::id(), n)
                    }
                };
                // All would begin before the first of them goes on, and there is memory for some.
                let children: Vec<_> = (0..10_u64).map(|n| go(child(n))).collect();
                let here = thread::id();
                let numbers = children.into_iter().map(|child| {
                    let (thread, n) = child.join().expect("it runs");
                    assert_eq!(thread, here);
                    n
                });
                numbers.sum::<u64>()
            })
        });
        assert_eq!(sum, 45);
        // There is memory again: an M is made.
        assert_eq!(rt.handle().go(|| 4).join().expect("no panic"), 4);
        rt.shutdown(Duration::from_secs(30)).expect("nothing is left over");
        return;
    };
    assert_succeeded(&output);
}

#[test]
fn without_threads_settled_goroutines_run_on_those_there_are() {
    runs_without_threads("without_threads_settled_goroutines_run_on_those_there_are", settled());
}

#[test]
fn without_threads_migratory_goroutines_run_on_those_there_are() {
    runs_without_threads(
        "without_threads_migratory_goroutines_run_on_those_there_are",
        migratory(),
    );
}

/// More goroutines than there is memory for stacks: some are not started, and their joiners get an
/// error; the others go on.
fn runs_without_stacks(name: &str, mode: Mode) {
    let Some(output) = in_child(name) else {
        let rt = Runtime::builder(mode).procs(2).stack_size(64 * 1024).build().expect("a runtime");
        let (ran, refused) = without_memory_for_threads(SPARE, || {
            rt.run(|| {
                let (open, gate) = chan::bounded::<()>(0);
                let child = || {
                    let gate = gate.clone();
                    go(move || {
                        let _disconnected = gate.recv();
                    })
                };
                let children: Vec<_> = (0..100).map(|_| child()).collect();
                // Started goroutines keep their stacks until then.
                while !children.iter().any(gosched::JoinHandle::is_finished) {
                    yield_now();
                }
                drop(open);
                let outcomes: Vec<_> =
                    children.into_iter().map(gosched::JoinHandle::join).collect();
                let ran = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
                let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
                (ran, refused.filter(|reason| reason.is::<NotStarted>()).count())
            })
        });
        assert_eq!(ran + refused, 100);
        assert!(ran > 0 && refused > 0, "{ran} ran, {refused} were refused");
        assert_eq!(rt.run(|| go(|| 4).join().expect("there is memory again")), 4);
        return;
    };
    assert_succeeded(&output);
}

#[test]
fn without_memory_for_its_stack_a_settled_goroutine_is_not_started() {
    runs_without_stacks(
        "without_memory_for_its_stack_a_settled_goroutine_is_not_started",
        settled(),
    );
}

#[test]
fn without_memory_for_its_stack_a_migratory_goroutine_is_not_started() {
    runs_without_stacks(
        "without_memory_for_its_stack_a_migratory_goroutine_is_not_started",
        migratory(),
    );
}

/// Returns the voluntary context switches, and CPU time in clock ticks, of every thread but the
/// calling one.
fn switches() -> BTreeMap<String, (u64, u64)> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/task").expect("it is there") {
        let path = entry.expect("a thread").path();
        let id = path.file_name().expect("its number").to_string_lossy().into_owned();
        let (Ok(status), Ok(stat)) = (
            std::fs::read_to_string(path.join("status")),
            std::fs::read_to_string(path.join("stat")),
        ) else {
            continue;
        };
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
            .expect("a count");
        let fields: Vec<_> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
        if id != thread::id().to_string() {
            all.insert(id, (line.trim().parse().expect("a number"), ticks(11) + ticks(12)));
        }
    }
    all
}

/// In a child: work of every kind. It comes to its end while some goroutines and a callback wait
/// for ever. Then there is nothing to do.
fn idles(name: &str, mode: Mode) {
    let Some(output) = in_child(name) else {
        let rt = Runtime::builder(mode).procs(4).build().expect("a runtime");
        let bridge = Bridge::new(&rt).with_binding(Binding::UntilThreadExit);
        let (_never, gate) = chan::bounded::<()>(0);
        rt.run(|| {
            let children: Vec<_> = (0..200).map(|_| go(yield_now)).collect();
            children.into_iter().for_each(|child| child.join().expect("no panic"));
        });
        for _ in 0..20 {
            let gate = gate.clone();
            drop(rt.handle().go(move || gate.recv()));
        }
        let (inside, is_inside) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _cancelled = bridge.enter(|| {
                inside.send(()).expect("awaited");
                let _never = gate.recv();
            });
        });
        is_inside.recv().expect("it gets there");
        // Searching threads come to rest, some time soon. Threads that are not needed end, after
        // half a second.
        for _ in 0..20 {
            let before = switches();
            std::thread::sleep(Duration::from_millis(700));
            if switches() == before {
                break;
            }
        }
        let before = switches();
        assert!(!before.is_empty(), "nobody is there who could be idle");
        std::thread::sleep(Duration::from_secs(2));
        let after = switches();
        assert_eq!(before, after, "(switches, CPU ticks) of each thread");
        eprintln!("idle: {} threads", after.len());
        rt.shutdown(Duration::from_secs(30)).expect("all of them unwind");
        return;
    };
    assert_succeeded(&output);
    assert!(death(&output).1.contains("idle: "));
}

#[test]
fn an_idle_process_sleeps_with_threads() {
    idles("an_idle_process_sleeps_with_threads", Mode::threads());
}

#[test]
fn an_idle_process_sleeps_settled() {
    idles("an_idle_process_sleeps_settled", settled());
}

#[test]
fn an_idle_process_sleeps_migratory() {
    idles("an_idle_process_sleeps_migratory", migratory());
}
