//! Says where it runs. `cargo xtask systems` reads it: a row that ran something on the machine
//! itself, and not on its system, is noticed.

fn main() {
    println!("{} {}", std::env::consts::ARCH, std::env::consts::OS);
}
