//! The order of the modules of each package that users depend on, and the tables that repeat it.
//!
//! The order is policy. If a change does not fit the order, restructure the change, and leave the
//! order as it is.

/// The packages with an order, and their modules, lowest first.
///
/// A module may name the modules before it. `lib` is the last and may name all.
///
/// A parent comes after its children if it builds on them, and before them if it has what they
/// share. Two types that contain each other share a place, `a|b`: no other cycles exist.
pub const ORDERS: [(&str, &[&str]); 3] =
    [("runtime-sys", RUNTIME_SYS), ("scheduler", SCHEDULER), ("callback-bridge", CALLBACK_BRIDGE)];

#[rustfmt::skip]
const RUNTIME_SYS: &[&str] = &[
    "sys", "clock", "errno", "sync::futex", "sync::membarrier", "sync::primitive", "sync::held",
    "sync::lock", "sync::note", "sync", "memory::prefetch", "memory::mapping",
    "memory::guarded", "memory::reservation", "memory::stack", "memory::context", "memory",
    "signal::fatal", "signal::mask", "signal::stack", "signal::handler", "signal", "thread::exit",
    "thread::last_code", "thread::tls::words", "thread::tls::storage", "thread::tls::slots",
    "thread::tls", "thread::bounds", "thread::spawn", "thread::cpus",
    "thread::pthread_cancel", "thread::fork", "thread",
];

#[rustfmt::skip]
const SCHEDULER: &[&str] = &[
    "ds::agents", "ds::grow", "ds::letterbox", "ds::slot", "ds::list", "ds::inbox",
    "ds::parker", "ds::pending", "ds::deprived",
    "ds::pair_arc", "ds::run_next", "ds::revocable", "ds::idle", "ds::idle_workers", "ds::heap",
    "ds::timers", "ds::timekeeper", "ds::sysmon_note", "ds", "policy::retake", "policy::behaviour",
    "policy::chain", "policy::oldest", "policy", "policy::head_age", "policy::keeps_up",
    "policy::look_everywhere", "policy::time_with_p", "policy::timer_polling", "mode", "carry",
    "carry::spans",
    "cancelled", "gmp::wait_reason", "gmp::names", "gmp::body", "gmp::g::kind", "gmp::g::owned",
    "gmp::g", "gmp::g::view", "gmp::g_queue", "gmp::progress", "gmp::thread_locks",
    "gmp::admission", "gmp::stack_pool::size_class", "gmp::stack_pool", "gmp::slab", "gmp::p",
    "gmp::all_ps", "gmp::apart", "gmp::call_sites", "gmp::dispatch::remote",
    "gmp::dispatch::outcome", "gmp::dispatch::state", "gmp::dispatch", "gmp::dispatch::line",
    "gmp::dispatch::sleep", "gmp::dispatch::resize", "gmp::m::owned", "gmp::m", "gmp::thread_pool",
    "gmp::thread_maker", "gmp::blocking_pool", "gmp::sched::config", "gmp::sched::counts",
    "gmp::own_threads", "gmp::wait_ages", "gmp::sched::ms", "gmp::sched::global",
    "gmp::sched::deadlocks", "gmp::sched::holders", "gmp::sched", "gmp::sched::view",
    "gmp::sched::residents",
    "gmp::sched::locked", "gmp::current", "gmp::thread_g", "gmp", "dump", "proc::attach",
    "proc::excess_p", "proc::events", "proc::standstill", "proc::new_thread", "proc::start_m",
    "proc::wake_sysmon", "proc::running", "proc::take_over", "proc::wake", "proc::apart",
    "proc::set_procs",
    "proc::timers", "proc::find::unstarted", "proc::find::others", "proc::find::own",
    "proc::find::spin", "proc::find::search", "proc::find", "proc::cancel", "proc::locals",
    "proc::promises::known", "proc::promises::walk", "proc::promises", "proc::no_wait",
    "proc::put_off", "proc::limit", "proc::carried", "proc::spawn", "proc::start",
    "proc::thread_backed", "proc::refuse", "proc::claimed", "proc::target", "proc::in_place",
    "proc::switch",
    "proc::fast_rounds", "proc::lock_thread", "proc::park", "proc::park::switch_only", "proc::exit",
    "proc::yield_now", "proc::draw", "proc::colocate", "proc::shutdown", "proc::check_dead",
    "proc::share_p", "proc::stop_m", "proc::run", "proc::report",
    "proc::sysmon::m_history", "proc::sysmon", "proc",
    "thread_stack", "wait::race", "wait::waiter", "wait::owed", "wait::case_node",
    "wait::observers", "wait::park", "wait::parked", "wait::wake", "wait::polled", "wait::alarm",
    "wait::reserved", "wait::token::subject", "wait::token::call", "wait::token::pending",
    "wait::token::done", "wait::token", "wait::token::run", "wait::token::deadline", "wait",
    "local", "blocking", "cancel", "cancel::future", "time", "time::timeout", "time::future",
    "join", "join::place", "join::host", "join::handle", "join::timed", "join::on_drop", "go",
    "scope::tally", "scope::together", "scope", "scope::scope_try", "scope::group",
    "scope::join_set", "future", "chan::error", "chan::place", "chan::blocks", "chan::buffer",
    "chan::clock", "chan::state", "chan::results", "chan::raw", "chan::inline", "chan::future",
    "chan::port", "chan::standby", "chan::case", "chan", "chan::sender", "chan::receiver",
    "chan::stream", "chan::sink", "chan::close", "chan::done", "chan::timed", "chan::signals",
    "chan::oneshot",
    "chan::broadcast::ring", "chan::broadcast", "chan::broadcast::stream", "time::timer",
    "time::ticker", "chan::select::engine", "chan::select::polled", "chan::select::observe",
    "chan::select", "chan::select::macros", "chan::select::dynamic", "chan::select::ready",
    "chan::select::future", "chan::select::support", "sync::raw::mutex", "sync::poison",
    "sync::mutex", "sync::mutex::owned", "sync::raw::condvar", "sync::condvar",
    "sync::raw::semaphore", "sync::semaphore", "sync::semaphore::owned", "sync::raw::rwlock",
    "sync::rwlock", "sync::rwlock::future", "sync::rwlock::upgradable", "sync::rwlock::owned",
    "sync::rwlock::upgradable_owned",
    "sync::raw::once", "sync::once", "sync::barrier", "sync::raw::wait_group", "sync::wait_group",
    "sync::raw::notify", "sync::raw", "sync::notify", "sync::parker", "sync::as_std", "sync",
    "chan::watch::versions", "chan::watch::changed", "chan::watch", "chan::watch::stream",
    "signal::fault", "signal", "runtime::error", "runtime::builder", "runtime", "runtime::short",
    "stats", "procs", "goroutine::in_test", "goroutine", "embed",
];

