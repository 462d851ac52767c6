//! A source file, cut into code and comments.

use std::ops::Range;

use crate::packages::PACKAGES;

/// One file. `code` has the length and the lines of `text`, so offsets fit both.
#[derive(Debug)]
pub struct Source {
    /// The path from the top of the workspace.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// `text` with comments and the contents of literals blanked out.
    pub code: String,
    /// `code` without the unit tests: each `mod` under a `cfg` that asks for `test`.
    pub product: String,
    /// The ranges of those unit tests.
    unit_tests: Vec<Range<usize>>,
    /// The comments, line by line.
    pub comments: Vec<Comment>,
}

/// One line of comment.
#[derive(Debug, PartialEq, Eq)]
pub struct Comment {
    /// The number of its line.
    pub line: usize,
    /// Whether it is documentation.
    pub doc: bool,
    /// The comment with its marks.
    pub text: String,
}

impl Source {
    /// Splits `text`, the content of the file at `path`.
    pub fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let (product, unit_tests) = without_tests(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, product, unit_tests, comments }
    }

    /// True if the file is part of a library that users get.
    pub fn shipped(&self) -> bool {
        self.package().is_some()
    }

    /// Returns the directory of the package whose library has the file.
    pub fn package(&self) -> Option<&'static str> {
        PACKAGES.iter().map(|(directory, _)| *directory).find(|directory| {
            self.path
                .strip_prefix(directory)
                .is_some_and(|rest| rest.trim_start_matches('/').starts_with("src/"))
        })
    }

    /// True if the file is a loom model.
    pub fn model(&self) -> bool {
        self.shipped() && (self.path.ends_with("/model.rs") || self.path.contains("/model/"))
    }

    /// True if the file holds nothing but tests.
    pub fn tests(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
    }

    /// Returns a finding about a line of this file.
    pub fn at(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    /// Returns the lines without those of the unit tests: number and text.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let of_tests: Vec<Range<usize>> = self
            .unit_tests
            .iter()
            .map(|span| self.line_of(span.start)..self.line_of(span.end) + 1)
            .collect();
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(move |(number, _)| !of_tests.iter().any(|lines| lines.contains(number)))
    }

    /// Returns the number of the line that `offset` lies on.
    pub fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Returns the string literal whose opening quote is at `offset`.
    pub fn literal_at(&self, offset: usize) -> Option<&str> {
        let rest = self.text.get(offset..)?.strip_prefix('"')?;
        rest.split_once('"').map(|(literal, _)| literal)
    }

    /// Returns the first arguments of calls to `function` that are string literals, with their
    /// lines.
    pub fn literal_arguments(&self, function: &str) -> Vec<(usize, &str)> {
        words(&self.code, function)
            .filter_map(|offset| {
                let after = offset + function.len();
                let open = self.code[after..].strip_prefix('(')?;
                let quote = after + 1 + (open.len() - open.trim_start().len());
                Some((self.line_of(offset), self.literal_at(quote)?))
            })
            .collect()
    }
}

/// Returns the offsets at which `word` is a whole word of `code`.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    code.match_indices(word).map(|(offset, _)| offset).filter(move |offset| {
        let bytes = code.as_bytes();
        !part(offset.checked_sub(1).and_then(|before| bytes.get(before)))
            && !part(bytes.get(offset + word.len()))
    })
}

/// True if `word` is a whole word of `code`.
pub fn has_word(code: &str, word: &str) -> bool {
    words(code, word).next().is_some()
}

/// Returns the offset just behind the bracket that closes the one at `open`.
pub fn close(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// An attribute: its offset, its text, and the code behind it and behind the attributes that follow
/// it.
#[derive(Debug)]
pub struct Attribute<'a> {
    /// Where it begins.
    pub offset: usize,
    /// The attribute itself.
    pub text: &'a str,
    /// The code behind it and behind the attributes that follow.
    pub item: &'a str,
}

/// Returns the outer attributes in `code`.
pub fn attributes(code: &str) -> impl Iterator<Item = Attribute<'_>> {
    code.match_indices("#[").filter_map(|(offset, _)| {
        let end = close(code, offset + 1)?;
        let mut item = code[end..].trim_start();
        while item.starts_with("#[") {
            item = item[close(item, 1)?..].trim_start();
        }
        Some(Attribute { offset, text: &code[offset..end], item })
    })
}

/// Returns the name of the module if `item` declares or opens one.
pub fn module_name(item: &str) -> Option<&str> {
    let item = match item.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => &rest[close(rest, 0)?..],
        Some(rest) => rest,
        None => item,
    };
    let item = item.trim_start();
    let name = item.strip_prefix("mod ")?;
    name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
}

/// True if `attribute` excludes its item from builds that are no tests.
pub fn asks_for_tests(attribute: &str) -> bool {
    // Literals are blanked. So only `not(test)` names `test` and means the opposite.
    let asks = has_word(attribute, "test") && !attribute.contains("not(test)");
    asks && attribute.starts_with("#[cfg(")
}

