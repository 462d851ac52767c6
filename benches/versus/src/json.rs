//! All values as JSON, written for programs, and read again to make a picture or a table of several
//! runs.

use std::iter::Peekable;
use std::str::Chars;

use crate::machine::Busy;
use crate::measured::{Measured, PEERS};
use crate::workload::WORKLOADS;

/// Returns all values as JSON.
pub(crate) fn write(measured: &Measured, workers: usize) -> String {
    let busy = measured.busy.iter().map(|(workload, Busy { others, stolen })| {
        format!(
            "{{\"workload\": \"{workload}\", \"others_percent\": {others}, \
             \"stolen_percent\": {stolen}}}"
        )
    });
    let series = measured.series.iter().map(|s| {
        let values: Vec<String> = s.values.iter().map(f64::to_string).collect();
        let (figure, values) = (escaped(&s.figure), values.join(", "));
        let (workload, peer) = (s.workload, s.peer);
        format!(
            "{{\"workload\": \"{workload}\", \"peer\": \"{peer}\", \"figure\": \"{figure}\", \
             \"values\": [{values}]}}"
        )
    });
    let lines = |items: Vec<String>| {
        items.iter().map(|item| format!("\n    {item}")).collect::<Vec<_>>().join(",")
    };
    format!(
        "{{\n  \"workers\": {workers},\n  \"machine\": [{}\n  ],\n  \"series\": [{}\n  ]\n}}\n",
        lines(busy.collect()),
        lines(series.collect())
    )
}

/// Escapes the name of a figure, which comes from another program.
fn escaped(text: &str) -> String {
    let clean = text.chars().filter(|c| !c.is_control());
    clean.flat_map(|c| ['"', '\\'].contains(&c).then_some('\\').into_iter().chain([c])).collect()
}

/// Adds the output of [`write()`] to the measured values. Returns an error if the text is something
/// else, or was measured with another number of workers.
pub(crate) fn read(text: &str, workers: usize, into: &mut Measured) -> Result<(), String> {
    let mut parser = Parser(text.chars().peekable());
    let whole = parser.value().ok_or("this is no JSON")?;
    parser.blanks();
    if parser.0.next().is_some() {
        return Err("there is more than one value".to_owned());
    }
    let theirs = whole.get("workers").and_then(Value::number).ok_or("no number of workers")?;
    if theirs != workers as f64 {
        return Err(format!("measured with {theirs} workers, not {workers}"));
    }
    for item in whole.get("machine").and_then(Value::items).ok_or("nothing of the machine")? {
        let number = |key| item.get(key).and_then(Value::number).ok_or(format!("no {key}"));
        let busy = Busy { others: number("others_percent")?, stolen: number("stolen_percent")? };
        into.busy.push((workload(item)?, busy));
    }
    for item in whole.get("series").and_then(Value::items).ok_or("no series")? {
        let peer = item.get("peer").and_then(Value::text).ok_or("a series without a peer")?;
        let peer = PEERS
            .into_iter()
            .find(|name| *name == peer)
            .ok_or_else(|| format!("no peer `{peer}`"))?;
        let figure = item.get("figure").and_then(Value::text).ok_or("a series without a figure")?;
        for value in item.get("values").and_then(Value::items).ok_or("a series without values")? {
            into.note(
                workload(item)?,
                peer,
                figure,
                value.number().ok_or("a value that is no number")?,
            );
        }
    }
    Ok(())
}

fn workload(item: &Value) -> Result<&'static str, String> {
    let name = item.get("workload").and_then(Value::text).ok_or("no workload")?;
    let known = WORKLOADS.iter().find(|workload| workload.name == name);
    known.map(|workload| workload.name).ok_or_else(|| format!("no workload `{name}`"))
}

/// The tokens of such a file.
enum Value {
    Number(f64),
    Text(String),
    Items(Vec<Value>),
    Fields(Vec<(String, Value)>),
}

impl Value {
    fn get(&self, key: &str) -> Option<&Self> {
        let Self::Fields(fields) = self else { return None };
        fields.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn items(&self) -> Option<&[Self]> {
        if let Self::Items(items) = self { Some(items) } else { None }
    }
}

/// Returns `None` wherever the text is not what [`write()`] writes.
struct Parser<'a>(Peekable<Chars<'a>>);

impl Parser<'_> {
    fn blanks(&mut self) {
        while self.0.next_if(|c| c.is_ascii_whitespace()).is_some() {}
    }

    fn value(&mut self) -> Option<Value> {
        self.blanks();
        match self.0.peek()? {
            '"' => self.text().map(Value::Text),
            '[' => self.list('[', ']', Self::value).map(Value::Items),
            '{' => self.list('{', '}', Self::field).map(Value::Fields),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Option<Value> {
        let mut digits = String::new();
        while let Some(c) = self.0.next_if(|c| c.is_ascii_digit() || "+-.eE".contains(*c)) {
            digits.push(c);
        }
        digits.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Number)
    }

    fn text(&mut self) -> Option<String> {
        self.0.next_if_eq(&'"')?;
        let mut text = String::new();
        loop {
            match self.0.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.0.next()?),
                c => text.push(c),
            }
        }
    }

    fn field(&mut self) -> Option<(String, Value)> {
        self.blanks();
        let name = self.text()?;
        self.blanks();
        self.0.next_if_eq(&':')?;
        Some((name, self.value()?))
    }

    fn list<T>(
        &mut self,
        open: char,
        close: char,
        item: fn(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.0.next_if_eq(&open)?;
        let mut items = Vec::new();
        self.blanks();
        if self.0.next_if_eq(&close).is_some() {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            self.blanks();
            if self.0.next_if_eq(&close).is_some() {
                return Some(items);
            }
            self.0.next_if_eq(&',')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let mut measured = Measured::default();
        for value in [20.5, 40.0, 1e-7] {
            measured.note("yield1", "settled", "ns_per_op", value);
        }
        measured.note("pingpong", "go", "odd\"\\name", -1.0);
        measured.busy.push(("yield1", Busy { others: 1.25, stolen: 0.0 }));
        measured
    }

    #[test]
    fn what_is_written_can_be_read() {
        for measured in [measured(), Measured::default()] {
            let mut again = Measured::default();
            read(&write(&measured, 2), 2, &mut again).expect("it was just written");
            assert_eq!(again, measured);
        }
    }

    #[test]
    fn control_characters_are_left_out() {
        let mut measured = Measured::default();
        measured.note("yield1", "go", "a\nb", 1.0);
        assert!(write(&measured, 2).contains("\"figure\": \"ab\""));
    }

    #[test]
    fn files_of_others_are_refused() {
        let good = write(&measured(), 2);
        assert!(
            read(&good, 4, &mut Measured::default())
                .is_err_and(|error| error.contains("2 workers"))
        );
        let broken = [
            good.replace("settled", "nobody"),
            good.replace("yield1", "nothing"),
            good.replace("20.5", "x"),
            good.replace("20.5", "1e999"),
            good.replace("series", "serious"),
            good.clone() + "{}",
            good[..good.len() / 2].to_owned(),
            String::new(),
            "[]".to_owned(),
        ];
        for text in broken {
            assert!(read(&text, 2, &mut Measured::default()).is_err(), "{text}");
        }
    }
}
