//! Requests of C's threads: asking, and what comes of it.
//!
//! The value is in the call, in the request's slot, with a server, or back in the call. So a cancel
//! that unwinds out of the wait loses nothing: what there is, is looked at afterwards.

use super::Bridge;
use super::service::{Service, Shared};
use super::slot::{Asked, Left, Vacant};
use crate::error::{CallCode, EnterError};
use crate::extra::entrance::Entrance;
use gosched_scheduler::embed::chan::{SendTimeoutError, TrySendError};
use gosched_scheduler::embed::{self, Notify};
use std::time::{Duration, Instant};
use std::{error, fmt};

/// Why a [`call`](Bridge::call) has no reply. The request's value comes back where no server has
/// received it.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError<Req> {
    /// The thread could not enter the runtime, or was cancelled there while it waited, as by a
    /// shutdown. A server may have received the value; then nothing comes back.
    Enter(EnterError, Option<Req>),
    /// [`try_call`](Bridge::try_call) found no room for the request.
    Full(Req),
    /// All [`Requests`](crate::Requests) are gone.
    Disconnected(Req),
    /// A server has received the request and dropped it, as in a panic.
    NoReply,
    /// The time was over. A server may have received the value; then nothing comes back, and the
    /// server is told when it replies.
    TimedOut(Option<Req>),
}

impl<Req> CallError<Req> {
    /// Returns the request's value, unless a server has received it.
    pub fn into_value(self) -> Option<Req> {
        match self {
            Self::Enter(_, value) | Self::TimedOut(value) => value,
            Self::Full(value) | Self::Disconnected(value) => Some(value),
            Self::NoReply => None,
        }
    }

    /// Returns its number, for C.
    #[must_use]
    pub fn code(&self) -> CallCode {
        match self {
            Self::Enter(error, _) => error.code().into(),
            Self::Full(_) => CallCode::Full,
            Self::Disconnected(_) => CallCode::Disconnected,
            Self::NoReply => CallCode::NoReply,
            Self::TimedOut(_) => CallCode::TimedOut,
        }
    }
}

impl<Req> fmt::Display for CallError<Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enter(error, _) => error.fmt(f),
            _ => f.write_str(self.code().text()),
        }
    }
}

impl<Req: fmt::Debug> error::Error for CallError<Req> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Enter(error, _) => Some(error),
            _ => None,
        }
    }
}

/// How long a call waits.
#[derive(Clone, Copy)]
enum Patience {
    NotForRoom,
    Until(Instant),
    Forever,
}

/// Why a call waits no longer.
enum Stopped {
    Over,
    Full,
    Disconnected,
    TimedOut,
}

/// A call: a value, and later what it waits for instead.
struct Call<Req, Rep> {
    value: Option<Req>,
    asked: Option<Asked<Req, Rep, Notify>>,
}

impl Bridge {
    /// Asks a service as a goroutine of the bridge's runtime, and waits for the reply. It is an
    /// [`enter`](Self::enter) around a send and a receive, and allocates nothing in the long run.
    ///
    /// It waits until a server has received the request and has replied. The servers may be in any
    /// runtime, or threads. One that waits for its own reply waits for ever.
    ///
    /// # Errors
    ///
    /// [`CallError`] says what has become of the value. A reply that is there is returned, whatever
    /// else has happened.
    ///
    /// ```
    /// use gosched::callback::{Bridge, CallError, EnterError, Service};
    ///
    /// let (service, requests) = Service::<_, ()>::bounded(1);
    /// drop(requests);
    /// let outcome = Bridge::unbound().call(&service, 'a');
    /// assert!(matches!(outcome, Err(CallError::Enter(EnterError::NotRunning, Some('a')))));
    /// ```
    pub fn call<Req: Send, Rep: Send>(
        &self,
        service: &Service<Req, Rep>,
        value: Req,
    ) -> Result<Rep, CallError<Req>> {
        self.call_by(service, value, Patience::Forever)
    }

