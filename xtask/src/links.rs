//! Checks that the links of the documents and of the generated documentation lead somewhere.
//!
//! A document is read in up to three places. In the repository a link is a path. In the rustdoc of
//! `gosched`, which includes the README and `docs`, the same link is a page: `src/links.md` defines
//! it and comes first, and the first definition of a link counts. On the registry's page the README
//! is alone, and only an address resolves there. Its addresses are those of the published rustdoc
//! and of the published package's sources, so both can be looked up here.
//!
//! The form of links to other hosts is checked, and nothing else: the checks need no network.

mod html;
mod markdown;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;

use crate::cargo;
use html::Page;
use markdown::Document;

/// The least numbers of links of documents and of documents. Fewer mean that some were not read.
const LEAST_IN_DOCUMENTS: (usize, usize) = (45, 12);

/// The most findings on generated pages that are shown: one mistake may be on every page.
const MOST_SHOWN: usize = 30;

/// Checks the links of all documents, and of the pages that rustdoc made of `crates`. These must
/// have `minimum` links.
pub(crate) fn check(crates: &[String], minimum: u64) -> Result<String, Vec<String>> {
    let failed = |error: io::Error| vec![error.to_string()];
    let doc = cargo::target_dir(None).join("doc");
    let pages = check_pages(&doc, crates).map_err(failed)?;
    let documents = check_documents(&cargo::root(), &doc, &packaged()?).map_err(failed)?;
    verdict(pages, documents, minimum)
}

