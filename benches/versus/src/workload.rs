//! The workloads, their figures, and the columns of gosched that they have.

/// The columns of gosched in a workload: each puts goroutines in some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Those of a user who says nothing about place: settled, and migratory.
    Free,
    /// These two, and for diagnosis settled together and settled apart.
    Placed,
    /// The building blocks, which belong to no runtime.
    Bare,
}

/// One figure of a workload. Less is better, in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
}

/// A workload. Peers are asked for it by its name.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) figures: &'static [Figure],
    pub(crate) columns: Columns,
    /// Whether an uncounted round comes before the others. Not where one round takes seconds.
    pub(crate) warm_up: bool,
}

const fn figure(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit }
}

const NS_PER_OP: &[Figure] = &[figure("ns_per_op", "ns")];
const GAP: &[Figure] = &[figure("gap_ms", "ms")];
const LATENCY: &[Figure] = &[figure("p50_us", "us"), figure("p99_us", "us")];
const BYTES_PER_G: &[Figure] = &[figure("bytes_per_g", "bytes")];

const fn short(
    name: &'static str,
    columns: Columns,
    figures: &'static [Figure],
    what: &'static str,
) -> Workload {
    Workload { name, what, figures, columns, warm_up: true }
}

const fn long(name: &'static str, figures: &'static [Figure], what: &'static str) -> Workload {
    Workload { name, what, figures, columns: Columns::Free, warm_up: false }
}

/// In the order in which the workloads are run and printed.
pub(crate) const WORKLOADS: &[Workload] = &[
    short("floor", Columns::Bare, FLOOR, "the building blocks, bare: what no scheduler gets below"),
    short("yield1", Columns::Free, NS_PER_OP, "1 goroutine yields 2,000,000 times"),
    short("yield1000", Columns::Placed, NS_PER_OP, "1000 goroutines yield 2,000 times each"),
    short("spawn100k", Columns::Free, NS_PER_OP, "100,000 spawned, then all joined; warm"),
    short(
        "spawn1000",
        Columns::Free,
        NS_PER_OP,
        "500,000 spawned, at most 1000 alive, their results collected",
    ),
    short("tree16", Columns::Free, NS_PER_OP, "a fork-join tree of depth 16, of each node"),
    short(
        "pingpong",
        Columns::Placed,
        NS_PER_OP,
        "a round trip over a pair of unbuffered channels",
    ),
    short("prodcons", Columns::Placed, NS_PER_OP, "4 send to 4 over capacity 128, of each item"),
    short("mutex", Columns::Placed, NS_PER_OP, "8 lock, increment and unlock 200,000 times each"),
    short(
        "select",
        Columns::Placed,
        NS_PER_OP,
        "1 receives from 4 channels of capacity 16, of each item",
    ),
    short(
        "fanout",
        Columns::Placed,
        NS_PER_OP,
        "64 clients, a dispatcher, 16 workers, of each request",
    ),
    short(
        "pipeline",
        Columns::Placed,
        NS_PER_OP,
        "a source, 8 stages and a sink over channels of capacity 16, of each item",
    ),
    short(
        "reqreply",
        Columns::Placed,
        NS_PER_OP,
        "64 clients ask 4 servers, made in three orders, of each request; the slowest order",
    ),
    short("ring", Columns::Placed, NS_PER_OP, "a number goes round 503 actors, of each hop"),
    short("broadcast", Columns::Placed, NS_PER_OP, "a value to 1,000 and their answers, of each"),
    short(
        "busy_maker",
        Columns::Placed,
        NS_PER_OP,
        "round trips of 4 pairs whose maker computed for 100 us after each of the 8",
    ),
    short(
        "parallel_sum",
        Columns::Free,
        SUM,
        "10^6 items in 1,000 goroutines, of each item; and the time over that with one worker",
    ),
    long(
        "pool",
        NS_PER_OP,
        "8 workers take jobs of 20 us from a channel of capacity 8, of each job",
    ),
    long("mix", MIX, "round trips of 4 pairs while 2 that were made among them compute"),
    long("light1ms", LIGHT, "a value every 1 ms from a plain thread through 2 goroutines"),
    long("light200us", LIGHT, "the same every 200 us"),
    long("light100us", LIGHT, "the same every 100 us"),
    long("light_sleep", LIGHT, "4 that sleep for 1 ms again and again; how late they are"),
    long(
        "parked100k",
        BYTES_PER_G,
        "memory of each of 100,000 that wait for a channel; gosched's stacks are of 192 KiB",
    ),
    long("parked1m", BYTES_PER_G, "the same of 1,000,000"),
    short("timers", Columns::Free, TIMERS, "100,000 that sleep for up to a second"),
    short(
        "blocking",
        Columns::Free,
        BLOCKING,
        "64 that block their thread for 20 ms, unannounced, and a ticker of 1 ms",
    ),
    long("hog", GAP, "one that computes for 2 s on each core, and a ticker of 1 ms: its worst gap"),
    long("hog200", GAP, "200 that compute for 50 ms each, and a ticker of 1 ms: its worst gap"),
    short(
        "callback_steady",
        Columns::Free,
        NS_PER_OP,
        "a C thread calls in, again and again; nothing is done there",
    ),
    short(
        "callback_first",
        Columns::Free,
        &[figure("ns_extra", "ns")],
        "what the first call of a new C thread takes beyond a later one",
    ),
    short(
        "callback_4threads",
        Columns::Free,
        NS_PER_OP,
        "4 C threads call in at the same time; of each one's calls",
    ),
    long("callback_idle", LATENCY, "a callback at a random moment, while nothing else runs"),
    long("callback_hogged", LATENCY, "the same while goroutines compute on every core"),
    short(
        "callback_chan1",
        Columns::Free,
        LATENCY,
        "a callback that sends to a goroutine and waits for its answer",
    ),
    short(
        "callback_chan4",
        Columns::Free,
        CHAN4,
        "the same from 4 C threads at once; of each one's calls",
    ),
    short(
        "callback_call",
        Columns::Free,
        LATENCY,
        "a C thread asks a service by `Bridge::call` and waits for the reply",
    ),
    short(
        "callback_closure",
        Columns::Free,
        CLOSURE,
        "a C thread calls a closure by a function and its user data; and that over a plain call in",
    ),
    short("callback_post", Columns::Free, NS_PER_OP, "a post to a mailbox that is polled"),
    long(
        "service2",
        SERVICE,
        "4 that serve, then 2 that compute; a callback asks the servers and waits",
    ),
    long("service8", SERVICE, "the same beside 8 that compute"),
    long("service32", SERVICE, "the same beside 32 that compute"),
    short(
        "thread_memory",
        Columns::Free,
        &[figure("bytes_per_thread", "bytes")],
        "memory of a C thread that has called in and lives on",
    ),
];

