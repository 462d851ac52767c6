//! Signals of the process as a channel.
//!
//! `signal-hook` has the handler, which calls the host's own afterwards, and a pipe that its
//! handler writes to. One thread for the process reads the pipe and sends to those who asked. It is
//! made when somebody asks first, and stays: what a signal did before is not restored either.
//!
//! *Rejected.* A thread for each receiver, which would be told of the end of its receiver only by
//! the next signal. Sending from the handler: a channel has a lock. A `Mailbox`, which handlers may
//! post to, is in no `select!`.

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gosched_runtime_sys::thread::spawn_thread;
use signal_hook::consts::FORBIDDEN;
use signal_hook::iterator::{Handle, Signals};

use super::{Receiver, Sender, bounded};

/// How many signals a receiver may leave there, before those that come are lost to it.
const ROOM: usize = 64;

/// Those who asked, and what registers a signal. The handle is there once the thread is.
struct Asked {
    handle: Option<Handle>,
    receivers: Vec<(Vec<i32>, Sender<i32>)>,
}

static ASKED: Mutex<Asked> = Mutex::new(Asked { handle: None, receivers: Vec::new() });

fn asked() -> MutexGuard<'static, Asked> {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a channel to which each of these signals comes that the process gets from now on, as
/// its number: `chan::signals([SIGINT, SIGTERM])`. Any number of channels may ask for a signal, and
/// each gets it. Goroutines, threads and futures receive, alone or in a
/// [`select!`](crate::select!).
///
/// A receiver that does not come in time misses those beyond 64. The channel is never disconnected.
///
/// From the first call on for a signal, what it did by default does not happen any more, as that
/// `SIGINT` ends the process; also when the receivers are gone. A handler that was there is still
/// called. Signals for which a thread of the host waits with `sigwait` are its own. In a forked
/// child nothing comes. The handler does little, on the stack that it interrupts:
/// [`signal::check`](crate::signal::check) lists it.
///
/// With the feature `signals`. `signal::notify` is the same function.
///
/// # Errors
///
/// `InvalidInput` for a signal that no handler may have: `SIGKILL`, `SIGSTOP` and the faults. What
/// the system says if the handler cannot be installed, or the thread cannot be made.
///
/// ```
/// use gosched::{chan, select};
///
/// const SIGUSR1: i32 = if cfg!(target_os = "linux") { 10 } else { 30 };
///
/// let signals = chan::signals([SIGUSR1])?;
/// select! {
///     recv(signals) -> signal => unreachable!("{signal:?}"),
///     default => println!("none yet"),
/// }
/// assert!(chan::signals([9]).is_err(), "nobody handles SIGKILL");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # An orderly end
///
/// Those who wait for work wait for the end, too, and finish what they have begun. Who takes too
/// long is cancelled.
///
/// ```no_run
/// use gosched::cancel::Token;
/// use gosched::{Mode, Runtime, chan, select, signal};
/// use std::time::Duration;
///
/// const SIGINT: i32 = 2;
/// const SIGTERM: i32 = 15;
///
/// /// Serves what comes, until the end is near.
/// fn serve(connections: chan::Receiver<u32>, end: Token) {
///     loop {
///         select! {
///             recv(connections) -> connection => match connection {
///                 Ok(connection) => println!("serves {connection}"),
///                 Err(_) => return,
///             },
///             recv(end.done()) -> _ => return,
///         }
///     }
/// }
///
/// let stops = signal::notify([SIGINT, SIGTERM])?;
/// let runtime = Runtime::new(Mode::threads())?;
/// let end = Token::new();
/// let (_acceptor, connections) = chan::bounded(0);
/// let theirs = end.clone();
/// let server = runtime.go(move || serve(connections, theirs));
///
/// println!("signal {}", stops.recv().expect("it is never disconnected"));
/// end.cancel();
/// if server.join_timeout(Duration::from_secs(5)).is_err() {
///     println!("it takes too long");
/// }
/// runtime.shutdown(Duration::from_secs(1)).expect("it was cancelled");
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("notify", "ctrl_c", "Notify", "SIGINT", "SIGTERM"))]
pub fn signals(signals: impl IntoIterator<Item = i32>) -> io::Result<Receiver<i32>> {
    let signals: Vec<i32> = signals.into_iter().collect();
    if let Some(signal) = signals.iter().find(|signal| FORBIDDEN.contains(signal)) {
        let said = format!("signal {signal} cannot be handled");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
    }
    let mut asked = asked();
    if asked.handle.is_none() {
        let mut all = Signals::new([0_i32; 0])?;
        asked.handle = Some(all.handle());
        let made = spawn_thread("gosched-signals".to_owned(), move || {
            all.forever().for_each(deliver);
        });
        if let Err(error) = made {
            asked.handle = None;
            return Err(error);
        }
    }
    if let Some(handle) = &asked.handle {
        signals.iter().try_for_each(|signal| handle.add_signal(*signal))?;
    }
    let (tx, rx) = bounded(ROOM);
    asked.receivers.push((signals, tx));
    Ok(rx)
}

/// Sends the signal to those who asked for it. Forgets those who are gone.
fn deliver(signal: i32) {
    // A waker is the user's code, and must not find the lock taken.
    let mut receivers = mem::take(&mut asked().receivers);
    receivers.retain(|(signals, tx)| {
        if signals.contains(&signal) {
            // A waker that panics is no reason to stop. What it says has gone to the hook.
            let sent = catch_unwind(AssertUnwindSafe(|| tx.try_send(signal)));
            sent.map_or_else(mem::forget, |_full_or_gone| ());
        }
        !tx.is_closed()
    });
    asked().receivers.append(&mut receivers);
}
