//! Imports point down: between the packages, and inside each of them along one total order of its
//! modules.
//!
//! The order is policy. A build that does not fit it is restructured; the order does not bend to
//! make it pass.

use crate::source::{Source, close, module_name, words};
use crate::{PACKAGES, assert_bites, assert_clean, tree};

/// A module may name what stands before it. `lib` is last of all and may name everything.
///
/// A parent stands behind its children when it builds on them, before them when it holds what they
/// share. Two types that contain each other share a place, `a|b`: the only knots there are.
#[rustfmt::skip]
const RUNTIME_SYS: &[&str] = &[
    "sys", "clock", "errno",
    "sync::futex", "sync::membarrier", "sync::primitive", "sync::lock", "sync::note", "sync",
    "memory::prefetch", "memory::mapping", "memory::reservation", "memory::stack", "memory::context", "memory",
    "signal::fatal", "signal::mask", "signal::stack", "signal::handler", "signal",
    "thread::tls", "thread::spawn", "thread::bounds", "thread::cpus", "thread::pthread_cancel", "thread::fork", "thread::exit", "thread",
];

#[rustfmt::skip]
const SCHEDULER: &[&str] = &[
    "ds::grow", "ds::list", "ds::inbox", "ds::parker", "ds::pair_arc", "ds::revocable", "ds::idle", "ds::idle_workers", "ds::heap", "ds::timers", "ds::timekeeper", "ds::sysmon_note", "ds",
    "policy::retake", "policy::oldest", "policy", "policy::head_age", "policy::timer_polling", "mode", "carry", "cancelled",
    "gmp::wait_reason", "gmp::names", "gmp::body", "gmp::g::kind", "gmp::g::owned", "gmp::g", "gmp::g::view", "gmp::g_queue", "gmp::progress", "gmp::admission", "gmp::stack_pool", "gmp::slab", "gmp::p", "gmp::all_ps",
    "gmp::dispatch::remote", "gmp::dispatch::outcome", "gmp::dispatch::state", "gmp::dispatch", "gmp::dispatch::line", "gmp::dispatch::sleep", "gmp::dispatch::resize", "gmp::m", "gmp::thread_pool", "gmp::blocking_pool",
    "gmp::sched::counts", "gmp::sched::global", "gmp::sched::deadlocks", "gmp::sched", "gmp::sched::residents", "gmp::current", "gmp::thread_g", "gmp", "dump",
    "proc::attach", "proc::excess_p", "proc::start_m", "proc::wake_sysmon", "proc::wake", "proc::set_procs", "proc::timers", "proc::find::unstarted", "proc::find::others", "proc::find::own", "proc::find::spin", "proc::find::search", "proc::find", "proc::locals", "proc::spawn", "proc::start", "proc::thread_backed",
    "proc::cancel", "proc::claimed", "proc::target", "proc::in_place", "proc::switch", "proc::fast_rounds", "proc::lock_thread", "proc::park", "proc::park::switch_only", "proc::yield_now",
    "proc::colocate", "proc::events", "proc::shutdown", "proc::check_dead", "proc::share_p", "proc::stop_m", "proc::run", "proc::report", "proc::sysmon", "proc",
    "thread_stack", "wait::race", "wait::waiter", "wait::case_node", "wait::park", "wait::parked", "wait::wake", "wait::polled", "wait::alarm", "wait",
    "local", "blocking", "cancel", "cancel::future", "time", "time::timeout", "join", "join::host", "join::handle", "join::timed", "go", "scope", "future",
    "chan::error", "chan::clock", "chan::state", "chan::raw", "chan::inline", "chan::future", "chan::case", "chan", "chan::sender", "chan::receiver", "chan::timed",
    "time::timer", "time::ticker",
    "chan::select::engine", "chan::select", "chan::select::macros", "chan::select::support", "chan::select::dynamic",
    "sync::raw::mutex", "sync::poison", "sync::mutex", "sync::raw::condvar", "sync::condvar", "sync::raw::semaphore", "sync::semaphore",
    "sync::raw::rwlock", "sync::rwlock", "sync::raw::once", "sync::once", "sync::barrier", "sync::raw::wait_group", "sync::wait_group", "sync::raw", "sync::notify", "sync",
    "fault", "signal", "runtime::error", "runtime", "runtime::knobs", "stats", "procs", "goroutine", "embed",
];

