//! What a goroutine waits for, for who looks at it from outside.

/// What a wait is for. Noted in the G when the wait begins, and left there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Why {
    Unsaid,
    Join,
    Scope,
    Token,
    Future,
    Sleep,
    Blocking,
    Send,
    Receive,
    Select,
    Lock,
}

/// Every reason, at the place of its number.
const ALL: [(Why, &str); 11] = [
    (Why::Unsaid, "something"),
    (Why::Join, "the end of a goroutine"),
    (Why::Scope, "the goroutines of its scope"),
    (Why::Token, "a token to be cancelled"),
    (Why::Future, "a future"),
    (Why::Sleep, "the clock"),
    (Why::Blocking, "a call that blocks"),
    (Why::Send, "room in a channel, or a receiver"),
    (Why::Receive, "a value from a channel"),
    (Why::Select, "one of several channels"),
    (Why::Lock, "a lock, a permit or a notice"),
];

impl Why {
    /// The reason of this number.
    pub(crate) fn of(number: u8) -> Self {
        ALL.get(usize::from(number)).map_or(Why::Unsaid, |(why, _)| *why)
    }

    /// What comes behind "waits for".
    pub(crate) fn text(self) -> &'static str {
        ALL[self as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place() {
        for (number, (why, _)) in ALL.iter().enumerate() {
            assert_eq!(*why as usize, number);
            assert_eq!(Why::of(u8::try_from(number).expect("there are few")), *why);
        }
        assert_eq!(Why::of(u8::MAX), Why::Unsaid);
    }
}
