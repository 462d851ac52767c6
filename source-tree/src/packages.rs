//! The packages that users depend on.

/// The packages that users depend on, bottom first: directory, and the name its library has in
/// code.
pub const PACKAGES: [(&str, &str); 4] = [
    ("runtime-sys", "gosched_runtime_sys"),
    ("scheduler", "gosched_scheduler"),
    ("callback-bridge", "gosched_callback_bridge"),
    ("", "gosched"),
];
