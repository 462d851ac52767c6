//! The functions in which a goroutine must not wait, and how they are recognised in a stack.
//!
//! Each was looked up in the source of the version that `docs/soundness.md` names, where the table
//! says how it was checked. A function that merely computes something wrong when its calls overlap
//! is not here: a promise is broken where `unsafe` relies on the nesting.

/// Which promise is broken by a wait in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// (a): nothing waits in the initialiser of a thread-local. Destructors run where a thread
    /// ends, and in `exit`: nothing switches there.
    ThreadLocal,
    /// (b): nothing waits in a call-back of code that relies on nesting.
    Nesting,
    /// (c): a migratory goroutine holds nothing of its thread.
    Thread,
}

impl Promise {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::ThreadLocal => "(a): a wait in the initialiser of a thread-local",
            Self::Nesting => "(b): a wait in a closure of code that relies on nested calls",
            Self::Thread => "(c): a migratory goroutine waits while it borrows a thread-local",
        }
    }
}

/// A function in which a goroutine must not wait.
struct Known {
    /// Its path, without generics.
    path: &'static str,
    /// A part of the name of its file.
    file: &'static str,
    breaks: Promise,
}

const fn known(path: &'static str, file: &'static str, breaks: Promise) -> Known {
    Known { path, file, breaks }
}

const KNOWN: [Known; 10] = [
    known(
        "std::sys::thread_local::native::lazy::Storage::get_or_init_slow",
        "std/src/sys/thread_local/native/lazy.rs",
        Promise::ThreadLocal,
    ),
    known("scoped_tls::ScopedKey::set", "/scoped-tls-", Promise::Nesting),
    known(
        "tokio::runtime::context::scoped::Scoped::set",
        "src/runtime/context/scoped.rs",
        Promise::Nesting,
    ),
    known("salsa::attach::Attached::attach", "/salsa-", Promise::Nesting),
    known("salsa::attach::Attached::attach_allow_change", "/salsa-", Promise::Nesting),
    known(
        "async_std::task::task_locals_wrapper::TaskLocalsWrapper::set_current",
        "/async-std-",
        Promise::Nesting,
    ),
    known("pyo3::marker::Python::attach", "/pyo3-", Promise::Nesting),
    known("wasmtime::runtime::vm::traphandlers::catch_traps", "/wasmtime-", Promise::Nesting),
    known("std::thread::local::LocalKey::with", "std/src/thread/local.rs", Promise::Thread),
    known("std::thread::local::LocalKey::try_with", "std/src/thread/local.rs", Promise::Thread),
];

impl Known {
    /// True if this is the function at `path` in the file. With `debug = "line-tables-only"` a
    /// function that has others inlined into it is named without its path; then its file tells.
    fn is(&self, path: &str, file: &str) -> bool {
        let name = self.path.rsplit("::").next();
        is_in(path, self.path) || (name == Some(path) && file.contains(self.file))
    }
}

/// Returns the promise that a wait in the function breaks: `path` is a [`plain`] one, and `own`
/// what the user has added.
pub(super) fn broken_in(path: &str, file: &str, migrates: bool, own: &[String]) -> Option<Promise> {
    let mut known = KNOWN.iter().filter(|known| migrates || known.breaks != Promise::Thread);
    let known = known.find(|known| known.is(path, file)).map(|known| known.breaks);
    known.or_else(|| own.iter().any(|own| is_in(path, own)).then_some(Promise::Nesting))
}

/// True if the path is that of the function, of a closure in it, or of something in the module.
fn is_in(path: &str, function: &str) -> bool {
    path.strip_prefix(function)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || function.ends_with("::"))
}

/// Returns a function's name as it is demangled, without generics, so that a path remains:
/// `<scoped_tls::ScopedKey<T>>::set::<F, R>` becomes `scoped_tls::ScopedKey::set`. Of a trait's
/// function the type remains.
pub(super) fn plain(name: &str) -> String {
    let name = name.strip_prefix('<').and_then(|rest| Some((rest, closing(rest)?))).map_or_else(
        || name.to_owned(),
        |(rest, end)| {
            let inner = &rest[..end];
            let of_type = top_level_as(inner).map_or(inner, |at| &inner[..at]);
            format!("{}{}", plain(of_type), &rest[end + 1..])
        },
    );
    let mut path = String::with_capacity(name.len());
    let mut depth = 0_usize;
    let mut before = ' ';
    for letter in name.chars() {
        match letter {
            '<' => depth += 1,
            // The arrow of a function's type.
            '>' if before == '-' => {}
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => path.push(letter),
            _ => {}
        }
        before = letter;
    }
    // A list of arguments stands behind `::` in the newer form.
    path.replace("::::", "::").trim_end_matches("::").to_owned()
}

/// Returns where the bracket ends in which `text` begins.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        before = letter;
    }
    None
}

/// Returns where ` as ` stands in `text` outside of brackets.
fn top_level_as(text: &str) -> Option<usize> {
    let depth_at = |at: usize| {
        let (depth, _) = text[..at].chars().fold((0, ' '), |(depth, before), letter| {
            let depth = match letter {
                '<' => depth + 1,
                '>' if before != '-' => depth - 1,
                _ => depth,
            };
            (depth, letter)
        });
        depth
    };
    text.match_indices(" as ").map(|(at, _)| at).find(|at| depth_at(*at) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generics_are_left_out() {
        for (name, path) in [
            ("scoped_tls::ScopedKey<T>::set", "scoped_tls::ScopedKey::set"),
            ("<scoped_tls::ScopedKey<a::B<u8>>>::set::<F, R>", "scoped_tls::ScopedKey::set"),
            ("<std::thread::local::LocalKey<T>>::with", "std::thread::local::LocalKey::with"),
            ("a::b::{{closure}}", "a::b::{{closure}}"),
            ("<a::B<fn(u8) -> c::D> as e::F<G>>::h", "a::B::h"),
            ("<<a::B as c::D>::E as f::G>::h", "a::B::E::h"),
            ("plain", "plain"),
        ] {
            assert_eq!(plain(name), path);
        }
    }

    #[test]
    fn a_function_has_its_closures() {
        let own = ["mine::".to_owned(), "other::with".to_owned()];
        let of = |path, migrates| broken_in(path, "?", migrates, &own);
        assert_eq!(of("scoped_tls::ScopedKey::set", false), Some(Promise::Nesting));
        assert_eq!(of("scoped_tls::ScopedKey::set::{{closure}}", false), Some(Promise::Nesting));
        assert_eq!(of("scoped_tls::ScopedKey::settle", false), None);
        assert_eq!(of("std::thread::local::LocalKey::with", false), None);
        assert_eq!(of("std::thread::local::LocalKey::with", true), Some(Promise::Thread));
        assert_eq!(of("mine::deep::function", false), Some(Promise::Nesting));
        assert_eq!(of("other::with", false), Some(Promise::Nesting));
        assert_eq!(of("other::without", false), None);
    }

    #[test]
    fn a_name_without_its_path_is_told_by_its_file() {
        let of = |file| broken_in("set", file, false, &[]);
        assert_eq!(of("/registry/scoped-tls-1.0.1/src/lib.rs:119"), Some(Promise::Nesting));
        assert_eq!(of("/program/src/main.rs:7"), None);
    }
}
