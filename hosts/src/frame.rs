//! What is the same for all hosts: the runtime, the arguments, the account, the end.
//!
//! The callbacks of a host bring numbers. Each goes to one of four goroutines, which adds it to the
//! total and answers it. The callback waits for the answer, and the host keeps an account of its
//! own: what it has sent, and whether each answer is right.
//!
//! # Safety
//!
//! The goroutines made here wait in channels only, inside no initialiser and no code that nests
//! calls. What a host does in a callback between `enter` and `ask` is its own.
#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use crate::state;
use crate::storm::{self, Signals, Storm};
use crate::table::Table;
use gosched::callback::{Binding, Bridge, Callback, Closure, EnterError, Otherwise, Signature};
use gosched::{Handle, Mode, Runtime, chan};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use std::{fmt, io};

/// How long everything may take to end.
const GRACE: Duration = Duration::from_secs(20);

/// What a host is told by its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How threads are bound.
    pub binding: Binding,
    /// Whether there is a storm.
    pub storm: bool,
}

impl Plan {
    /// Reads `--binding per-call|until-thread-exit` and `--storm`, which have defaults.
    ///
    /// # Errors
    ///
    /// A word that is neither.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self { binding: Binding::UntilThreadExit, storm: false };
        for argument in arguments {
            match argument.as_str() {
                "--binding" => {}
                "per-call" => plan.binding = Binding::PerCall,
                "until-thread-exit" => plan.binding = Binding::UntilThreadExit,
                "--storm" => plan.storm = true,
                _ => return Err(format!("no option `{argument}`")),
            }
        }
        Ok(plan)
    }

    /// Returns the arguments that say this.
    #[must_use]
    pub fn arguments(self) -> Vec<&'static str> {
        let binding = match self.binding {
            Binding::PerCall => "per-call",
            Binding::UntilThreadExit => "until-thread-exit",
        };
        let mut arguments = vec!["--binding", binding];
        arguments.extend(self.storm.then_some("--storm"));
        arguments
    }
}

type Job = (i64, chan::Sender<i64>);

/// A host that runs: what its callbacks use.
pub struct Host {
    name: &'static str,
    plan: Plan,
    runtime: Runtime,
    bridge: Bridge,
    jobs: chan::Sender<Job>,
    /// What the goroutines have added.
    total: &'static AtomicI64,
    /// What was sent and answered, and how often.
    sent: AtomicI64,
    callbacks: AtomicU64,
    /// Answers that were wrong, or no answers.
    wrong: AtomicU64,
    faults: Mutex<Vec<String>>,
    /// Since the runtime is up, or the host has changed it.
    table: Mutex<Table>,
    storm: Mutex<Option<Storm>>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Host {
    /// Builds the runtime and begins the storm.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn start(name: &'static str, plan: Plan) -> io::Result<&'static Self> {
        let before = Table::now();
        // SAFETY: see the head of this file.
        let runtime = Runtime::builder(unsafe { Mode::settled() }).procs(2).build()?;
        let total: &'static AtomicI64 = Box::leak(Box::default());
        let (jobs, taken) = chan::bounded::<Job>(64);
        for _ in 0..4 {
            let taken = taken.clone();
            runtime.handle().go(move || {
                for (value, reply) in taken {
                    total.fetch_add(value, Relaxed);
                    let _gone = reply.send(value * 2 + 1);
                }
            });
        }
        let table = Table::now();
        let faults = before.differences(&table, &[libc::SIGSEGV, libc::SIGBUS]);
        let storm = plan.storm.then(Storm::start).transpose()?;
        Ok(Box::leak(Box::new(Self {
            name,
            plan,
            bridge: Bridge::new(&runtime).with_binding(plan.binding),
            runtime,
            jobs,
            total,
            sent: AtomicI64::new(0),
            callbacks: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            faults: Mutex::new(faults),
            table: Mutex::new(table),
            storm: Mutex::new(storm),
        })))
    }

    /// Returns the bridge of the plan's binding.
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Returns a handle of the runtime.
    pub fn handle(&self) -> Handle {
        self.runtime.handle()
    }

