use super::markdown::Link;
use super::*;

/// A directory that is removed with its content.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let place = format!("xtask-links-{name}-{}", std::process::id());
        let directory = Self(std::env::temp_dir().join(place));
        for (path, text) in files {
            let path = directory.0.join(path);
            fs::create_dir_all(path.parent().expect("it lies in the directory")).expect("made");
            fs::write(path, text).expect("written");
        }
        directory
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it was made");
    }
}

const GOOD: [(&str, &str); 8] = [
    (
        "README.md",
        "# Front\n\nSee [soundness] and [the log][log], [above](#front).\n\n\
         [soundness]: https://docs.rs/gosched/latest/gosched/docs/soundness/index.html#why\n\
         [log]: https://docs.rs/crate/gosched/latest/source/CHANGELOG.md\n",
    ),
    ("CONTRIBUTING.md", "[map](docs/soundness.md#why-a-promise) [versus](benches/versus/)\n"),
    ("CHANGELOG.md", "As [others](https://example.com/a) do.\n"),
    ("benches/versus/README.md", "[up](../../README.md#front)\n"),
    (
        "docs/soundness.md",
        "# Why a `promise`?\n\n`[no](link)` but [front]\n\n[front]: ../README.md\n",
    ),
    ("src/links.md", "[soundness]: crate::docs::soundness\n[front]: crate\n"),
    (
        "doc/gosched/docs/soundness/index.html",
        "<h1 id=\"why\"><a href=\"#why\">x</a></h1><a href=../../a.html#1%3C2>a</a>\
         <script src='none.js'>'<a href=\"none.html\">'</script>\
         <a href=\"../../../src/gosched/a.rs.html#2-3\">s</a>",
    ),
    (
        "doc/gosched/a.html",
        "<p id='1<2'><div id=\"blanket-implementations-list\"><a href=\"crate::x\" id=x>",
    ),
];
const SOURCE: (&str, &str) = ("doc/src/gosched/a.rs.html", "<a href=#2 id=2 data-nosnippet>2</a>");

/// Returns the findings with this file in the place of the good one.
fn found(name: &str, changed: (&str, &str)) -> (Report, Report) {
    let mut files: Vec<(&str, &str)> = GOOD.to_vec();
    files.push(SOURCE);
    files.retain(|(path, _)| *path != changed.0);
    files.push(changed);
    let directory = Directory::new(name, &files);
    let packaged = BTreeSet::from(["CHANGELOG.md".to_owned()]);
    let doc = directory.0.join("doc");
    let documents = check_documents(&directory.0, &doc, &packaged).expect("all are there");
    let pages = check_pages(&doc, &["gosched".to_owned()]).expect("all are there");
    (documents, pages)
}

#[test]
fn good_links_are_followed() {
    let (documents, pages) = found("good", SOURCE);
    assert_eq!(documents.findings, [""; 0]);
    assert_eq!((documents.files, documents.links), (5, 8));
    assert_eq!(pages.findings, [""; 0]);
    assert_eq!((pages.files, pages.links), (2, 3));
}

