//! The Rust peers: the program runs itself as `gosched-versus peer NAME WORKLOAD`. So they are
//! processes as the other peers are, and no peer profits from the warm state of another.

mod callbacks;
mod floor;
mod gosched;
mod measure;
mod patterns;
mod stackful;

#[cfg(feature = "peers")]
mod async_patterns;
#[cfg(feature = "peers")]
mod futures;
#[cfg(feature = "peers")]
mod may;
#[cfg(feature = "peers")]
mod smol;
#[cfg(feature = "peers")]
mod tokio;

use self::gosched::door::Entrance;
use self::gosched::place::Column;
use self::gosched::service;
use self::measure::deliver;

/// Runs a workload as that peer, and prints the result.
pub(crate) fn serve(name: &str, workload: &str) -> ! {
    let column = Column::named(name);
    if let (Some(column), Some(hogs)) = (column, service::hogs(workload)) {
        deliver(Some(&service::run(column, hogs)))
    }
    match (name, column) {
        (_, Some(column)) if callbacks::are_in(workload) => {
            deliver(callbacks::run(&Entrance::new(column.runtime()), workload).as_deref())
        }
        (_, Some(column)) => gosched::run(column, workload),
        ("floor", _) => deliver(floor::run(workload).as_deref()),
        #[cfg(feature = "peers")]
        ("tokio", _) => tokio::run(workload),
        #[cfg(feature = "peers")]
        ("may", _) => may::run(workload),
        #[cfg(feature = "peers")]
        ("smol", _) => smol::run(workload),
        _ => deliver(None),
    }
}
