//! The processors that the process may use.

use crate::sys;

/// The processors that the process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// How many processors, at least 1: affinity mask and cgroup quota considered.
    pub count: usize,
    /// Whether a quota allows less than the affinity mask. Then a spinning thread takes time from
    /// the working ones.
    pub quota_limited: bool,
}

/// Returns how many processors the calling thread may use. Reads files; ask once.
pub fn usable_cpus() -> Cpus {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    Cpus { count, quota_limited: sys::affinity_count().is_some_and(|allowed| allowed > count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(not(any(unix, windows)), ignore = "affinity is not told there")]
    #[cfg_attr(gosched_no_affinity, ignore = "the part is taken away")]
    fn a_quota_only_takes_away() {
        let cpus = usable_cpus();
        let allowed = sys::affinity_count().expect("affinity");
        assert!(cpus.count >= 1 && cpus.count <= allowed);
        assert_eq!(cpus.quota_limited, cpus.count < allowed);
    }
}