#[rustfmt::skip]
const CALLBACK_BRIDGE: &[&str] = &[
    "error", "catch_panic", "extra::list", "extra::stock", "extra::door", "extra::room",
    "extra::line", "extra::m", "extra::process", "extra::entrance", "extra", "enter", "binding",
    "bridge::slot", "bridge",
    "bridge::attach", "bridge::service", "bridge::call", "bridge::worker",
    "callback::types", "callback::calling", "callback::block", "callback::signature", "callback",
    "callback::local",
    "mailbox::queue", "mailbox::bell", "mailbox::keeper", "mailbox",
];

/// Returns the place of the longest entry that `path` lies in.
pub fn rank(order: &[&str], path: &[String]) -> Option<usize> {
    if path.first().is_some_and(|first| first == "lib") {
        return Some(order.len());
    }
    (1..=path.len()).rev().find_map(|length| {
        let prefix = path[..length].join("::");
        order.iter().position(|entry| entry.split('|').any(|name| name == prefix))
    })
}

/// A module that a document names, with those of its children that it names.
#[derive(Debug, PartialEq, Eq)]
pub struct Mention {
    name: String,
    children: Vec<String>,
}

/// Returns the modules that `text` names in backticks. The names in parentheses behind a module are
/// its children.
pub fn mentions(text: &str) -> Vec<Mention> {
    let mut found: Vec<Mention> = Vec::new();
    let mut inside = false;
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 0 {
            inside = (inside || part.contains('(')) && !part.contains(')');
            continue;
        }
        match found.last_mut().filter(|_| inside) {
            Some(parent) => parent.children.push(part.to_owned()),
            None => found.push(Mention { name: part.to_owned(), children: Vec::new() }),
        }
    }
    found
}

/// Returns where `mentions` and `order` differ: names that are not in the order, or come too early.
/// The place of a module is the first entry that lies in it, or the first of its named children.
pub fn differences(order: &[&str], mentions: &[Mention]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut check = |name: String, before: &mut Option<(usize, String)>| {
        let lies_in = |one: &str| one == name || one.starts_with(&format!("{name}::"));
        let place = order.iter().position(|entry| entry.split('|').any(lies_in));
        match (place, before.as_ref()) {
            (None, _) => differences.push(format!("`{name}` is in no order")),
            (Some(place), Some((other, above))) if place <= *other => {
                differences.push(format!("`{name}` stands behind `{above}`"));
            }
            (Some(place), _) => *before = Some((place, name)),
        }
    };
    let mut before = None;
    for mention in mentions {
        let mut within = None;
        let children = mention.children.iter().map(|child| format!("{}::{child}", mention.name));
        children.for_each(|child| check(child, &mut within));
        let first = mention.children.first().map(|child| format!("{}::{child}", mention.name));
        check(first.unwrap_or_else(|| mention.name.clone()), &mut before);
    }
    differences
}

/// Returns the names at the top of `order` that no mention has.
pub fn unmentioned(order: &[&str], mentions: &[Mention]) -> Vec<String> {
    let tops = order.iter().flat_map(|entry| entry.split('|')).map(|entry| {
        let top = entry.split("::").next().unwrap_or(entry);
        top.to_owned()
    });
    let mut absent: Vec<String> =
        tops.filter(|top| !mentions.iter().any(|mention| mention.name == *top)).collect();
    absent.dedup();
    absent
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &[&str] = &["low::x", "low::y", "low", "m", "up", "m::late", "a|b"];

    #[test]
    fn what_agrees_is_accepted() {
        for text in [
            "`low`, `m`, `up`, `a`".to_owned(),
            "`low` (`x`, `y`), `m`, `up`, `m` (`late`)".to_owned(),
            "[`low`] and [`up`]".to_owned(),
        ] {
            assert_eq!(differences(ORDER, &mentions(&text)), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_differs_is_named() {
        for (text, needle) in [
            ("`m`, `low`", "`low` stands behind `m`"),
            ("`low` (`y`, `x`)", "`low::x` stands behind `low::y`"),
            ("`m` (`late`), `up`", "`up` stands behind `m::late`"),
            ("`gone`", "`gone` is in no order"),
            ("`low` (`z`)", "`low::z` is in no order"),
        ] {
            let found = differences(ORDER, &mentions(text));
            assert!(found.iter().any(|found| found == needle), "{text}: {found:?}");
        }
        assert_eq!(unmentioned(ORDER, &mentions("`low`, `m`, `a`")), ["up", "b"]);
    }
}
