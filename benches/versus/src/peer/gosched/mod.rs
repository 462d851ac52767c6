//! gosched, with a column for each way of spreading its goroutines.

mod beside;
pub(crate) mod door;
mod more;
pub(crate) mod place;
pub(crate) mod service;
mod ways;

use self::place::{Column, Place};
use gosched::go;

use super::measure::deliver;
use super::{patterns, stackful};

/// Runs a workload as that column.
pub(crate) fn run(column: Column, workload: &str) -> ! {
    if workload == "parallel_sum" {
        deliver(Some(&beside::parallel_sum(column)))
    }
    column.runtime().run(|| {
        match workload {
            "mix" => deliver(Some(&beside::mix())),
            // Not as the root: a lent thread takes no part in what others compute.
            "pool" => deliver(go(beside::pool).join().ok().as_deref()),
            _ => {}
        }
        let place = Place::of(column);
        let figures = stackful::run(&place, workload)
            .or_else(|| patterns::run(&place, workload))
            .or_else(|| more::run(&place, workload))
            .map(|mut figures| {
                figures.extend(place.spread().map(|percent| ("busiest_m_percent", percent)));
                figures
            });
        // Printed in here, because goroutines that have settled on this thread wait for ever.
        deliver(figures.as_deref())
    })
}