#[rustfmt::skip]
const CALLBACK_BRIDGE: &[&str] = &[
    "error", "catch_panic", "extra_list", "extra_m", "process", "enter", "binding", "bridge",
];

/// What of the scheduler the bridge may see: one small door, and what users hand it.
const DOOR: &[&str] = &["embed", "Handle", "Runtime"];

/// Macros live at the top of their crate, wherever they are defined.
const MACROS: &[&str] = &["const_fn", "select"];

fn packages_point_down(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let Some(package) = source.package() else { continue };
        let rank = PACKAGES
            .iter()
            .position(|(directory, _)| *directory == package)
            .expect("it is one of them");
        for (_, above) in &PACKAGES[rank + 1..] {
            for offset in words(&source.code, above) {
                findings.push(
                    source.at(source.line_of(offset), format_args!("{package} names {above}")),
                );
            }
        }
    }
    findings
}

fn the_bridge_uses_the_door(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.package() == Some("callback-bridge")) {
        for offset in words(&source.code, "gosched_scheduler") {
            let behind = offset + "gosched_scheduler".len();
            let mut paths = Vec::new();
            if let Some(rest) = source.code[behind..].strip_prefix("::") {
                use_tree(rest, Vec::new(), &mut paths);
            }
            if paths.is_empty()
                || paths
                    .iter()
                    .any(|path| !path.first().is_some_and(|name| DOOR.contains(&name.as_str())))
            {
                let line = source.line_of(offset);
                findings.push(
                    source.at(line, format_args!("past the door: {paths:?}, which is {DOOR:?}")),
                );
            }
        }
    }
    findings
}

fn modules_point_down(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (package, order) in [
        ("runtime-sys", RUNTIME_SYS),
        ("scheduler", SCHEDULER),
        ("callback-bridge", CALLBACK_BRIDGE),
    ] {
        for source in sources.iter().filter(|source| source.package() == Some(package)) {
            if source.model() || source.tests() || source.path.ends_with("/testing.rs") {
                continue;
            }
            let module = module_path(source, package);
            let Some(own) = rank(order, &module) else {
                findings.push(
                    source.at(
                        1,
                        format_args!("{} is not in the order of modules", module.join("::")),
                    ),
                );
                continue;
            };
            for (line, path) in imports(source, &module) {
                if path.len() == 1 && MACROS.contains(&path[0].as_str()) {
                    continue;
                }
                let target = rank(order, &path);
                if target.is_none_or(|target| target > own) {
                    let what = format_args!("{} names {}", module.join("::"), path.join("::"));
                    findings.push(
                        source.at(line, format_args!("{what}, which is above it or in no module")),
                    );
                }
            }
        }
    }
    findings
}

