//! The paths under which users reach what the inner packages define.

use serde_json::Value;
use std::collections::BTreeMap;

/// From paths in the inner packages to paths in `gosched`.
#[derive(Debug, Default)]
pub(crate) struct Facade {
    paths: BTreeMap<String, String>,
}

impl Facade {
    /// Reads the re-exports from the facade's rustdoc JSON. `None` if the JSON has another form.
    pub(crate) fn read(json: &Value) -> Option<Self> {
        let mut facade = Self::default();
        let root = &json["root"];
        let name = item(json, root)?["name"].as_str()?;
        facade.module(json, root, name)?;
        Some(facade)
    }

    fn module(&mut self, json: &Value, id: &Value, path: &str) -> Option<()> {
        for id in item(json, id)?["inner"]["module"]["items"].as_array()? {
            let item = item(json, id)?;
            let reexport = &item["inner"]["use"];
            if item["inner"]["module"].is_object() {
                self.module(json, id, &format!("{path}::{}", item["name"].as_str()?))?;
            } else if reexport.is_object() {
                let name = reexport["name"].as_str()?;
                let here = match reexport["is_glob"].as_bool()? {
                    true => path.to_owned(),
                    false => format!("{path}::{name}"),
                };
                // A third package names an item by the module that defines the item, private or
                // not.
                let defined = &json["paths"][number(&reexport["id"])?]["path"];
                if let Some(segments) = defined.as_array() {
                    let segments: Option<Vec<&str>> = segments.iter().map(Value::as_str).collect();
                    self.paths.insert(segments?.join("::"), here.clone());
                }
                self.paths.insert(reexport["source"].as_str()?.to_owned(), here);
            }
        }
        Some(())
    }

    /// Returns the line as users would write it: each path in it is replaced if the facade has one.
    pub(crate) fn translate(&self, line: &str) -> String {
        let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let mut translated = String::new();
        let mut rest = line;
        while let Some(start) = rest.find(part) {
            let length = rest[start..].find(|c| !part(c)).unwrap_or(rest.len() - start);
            // One colon behind a name begins its type or its bounds.
            let path = rest[start..start + length].trim_end_matches(':');
            translated += &rest[..start];
            translated += &self.path(path);
            translated += &rest[start + path.len()..start + length];
            rest = &rest[start + length..];
        }
        translated + rest
    }

    /// Replaces the longest beginning of one path that the facade re-exports.
    fn path(&self, path: &str) -> String {
        let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
        let known = ends.filter_map(|end| Some((end, self.paths.get(&path[..end])?))).last();
        match known {
            Some((end, here)) => format!("{here}{}", &path[end..]),
            None => path.to_owned(),
        }
    }
}

fn item<'a>(json: &'a Value, id: &Value) -> Option<&'a Value> {
    json["index"].get(number(id)?)
}

/// Ids are numbers, and strings where they are keys.
fn number(id: &Value) -> Option<String> {
    id.as_u64().map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facade() -> Facade {
        let reexport = |source: &str, id: u32, is_glob: bool| {
            let name = source.rsplit("::").next();
            let inner = json!({ "source": source, "name": name, "id": id, "is_glob": is_glob });
            json!({ "inner": { "use": inner } })
        };
        let module = |name: &str, items: &[u32]| {
            let inner = json!({ "module": { "items": items } });
            json!({ "name": name, "inner": inner })
        };
        let json = json!({
            "root": 0,
            "index": {
                "0": module("facade", &[1, 2, 3]),
                "1": module("inside", &[4]),
                "2": reexport("inner::go", 20, false),
                "3": reexport("inner::chan", 30, false),
                "4": reexport("other", 40, true),
            },
            "paths": {
                "20": { "path": ["inner", "private", "go"] },
                "30": { "path": ["inner", "chan"] },
                "40": { "path": ["other"] },
            },
        });
        Facade::read(&json).expect("it is well formed")
    }

    #[test]
    fn paths_are_those_of_the_facade() {
        for (line, wanted) in [
            ("pub fn inner::go<T>(T) -> inner::Left", "pub fn facade::go<T>(T) -> inner::Left"),
            ("impl A for inner::chan::B<'_>", "impl A for facade::chan::B<'_>"),
            ("pub fn other::f(&inner::private::go)", "pub fn facade::inside::f(&facade::go)"),
            ("pub fn inner::gone()", "pub fn inner::gone()"),
            ("pub mod other", "pub mod facade::inside"),
            ("pub const inner::chan::N: usize", "pub const facade::chan::N: usize"),
            ("pub trait inner::go: Sync", "pub trait facade::go: Sync"),
        ] {
            assert_eq!(facade().translate(line), wanted);
        }
    }

    #[test]
    fn another_form_is_noticed() {
        assert!(Facade::read(&json!({ "root": 0, "index": {} })).is_none());
        assert!(Facade::read(&json!({ "root": "0:0", "index": { "0": {} } })).is_none());
    }
}
