//! How much of the machine other processes had. From `/proc`, so Linux only.

use std::fs;

/// Processor time in ticks: of the machine and of this process, since they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ticks {
    all: u64,
    busy: u64,
    stolen: u64,
    /// This process and its children that have ended.
    ours: u64,
}

/// What others took of the processors meanwhile, in percent of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Busy {
    pub(crate) others: f64,
    /// On a virtual machine: what the host took.
    pub(crate) stolen: f64,
}

/// Returns the names of the processor and the kernel, as they call themselves.
pub(crate) fn names() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{}, Linux {}", model.map_or("a processor", |(_, name)| name.trim()), kernel.trim())
}

/// A stretch of time that began.
#[derive(Debug)]
pub(crate) struct Watch(Option<Ticks>);

impl Watch {
    pub(crate) fn start() -> Self {
        Self(now())
    }

    /// Returns the figures since the start; `None` where they cannot be known.
    pub(crate) fn busy(&self) -> Option<Busy> {
        between(self.0?, now()?)
    }
}

fn now() -> Option<Ticks> {
    parse(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/self/stat").ok()?)
}

fn parse(machine: &str, process: &str) -> Option<Ticks> {
    let fields = machine.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let fields: Vec<u64> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
    // user, nice, system, idle, iowait, irq, softirq, steal; then guest times, which are in user
    // and nice already.
    let [user, nice, system, idle, iowait, irq, softirq, stolen, ..] = fields[..] else {
        return None;
    };
    let busy = user + nice + system + irq + softirq;
    // The name in parentheses may hold anything; after it comes field 3. utime, stime, cutime,
    // cstime are 14 to 17.
    let (_, after_name) = process.rsplit_once(')')?;
    let times = after_name.split_whitespace().skip(11).take(4).map(|field| field.parse().ok());
    let [utime, stime, cutime, cstime] = times.collect::<Option<Vec<u64>>>()?[..] else {
        return None;
    };
    let ours = utime + stime + cutime + cstime;
    Some(Ticks { all: busy + idle + iowait + stolen, busy, stolen, ours })
}

fn between(before: Ticks, after: Ticks) -> Option<Busy> {
    let all = after.all.checked_sub(before.all).filter(|all| *all > 0)? as f64;
    let since = |ticks: fn(Ticks) -> u64| ticks(after).saturating_sub(ticks(before)) as f64;
    let (busy, ours, stolen) = (since(|t| t.busy), since(|t| t.ours), since(|t| t.stolen));
    Some(Busy { others: (busy - ours).max(0.0) * 100.0 / all, stolen: stolen * 100.0 / all })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "cpu  100 1 50 800 20 3 4 22 7 0\ncpu0 1 2 3 4\nintr 5\n";
    const PROCESS: &str = "4 (a) b) S 1 4 4 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 6 7\n";

    #[test]
    fn the_kernels_lines_are_read() {
        assert_eq!(
            parse(MACHINE, PROCESS),
            Some(Ticks { all: 1000, busy: 158, stolen: 22, ours: 110 })
        );
        assert_eq!(parse("intr 5\n", PROCESS), None);
        assert_eq!(parse(MACHINE, "4 (a) S 1"), None);
    }

    #[test]
    fn what_is_left_beside_our_own_is_others() {
        let before = Ticks { all: 1000, busy: 100, stolen: 10, ours: 50 };
        let after = Ticks { all: 1200, busy: 220, stolen: 20, ours: 150 };
        assert_eq!(between(before, after), Some(Busy { others: 10.0, stolen: 5.0 }));
        assert_eq!(between(before, before), None);
        // The kernel does not update its two accounts at the same moments.
        let behind = Ticks { ours: 500, ..after };
        assert_eq!(between(before, behind).map(|busy| busy.others), Some(0.0));
    }

    #[test]
    fn this_machine_can_be_asked() {
        assert!(now().is_some());
    }
}
