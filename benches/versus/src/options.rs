//! The command line.

use std::path::PathBuf;

use crate::measured::OURS;
use crate::program::{BUILT_IN, FOREIGN};
use crate::workload::{WORKLOADS, Workload};

pub(crate) const USAGE: &str = "\
usage: gosched-versus [--only WORKLOAD,..] [--peers PEER,..] [--rounds N] [--procs N]
                      [--json FILE] [--svg FILE] [--with FILE,..] [--list]

  --only    workloads; `callback*` is all whose name begins so
  --peers   `gosched` is all columns of ours
  --rounds  of each peer and workload, in alternation; 5
  --procs   workers of each peer; 2
  --json    all values, to a file
  --svg     the ratios as a picture, to a file
  --with    files that `--json` wrote: what they have is shown with the rest, and not run again
  --list    the names of workloads and peers";

/// The parsed command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) workloads: Vec<&'static Workload>,
    pub(crate) peers: Vec<&'static str>,
    pub(crate) rounds: usize,
    pub(crate) workers: usize,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) with: Vec<PathBuf>,
    pub(crate) list: bool,
}

impl Options {
    /// Parses the command line. The error says what the user should have written.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let peers = BUILT_IN.iter().chain(FOREIGN).copied().collect();
        let workloads = WORKLOADS.iter().collect();
        let mut options = Self {
            workloads,
            peers,
            rounds: 5,
            workers: 2,
            json: None,
            svg: None,
            with: Vec::new(),
            list: false,
        };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            if flag == "--list" {
                options.list = true;
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("`{flag}` wants a value"))?;
            match flag.as_str() {
                "--only" => {
                    let named = chosen(value, matches, WORKLOADS.iter().map(|w| w.name))?;
                    options.workloads.retain(|workload| named.contains(&workload.name));
                }
                "--peers" => {
                    options.peers = chosen(value, is_peer, BUILT_IN.iter().chain(FOREIGN).copied())?
                }
                "--rounds" => options.rounds = count(flag, value)?,
                "--procs" => options.workers = count(flag, value)?,
                "--json" => options.json = Some(value.into()),
                "--with" => options.with = value.split(',').map(PathBuf::from).collect(),
                "--svg" => options.svg = Some(value.into()),
                _ => return Err(format!("no option `{flag}`")),
            }
        }
        Ok(options)
    }
}

/// Returns those of `all` that one of the words means. Each word has to mean one.
fn chosen(
    words: &str,
    means: impl Fn(&str, &str) -> bool,
    all: impl Iterator<Item = &'static str> + Clone,
) -> Result<Vec<&'static str>, String> {
    let words: Vec<&str> =
        words.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let unknown = words.iter().find(|word| !all.clone().any(|name| means(name, word)));
    match (unknown, words.is_empty()) {
        (Some(word), _) => Err(format!("nothing is called `{word}`; --list tells the names")),
        (None, true) => Err("an empty list".to_owned()),
        (None, false) => {
            Ok(all.filter(|name| words.iter().any(|word| means(name, word))).collect())
        }
    }
}

fn matches(name: &str, word: &str) -> bool {
    word.strip_suffix('*').map_or(name == word, |beginning| name.starts_with(beginning))
}

fn is_peer(name: &str, word: &str) -> bool {
    word == "gosched" && OURS.contains(&name) || matches(name, word)
}

fn count(flag: &str, value: &str) -> Result<usize, String> {
    value.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("`{flag} {value}` makes no sense"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn all_is_the_default() {
        let options = parse("").expect("nothing is wrong with it");
        assert_eq!(options.workloads.len(), WORKLOADS.len());
        assert_eq!(options.peers.len(), BUILT_IN.len() + FOREIGN.len());
        assert_eq!((options.rounds, options.workers), (5, 2));
    }

    #[test]
    fn some_are_chosen_by_name() {
        let options = parse("--only yield*,mutex --peers gosched,go --rounds 3 --json a.json")
            .expect("all exist");
        assert_eq!(
            options.workloads.iter().map(|w| w.name).collect::<Vec<_>>(),
            ["yield1", "yield1000", "mutex"]
        );
        assert_eq!(options.peers, ["settled", "together", "apart", "migratory", "go"]);
        assert_eq!((options.rounds, options.json), (3, Some("a.json".into())));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "--only nothing",
            "--only",
            "--only ,",
            "--peers java",
            "--rounds 0",
            "--rounds x",
            "--fast 1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
