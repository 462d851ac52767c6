//! The command line, parsed by hand: one positional argument and a handful of options.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
Counts the words of a text: C threads call into goroutines for every line of it.

Usage: callbacks [FILE] [OPTIONS]

  FILE                   the text, of any encoding [a text of this repository]
  --threads N            C threads, 1 to 1024 [4]
  --binding KIND         per-call | until-thread-exit [until-thread-exit]
  --mode MODE            threads | settled | migratory [settled]
  --goroutines N         counting goroutines [4]
  --rounds N             go through the file N times [10; with --storm, until --signals have come]
  --storm                signals on every callback thread, as fast as one thread can send
  --signals N            signals to wait for, where --rounds does not say how long [150000]
  --watchdog SECONDS     give up after so long without a callback [60]
  --json                 print one JSON object
  -h, --help             print this

Exit status: 0 all right; 1 a wrong result, anything torn, or a file that cannot be read;
2 bad arguments; 3 no progress.
";

const DEFAULT_TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/harbour-log.txt");

/// Which [`gosched::callback::Binding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindingName {
    PerCall,
    UntilThreadExit,
}

/// Which [`gosched::Mode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModeName {
    Threads,
    Settled,
    Migratory,
}

/// A word of the command line that means a value; the report prints the same word.
pub(crate) trait Name: Copy + PartialEq + Sized + 'static {
    const NAMES: &'static [(&'static str, Self)];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }

    fn parse(option: &str, text: &str) -> Result<Self, String> {
        Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(
            || {
                let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
                format!("{option} {text:?}: expected {}", names.join(" or "))
            },
        )
    }
}

impl Name for BindingName {
    const NAMES: &'static [(&'static str, Self)] =
        &[("per-call", Self::PerCall), ("until-thread-exit", Self::UntilThreadExit)];
}

impl Name for ModeName {
    const NAMES: &'static [(&'static str, Self)] =
        &[("threads", Self::Threads), ("settled", Self::Settled), ("migratory", Self::Migratory)];
}

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) file: PathBuf,
    pub(crate) threads: usize,
    pub(crate) binding: BindingName,
    pub(crate) mode: ModeName,
    pub(crate) goroutines: usize,
    pub(crate) rounds: Option<u64>,
    pub(crate) storm: bool,
    pub(crate) signals: u64,
    pub(crate) watchdog: Duration,
    pub(crate) json: bool,
}

/// The meaning of the command line.
#[derive(Debug)]
pub(crate) enum Command {
    Run(Args),
    Help,
}

/// Parses the arguments after the program's name. The error is a message for the user.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut args = Args {
        file: DEFAULT_TEXT.into(),
        threads: 4,
        binding: BindingName::UntilThreadExit,
        mode: ModeName::Settled,
        goroutines: 4,
        rounds: None,
        storm: false,
        signals: 150_000,
        watchdog: Duration::from_secs(60),
        json: false,
    };
    let mut words = Words { rest: words, attached: None };
    let mut file = None;
    let mut only_files = false;
    while let Some(word) = words.rest.next() {
        let text = word.to_string_lossy();
        if only_files || !text.starts_with('-') || text == "-" {
            if file.replace(PathBuf::from(&word)).is_some() {
                return Err(format!("{text:?}: one file only"));
            }
            continue;
        }
        let option = words.split(&text);
        match option.as_str() {
            "--" => only_files = true,
            "-h" | "--help" => return Ok(Command::Help),
            "--threads" => args.threads = words.number(&option, 1, 1024)?,
            "--binding" => args.binding = Name::parse(&option, &words.value(&option)?)?,
            "--mode" => args.mode = Name::parse(&option, &words.value(&option)?)?,
            "--goroutines" => args.goroutines = words.number(&option, 1, 100_000)?,
            "--rounds" => args.rounds = Some(words.number(&option, 1, u64::from(u32::MAX))?),
            "--signals" => args.signals = words.number(&option, 1, u64::MAX)?,
            "--watchdog" => {
                args.watchdog = Duration::from_secs(words.number(&option, 1, 1_000_000)?)
            }
            "--storm" => args.storm = true,
            "--json" => args.json = true,
            _ => return Err(format!("{option}: no such option")),
        }
        words.nothing_attached(&option)?;
    }
    args.file = file.unwrap_or(args.file);
    Ok(Command::Run(args))
}

/// The remaining words, and the value of an option that was written `--option=value`.
struct Words<I> {
    rest: I,
    attached: Option<String>,
}

impl<I: Iterator<Item = OsString>> Words<I> {
    fn split(&mut self, word: &str) -> String {
        match word.split_once('=') {
            Some((option, value)) => {
                self.attached = Some(value.to_owned());
                option.to_owned()
            }
            None => word.to_owned(),
        }
    }

    fn value(&mut self, option: &str) -> Result<String, String> {
        let missing = || format!("{option}: needs a value");
        match self.attached.take() {
            Some(value) => Ok(value),
            None => Ok(self.rest.next().ok_or_else(missing)?.to_string_lossy().into_owned()),
        }
    }

    fn number<N: std::str::FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        option: &str,
        least: N,
        greatest: N,
    ) -> Result<N, String> {
        let text = self.value(option)?;
        match text.parse() {
            Ok(number) if number >= least && number <= greatest => Ok(number),
            _ => Err(format!("{option} {text:?}: expected a number from {least} to {greatest}")),
        }
    }

    fn nothing_attached(&self, option: &str) -> Result<(), String> {
        self.attached
            .as_ref()
            .map_or(Ok(()), |value| Err(format!("{option}={value}: takes no value")))
    }
}
