//! Last words: text to standard error from places where nothing may be allocated, locked or
//! formatted.
//!
//! A message is put together on the stack and leaves in one `write`, so that the messages of two
//! dying threads do not mix. Everything here is async-signal-safe.

use crate::sys;

/// One piece of a message.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Text as it is.
    Text(&'a str),
    /// A number in decimal.
    Dec(u64),
    /// An address or a bit pattern, with `0x` in front.
    Hex(usize),
}

/// The size of a message; the rest is cut. The buffer lies on a signal stack.
const CAPACITY: usize = 1024;

struct Line {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Line {
    fn new(parts: &[Part<'_>]) -> Self {
        let mut line = Self { bytes: [0; CAPACITY], length: 0 };
        for part in parts {
            match *part {
                Part::Text(text) => line.text(text.as_bytes()),
                Part::Dec(value) => line.number(value, 10),
                Part::Hex(value) => {
                    line.text(b"0x");
                    line.number(value as u64, 16);
                }
            }
        }
        line
    }

    fn text(&mut self, text: &[u8]) {
        for &byte in text {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
    }

    fn number(&mut self, mut value: u64, base: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b"0123456789abcdef"[(value % base) as usize];
            value /= base;
            if value == 0 {
                break;
            }
        }
        self.text(&digits[first..]);
    }

    fn write(&self) {
        let mut rest = &self.bytes[..self.length];
        while !rest.is_empty() {
            match sys::write_some(rest) {
                Some(written) => rest = &rest[written..],
                // Nobody reads standard error, and there is no other place to complain to.
                None => return,
            }
        }
    }
}

/// Writes the message to standard error; `errno` stays as it was.
pub fn report(parts: &[Part<'_>]) {
    let errno = crate::errno::get();
    Line::new(parts).write();
    crate::errno::set(errno);
}

/// Writes the message to standard error and aborts the process.
pub fn fatal(parts: &[Part<'_>]) -> ! {
    report(parts);
    sys::abort()
}

/// Writes its message to standard error and aborts the process when it is dropped, as when what
/// follows it unwinds.
#[derive(Debug)]
#[must_use]
pub struct FatalOnUnwind(pub &'static str);

impl FatalOnUnwind {
    /// Ends the part that must not unwind.
    #[inline]
    pub fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for FatalOnUnwind {
    fn drop(&mut self) {
        fatal(&[Part::Text(self.0)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(any(unix, windows))]
    use crate::testing::Child;

    fn line(parts: &[Part<'_>]) -> String {
        let line = Line::new(parts);
        String::from_utf8(line.bytes[..line.length].to_vec()).expect("text")
    }

    #[test]
    fn numbers_are_written_as_format_would() {
        for value in [0, 7, 10, 4096, u64::MAX] {
            assert_eq!(line(&[Part::Dec(value)]), format!("{value}"));
            assert_eq!(line(&[Part::Hex(value as usize)]), format!("{:#x}", value as usize));
        }
    }

    #[test]
    fn too_long_a_message_is_cut() {
        let long = "x".repeat(CAPACITY);
        assert_eq!(line(&[Part::Text("ab"), Part::Text(&long), Part::Dec(5)]).len(), CAPACITY);
    }

    #[test]
    #[cfg(any(unix, windows))]
    fn fatal_speaks_and_aborts() {
        let child = Child::run("signal::fatal::tests::fatal_speaks_and_aborts", || {
            fatal(&[Part::Text("last words of "), Part::Dec(42), Part::Text("\n")])
        });
        child.assert_killed_by(libc::SIGABRT);
        assert!(child.stderr().contains("last words of 42\n"), "{child:?}");
    }
}