const FLOOR: &[Figure] = &[
    figure("switch_pair_ns", "ns"),
    figure("syscall_ns", "ns"),
    figure("futex_one_core_ns", "ns"),
    figure("futex_two_cores_ns", "ns"),
    figure("spin_two_cores_ns", "ns"),
    figure("page_ns", "ns"),
];
const SUM: &[Figure] = &[figure("ns_per_op", "ns"), figure("part_of_one", "")];
const MIX: &[Figure] = &[figure("ns_per_op", "ns"), figure("worst_ms", "ms")];
const LIGHT: &[Figure] =
    &[figure("cpu_ms_per_s", "ms"), figure("p50_us", "us"), figure("p99_us", "us")];
const TIMERS: &[Figure] = &[
    figure("wall_ms", "ms"),
    figure("cpu_ms", "ms"),
    figure("late_p50_ms", "ms"),
    figure("late_p99_ms", "ms"),
];
const BLOCKING: &[Figure] = &[figure("wall_ms", "ms"), figure("gap_ms", "ms")];
const SERVICE: &[Figure] = &[figure("p50_us", "us"), figure("worst_ms", "ms")];
const CLOSURE: &[Figure] = &[figure("ns_per_op", "ns"), figure("ns_over_hand", "ns")];
const CHAN4: &[Figure] = &[figure("us_per_call", "us"), figure("p99_us", "us")];

impl Workload {
    /// True if that peer is asked for it.
    pub(crate) fn wants(&self, peer: &str) -> bool {
        match (self.columns, peer) {
            (Columns::Bare, peer) => peer == "floor",
            (_, "floor") => false,
            (Columns::Free, peer) => peer != "together" && peer != "apart",
            (Columns::Placed, _) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::DEFAULT;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_each_workload_has_figures() {
        let names: HashSet<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), WORKLOADS.len());
        assert!(
            WORKLOADS
                .iter()
                .all(|workload| !workload.figures.is_empty() && !workload.what.is_empty())
        );
    }

    #[test]
    fn columns_are_asked_where_they_mean_something() {
        let asked = |name: &str| {
            let workload =
                WORKLOADS.iter().find(|workload| workload.name == name).expect("it is there");
            ["settled", "together", "apart", "migratory", "go", "floor"]
                .map(|peer| workload.wants(peer))
        };
        assert_eq!(asked("pingpong"), [true, true, true, true, true, false]);
        assert_eq!(asked("yield1"), [true, false, false, true, true, false]);
        assert_eq!(asked("floor"), [false, false, false, false, false, true]);
    }

    #[test]
    fn every_workload_is_measured_as_placed() {
        for workload in WORKLOADS.iter().filter(|workload| workload.columns != Columns::Bare) {
            assert!(DEFAULT.iter().all(|column| workload.wants(column)), "{}", workload.name);
        }
    }
}
