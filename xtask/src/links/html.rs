//! The links and anchors of a page that rustdoc made.

use std::collections::BTreeSet;

/// The targets that a page links to, and its anchors.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) links: Vec<String>,
    pub(super) anchors: BTreeSet<String>,
    /// Whether the authors of other crates wrote the rest of the page.
    foreign: bool,
}

/// The heading of the list of implementations for every type. Rustdoc takes the text of the crates
/// that have them, and cannot resolve its links here. It is the last list of a page.
const FOREIGN: &str = "blanket-implementations-list";

impl Page {
    pub(super) fn new(text: &str) -> Self {
        let mut page = Self::default();
        let mut rest = text;
        while let Some(start) = rest.find('<') {
            rest = &rest[start + 1..];
            let name = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
            let tag = &rest[..name];
            rest = &rest[name..];
            rest = page.attributes(tag, rest);
            // A script is no text: a tag in it is no tag.
            if tag.eq_ignore_ascii_case("script") {
                rest = rest.find("</script").map_or("", |end| &rest[end..]);
            }
        }
        page
    }

    /// Reads the attributes at the start of `rest`. Returns the text behind the tag.
    fn attributes<'a>(&mut self, tag: &str, mut rest: &'a str) -> &'a str {
        loop {
            rest = rest.trim_start();
            let length = rest.find(|c: char| c.is_whitespace() || "=>/<".contains(c));
            let Some(length) = length else { return "" };
            let (name, behind) = rest.split_at(length);
            if let Some(value) = behind.strip_prefix('=') {
                let (value, behind) = value_of(value);
                self.attribute(tag, name, value);
                rest = behind;
            } else if let Some(behind) = behind.strip_prefix('>') {
                return behind;
            } else if behind.starts_with('<') {
                return behind;
            } else {
                rest = behind.strip_prefix('/').unwrap_or(behind);
            }
        }
    }

    fn attribute(&mut self, tag: &str, name: &str, value: &str) {
        let value = value
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&");
        match (tag, name) {
            // The link may name a list of implementations that does not exist because it would be
            // empty.
            ("script", _) => {}
            (_, "href" | "src") if self.foreign => {}
            (_, "href" | "src") => self.links.push(value),
            (_, "id" | "name") => {
                self.foreign |= value == FOREIGN;
                self.anchors.insert(value);
            }
            _ => {}
        }
    }
}

/// Returns an attribute's value, with or without quotes, and the text behind it.
fn value_of(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    text.split_at(text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len()))
}