    /// As [`call`](Self::call), without a wait for room. Where the request fits, the reply is
    /// waited for.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), or [`CallError::Full`]. A capacity of 0 has room when a server
    /// waits.
    pub fn try_call<Req: Send, Rep: Send>(
        &self,
        service: &Service<Req, Rep>,
        value: Req,
    ) -> Result<Rep, CallError<Req>> {
        self.call_by(service, value, Patience::NotForRoom)
    }

    /// As [`call`](Self::call), at longest for `timeout`.
    ///
    /// ```
    /// use gosched::callback::{Bridge, CallError, Service};
    /// use gosched::{Mode, Runtime};
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::builder(Mode::threads()).build()?;
    /// let bridge = Bridge::new(&runtime);
    /// let (service, requests) = Service::<_, ()>::bounded(1);
    /// let outcome = bridge.call_timeout(&service, 'a', Duration::from_millis(5));
    /// assert!(matches!(outcome, Err(CallError::TimedOut(Some('a')))));
    /// assert!(requests.try_recv().is_err(), "it was withdrawn");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), or [`CallError::TimedOut`].
    pub fn call_timeout<Req: Send, Rep: Send>(
        &self,
        service: &Service<Req, Rep>,
        value: Req,
        timeout: Duration,
    ) -> Result<Rep, CallError<Req>> {
        let deadline = Instant::now().checked_add(timeout);
        self.call_by(service, value, deadline.map_or(Patience::Forever, Patience::Until))
    }

    /// As [`call_timeout`](Self::call_timeout), until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`call_timeout`](Self::call_timeout).
    pub fn call_deadline<Req: Send, Rep: Send>(
        &self,
        service: &Service<Req, Rep>,
        value: Req,
        deadline: Instant,
    ) -> Result<Rep, CallError<Req>> {
        self.call_by(service, value, Patience::Until(deadline))
    }

    /// As [`call`](Self::call), for an async task. Nothing enters the runtime: any executor of the
    /// host's may poll the future, and while it is pending it holds nobody up, and
    /// [`close`](Self::close) and a shutdown do not wait for it. It asks whether the bridge leads
    /// into a runtime when it is polled first.
    ///
    /// Dropped, it withdraws the request, as a call whose time is over.
    ///
    /// ```
    /// use gosched::callback::{Bridge, Service};
    /// use gosched::{Mode, Runtime, future};
    ///
    /// let runtime = Runtime::builder(Mode::threads()).build()?;
    /// let bridge = Bridge::new(&runtime);
    /// let (squares, requests) = Service::bounded(1);
    /// let server = runtime.handle().go(move || {
    ///     let (value, reply): (u32, _) = requests.recv().unwrap().into_parts();
    ///     reply.send(value * value)
    /// });
    /// let squared = future::block_on(bridge.call_async(&squares, 7)); // Or any other executor.
    /// assert_eq!(squared.expect("a reply"), 49);
    /// server.join().unwrap().unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), but for a cancel and a panic.
    pub async fn call_async<Req: Send, Rep: Send>(
        &self,
        service: &Service<Req, Rep>,
        value: Req,
    ) -> Result<Rep, CallError<Req>> {
        if let Err(error) = self.entrance().and_then(Entrance::ask_runtime) {
            return Err(CallError::Enter(error, Some(value)));
        }
        let shared = service.shared();
        let (asked, ticket) = shared.take_vacant().unwrap_or_else(new_slot).ask(value);
        // Before the first wait, so that it is dropped after the ticket.
        let mut pending = Pending { shared, call: Some(Call { value: None, asked: Some(asked) }) };
        if shared.asking().send_async(ticket).await.is_err() {
            return pending.end(Stopped::Disconnected);
        }
        while let Some(caller) = pending.waits_on() {
            caller.notified().await;
        }
        pending.end(Stopped::Over)
    }

