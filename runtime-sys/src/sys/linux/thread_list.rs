//! The process's threads, as `/proc` has them.
//!
//! # Safety
//!
//! Out-parameters are read only if the call said that it filled them.
#![expect(unsafe_code, reason = "system calls that allocate nothing")]

use std::io::Write;

use super::errno_location;

/// What the kernel writes for an entry of a directory, before its name: of `linux_dirent64`.
const ENTRY_LENGTH: usize = 16;
const ENTRY_NAME: usize = 19;

/// Calls `f` with the number of each thread of the process, until it returns false. True if it
/// never did; false where there is no list of them. Allocates nothing.
pub(crate) fn each_thread(mut f: impl FnMut(i32) -> bool) -> bool {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path ends in a zero.
    let list = unsafe { libc::open(c"/proc/self/task".as_ptr(), flags) };
    if list < 0 {
        return false;
    }
    let mut buffer = [0_u8; 2048];
    let all = loop {
        // SAFETY: the buffer is writable, for its length.
        let filled =
            unsafe { libc::syscall(libc::SYS_getdents64, list, buffer.as_mut_ptr(), buffer.len()) };
        match usize::try_from(filled) {
            Ok(0) => break true,
            Ok(filled) if threads_in(&buffer[..filled]).all(&mut f) => {}
            Ok(_) | Err(_) => break false,
        }
    };
    // SAFETY: opened above, and nothing else has it.
    unsafe { libc::close(list) };
    all
}

/// `PF_EXITING`, among the flags in a thread's `stat`.
const EXITING: u64 = 4;

/// True if a thread of this process has ended, or has left its code for good. Allocates nothing.
pub(crate) fn is_exiting(thread: i32) -> bool {
    let mut path = [0_u8; 48];
    let mut rest = &mut path[..];
    if write!(rest, "/proc/self/task/{thread}/stat\0").is_err() {
        return false;
    }
    // SAFETY: the path ends in a zero.
    let file = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        // SAFETY: it is the calling thread's.
        return unsafe { *errno_location() } == libc::ENOENT;
    }
    let mut stat = [0_u8; 512];
    // SAFETY: the buffer is writable, for its length.
    let filled = unsafe { libc::read(file, stat.as_mut_ptr().cast(), stat.len()) };
    // SAFETY: opened above, and nothing else has it.
    unsafe { libc::close(file) };
    match usize::try_from(filled) {
        Ok(filled) => flags_in(&stat[..filled]).is_some_and(|flags| flags & EXITING != 0),
        // The thread has gone since.
        Err(_) => true,
    }
}

/// Returns the flags in a thread's `stat`: the seventh field behind the name, which is in
/// parentheses and may contain anything.
fn flags_in(stat: &[u8]) -> Option<u64> {
    let behind = stat.iter().rposition(|&byte| byte == b')')?;
    let field = stat[behind..].split(|&byte| byte == b' ').nth(7)?;
    str::from_utf8(field).ok()?.parse().ok()
}

/// Returns the numbers among the names of directory entries, as `getdents64` writes these.
fn threads_in(mut entries: &[u8]) -> impl Iterator<Item = i32> {
    std::iter::from_fn(move || {
        let length = entries.get(ENTRY_LENGTH..ENTRY_LENGTH + 2)?;
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
        let name = entries.get(ENTRY_NAME..length)?;
        entries = &entries[length..];
        Some(name.split(|&byte| byte == 0).next().and_then(|name| str::from_utf8(name).ok()))
    })
    .filter_map(|name| name?.parse().ok())
}