fn verdict(pages: Report, documents: Report, minimum: u64) -> Result<String, Vec<String>> {
    let mut complaints = documents.findings;
    complaints.extend(pages.findings.into_iter().take(MOST_SHOWN));
    let (links, files) = LEAST_IN_DOCUMENTS;
    for (found, least, what) in [
        (pages.links as u64, minimum, "links of pages"),
        (documents.links as u64, links as u64, "links of documents"),
        (documents.files as u64, files as u64, "documents"),
    ] {
        if found < least {
            complaints.push(format!("{found} {what} were followed, at least {least} must be"));
        }
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    Ok(format!(
        "{} links of {} pages (minimum {minimum}), {} links of {} documents",
        pages.links, pages.files, documents.links, documents.files
    ))
}

/// Returns the files of the package that users depend on.
fn packaged() -> Result<BTreeSet<String>, Vec<String>> {
    let mut command =
        cargo::command(&["package", "--list", "--allow-dirty", "--package", "gosched"], None);
    let shown = format!("{command:?}");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| vec![format!("cannot run {shown}: {error}")])?;
    if !output.status.success() {
        return Err(vec![format!("failed: {shown}")]);
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// What was read, and what is wrong.
#[derive(Debug, Default)]
struct Report {
    files: usize,
    links: usize,
    findings: Vec<String>,
}

/// The file whose definitions come before every document that rustdoc includes.
const DEFINITIONS: &str = "src/links.md";

/// The documents that are also the registry's page of their package.
const FRONTS: [&str; 4] =
    [README, "scheduler/README.md", "callback-bridge/README.md", "runtime-sys/README.md"];

/// The document that rustdoc includes, like those in `docs`.
const README: &str = "README.md";

/// The address of the published package's rustdoc, for any version.
const PUBLISHED_PAGES: &str = "https://docs.rs/gosched/latest/";

/// The files of the published package.
const PUBLISHED_FILES: &str = "https://docs.rs/crate/gosched/latest/source/";

/// Checks the links of all documents under `root`: paths and headings against the repository,
/// addresses of the rustdoc against the pages in `doc`, addresses of sources against `packaged`.
fn check_documents(root: &Path, doc: &Path, packaged: &BTreeSet<String>) -> io::Result<Report> {
    let names = files_under(root, Path::new(""), "md")?;
    let mut documents = BTreeMap::new();
    for name in names.into_iter().filter(|name| name != Path::new(DEFINITIONS)) {
        let text = fs::read_to_string(root.join(&name)).map_err(|error| named(&name, &error))?;
        documents.insert(name, Document::new(&text));
    }
    let definitions = fs::read_to_string(root.join(DEFINITIONS))
        .map_err(|error| named(Path::new(DEFINITIONS), &error))?;
    let mut places = Places {
        root,
        pages: Pages::new(doc.to_owned()),
        packaged,
        defined: Document::new(&definitions).labels().map(str::to_owned).collect(),
    };
    Ok(places.check(&documents))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What the links of documents are compared with.
struct Places<'a> {
    root: &'a Path,
    pages: Pages,
    packaged: &'a BTreeSet<String>,
    /// The labels that `src/links.md` defines.
    defined: BTreeSet<String>,
}

impl Places<'_> {
    fn check(&mut self, documents: &BTreeMap<PathBuf, Document>) -> Report {
        let mut report = Report { files: documents.len(), ..Report::default() };
        let mut used = BTreeSet::new();
        for (name, document) in documents {
            let shown = name.display();
            for (line, problem) in &document.problems {
                report.findings.push(format!("{shown}:{line}: {problem}"));
            }
            for link in &document.links {
                report.links += 1;
                if let Err(problem) = self.resolve(documents, name, &link.target) {
                    report.findings.push(format!("{shown}:{}: {problem}", link.line));
                }
            }
            if name == Path::new(README) || name.starts_with("docs") {
                self.check_definitions(name, document, &mut report);
                used.extend(document.links.iter().filter_map(|link| link.label.as_ref()));
            }
        }
        for label in self.defined.iter().filter(|label| !used.contains(label)) {
            report.findings.push(format!("{DEFINITIONS}: nothing uses `{label}`"));
        }
        report
    }

    /// Checks that `src/links.md` defines every link of an included document that is a page in
    /// rustdoc.
    fn check_definitions(&self, name: &Path, document: &Document, report: &mut Report) {
        for link in document.links.iter().filter(|link| self.is_page(&link.target)) {
            let problem = match &link.label {
                None => format!(
                    "rustdoc includes this file: write `{}` as a reference, `[text][label]`, with \
                     a definition at the end of the file and one in {DEFINITIONS}",
                    link.target
                ),
                Some(label) if !self.defined.contains(label) => {
                    format!("rustdoc includes this file: define `{label}` in {DEFINITIONS}")
                }
                Some(_) => continue,
            };
            report.findings.push(format!("{}:{}: {problem}", name.display(), link.line));
        }
    }

    /// True if rustdoc has a page of its own for this target.
    fn is_page(&self, target: &str) -> bool {
        target.starts_with(PUBLISHED_PAGES) || !(target.contains("://") || target.starts_with('#'))
    }

    fn resolve(
        &mut self,
        documents: &BTreeMap<PathBuf, Document>,
        from: &Path,
        target: &str,
    ) -> Result<(), String> {
        if let Some(page) = target.strip_prefix(PUBLISHED_PAGES) {
            let (path, anchor) = split(page);
            return self
                .pages
                .has(Path::new(path), anchor)
                .map_err(|why| format!("{target}: {why}"));
        }
        if let Some(file) = target.strip_prefix(PUBLISHED_FILES) {
            return if self.packaged.contains(split(file).0) {
                Ok(())
            } else {
                Err(format!("{target}: the package has no such file"))
            };
        }
        if target.contains("://") || target.starts_with("mailto:") {
            return address(target);
        }
        let (path, anchor) = split(target);
        if FRONTS.iter().any(|front| from == Path::new(front)) && !path.is_empty() {
            return Err(format!(
                "`{target}` does not resolve on the registry's page: write its address, which \
                 begins with {PUBLISHED_PAGES} or {PUBLISHED_FILES}"
            ));
        }
        let file = if path.is_empty() {
            from.to_owned()
        } else {
            normal(&from.parent().unwrap_or(Path::new("")).join(path))
                .ok_or_else(|| format!("`{target}` leads out of the repository"))?
        };
        if !self.root.join(&file).exists() {
            return Err(format!("`{target}`: there is no {}", file.display()));
        }
        match (anchor, documents.get(&file)) {
            (Some(anchor), Some(document)) if !document.anchors.contains(anchor) => {
                Err(format!("`{target}`: no heading of {} is #{anchor}", file.display()))
            }
            (Some(_), None) => Err(format!("`{target}`: {} is no document", file.display())),
            _ => Ok(()),
        }
    }
}

/// Checks the links on every generated page of these crates. `doc` is where rustdoc put the pages.
fn check_pages(doc: &Path, crates: &[String]) -> io::Result<Report> {
    let mut pages = Pages::new(doc.to_owned());
    let mut report = Report::default();
    for name in crates {
        for path in files_under(doc, Path::new(name), "html")? {
            report.files += 1;
            let links = pages.page(&path)?.links.clone();
            for link in links {
                report.links += 1;
                if let Err(problem) = follow(&mut pages, &path, &link) {
                    report.findings.push(format!("{}: {problem}", path.display()));
                }
            }
        }
    }
    Ok(report)
}

/// Folders of the standard library's documentation. A re-exported item brings its text along, with
/// paths that resolve only there.
const STANDARD: [&str; 4] = ["std", "core", "alloc", "nomicon"];

fn is_standard(path: &str) -> bool {
    let first = path.split('/').find(|part| *part != "..");
    first.is_some_and(|first| STANDARD.contains(&first))
}

fn follow(pages: &mut Pages, from: &Path, link: &str) -> Result<(), String> {
    if link.starts_with("data:") || link.starts_with("javascript:") {
        return Ok(());
    }
    if let Some(page) = link.strip_prefix(PUBLISHED_PAGES) {
        let (path, anchor) = split(page);
        return pages.has(Path::new(path), anchor).map_err(|why| format!("{link}: {why}"));
    }
    if link.contains("://") {
        return address(link);
    }
    let (path, anchor) = split(link);
    // A script on the page reads what follows a question mark.
    let path = path.split('?').next().unwrap_or(path);
    if is_standard(path) {
        return Ok(());
    }
    let target = if path.is_empty() {
        from.to_owned()
    } else {
        let joined = from.parent().unwrap_or(Path::new("")).join(decoded(path));
        normal(&joined).ok_or_else(|| format!("`{link}` leads out of the documentation"))?
    };
    pages.has(&target, anchor).map_err(|why| format!("`{link}`: {why}"))
}

/// The files under `directory` whose names end so, relative to `root`; not what cargo made, and
/// nothing hidden.
fn files_under(root: &Path, directory: &Path, end: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(directory)).map_err(|error| named(directory, &error))? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), directory.join(entry.file_name()));
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            found.extend(files_under(root, &path, end)?);
        } else if path.extension().is_some_and(|extension| extension == end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The generated pages, each read once.
struct Pages {
    doc: PathBuf,
    read: BTreeMap<PathBuf, Page>,
}

impl Pages {
    fn new(doc: PathBuf) -> Self {
        Self { doc, read: BTreeMap::new() }
    }

    fn page(&mut self, path: &Path) -> io::Result<&Page> {
        if !self.read.contains_key(path) {
            let page = Page::new(&fs::read_to_string(self.doc.join(path))?);
            self.read.insert(path.to_owned(), page);
        }
        Ok(&self.read[path])
    }

    /// True if there is such a file, with such an anchor if it is a page.
    fn has(&mut self, path: &Path, anchor: Option<&str>) -> Result<(), String> {
        let shown = path.display();
        if !self.doc.join(path).is_file() {
            return Err(format!("there is no {shown}"));
        }
        let Some(anchor) = anchor.filter(|anchor| !anchor.is_empty()) else { return Ok(()) };
        let page = self.page(path).map_err(|error| format!("{shown}: {error}"))?;
        // A range of lines of a source. A script marks the lines; the first line is an anchor.
        let lines = anchor.split_once('-').filter(|_| path.starts_with("src"));
        let first = lines.map_or(anchor, |(first, _)| first);
        if page.anchors.contains(first) || page.anchors.contains(&decoded(first)) {
            Ok(())
        } else {
            Err(format!("nothing in {shown} is #{anchor}"))
        }
    }
}

/// Returns a target's path, and its anchor without the sign.
fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    }
}

/// Returns the path without `.` and `..`; `None` if it leads above its beginning.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => normal.push(part),
            Component::ParentDir if normal.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(normal)
}

/// Returns `text` with `%3C` and the like decoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = behind.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        match byte.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// True if the text has the form of an address.
fn address(target: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("`{target}`: {why}"));
    let Some((scheme, rest)) = target.split_once("://") else { return Ok(()) };
    if !["http", "https"].contains(&scheme) {
        return wrong("no scheme of the web");
    }
    let host = rest.split(['/', '#', '?']).next().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let plain = |label: &&str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if labels.len() < 2 || !labels.iter().all(plain) {
        return wrong("no host");
    }
    if target.contains(|c: char| c.is_whitespace() || "<>\"`".contains(c)) {
        return wrong("a character that no address has");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
