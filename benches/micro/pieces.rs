//! See the library.

fn main() {
    gosched_micro::measure();
}
