//! Every host, in both bindings, with and without the storm. A host that is not installed says so.

use hosts::matrix::{HOSTS, Outcome, plans, run};
use std::path::Path;

/// Runs a host by its four plans.
fn serves(program: &str) {
    for plan in plans() {
        match run(Path::new(program), plan) {
            Outcome::Right(report) => eprintln!("{plan:?}: {report:?}"),
            Outcome::Skipped(why) => return eprintln!("{why}"),
            Outcome::Wrong(output) => panic!("{plan:?}: {output}"),
        }
    }
}

macro_rules! hosts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                serves(env!(concat!("CARGO_BIN_EXE_", stringify!($name))));
            }
        )*

        #[test]
        fn all_are_in_the_matrix() {
            assert_eq!(HOSTS, [$(stringify!($name)),*]);
        }
    };
}

hosts!(sqlite openmp glib libuv microhttpd cpython jvm_first jvm_later sdl_audio rdkafka node fuse);
