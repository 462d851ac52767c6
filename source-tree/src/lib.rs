//! Reads the workspace's own sources, without a compiler. `tests/architecture` checks rules with
//! it, `cargo xtask layers` prints figures.
//!
//! | module | what |
//! |---|---|
//! | `packages` | the packages that users depend on |
//! | `source` | one file, cut into code and comments |
//! | `tree` | all files of the workspace, and its packages |
//! | `imports` | which paths a file names from its own crate |
//! | `graph` | nodes and arrows: levels and cycles |
//! | `order` | the order of modules that is policy, and the tables that repeat it |
//! | `layers` | the figures of a package: rooms, levels, arrows, cycles, prose |

pub mod graph;
pub mod imports;
pub mod layers;
pub mod order;
pub mod packages;
pub mod source;
pub mod tree;
