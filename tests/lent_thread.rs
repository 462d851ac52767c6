//! A thread that lends itself to a runtime and is about to leave: its own goroutine has ended,
//! others that settled on it have not. The thread starts nothing new, so it must not stand in the
//! way of threads that would.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gosched::{Runtime, chan, go, yield_now};
use test_support::settled;

/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn one_p() -> Runtime {
    Runtime::builder(settled()).procs(1).build().unwrap()
}

#[test]
fn what_it_may_not_start_somebody_else_does() {
    let rt = one_p();
    let handle = rt.handle();
    let (tell, told) = mpsc::channel();
    let lent = thread::spawn(move || {
        rt.run(|| {
            go(move || {
                // The root ends here. Then this goroutine spawns one, and its thread has the only
                // P.
                yield_now();
                tell.send(go(|| 7).join().unwrap()).unwrap();
            });
            yield_now();
        });
        rt
    });
    assert_eq!(told.recv_timeout(PATIENCE), Ok(7));
    let rt = lent.join().unwrap();
    assert_eq!(handle.go(|| 8).join().unwrap(), 8);
    rt.shutdown(PATIENCE).unwrap();
}

#[test]
fn two_of_them_do_not_send_each_other() {
    let rt = one_p();
    let (tell, told) = mpsc::channel();
    let (free, waits) = chan::bounded::<()>(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (tell, waits) = (tell.clone(), waits.clone());
            let rt = &rt;
            scope.spawn(move || {
                rt.run(|| {
                    go(move || {
                        yield_now();
                        tell.send(0).unwrap();
                        waits.recv().unwrap_err();
                    });
                    yield_now();
                });
            });
        }
        // Both roots have ended, or end as soon as their goroutines wait.
        for _ in 0..2 {
            assert_eq!(told.recv_timeout(PATIENCE), Ok(0));
        }
        for n in 1..100 {
            let tell = tell.clone();
            rt.handle().go(move || tell.send(n).unwrap());
            assert_eq!(told.recv_timeout(PATIENCE), Ok(n));
        }
        drop(free);
    });
    rt.shutdown(PATIENCE).unwrap();
}