    fn call_by<Req: Send, Rep: Send>(
        &self,
        service: &Service<Req, Rep>,
        value: Req,
        patience: Patience,
    ) -> Result<Rep, CallError<Req>> {
        embed::check_no_wait();
        let mut call = Call { value: Some(value), asked: None };
        let stopped = self.enter(|| call.run(service.shared(), patience));
        call.end(service.shared(), stopped)
    }
}

fn new_slot<Req, Rep>() -> Vacant<Req, Rep, Notify> {
    Vacant::new(Notify::new())
}

/// The call of a future, which leaves when the future is dropped.
struct Pending<'a, Req: Send, Rep: Send> {
    shared: &'a Shared<Req, Rep>,
    /// None once it has ended.
    call: Option<Call<Req, Rep>>,
}

impl<Req: Send, Rep: Send> Pending<'_, Req, Rep> {
    /// Returns what the call waits on, unless it is over.
    fn waits_on(&self) -> Option<&Notify> {
        let asked = self.call.as_ref()?.asked.as_ref()?;
        (!asked.is_over()).then(|| asked.caller())
    }

    fn end(&mut self, stopped: Stopped) -> Result<Rep, CallError<Req>> {
        self.call.take().expect("a call ends once").end(self.shared, Ok(stopped))
    }
}

impl<Req: Send, Rep: Send> Drop for Pending<'_, Req, Rep> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            drop(call.end(self.shared, Ok(Stopped::TimedOut)));
        }
    }
}

impl<Req: Send, Rep: Send> Call<Req, Rep> {
    /// Asks and waits, as a goroutine. A cancel unwinds out of it; what there is stays in the call.
    fn run(&mut self, shared: &Shared<Req, Rep>, patience: Patience) -> Stopped {
        let value = self.value.take().expect("a call runs once");
        let slot = shared.take_vacant().unwrap_or_else(new_slot);
        let (asked, ticket) = slot.ask(value);
        let asked = self.asked.insert(asked);
        // A ticket that comes back refuses the request as it is dropped.
        match patience {
            Patience::NotForRoom => match shared.asking().try_send(ticket) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => return Stopped::Full,
                Err(TrySendError::Disconnected(_)) => return Stopped::Disconnected,
            },
            Patience::Until(deadline) => match shared.asking().send_deadline(ticket, deadline) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(_)) => return Stopped::TimedOut,
                Err(SendTimeoutError::Disconnected(_)) => return Stopped::Disconnected,
            },
            Patience::Forever => {
                if shared.asking().send(ticket).is_err() {
                    return Stopped::Disconnected;
                }
            }
        }
        while !asked.is_over() {
            match patience {
                Patience::NotForRoom | Patience::Forever => asked.caller().wait(),
                Patience::Until(deadline) => {
                    if asked.caller().wait_deadline(deadline).is_err() {
                        return Stopped::TimedOut;
                    }
                }
            }
        }
        Stopped::Over
    }

    /// Says what has come of the call.
    fn end(
        self,
        shared: &Shared<Req, Rep>,
        stopped: Result<Stopped, EnterError>,
    ) -> Result<Rep, CallError<Req>> {
        let value = match self.asked.map(Asked::leave) {
            None => self.value,
            Some(Left::Taken) => None,
            Some(Left::Replied(reply, slot)) => {
                shared.put_vacant(slot);
                return Ok(reply);
            }
            Some(Left::Unanswered(slot)) => {
                shared.put_vacant(slot);
                return Err(CallError::NoReply);
            }
            Some(Left::Back(value, slot)) => {
                slot.into_iter().for_each(|slot| shared.put_vacant(slot));
                Some(value)
            }
        };
        Err(match (stopped, value) {
            (Err(error), value) => CallError::Enter(error, value),
            (Ok(Stopped::Full), Some(value)) => CallError::Full(value),
            (Ok(Stopped::Disconnected | Stopped::Over), Some(value)) => {
                CallError::Disconnected(value)
            }
            (Ok(_), value) => CallError::TimedOut(value),
        })
    }
}