/// `a::b` of `package/src/a/b.rs` and of `package/src/a/b/mod.rs`.
fn module_path(source: &Source, package: &str) -> Vec<String> {
    let path =
        source.path.trim_start_matches(package).trim_start_matches('/').trim_start_matches("src/");
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The place of the longest entry that `path` lies in.
fn rank(order: &[&str], path: &[String]) -> Option<usize> {
    if path.first().is_some_and(|first| first == "lib") {
        return Some(order.len());
    }
    (1..=path.len()).rev().find_map(|length| {
        let prefix = path[..length].join("::");
        order.iter().position(|entry| entry.split('|').any(|name| name == prefix))
    })
}

/// The paths that a file names from its own crate, with the lines they begin on.
fn imports(source: &Source, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (word, up) in [("crate", usize::MAX), ("self", 0), ("super", 1)] {
        for offset in words(&source.product, word) {
            // In the middle of a path it is no beginning.
            if source.product[..offset].ends_with("::") {
                continue;
            }
            let Some(mut rest) = source.product[offset + word.len()..].strip_prefix("::") else {
                continue;
            };
            let mut up = up;
            while let Some(further) = rest.strip_prefix("super::") {
                (rest, up) = (further, up + 1);
            }
            let mut base = module.to_vec();
            base.extend(enclosing(&source.product, offset));
            base.truncate(base.len().saturating_sub(up));
            let mut paths = Vec::new();
            use_tree(rest, base, &mut paths);
            let line = source.line_of(offset);
            found.extend(paths.into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// The modules inside the file that the offset lies in, outermost first.
fn enclosing(code: &str, offset: usize) -> Vec<String> {
    let around = words(code, "mod").filter(|start| *start < offset).filter_map(|start| {
        let name = module_name(&code[start..])?;
        let open = start
            + code[start..].find(['{', ';']).filter(|at| code[start + at..].starts_with('{'))?;
        (open..close(code, open)?).contains(&offset).then(|| name.to_owned())
    });
    around.collect()
}

/// Spells out `a::{b, c::d}` behind `base`.
fn use_tree(code: &str, base: Vec<String>, into: &mut Vec<Vec<String>>) {
    let code = code.trim_start();
    if code.starts_with('{') {
        let end = close(code, 0).map_or(code.len(), |end| end - 1);
        return top_level_parts(&code[1..end]).for_each(|part| use_tree(part, base.clone(), into));
    }
    let length = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
    let mut path = base;
    if length > 0 && &code[..length] != "self" {
        path.push(code[..length].to_owned());
    }
    match code[length..].strip_prefix("::") {
        Some(rest) => use_tree(rest, path, into),
        None => into.push(path),
    }
}

fn top_level_parts(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    list.split(move |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
    .filter(|part| !part.trim().is_empty())
}

#[test]
fn packages_do() {
    assert_clean(&packages_point_down(tree()));
    assert_bites(
        packages_point_down,
        "names gosched",
        &[
            &[("runtime-sys/src/a.rs", "use gosched_scheduler::x;")],
            &[("scheduler/src/a.rs", "fn f() { gosched_callback_bridge::x() }")],
            &[("callback-bridge/src/a.rs", "use gosched::x;")],
        ],
        &[&[("scheduler/src/a.rs", "// gosched_callback_bridge\nuse gosched_runtime_sys::x;")]],
    );
}

#[test]
fn modules_do() {
    assert_clean(&modules_point_down(tree()));
    assert_bites(
        modules_point_down,
        "above it",
        &[
            &[("scheduler/src/gmp/g.rs", "use crate::gmp::sched::x;")],
            &[("scheduler/src/gmp/g.rs", "fn f() { crate::proc::wake::ready() }")],
            &[("scheduler/src/proc/wake.rs", "use super::run;")],
            &[("scheduler/src/gmp/g.rs", "mod inner { use super::super::sched::x; }")],
            &[("scheduler/src/ds/list.rs", "use crate::{ds::{list::x, idle::{y, z}}, gmp::g};")],
            &[("scheduler/src/gmp/g.rs", "use crate::Handle;")],
        ],
        &[
            &[(
                "scheduler/src/gmp/g.rs",
                "use crate::{ds::{list::x, idle}, gmp::wait_reason};\nuse super::super::ds::list;",
            )],
            &[(
                "scheduler/src/gmp/g.rs",
                "mod other {}\nmod inner { use super::other::x; use self::y; }",
            )],
            &[("scheduler/src/lib.rs", "mod gmp; pub use crate::gmp::g::G;")],
            &[("scheduler/src/gmp/g.rs", "#[cfg(test)]\nmod tests { use crate::proc::run; }")],
            &[("scheduler/src/model/x.rs", "use crate::proc::run;")],
        ],
    );
    assert_bites(modules_point_down, "not in the order", &[&[("scheduler/src/news.rs", "")]], &[]);
}

#[test]
fn the_bridge_does() {
    assert_clean(&the_bridge_uses_the_door(tree()));
    assert_bites(
        the_bridge_uses_the_door,
        "past the door",
        &[
            &[("callback-bridge/src/a.rs", "use gosched_scheduler::chan;")],
            &[("callback-bridge/src/a.rs", "use gosched_scheduler::{embed, chan};")],
            &[("callback-bridge/src/a.rs", "use gosched_scheduler as s;")],
        ],
        &[&[("callback-bridge/src/a.rs", "use gosched_scheduler::embed::{Foreign, Handle};")]],
    );
}

#[test]
fn the_orders_name_what_exists() {
    let modules: Vec<(&str, Vec<String>)> = tree()
        .iter()
        .filter_map(|source| {
            source.package().map(|package| (package, module_path(source, package)))
        })
        .collect();
    for (package, order) in [
        ("runtime-sys", RUNTIME_SYS),
        ("scheduler", SCHEDULER),
        ("callback-bridge", CALLBACK_BRIDGE),
    ] {
        for entry in order.iter().flat_map(|entry| entry.split('|')) {
            let there =
                modules.iter().any(|(owner, path)| *owner == package && path.join("::") == entry);
            assert!(there, "{package}: the order names {entry}, which does not exist");
        }
    }
}