    /// Makes a callback of the plan's binding.
    pub fn callback<S: Signature, F: Closure<S>>(
        &self,
        otherwise: impl Into<Otherwise<S::Return>>,
        f: F,
    ) -> Callback<S> {
        Callback::with_binding(self.handle(), self.plan.binding, otherwise, f)
            .expect("memory for a fork hook")
    }

    /// Inside a callback: sends `value` to a goroutine and waits for its answer, -1 if none comes.
    pub fn ask(&self, value: i64) -> i64 {
        let (reply, answer) = chan::bounded(1);
        let sent = self.jobs.send((value, reply)).is_ok();
        sent.then(|| answer.recv().ok()).flatten().unwrap_or(-1)
    }

    /// A whole callback: enters, asks, looks at the thread before and after, and keeps account.
    /// Returns the answer, or -1, or the negative code of the error.
    pub fn call(&self, value: i64) -> i64 {
        let entered = self.around(|| self.bridge.enter(|| self.ask(value)));
        let answer = entered.unwrap_or_else(|error| -i64::from(error.code() as i32));
        self.account(value, answer);
        answer
    }

    /// Looks at the thread before and after a callback that enters by the plan's binding.
    pub fn around<R>(&self, call: impl FnOnce() -> R) -> R {
        state::around(self.plan.binding, call)
    }

    /// Keeps account of a callback that asked for `value` and got `answer`.
    pub fn account(&self, value: i64, answer: i64) {
        self.callbacks.fetch_add(1, Relaxed);
        if answer == value * 2 + 1 {
            self.sent.fetch_add(value, Relaxed);
        } else {
            self.wrong.fetch_add(1, Relaxed);
        }
    }

    /// Returns how many callbacks there were.
    pub fn callbacks(&self) -> u64 {
        self.callbacks.load(Relaxed)
    }

    /// Notes a fault of the host's own work unless `right`.
    pub fn check(&self, right: bool, what: impl fmt::Display) {
        if !right {
            self.faults.lock().expect("no panic under it").push(what.to_string());
        }
    }

    /// To be said when the host has installed handlers of its own: these are to stay from here on.
    pub fn has_installed_handlers(&self) {
        let mut table = self.table.lock().expect("no panic under it");
        *table = Table::now().with(&table, &storm::SIGNALS);
    }

    /// Ends the storm and the runtime, prints the report, and says whether all was right.
    pub fn end(&self) -> bool {
        drop(self.storm.lock().expect("no panic under it").take());
        if let Err(error) = self.runtime.shutdown(GRACE) {
            self.check(false, error);
        }
        let late = self.bridge.enter(|| ());
        self.check(matches!(late, Err(EnterError::ShutDown)), "a late call was not refused");
        let table = self.table.lock().expect("no panic under it");
        let changed = table.differences(&Table::now(), &[]);
        let signals = storm::received();
        let Signals { inside, outside, torn } = signals;
        let (callbacks, wrong) = (self.callbacks(), self.wrong.load(Relaxed));
        let (total, sent) = (self.total.load(Relaxed), self.sent.load(Relaxed));
        self.check(callbacks > 0, "no callback came");
        self.check(wrong == 0, format_args!("{wrong} answers were wrong"));
        self.check(total == sent, format_args!("the total is {total}, not {sent}"));
        self.check(torn == 0, format_args!("{torn} signals found half a goroutine"));
        self.check(!self.plan.storm || inside + outside > 0, "no signal came");
        let mut faults = self.faults.lock().expect("no panic under it");
        faults.extend(state::complaints());
        faults.extend(changed.iter().cloned());
        for fault in &*faults {
            eprintln!("{}: {fault}", self.name);
        }
        println!(
            "report callbacks={callbacks} signals={} inside={inside} totals={} handlers={}",
            inside + outside + torn,
            if wrong == 0 && total == sent { "right" } else { "wrong" },
            if changed.is_empty() { "equal" } else { "changed" },
        );
        faults.is_empty()
    }
}

/// Runs a host in its frame: the `main` of a host that is linked. A panic of `run` is a fault.
pub fn main(name: &'static str, run: impl FnOnce(&'static Host)) -> ExitCode {
    let plan = match Plan::parse(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    let host = Host::start(name, plan).expect("a runtime");
    let outcome = catch_unwind(AssertUnwindSafe(|| run(host)));
    host.check(outcome.is_ok(), "it panicked");
    if host.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
