//! Which paths a file names from its own crate.

use crate::source::{Source, asks_for_tests, attributes, close, module_name, words};

/// Returns `a::b` of `package/src/a/b.rs` and of `package/src/a/b/mod.rs`.
pub fn module_path(source: &Source, package: &str) -> Vec<String> {
    let path =
        source.path.trim_start_matches(package).trim_start_matches('/').trim_start_matches("src/");
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// Returns the paths that a file names from its own crate, with the lines on which they begin.
pub fn imports(source: &Source, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (word, up) in [("crate", usize::MAX), ("self", 0), ("super", 1)] {
        for offset in words(&source.product, word) {
            // In the middle of a path it begins none.
            if source.product[..offset].ends_with("::") {
                continue;
            }
            let Some(mut rest) = source.product[offset + word.len()..].strip_prefix("::") else {
                continue;
            };
            let mut up = up;
            while let Some(further) = rest.strip_prefix("super::") {
                (rest, up) = (further, up + 1);
            }
            let mut base = module.to_vec();
            base.extend(enclosing(&source.product, offset));
            base.truncate(base.len().saturating_sub(up));
            let mut paths = Vec::new();
            use_tree(rest, base, &mut paths);
            let line = source.line_of(offset);
            found.extend(paths.into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// Returns the modules inside the file around the offset, outermost first.
fn enclosing(code: &str, offset: usize) -> Vec<String> {
    let around = words(code, "mod").filter(|start| *start < offset).filter_map(|start| {
        let name = module_name(&code[start..])?;
        let open = start
            + code[start..].find(['{', ';']).filter(|at| code[start + at..].starts_with('{'))?;
        (open..close(code, open)?).contains(&offset).then(|| name.to_owned())
    });
    around.collect()
}

/// Spells out `a::{b, c::d}` behind `base`.
pub fn use_tree(code: &str, base: Vec<String>, into: &mut Vec<Vec<String>>) {
    let code = code.trim_start();
    if code.starts_with('{') {
        let end = close(code, 0).map_or(code.len(), |end| end - 1);
        return top_level_parts(&code[1..end]).for_each(|part| use_tree(part, base.clone(), into));
    }
    let length = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
    let mut path = base;
    if length > 0 && &code[..length] != "self" {
        path.push(code[..length].to_owned());
    }
    match code[length..].strip_prefix("::") {
        Some(rest) => use_tree(rest, path, into),
        None => into.push(path),
    }
}

fn top_level_parts(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    list.split(move |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
    .filter(|part| !part.trim().is_empty())
}

/// Returns the paths that a file names through a module it declares, as `child::x` does behind
/// `mod child;`.
///
/// A parent does not use what it re-exports: `pub use child::x` is left out.
pub fn child_paths(source: &Source, module: &[String]) -> Vec<Vec<String>> {
    let code = &source.product;
    let mut found = Vec::new();
    for child in declared(code) {
        for offset in words(code, child) {
            let before = code[..offset].trim_end();
            if before.ends_with("::") || !code[offset + child.len()..].starts_with("::") {
                continue;
            }
            let statement = before.strip_suffix("use").map(str::trim_end);
            if statement.is_some_and(|before| before.ends_with("pub") || before.ends_with(')')) {
                continue;
            }
            use_tree(&code[offset..], module.to_vec(), &mut found);
        }
    }
    found
}

/// Returns the names of the modules that `code` declares and does not open.
pub fn declared(code: &str) -> impl Iterator<Item = &str> {
    words(code, "mod").filter_map(|offset| {
        let name = module_name(&code[offset..])?;
        let behind = code[offset..].trim_start_matches("mod").trim_start().strip_prefix(name)?;
        (!name.is_empty() && behind.trim_start().starts_with(';')).then_some(name)
    })
}

/// Returns the names of the modules that `code` declares for tests alone.
pub fn declared_for_tests(code: &str) -> impl Iterator<Item = &str> {
    attributes(code)
        .filter(|attribute| asks_for_tests(attribute.text))
        .filter_map(|attribute| module_name(attribute.item))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_through_children_are_found() {
        let source = Source::new(
            "p/src/main.rs",
            "mod a;\nmod b;\npub use a::Public;\nuse b::{x, y::z};\n\
             fn f() { a::g(); self::a::h() }",
        );
        let paths: Vec<String> =
            child_paths(&source, &[]).into_iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, ["a::g", "b::x", "b::y::z"]);
    }

    #[test]
    fn modules_for_tests_are_told_from_others() {
        let code = "mod a;\n#[cfg(test)]\npub(crate) mod b;\n#[cfg(not(test))]\nmod c;\nmod d {}";
        assert_eq!(declared(code).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(declared_for_tests(code).collect::<Vec<_>>(), ["b"]);
    }
}
