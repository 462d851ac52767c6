//! Why a function has failed: its code, and a text that the calling thread may read afterwards.
//!
//! The text lies in a thread-local, as that of `dlerror` does. A goroutine reads its own: between
//! the return of a function and the goroutine's next call nothing else runs on its thread. What
//! fails often, such as a receive that only tries, has the constant text of its code, so nothing is
//! allocated for it.
//!
//! # Safety
//!
//! The names that are exported have this library's prefix.
#![expect(unsafe_code, reason = "exported names")]

use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::io;

use gosched::callback::EnterError;
use gosched::cancel::{CancelScope, Cancelled};

use crate::code::{self, Code};

thread_local! {
    static LAST: RefCell<Cow<'static, CStr>> = const { RefCell::new(Cow::Borrowed(c"")) };
}

/// Why a function has failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    /// What the code alone does not say.
    text: Option<String>,
}

impl Failure {
    /// A failure of which the code says all.
    pub(crate) fn plain(code: Code) -> Self {
        Self { code, text: None }
    }

    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: Some(text.into()) }
    }

    /// An argument that cannot be.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(code::GOSCHED_INVALID, text)
    }

    /// What the system has refused.
    pub(crate) fn of_system(error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::InvalidInput => code::GOSCHED_INVALID,
            _ => code::GOSCHED_RESOURCES,
        };
        Self::new(code, error.to_string())
    }

    /// A call that unwound: it was cancelled, or has panicked.
    pub(crate) fn of_payload(payload: &(dyn Any + Send)) -> Self {
        if let Some(how) = payload.downcast_ref::<Cancelled>() {
            let code = match how.scope {
                CancelScope::Timeout(_) => code::GOSCHED_TIMED_OUT,
                _ => code::GOSCHED_CANCELLED,
            };
            return Self::new(code, how.to_string());
        }
        let told = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::new(code::GOSCHED_PANICKED, told.unwrap_or("the library panicked"))
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Leaves the text to the calling thread, and returns the code.
    pub(crate) fn tell(self) -> Code {
        let text = match self.text {
            Some(text) => Cow::Owned(c_string(text)),
            None => Cow::Borrowed(code::text(self.code)),
        };
        // Fails while the thread's thread-locals go: then it has no text.
        let _no_text = LAST.try_with(|last| *last.borrow_mut() = text);
        self.code
    }
}

impl From<EnterError> for Failure {
    fn from(error: EnterError) -> Self {
        Self::new(error.code() as Code, error.to_string())
    }
}

/// Returns `text` as C has its strings. A NUL in it is left out.
pub(crate) fn c_string(text: String) -> CString {
    let bytes: Vec<u8> = text.into_bytes().into_iter().filter(|byte| *byte != 0).collect();
    CString::new(bytes).unwrap_or_default()
}

/// Returns the text of the last function that failed on the calling thread; before the first one,
/// an empty text. It is valid until the next call of this library on the thread, and the thread's
/// end. A function that succeeds leaves it alone.
///
/// Threads: any. Waits: no. Handlers: no. States: any.
#[unsafe(no_mangle)]
pub extern "C" fn gosched_last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own_text() {
        assert_eq!(Failure::invalid("na\0me").tell(), code::GOSCHED_INVALID);
        let told = || LAST.with(|last| last.borrow().clone().into_owned());
        assert_eq!(told().as_c_str(), c"name");
        let other = std::thread::spawn(move || told().into_bytes()).join().expect("a thread");
        assert!(other.is_empty());
        assert_eq!(Failure::plain(code::GOSCHED_CLOSED).tell(), code::GOSCHED_CLOSED);
        assert_eq!(told().as_c_str(), code::text(code::GOSCHED_CLOSED));
    }

    #[test]
    fn a_payload_tells_what_it_was() {
        let failures = [
            Failure::of_payload(&"one"),
            Failure::of_payload(&String::from("two")),
            Failure::of_payload(&3),
        ];
        let told = failures.map(|failure| failure.text.unwrap_or_default());
        assert_eq!(told, ["one", "two", "the library panicked"]);
    }
}
