//! The packages that users depend on.

/// The packages that users depend on, lowest first: the directory, and the name of the library in
/// code.
pub const PACKAGES: [(&str, &str); 4] = [
    ("runtime-sys", "gosched_runtime_sys"),
    ("scheduler", "gosched_scheduler"),
    ("callback-bridge", "gosched_callback_bridge"),
    ("", "gosched"),
];