#[test]
fn a_broken_link_of_a_document_is_found() {
    let page = "[soundness]: https://docs.rs/gosched/latest/gosched/docs/soundness/index.html";
    let wrong_anchor = format!("[soundness]\n\n{page}#gone\n");
    let undefined_there = format!("[stacks]\n\n{}\n", page.replace("[soundness]", "[stacks]"));
    let inline = format!("[a]({})\n", page.trim_start_matches("[soundness]: "));
    let cases = [
        ("CONTRIBUTING.md", "[a](docs/gone.md)", "there is no docs/gone.md"),
        ("CONTRIBUTING.md", "[a](docs/soundness.md#gone)", "is #gone"),
        ("CONTRIBUTING.md", "[a](#gone)", "is #gone"),
        ("CONTRIBUTING.md", "[a](../gone.md)", "out of the repository"),
        ("CONTRIBUTING.md", "[a](https://nowhere/x)", "no host"),
        ("CONTRIBUTING.md", "[a](ftp://example.com/x)", "no scheme"),
        ("CONTRIBUTING.md", "![a](gone.svg)", "there is no gone.svg"),
        ("CONTRIBUTING.md", "[a][gone]", "`[gone]` is not defined"),
        ("CONTRIBUTING.md", "[gone]", "`[gone]` is not defined"),
        ("CONTRIBUTING.md", "[a]: CHANGELOG.md", "nothing uses `a`"),
        ("CONTRIBUTING.md", "[a]\n\n[a]: CHANGELOG.md\n[A]: README.md", "defined twice"),
        ("README.md", "[a](docs/soundness.md)", "does not resolve on the registry's page"),
        ("README.md", "![a](docs/versus.svg)", "does not resolve on the registry's page"),
        ("README.md", &wrong_anchor, "is #gone"),
        ("README.md", &undefined_there, "define `stacks` in src/links.md"),
        ("README.md", &inline, "write `https://docs.rs/gosched/latest/"),
        (
            "README.md",
            "[a](https://docs.rs/gosched/latest/gosched/gone.html)",
            "there is no gosched/gone.html",
        ),
        (
            "README.md",
            "[a](https://docs.rs/crate/gosched/latest/source/README.md)",
            "the package has no such file",
        ),
        ("docs/soundness.md", "no link to the front", "src/links.md: nothing uses `front`"),
        ("docs/soundness.md", "[a](../README.md)", "write `../README.md` as a reference"),
        ("docs/soundness.md", "[a]\n\n[a]: ../README.md", "define `a` in src/links.md"),
    ];
    for (number, (file, text, needle)) in cases.into_iter().enumerate() {
        let (documents, _) = found(&format!("document-{number}"), (file, text));
        assert!(
            documents.findings.iter().any(|finding| finding.contains(needle)),
            "{file} `{text}`: {:#?}",
            documents.findings
        );
    }
}

#[test]
fn a_broken_link_of_a_page_is_found() {
    let cases = [
        ("<a href=\"gone.html\">", "there is no gosched/gone.html"),
        ("<a href=\"#gone\">", "nothing in gosched/a.html is #gone"),
        ("<img src='docs/versus.svg'>", "there is no gosched/docs/versus.svg"),
        ("<a class=x href=docs/soundness/index.html#gone>", "is #gone"),
        ("<a href=\"../src/gosched/a.rs.html#4-9\">", "is #4-9"),
        ("<a href=\"../../x.html\">", "out of the documentation"),
        (
            "<a href=\"https://docs.rs/gosched/latest/gosched/b.html\">",
            "there is no gosched/b.html",
        ),
        ("<a href=\"https://\">", "no host"),
    ];
    for (number, (text, needle)) in cases.into_iter().enumerate() {
        let text = format!("<p id='1<2'>{text}");
        let (_, pages) = found(&format!("page-{number}"), ("doc/gosched/a.html", &text));
        assert!(
            pages.findings.iter().any(|finding| finding.contains(needle)),
            "{text}: {:#?}",
            pages.findings
        );
    }
}

#[test]
fn few_links_are_a_complaint() {
    let report = |files, links| Report { files, links, findings: Vec::new() };
    let (links, files) = LEAST_IN_DOCUMENTS;
    assert!(verdict(report(1, 100), report(files, links), 100).is_ok());
    for (pages, documents, what) in [
        (report(1, 99), report(files, links), "links of pages"),
        (report(1, 100), report(files, links - 1), "links of documents"),
        (report(1, 100), report(files - 1, links), "documents"),
    ] {
        let complaints = verdict(pages, documents, 100).expect_err("too few");
        assert!(complaints[0].contains(what), "{complaints:?}");
    }
    let broken = Report { findings: vec!["a".to_owned()], ..report(1, 100) };
    assert_eq!(verdict(broken, report(files, links), 100), Err(vec!["a".to_owned()]));
}

#[test]
fn headings_become_anchors() {
    let document = Document::new(
        "# What `go` does, and why\n## Twice\n## Twice\n```text\n# no heading\n```\n#no heading\n",
    );
    let anchors: Vec<&str> = document.anchors.iter().map(String::as_str).collect();
    assert_eq!(anchors, ["twice", "twice-1", "what-go-does-and-why"]);
}

#[test]
fn code_holds_no_links() {
    let document = Document::new(
        "`[a](b)` ``[`](b)`` \\[0, 1\\]\n\n    x\n\n```sh\n[a](b)\n```\n[c\nd](e \"title\") `\n",
    );
    assert_eq!(document.problems, []);
    let link = Link { line: 8, target: "e".to_owned(), label: None };
    assert_eq!(document.links, [link]);
}
