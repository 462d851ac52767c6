//! Gives the shared library the name by which programs find it when they start: that of its ABI.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libgosched.so.1");
}
