//! What a goroutine waits for, for reports.

/// The reason of a wait. Stored in the G when the wait begins, and left there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum WaitReason {
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

/// Every reason and its text, at the index of its number.
const ALL: [(WaitReason, &str); 11] = [
    (WaitReason::Unsaid, "something"),
    (WaitReason::Join, "the end of a goroutine"),
    (WaitReason::Scope, "the goroutines of its scope"),
    (WaitReason::Token, "a token to be cancelled"),
    (WaitReason::Future, "a future"),
    (WaitReason::Sleep, "the clock"),
    (WaitReason::Blocking, "a call that blocks"),
    (WaitReason::Send, "room in a channel, or a receiver"),
    (WaitReason::Receive, "a value from a channel"),
    (WaitReason::Select, "one of several channels"),
    (WaitReason::Lock, "a lock, a permit or a notice"),
];

impl WaitReason {
    /// Returns the reason with this number; `Unsaid` if there is none.
    pub(crate) fn of(number: u8) -> Self {
        ALL.get(usize::from(number)).map_or(WaitReason::Unsaid, |(why, _)| *why)
    }

    /// Returns the words that follow "waits for" in a report.
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
            assert_eq!(WaitReason::of(u8::try_from(number).expect("there are few")), *why);
        }
        assert_eq!(WaitReason::of(u8::MAX), WaitReason::Unsaid);
    }
}
