//! The header is what cbindgen makes of the sources.
//!
//! `GOSCHED_HEADER=update cargo test -p gosched-c --test header` writes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use cbindgen::{Builder, Config, DocumentationStyle, Language, RenameRule, Style};

/// Stands above the declarations: what holds for all of them.
const TOP: &str = include_str!("header/top.h");
/// Stands below them.
const BOTTOM: &str = include_str!("header/bottom.h");

/// The names of the types, in Rust and in C.
const NAMES: [(&str, &str); 14] = [
    ("Attached", "gosched_attached"),
    ("Case", "gosched_case"),
    ("Chan", "gosched_chan"),
    ("Code", "gosched_code"),
    ("Function", "gosched_fn"),
    ("GoOptions", "gosched_go_options"),
    ("Goroutine", "gosched_goroutine"),
    ("Mailbox", "gosched_mailbox"),
    ("Mutex", "gosched_mutex"),
    ("Options", "gosched_options"),
    ("Runtime", "gosched_runtime"),
    ("Stats", "gosched_stats"),
    ("ValueFunction", "gosched_value_fn"),
    ("WaitGroup", "gosched_wait_group"),
];

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> PathBuf {
    package().join("include/gosched.h")
}

/// Returns what cbindgen makes of the sources.
fn generated() -> String {
    let mut config = Config {
        language: Language::C,
        style: Style::Type,
        header: Some(TOP.trim_end().to_owned()),
        trailer: Some(BOTTOM.trim_end().to_owned()),
        no_includes: true,
        cpp_compat: true,
        usize_is_size_t: true,
        documentation_style: DocumentationStyle::C99,
        line_length: 100,
        tab_width: 4,
        ..Config::default()
    };
    config.function.rename_args = RenameRule::None;
    for (rust, c) in NAMES {
        config.export.rename.insert(rust.to_owned(), c.to_owned());
    }
    let mut text = Vec::new();
    Builder::new()
        .with_config(config)
        .with_src(package().join("src/lib.rs"))
        .generate()
        .expect("the sources can be read")
        .write(&mut text);
    String::from_utf8(text).expect("a header is text")
}

/// What each function says, at the end of its comment.
const SAYS: [&str; 4] = ["Threads: ", "Waits: ", "Handlers: ", "States: "];

/// Returns the functions of a header that do not say where and when they may be called.
fn silent(header: &str) -> Vec<&str> {
    let mut silent = Vec::new();
    let mut last = "";
    for line in header.lines() {
        let declares = line.contains(" gosched_") || line.contains(" *gosched_");
        if declares && line.contains('(') && line.starts_with(|c: char| c.is_ascii_lowercase()) {
            let typedef = line.starts_with("typedef") || line.starts_with("static");
            if !typedef && !SAYS.iter().all(|said| last.contains(said)) {
                silent.push(line);
            }
        }
        last = line;
    }
    silent
}

#[test]
fn each_function_says_where_and_when_it_may_be_called() {
    let there = fs::read_to_string(header()).expect("include/gosched.h");
    assert_eq!(silent(&there), Vec::<&str>::new());
    assert_eq!(silent("// Waits: no.\nint gosched_x(void);"), ["int gosched_x(void);"]);
    let said = SAYS.concat();
    assert!(silent(&format!("// {said}\nint gosched_x(void);")).is_empty());
}

#[test]
fn the_header_is_what_the_sources_say() {
    let made = generated();
    if std::env::var_os("GOSCHED_HEADER").is_some_and(|wish| wish == "update") {
        fs::write(header(), &made).expect("the header can be written");
    }
    let there = fs::read_to_string(header()).expect("include/gosched.h");
    assert!(
        made == there,
        "include/gosched.h is not what the sources say: \
         GOSCHED_HEADER=update cargo test -p gosched-c --test header"
    );
}
