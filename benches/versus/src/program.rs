//! The peers as programs: where they come from, and how one is run.

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The peers whose code the program itself has, in the order of the tables.
#[rustfmt::skip]
pub(crate) const BUILT_IN: &[&str] = &[
    "floor", "settled", "together", "apart", "migratory",
    #[cfg(feature = "peers")]
    "tokio",
    #[cfg(feature = "peers")]
    "may",
    #[cfg(feature = "peers")]
    "smol",
];

/// The peers that are built here from sources in other languages.
pub(crate) const FOREIGN: &[&str] = &["go", "boost"];

/// Longer than the slowest workload of the slowest peer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program that can be run with the name of a workload.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    program: PathBuf,
    /// The arguments before the name of the workload.
    arguments: Vec<String>,
}

impl Peer {
    /// Returns that peer, built if necessary. The error says why it is left out.
    pub(crate) fn find(name: &'static str) -> Result<Self, String> {
        match name {
            "go" => Ok(Self { name, program: build_go()?, arguments: Vec::new() }),
            "boost" => Ok(Self { name, program: build_boost()?, arguments: Vec::new() }),
            _ => {
                let program = env::current_exe().map_err(|error| error.to_string())?;
                Ok(Self { name, program, arguments: vec!["peer".to_owned(), name.to_owned()] })
            }
        }
    }

    /// Runs the peer in a process of its own, with so many workers. Returns what it printed.
    pub(crate) fn run(&self, workload: &str, workers: usize) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(workload).env("RUST_BACKTRACE", "0");
        command.env("VERSUS_PROCS", workers.to_string()).env("SMOL_THREADS", workers.to_string());
        output(command, PATIENCE)
    }
}

/// Returns what a command prints, if it succeeds in that time. Nothing looks at the command
/// meanwhile: that would change what it measures.
fn output(mut command: Command, patience: Duration) -> Result<String, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start it: {error}"))?;
    let said = read(child.stdout.take().ok_or("its output is not piped")?);
    let complained = read(child.stderr.take().ok_or("its complaints are not piped")?);
    let Ok(text) = said.recv_timeout(patience) else {
        child
            .kill()
            .and_then(|()| child.wait())
            .map_err(|error| format!("cannot end it: {error}"))?;
        return Err(format!("not done after {} s", patience.as_secs_f64()));
    };
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(text);
    }
    let complaint = complained.recv().unwrap_or_default();
    // The first line of a panic says where it was, and the next line what it was.
    let lines: Vec<&str> =
        complaint.lines().filter(|line| !line.trim().is_empty()).take(2).collect();
    Err([&[&*status.to_string()], &*lines].concat().join(": "))
}

/// Reads all output of a pipe, to its end, on a thread of its own. Of a long output the beginning
/// is kept.
fn read(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = pipe.read(&mut part) {
            let room = KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(&part[..n.min(room)]);
        }
        // The waiting thread may have lost its patience.
        let _gone = tx.send(String::from_utf8_lossy(&kept).into_owned());
    });
    rx
}

/// Far more than the figures of any workload.
const KEPT: usize = 1 << 16;

/// Builds the Go program with the compiler of GOROOT or PATH. That compiler knows what it need not
/// build again.
fn build_go() -> Result<PathBuf, String> {
    let program = built().join("peer-go");
    let compiler =
        env::var_os("GOROOT").map(|root| Path::new(&root).join("bin/go")).filter(|go| go.is_file());
    let mut command = Command::new(compiler.unwrap_or_else(|| "go".into()));
    command
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(sources("go")?)
        .env("CGO_ENABLED", "1");
    quietly(command)?;
    Ok(program)
}

fn build_boost() -> Result<PathBuf, String> {
    let program = built().join("peer-boost");
    let source = sources("boost")?.join("main.cpp");
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    if changed(&program).is_none_or(|built| changed(&source).is_none_or(|changed| changed >= built))
    {
        let mut command = Command::new("g++");
        command.args(["-O2", "-std=c++17"]).arg(&source).arg("-o").arg(&program);
        quietly(command.args(["-lboost_fiber", "-lboost_context", "-lpthread"]))?;
    }
    Ok(program)
}

/// Returns the directory of the built programs: beside cargo's own directories.
fn built() -> PathBuf {
    let exe = env::current_exe().unwrap_or_default();
    let target = exe.ancestors().nth(2).map_or_else(|| PathBuf::from("target"), Path::to_owned);
    target.join("versus")
}

fn sources(peer: &str) -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(peer);
    fs::create_dir_all(built())
        .map_err(|error| format!("cannot make {}: {error}", built().display()))?;
    if directory.is_dir() {
        Ok(directory)
    } else {
        Err(format!("no sources in {}", directory.display()))
    }
}

/// Runs a compiler. Its complaint is reported only if it fails: in one line.
fn quietly(mut command: impl std::borrow::BorrowMut<Command>) -> Result<(), String> {
    let command = command.borrow_mut();
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let complaint = said.lines().find(|line| line.contains("error") || line.contains("not found"));
    Err(format!("{name}: {}", complaint.or(said.lines().next()).unwrap_or("it failed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_succeeds_is_heard() {
        assert_eq!(output(shell("echo ns_per_op 1"), PATIENCE), Ok("ns_per_op 1\n".to_owned()));
    }

    #[test]
    fn a_program_that_fails_or_hangs_is_an_error() {
        let failed = output(
            shell(
                "echo ns_per_op 1; echo at b.rs: >&2; echo why >&2; \
                 yes no | head -n 99999 >&2; exit 3",
            ),
            PATIENCE,
        );
        assert_eq!(failed, Err("exit status: 3: at b.rs:: why".to_owned()));
        let hung = output(shell("exec sleep 1000"), Duration::from_millis(50));
        assert!(hung.is_err_and(|error| error.contains("not done")));
        assert!(output(Command::new("/no/such/program"), PATIENCE).is_err());
    }

    #[test]
    fn a_compiler_complains_in_one_line() {
        let complaint = quietly(shell("echo 'In file a:' >&2; echo 'a:1: error: b' >&2; exit 1"));
        assert_eq!(complaint, Err("sh: a:1: error: b".to_owned()));
        assert_eq!(quietly(shell("exit 0")), Ok(()));
        assert!(quietly(Command::new("/no/such/program")).is_err());
    }
}