fn without_tests(code: &str) -> (String, Vec<Range<usize>>) {
    let mut product = code.as_bytes().to_vec();
    let mut unit_tests = Vec::new();
    for attribute in attributes(code) {
        if !asks_for_tests(attribute.text) || module_name(attribute.item).is_none() {
            continue;
        }
        let item = attribute.item.as_ptr().addr() - code.as_ptr().addr();
        let declared = attribute.item.find(';').unwrap_or(usize::MAX);
        let opened = attribute.item.find('{').unwrap_or(usize::MAX);
        if opened < declared
            && let Some(end) = close(code, item + opened)
        {
            blank(&mut product[attribute.offset..end]);
            unit_tests.push(attribute.offset..end);
        }
    }
    let product = String::from_utf8(product).expect("blanking keeps what is not blanked");
    (product, unit_tests)
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn split(text: &str) -> (String, Vec<Comment>) {
    let mut code = text.as_bytes().to_vec();
    let mut comments = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let previous_is_word =
            at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let (end, inside) = if rest.starts_with(b"//") || rest.starts_with(b"/*") {
            let end = at + comment_length(rest);
            comments.extend(comment_lines(text, at, end));
            (end, at..end)
        } else if let Some((length, quotes)) = literal(rest, previous_is_word) {
            (at + length, at + quotes.start..at + quotes.end)
        } else {
            (at + 1, at..at)
        };
        blank(&mut code[inside]);
        at = end;
    }
    (String::from_utf8(code).expect("only whole literals and comments are blanked"), comments)
}

fn comment_length(rest: &[u8]) -> usize {
    if rest.starts_with(b"//") {
        return rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn comment_lines(text: &str, start: usize, end: usize) -> Vec<Comment> {
    let first = text[..start].matches('\n').count() + 1;
    let doc =
        ["///", "//!", "/**", "/*!"].iter().any(|opening| text[start..end].starts_with(opening));
    let lines = text[start..end].lines().enumerate();
    lines
        .map(|(index, line)| Comment { line: first + index, doc, text: line.trim_end().to_owned() })
        .collect()
}

/// Returns the literal at the start of `rest`: its length, and the range between its quotes.
fn literal(rest: &[u8], previous_is_word: bool) -> Option<(usize, Range<usize>)> {
    if !previous_is_word {
        let prefix = rest.iter().take_while(|byte| b"bcr".contains(byte)).count();
        let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
        let raw = rest[..prefix].contains(&b'r');
        let quote = prefix + hashes;
        if raw && prefix <= 2 && rest.get(quote) == Some(&b'"') {
            let closing: Vec<u8> =
                std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            let body = quote + 1;
            let length =
                rest[body..].windows(closing.len()).position(|window| window == closing)?;
            return Some((body + length + closing.len(), body..body + length));
        }
    }
    match rest[0] {
        b'"' => {
            let length = escaped_length(&rest[1..], b'"')?;
            Some((length + 2, 1..length + 1))
        }
        // A lifetime has no closing quote after its first character.
        b'\'' => {
            let character = rest[1..rest.len().min(5)].utf8_chunks().next()?.valid();
            let width = character.chars().next()?.len_utf8();
            if rest[1] != b'\\' && rest.get(1 + width) != Some(&b'\'') {
                return None;
            }
            let length = escaped_length(&rest[1..], b'\'')?;
            Some((length + 2, 1..length + 1))
        }
        _ => None,
    }
}

fn escaped_length(rest: &[u8], quote: u8) -> Option<usize> {
    let mut at = 0;
    while *rest.get(at)? != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    Some(at)
}

#[test]
fn comments_and_literals_are_told_from_code() {
    let text = "let a = \"// no\"; // yes\n\
                let b = 'x'; let c: &'static str = r#\"un\"safe\"#; \
                /* a /* b */ c */ done('\\'', b\"\\\"\")";
    let source = Source::new("src/a.rs", text);
    let blanked = "let a = \"     \";       \n\
                   let b = ' '; let c: &'static str = r#\"       \"#;                   \
                   done('  ', b\"  \")";
    assert_eq!(source.code, blanked);
    let comments: Vec<(usize, &str)> =
        source.comments.iter().map(|c| (c.line, c.text.as_str())).collect();
    assert_eq!(comments, [(1, "// yes"), (2, "/* a /* b */ c */")]);
    let accents = Source::new("src/a.rs", "let e = 'é'; // é\nlet f: &'é str;");
    assert_eq!((accents.code.len(), accents.code.lines().count()), (accents.text.len(), 2));
    assert_eq!(accents.code.lines().last(), Some("let f: &'é str;"));
}

#[test]
fn unit_tests_are_no_product() {
    let text = "fn a() {}\n\
                #[cfg(all(test, not(loom)))]\n#[expect(x)]\npub(super) mod tests {\n fn b() {}\n}\n\
                #[cfg(not(test))]\nmod c { fn d() {} }\n#[cfg(test)]\nmod e;\nfn f() {}";
    let source = Source::new("src/a.rs", text);
    let kept: Vec<bool> =
        ["fn a", "fn b", "fn d", "fn f"].iter().map(|name| source.product.contains(name)).collect();
    assert_eq!(kept, [true, false, true, true]);
    assert_eq!(source.product.lines().count(), source.text.lines().count());
}

#[test]
fn literal_arguments_are_found() {
    let source = Source::new(
        "src/a.rs",
        "if mutated(\"a.b\") {}\n// mutated(\"c\")\nunmutated(\"d\"); mutated(name); \
         mutated(\n  \"e\")",
    );
    assert_eq!(source.literal_arguments("mutated"), [(1, "a.b"), (3, "e")]);
}
