//! Without the feature `tracing`, warnings go to standard error.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use gosched::goroutine::Builder;
use gosched::{Runtime, chan, go, goroutine};
use test_support::settled;

/// Present in a child process of this test.
const CHILD: &str = "GOSCHED_UNTRACED_CHILD";

/// Runs `test` in a process whose standard input and error are pipes.
fn child(test: &str) -> Child {
    Command::new(std::env::current_exe().expect("the test binary"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child process")
}

/// Drops a runtime of which a goroutine blocks its thread until standard input ends.
fn drop_a_runtime_that_is_blocked() {
    let rt = Runtime::builder(settled()).procs(1).build().expect("a runtime");
    let (tell, told) = chan::bounded(2);
    drop(rt.handle().go(move || {
        let id = || goroutine::current_id().expect("it is one");
        let (theirs, (ready, is_ready)) = (tell.clone(), chan::bounded::<()>(1));
        let sibling = go(move || {
            theirs.send(id()).expect("there is room");
            is_ready.recv().expect("sent");
        });
        drop(Builder::new().with(&sibling).go(move || {
            tell.send(id()).expect("there is room");
            ready.send(()).expect("there is room");
            io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
        }));
    }));
    let (sibling, blocked) = (told.recv().expect("the sibling"), told.recv().expect("the other"));
    eprintln!("{blocked} keeps {sibling} waiting");
    drop(rt);
}

#[test]
fn warnings_are_lines_of_standard_error() {
    if std::env::var_os(CHILD).is_some() {
        return drop_a_runtime_that_is_blocked();
    }
    let mut child = child("untraced::warnings_are_lines_of_standard_error");
    let mut lines =
        BufReader::new(child.stderr.take().expect("piped")).lines().map(|line| line.expect("text"));
    let mut next = |with: &str| {
        let mut seen = Vec::new();
        loop {
            let Some(line) = lines.next() else { panic!("no `{with}`: {seen:#?}") };
            if line.contains(with) {
                return line;
            }
            seen.push(line);
        }
    };
    let ids = next(" keeps ");
    let (blocked, rest) = ids.split_once(" keeps ").expect("it was found");
    let (sibling, _) = rest.split_once(' ').expect("the sibling's number");
    let warning = next("blocks its thread");
    assert!(warning.starts_with("gosched: a goroutine "), "{warning}");
    assert!(warning.contains(&format!(" goroutine={blocked} made_at=\"{}:", file!())), "{warning}");
    assert!(warning.ends_with(&format!(" siblings=[{sibling}]")), "{warning}");
    let warning = next("left running");
    assert!(warning.starts_with("gosched: a runtime was dropped "), "{warning}");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}
