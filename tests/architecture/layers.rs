//! Imports point down: between the packages, and inside each of them along one total order of its
//! modules.
//!
//! The orders are in `source-tree/src/order.rs`.

use crate::{PACKAGES, assert_bites, assert_clean, tree};
use source_tree::imports::{imports, module_path, use_tree};
use source_tree::order::{ORDERS, rank};
use source_tree::source::{Source, words};

/// The modules of the scheduler that the bridge may name: its entry for the bridge, and what users
/// hand to the bridge.
const DOOR: &[&str] = &["embed", "Handle", "Runtime"];

/// Macros are at the top of their crate, wherever they are defined.
const MACROS: &[&str] = &["const_fn", "select"];

fn packages_point_down(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let Some(package) = source.package() else { continue };
        let rank = PACKAGES
            .iter()
            .position(|(directory, _)| *directory == package)
            .expect("it is one of them");
        for (_, above) in &PACKAGES[rank + 1..] {
            for offset in words(&source.code, above) {
                findings.push(
                    source.at(source.line_of(offset), format_args!("{package} names {above}")),
                );
            }
        }
    }
    findings
}

fn the_bridge_uses_the_door(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.package() == Some("callback-bridge")) {
        for offset in words(&source.code, "gosched_scheduler") {
            let behind = offset + "gosched_scheduler".len();
            let mut paths = Vec::new();
            if let Some(rest) = source.code[behind..].strip_prefix("::") {
                use_tree(rest, Vec::new(), &mut paths);
            }
            if paths.is_empty()
                || paths
                    .iter()
                    .any(|path| !path.first().is_some_and(|name| DOOR.contains(&name.as_str())))
            {
                let line = source.line_of(offset);
                findings.push(
                    source.at(line, format_args!("past the door: {paths:?}, which is {DOOR:?}")),
                );
            }
        }
    }
    findings
}

fn modules_point_down(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for (package, order) in ORDERS {
        for source in sources.iter().filter(|source| source.package() == Some(package)) {
            if source.model() || source.tests() || source.path.ends_with("/testing.rs") {
                continue;
            }
            let module = module_path(source, package);
            let Some(own) = rank(order, &module) else {
                findings.push(
                    source.at(
                        1,
                        format_args!("{} is not in the order of modules", module.join("::")),
                    ),
                );
                continue;
            };
            for (line, path) in imports(source, &module) {
                if path.len() == 1 && MACROS.contains(&path[0].as_str()) {
                    continue;
                }
                let target = rank(order, &path);
                if target.is_none_or(|target| target > own) {
                    let what = format_args!("{} names {}", module.join("::"), path.join("::"));
                    findings.push(
                        source.at(line, format_args!("{what}, which is above it or in no module")),
                    );
                }
            }
        }
    }
    findings
}

#[test]
fn packages_do() {
    assert_clean(&packages_point_down(tree()));
    assert_bites(
        packages_point_down,
        "names gosched",
        &[
            &[("runtime-sys/src/a.rs", "use gosched_scheduler::x;")],
            &[("scheduler/src/a.rs", "fn f() { gosched_callback_bridge::x() }")],
            &[("callback-bridge/src/a.rs", "use gosched::x;")],
        ],
        &[&[("scheduler/src/a.rs", "// gosched_callback_bridge\nuse gosched_runtime_sys::x;")]],
    );
}

#[test]
fn modules_do() {
    assert_clean(&modules_point_down(tree()));
    assert_bites(
        modules_point_down,
        "above it",
        &[
            &[("scheduler/src/gmp/g.rs", "use crate::gmp::sched::x;")],
            &[("scheduler/src/gmp/g.rs", "fn f() { crate::proc::wake::ready() }")],
            &[("scheduler/src/proc/wake.rs", "use super::run;")],
            &[("scheduler/src/gmp/g.rs", "mod inner { use super::super::sched::x; }")],
            &[("scheduler/src/ds/list.rs", "use crate::{ds::{list::x, idle::{y, z}}, gmp::g};")],
            &[("scheduler/src/gmp/g.rs", "use crate::Handle;")],
        ],
        &[
            &[(
                "scheduler/src/gmp/g.rs",
                "use crate::{ds::{list::x, idle}, gmp::wait_reason};\nuse super::super::ds::list;",
            )],
            &[(
                "scheduler/src/gmp/g.rs",
                "mod other {}\nmod inner { use super::other::x; use self::y; }",
            )],
            &[("scheduler/src/lib.rs", "mod gmp; pub use crate::gmp::g::G;")],
            &[("scheduler/src/gmp/g.rs", "#[cfg(test)]\nmod tests { use crate::proc::run; }")],
            &[("scheduler/src/model/x.rs", "use crate::proc::run;")],
        ],
    );
    assert_bites(modules_point_down, "not in the order", &[&[("scheduler/src/news.rs", "")]], &[]);
}

#[test]
fn the_bridge_does() {
    assert_clean(&the_bridge_uses_the_door(tree()));
    assert_bites(
        the_bridge_uses_the_door,
        "past the door",
        &[
            &[("callback-bridge/src/a.rs", "use gosched_scheduler::chan;")],
            &[("callback-bridge/src/a.rs", "use gosched_scheduler::{embed, chan};")],
            &[("callback-bridge/src/a.rs", "use gosched_scheduler as s;")],
        ],
        &[&[("callback-bridge/src/a.rs", "use gosched_scheduler::embed::{Foreign, Handle};")]],
    );
}

#[test]
fn the_orders_name_what_exists() {
    let modules: Vec<(&str, Vec<String>)> = tree()
        .iter()
        .filter_map(|source| {
            source.package().map(|package| (package, module_path(source, package)))
        })
        .collect();
    for (package, order) in ORDERS {
        for entry in order.iter().flat_map(|entry| entry.split('|')) {
            let there =
                modules.iter().any(|(owner, path)| *owner == package && path.join("::") == entry);
            assert!(there, "{package}: the order names {entry}, which does not exist");
        }
    }
}
