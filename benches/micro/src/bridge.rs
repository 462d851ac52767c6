//! A callback that does nothing, from a thread that gosched did not create.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use criterion::Criterion;
use gosched::callback::{Binding, Bridge};

use crate::goroutines::runtime;

pub(crate) fn measure(criterion: &mut Criterion) {
    let runtime = runtime();
    for (name, binding) in [
        ("enter/per call", Binding::PerCall),
        ("enter/until thread exit", Binding::UntilThreadExit),
    ] {
        let bridge = Bridge::new(&runtime).with_binding(binding);
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|n| {
                let calls = || {
                    // The first call of a thread is not measured: it costs more.
                    bridge.enter(|| ()).expect("it is open");
                    let began = Instant::now();
                    for i in 0..n {
                        black_box(bridge.enter(|| black_box(i)).expect("it is open"));
                    }
                    began.elapsed()
                };
                thread::scope(|scope| scope.spawn(calls).join().expect("no panic"))
            });
        });
    }
}
