//! Links, definitions and headings of a Markdown document.
//!
//! It reads as much of Markdown as these documents use: inline links and references, fenced code,
//! code spans, headings with `#`.

use std::collections::{BTreeMap, BTreeSet};

/// The targets that a document links to, and its anchors.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) links: Vec<Link>,
    /// The anchors of the headings.
    pub(super) anchors: BTreeSet<String>,
    /// A line, and what is wrong there, wherever its links lead.
    pub(super) problems: Vec<(usize, String)>,
    definitions: BTreeMap<String, Definition>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) target: String,
    /// The definition, if the link is a reference.
    pub(super) label: Option<String>,
}

#[derive(Debug)]
struct Definition {
    line: usize,
    target: String,
    used: bool,
}

impl Document {
    pub(super) fn new(text: &str) -> Self {
        let mut document = Self::default();
        let prose = without_code(text);
        document.read_headings(text, &prose);
        let prose = document.take_definitions(&prose);
        document.read_links(&prose);
        for (label, definition) in &document.definitions {
            if !definition.used {
                document.problems.push((definition.line, format!("nothing uses `{label}`")));
            }
        }
        document
    }

    /// The labels that are defined.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    fn read_headings(&mut self, text: &str, prose: &str) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (line, prose) in text.lines().zip(prose.lines()) {
            // A block of code has no prose; a code span of a heading has a name.
            if !prose.starts_with('#') {
                continue;
            }
            let title = line.trim_start_matches('#');
            if !title.starts_with(' ') {
                continue;
            }
            let slug = slug(title.trim());
            let number = seen.entry(slug.clone()).or_default();
            self.anchors.insert(match *number {
                0 => slug,
                n => format!("{slug}-{n}"),
            });
            *number += 1;
        }
    }

    /// Notes the definitions. Returns the text without them.
    fn take_definitions(&mut self, prose: &str) -> String {
        let mut rest = String::new();
        for (line, text) in (1..).zip(prose.lines()) {
            match definition(text) {
                Some((label, target)) => {
                    let definition = Definition { line, target: target.to_owned(), used: false };
                    if self.definitions.insert(label.clone(), definition).is_some() {
                        self.problems.push((line, format!("`{label}` is defined twice")));
                    }
                }
                None => rest += text,
            }
            rest.push('\n');
        }
        rest
    }

    fn read_links(&mut self, prose: &str) {
        let mut at = 0;
        while let Some(found) = prose[at..].find('[') {
            let open = at + found;
            at = open + 1;
            let line = prose[..open].matches('\n').count() + 1;
            let Some(close) = closing(prose, open) else { continue };
            let text = &prose[open + 1..close];
            let behind = &prose[close + 1..];
            if let Some(target) = behind.strip_prefix('(') {
                let end = target.find(')').unwrap_or(target.len());
                // Behind a space there may be a title.
                let target = target[..end].split_whitespace().next().unwrap_or_default();
                self.links.push(Link { line, target: target.to_owned(), label: None });
            } else if let Some(label) = behind.strip_prefix('[') {
                let label = label.split(']').next().filter(|label| !label.is_empty());
                self.refer(line, label.unwrap_or(text));
                at = close + 2;
            } else {
                self.refer(line, text);
            }
        }
    }

    fn refer(&mut self, line: usize, label: &str) {
        let label = folded(label);
        match self.definitions.get_mut(&label) {
            Some(definition) => {
                definition.used = true;
                let target = definition.target.clone();
                self.links.push(Link { line, target, label: Some(label) });
            }
            None => self.problems.push((line, format!("`[{label}]` is not defined"))),
        }
    }
}

/// Returns the place of the bracket that closes the one at `open`, in the same paragraph.
fn closing(prose: &str, open: usize) -> Option<usize> {
    let paragraph = prose[open..].find("\n\n").map_or(prose.len(), |end| open + end);
    let mut depth = 0;
    for (offset, byte) in prose[open..paragraph].bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(open + offset);
                }
            }
            _ => {}
        }
    }
    None
}

/// Returns the label and the target, if the line is a definition.
fn definition(line: &str) -> Option<(String, &str)> {
    let (label, target) = line.strip_prefix('[')?.split_once("]:")?;
    let target = target.trim();
    let whole = !label.is_empty() && !target.is_empty() && !target.contains(' ');
    whole.then(|| (folded(label), target))
}

/// Returns a label in the form in which Markdown compares labels.
fn folded(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Returns the anchor of a heading, as the usual forges and rustdoc make it.
fn slug(title: &str) -> String {
    title
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

/// Returns the text with code and escaped brackets replaced by spaces. Lines stay where they are.
fn without_code(text: &str) -> String {
    let mut prose = String::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let inner = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| inner.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => prose += line,
            _ => {}
        }
        prose.push('\n');
    }
    let prose = prose.replace("\\[", "  ").replace("\\]", "  ");
    without_spans(&prose)
}

fn without_spans(prose: &str) -> String {
    let mut out = String::new();
    let mut rest = prose;
    while let Some(start) = rest.find('`') {
        out += &rest[..start];
        rest = &rest[start..];
        let ticks = rest.len() - rest.trim_start_matches('`').len();
        let (mark, behind) = rest.split_at(ticks);
        let paragraph = behind.find("\n\n").unwrap_or(behind.len());
        let end = runs(&behind[..paragraph]).find(|run| run.1 == ticks).map(|run| run.0);
        let Some(end) = end else {
            out += mark;
            rest = behind;
            continue;
        };
        let span = &rest[..ticks + end + ticks];
        out.extend(span.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[span.len()..];
    }
    out + rest
}

/// Returns where runs of backquotes begin, and how long they are.
fn runs(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find('`')?;
        let length = text[start..].bytes().take_while(|byte| *byte == b'`').count();
        at = start + length;
        Some((start, length))
    })
}
