//! The result, as a table or as JSON, and what is wrong with it.

use crate::args::{Args, Name};
use crate::latency::Histogram;
use crate::storm::Signals;

/// The figures of a run. What C counted by itself is `expected_*`.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rounds: u64,
    pub(crate) lines: u64,
    pub(crate) expected_lines: u64,
    pub(crate) words: u64,
    pub(crate) expected_words: u64,
    /// The calls as C saw them.
    pub(crate) calls: c_side::lines::Report,
    pub(crate) wall_ns: u64,
    pub(crate) latencies: Histogram,
    pub(crate) signals: Signals,
    pub(crate) signals_sent: u64,
    /// Why the first failed call failed.
    pub(crate) failure: Option<String>,
}

impl Report {
    /// Returns each name, with its value in JSON.
    fn fields(&self, args: &Args) -> Vec<(&'static str, String)> {
        let quoted = |text: &str| format!("\"{text}\"");
        let wall_s = self.wall_ns as f64 / 1e9;
        vec![
            ("lines", self.lines.to_string()),
            ("words", self.words.to_string()),
            ("expected_words", self.expected_words.to_string()),
            ("callbacks", self.calls.lines.to_string()),
            ("threads", args.threads.to_string()),
            ("goroutines", args.goroutines.to_string()),
            ("rounds", self.rounds.to_string()),
            ("binding", quoted(args.binding.name())),
            ("mode", quoted(args.mode.name())),
            ("wall_ms", format!("{:.3}", wall_s * 1e3)),
            ("callbacks_per_s", format!("{:.0}", self.calls.lines as f64 / wall_s.max(1e-9))),
            ("enter_p50_ns", self.latencies.percentile(50).to_string()),
            ("enter_p99_ns", self.latencies.percentile(99).to_string()),
            ("signals_sent", self.signals_sent.to_string()),
            ("signals", self.signals.received().to_string()),
            ("signals_in_goroutine", self.signals.in_goroutine.to_string()),
            ("signals_outside", self.signals.outside.to_string()),
            ("signals_torn", self.signals.torn.to_string()),
        ]
    }

    pub(crate) fn json(&self, args: &Args) -> String {
        let fields: Vec<_> =
            self.fields(args).iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", fields.join(", "))
    }

    pub(crate) fn table(&self, args: &Args) -> String {
        let rows = self
            .fields(args)
            .into_iter()
            .filter(|(name, _)| args.storm || !name.starts_with("signals"));
        rows.map(|(name, value)| {
            format!("{:<22}{:>20}\n", name.replace('_', " "), value.trim_matches('"'))
        })
        .collect()
    }

    /// Returns everything that is wrong, in words.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut equal = |what: &str, found: u64, expected: u64| {
            if found != expected {
                problems.push(format!("{what}: {found}, expected {expected}"));
            }
        };
        equal("lines that reached a goroutine", self.lines, self.expected_lines);
        equal("calls that C made", self.calls.lines, self.expected_lines);
        equal("words", self.words, self.expected_words);
        equal(
            "the last total that C was given",
            self.calls.last_total.cast_unsigned(),
            self.expected_words,
        );
        equal("calls that failed", self.calls.refused, 0);
        equal("totals that went backwards", self.calls.backwards, 0);
        equal("signals that found something torn", self.signals.torn, 0);
        problems.extend(self.failure.iter().map(|failure| format!("a call failed: {failure}")));
        problems
    }
}
