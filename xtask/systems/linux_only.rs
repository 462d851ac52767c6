//! Calls what std has on Linux alone. Where the compiler takes it, it checks for another system
//! than it was told.

use std::os::linux::fs::MetadataExt;

fn main() {
    println!("{}", std::fs::metadata(".").unwrap().st_ino());
}
