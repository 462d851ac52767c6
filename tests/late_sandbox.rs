//! A sandbox that closes when the runtime is up: the kernel's fence is refused from then on.

use std::time::Duration;

use gosched::callback::Bridge;
use gosched::{Runtime, chan};
use test_support::{death, forbid_membarrier, in_child, modes};

/// Values to and fro between goroutines, a plain thread, and callbacks.
fn traffic(rt: &Runtime, bridge: &Bridge) {
    let (to, there) = chan::bounded::<u64>(0);
    let (back, here) = chan::bounded::<u64>(1);
    let echo = rt.handle().go(move || there.into_iter().try_for_each(|value| back.send(value + 1)));
    for value in 0..200 {
        let answer = bridge.enter(|| {
            to.send(value).expect("it is there");
            here.recv().expect("it answers")
        });
        assert_eq!(answer.expect("it runs"), value + 1);
        gosched::time::sleep(Duration::from_micros(value % 3));
    }
    drop(to);
    echo.join().expect("no panic").expect("somebody receives");
}

#[test]
fn the_runtime_goes_on_and_ends() {
    let Some(output) = in_child("the_runtime_goes_on_and_ends") else {
        let runtimes: Vec<_> = modes()
            .into_iter()
            .flat_map(|mode| [1, 2, 4].map(|procs| Runtime::builder(mode).procs(procs).build()))
            .map(|built| built.expect("a runtime"))
            .map(|rt| (Bridge::new(&rt), rt))
            .collect();
        runtimes.iter().for_each(|(bridge, rt)| traffic(rt, bridge));
        forbid_membarrier();
        runtimes.iter().for_each(|(bridge, rt)| traffic(rt, bridge));
        std::thread::spawn(move || {
            for (bridge, rt) in runtimes {
                drop(bridge);
                rt.shutdown(Duration::from_secs(30)).expect("it ends");
            }
        })
        .join()
        .expect("all have ended");
        return;
    };
    assert!(output.status.success(), "{}", death(&output).1);
}
