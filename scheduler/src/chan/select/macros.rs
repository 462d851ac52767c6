//! The `select!` macro, and `select_biased!`. Both are one: the list of cases begins with its
//! order.

/// Waits until one of several channel operations can be done, does it, and runs the arm that
/// belongs to it.
///
/// ```text
/// select! {
///     recv(receiver) -> result => ..,         result: Result<T, RecvError>
///     send(sender, value) -> result => ..,    result: Result<(), SendError<T>>
///     offer(sender, slot) -> result => ..,    the same; slot: Option<T>, a place
///     default => ..,                          if nothing is ready; also written default()
///     default(timeout) => ..,                 if nothing was ready for that long: a Duration
/// }
/// ```
///
/// There may be any number of operations, in any mix, on channels of any types, and one `default`
/// at most. Arms are separated by commas, which may be left out after a block. The value of the arm
/// that ran is the value of the `select!`. With neither an operation nor a `default` it waits for
/// ever.
///
/// - If several operations are ready, one is chosen at random, each with the same chance. Which are
///   ready is looked at in one moment for all channels. The same holds for operations that wait for
///   the same side of the same channel.
/// - An operation on a disconnected channel is ready: it fails.
/// - An operation that was not chosen has not happened: nothing was received by it, nothing was
///   sent.
/// - A select does not meet itself: sending into a channel and receiving from it in one `select!`
///   needs somebody else.
/// - Channels are borrowed: `recv(receiver)` takes a `Receiver` or a reference to one. A
///   [`Timer`](crate::time::Timer) or [`Ticker`](crate::time::Ticker) takes part by its
///   `channel()`.
/// - A `default` without a timeout is a try: where it runs, a goroutine whose slice is over gives
///   its turn.
/// - The `timeout` of a `default` begins with the `select!`, and so anew in each round of a loop. A
///   limit for all rounds is a [`chan::after`](crate::chan::after) made before the loop.
/// - It works the same in goroutines, which park, in callbacks, and on plain threads, which sleep.
///
/// Receivers, senders and values are evaluated first, in the order in which they are written. They
/// may borrow from temporaries, which live until one operation is done:
/// `recv(maybe.as_ref().unwrap_or(&chan::never()))`. The value of a `send` that is not chosen has
/// been made, and is dropped. What must not be dropped stands in a variable that `offer` sends
/// from: it takes the value out of an `Option` when it is chosen and only then, and is not in the
/// running when there is none. A value that was chosen and could not be sent comes back in the
/// error, as of every send.
///
/// # Panics
///
/// Unwinds with `Cancelled` if the calling goroutine is cancelled while it would have to wait. No
/// operation was done then; values to send are dropped, and those of `offer` are in their places.
///
/// # Examples
///
/// ```
/// use gosched::{chan, select};
/// use std::time::Duration;
///
/// let (numbers_tx, numbers) = chan::bounded(1);
/// let (words_tx, words) = chan::bounded::<&str>(1);
///
/// numbers_tx.send(7).expect("there is room");
/// let got = select! {
///     recv(numbers) -> number => format!("{number:?}"),
///     recv(words) -> word => format!("{word:?}"),
/// };
/// assert_eq!(got, "Ok(7)");
///
/// let mut message = Some("hello");
/// select! {
///     recv(numbers) -> number => unreachable!("{number:?}"),
///     offer(words_tx, message) -> sent => sent.expect("there is room"),
/// }
/// assert_eq!((message, words.recv()), (None, Ok("hello")));
///
/// select! {
///     recv(words) -> word => unreachable!("{word:?}"),
///     default(Duration::from_millis(1)) => println!("nothing came"),
/// }
/// ```
#[macro_export]
macro_rules! select {
    // The head of the next arm.
    (@next $cases:tt $default:tt recv($rx:expr $(,)?) -> $p:pat => $($rest:tt)+) => {
        $crate::select!(@body $cases $default {recv ($rx) $p} $($rest)+)
    };
    (@next $cases:tt $default:tt send($tx:expr, $value:expr $(,)?) -> $p:pat => $($rest:tt)+) => {
        $crate::select!(@body $cases $default {send ($tx, $value) $p} $($rest)+)
    };
    (@next $cases:tt $default:tt offer($tx:expr, $slot:expr $(,)?) -> $p:pat => $($rest:tt)+) => {
        $crate::select!(@body $cases $default {offer ($tx, $slot) $p} $($rest)+)
    };
    (@next $cases:tt {} default => $($rest:tt)+) => {
        $crate::select!(@body $cases {} {default attempt ()} $($rest)+)
    };
    (@next $cases:tt {} default() => $($rest:tt)+) => {
        $crate::select!(@body $cases {} {default attempt ()} $($rest)+)
    };
    (@next $cases:tt {} default($timeout:expr $(,)?) => $($rest:tt)+) => {
        $crate::select!(@body $cases {} {default wait_timeout (, $timeout)} $($rest)+)
    };
    (@next $cases:tt {$($default:tt)+} default $($rest:tt)*) => {
        compile_error!("a select! has one `default` at most")
    };
    (@next $cases:tt {}) => {
        $crate::select!(@run $cases {
            wait () (::std::unreachable!("a select without `default` does one of its cases"))
        })
    };
    (@next $cases:tt $default:tt) => {
        $crate::select!(@run $cases $default)
    };
    (@next $cases:tt $default:tt $($rest:tt)+) => {
        compile_error!(concat!(
            "expected `recv(receiver) -> result =>`, `send(sender, value) -> result =>`, ",
            "`offer(sender, slot) -> result =>`, `default =>` or `default(timeout) =>`, ",
            "and an arm; found `", stringify!($($rest)+), "`"
        ))
    };

    // What the arm does.
    (@body $cases:tt $default:tt $head:tt $body:block, $($rest:tt)*) => {
        $crate::select!(@push $cases $default $head ($body) $($rest)*)
    };
    (@body $cases:tt $default:tt $head:tt $body:block $($rest:tt)*) => {
        $crate::select!(@push $cases $default $head ($body) $($rest)*)
    };
    (@body $cases:tt $default:tt $head:tt $body:expr, $($rest:tt)*) => {
        $crate::select!(@push $cases $default $head ($body) $($rest)*)
    };
    (@body $cases:tt $default:tt $head:tt $body:expr) => {
        $crate::select!(@push $cases $default $head ($body))
    };

    // Each step of the recursion makes identifiers of its own, although they are spelt alike.
    (@push $cases:tt {} {default $wait:ident $timeout:tt} $body:tt $($rest:tt)*) => {
        $crate::select!(@next $cases {$wait $timeout $body} $($rest)*)
    };
    (
        @push {$($cases:tt)*} $default:tt {$direction:ident $with:tt $p:pat} $body:tt $($rest:tt)*
    ) => {
        $crate::select!(
            @next {$($cases)* [case room chosen $direction $with ($p) $body]} $default $($rest)*
        )
    };

    // A future of a select owns its cases. The temporaries live until it is done, too.
    (@run
        {
            async $order:ident
            $([$case:ident $room:ident $chosen:ident $direction:ident $with:tt ($p:pat) $body:tt])*
        }
        {$wait:ident ($($timeout:tt)*) $otherwise:tt}
    ) => {{
        let outcome = $crate::chan::select_support::polled::$wait(
            $crate::chan::select_support::Order::$order,
            [$($crate::select!(@count $case)),*],
            $crate::select!(@list {$([$direction $with])*})
            $($timeout)*
        )
        .await;
        $crate::select!(@of outcome {$([($p) $body])*} $otherwise)
    }};
    (@count $case:ident) => { () };
    (@list {}) => { $crate::chan::select_support::polled::Nil };
    (@list {[recv ($rx:expr)] $($cases:tt)*}) => {
        $crate::chan::select_support::polled::Cons(
            $crate::chan::select_support::polled::recv(&$rx),
            $crate::select!(@list {$($cases)*}),
        )
    };
    (@list {[send ($tx:expr, $value:expr)] $($cases:tt)*}) => {
        $crate::chan::select_support::polled::Cons(
            $crate::chan::select_support::polled::send(&$tx, $value),
            $crate::select!(@list {$($cases)*}),
        )
    };
    (@list {[offer ($tx:expr, $slot:expr)] $($cases:tt)*}) => {
        $crate::chan::select_support::polled::Cons(
            $crate::chan::select_support::polled::offer(&$tx, &mut $slot),
            $crate::select!(@list {$($cases)*}),
        )
    };
    (@of $outcome:ident {} ($otherwise:expr)) => {{
        let $crate::chan::select_support::polled::Nil = $outcome;
        $otherwise
    }};
    (@of $outcome:ident {[($p:pat) ($body:expr)] $($arms:tt)*} $otherwise:tt) => {
        match $outcome {
            $crate::chan::select_support::polled::Chosen::This($p) => $body,
            $crate::chan::select_support::polled::Chosen::Later(outcome) => {
                $crate::select!(@of outcome {$($arms)*} $otherwise)
            }
        }
    };

    // The temporaries of a port's expression live until the select is done: each case is a
    // temporary of a `match` around the cases behind it. The arms come after that, with nothing
    // borrowed.
    (@run
        {
            $order:ident
            $([$case:ident $room:ident $chosen:ident $direction:ident $with:tt ($p:pat) $body:tt])*
        }
        {$wait:ident $timeout:tt $otherwise:tt}
    ) => {{
        $(
            let mut $room = $crate::chan::select_support::room();
            let $chosen;
        )*
        $crate::select!(
            @make {$([$case $room $direction $with])*} {$order $([$case $chosen])*} $wait $timeout
        );
        $crate::select!(@arms {$([$room $chosen $direction ($p) $body])*} $otherwise)
    }};

    (
        @make {} {$order:ident $([$case:ident $chosen:ident])*} $wait:ident ($($timeout:tt)*)
    ) => {
        $crate::chan::select_support::$wait(
            $crate::chan::select_support::Order::$order, [$($case.entry()),*] $($timeout)*
        );
        $($chosen = $case.is_chosen();)*
    };
    (
        @make {[$case:ident $room:ident recv ($rx:expr)] $($cases:tt)*}
        $all:tt $wait:ident $timeout:tt
    ) => {
        match &mut $crate::chan::select_support::recv(&$rx, &mut $room) {
            $case => { $crate::select!(@make {$($cases)*} $all $wait $timeout); }
        }
    };
    (
        @make {[$case:ident $room:ident send ($tx:expr, $value:expr)] $($cases:tt)*}
        $all:tt $wait:ident $timeout:tt
    ) => {
        match &mut $crate::chan::select_support::send(&$tx, &mut $room, $value) {
            $case => { $crate::select!(@make {$($cases)*} $all $wait $timeout); }
        }
    };
    (
        @make {[$case:ident $room:ident offer ($tx:expr, $slot:expr)] $($cases:tt)*}
        $all:tt $wait:ident $timeout:tt
    ) => {
        match &mut $crate::chan::select_support::offer(&$tx, &mut $room, &mut $slot) {
            $case => { $crate::select!(@make {$($cases)*} $all $wait $timeout); }
        }
    };

    (@arms {} ($otherwise:expr)) => { $otherwise };
    (
        @arms {[$room:ident $chosen:ident $direction:ident ($p:pat) ($body:expr)] $($arms:tt)*}
        $otherwise:tt
    ) => {
        if $chosen {
            let $p = $crate::select!(@result $room $direction);
            $body
        } else {
            $crate::select!(@arms {$($arms)*} $otherwise)
        }
    };
    (@result $room:ident recv) => { $room.received() };
    (@result $room:ident $direction:ident) => { $room.sent() };

    // From the outside.
    (@ $($rest:tt)*) => { compile_error!("these are no arms of a select!") };
    ($($arms:tt)*) => { $crate::select!(@next {Random} {} $($arms)*) };
}

/// As [`select!`](crate::select!), but of several operations that are ready the first one in the
/// program is done, and not one at random.
///
/// Arms, values and panics are those of `select!`, and so is the look at all channels in one
/// moment. Nothing is ready while it waits, so then the operation is done that becomes ready first
/// in time; of several that wait for the same side of the same channel, the first one in the
/// program.
///
/// An operation that is ready again and again keeps those behind it from being done: it is for a
/// stop or a message of higher rank, which come seldom. Other goroutines get their turns as with
/// `select!`.
///
/// # Panics
///
/// As [`select!`](crate::select!).
///
/// # Examples
///
/// ```
/// use gosched::{chan, select_biased};
///
/// let (stop, stopped) = chan::bounded::<()>(0);
/// let (work, jobs) = chan::bounded(8);
/// for job in 0..8 {
///     work.send(job).expect("there is room");
/// }
/// drop(stop);
///
/// // Both are ready, and always the stop is heard first.
/// select_biased! {
///     recv(stopped) -> stop => assert!(stop.is_err()),
///     recv(jobs) -> job => unreachable!("{job:?}"),
/// }
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($arms:tt)*) => { $crate::select!(@next {Biased} {} $($arms)*) };
}

/// [`select!`](crate::select!) in an `async` block or function: waits as a future does, for tasks
/// of any executor.
///
/// Arms, values and order are those of `select!`, with `default` and `offer`. The `.await` is in
/// the macro, as in those of tokio and futures: so arms are code of the function around it, in
/// which `?`, `break`, `return` and `.await` do what they do there.
///
/// It waits in one order with all others who wait for the same, whether they park or are futures.
/// If the future around it is dropped while it waits, no operation was done: nothing is lost,
/// values of `offer` are in their places again, those of `send` are dropped, and what came for an
/// operation wakes another future. One exception: the value of a `send` or `offer` may have been
/// received just before. A receiver does not wait for the executor, as with
/// [`send_async`](crate::chan::Sender::send_async).
///
/// Other futures do not take part; [`Token::done`](crate::cancel::Token::done),
/// [`after`](crate::chan::after) and a [`oneshot`](crate::chan::oneshot) are channels and do.
///
/// # Examples
///
/// ```
/// use gosched::future::block_on;
/// use gosched::{chan, select_async};
/// use std::thread;
/// use std::time::Duration;
///
/// let (numbers_tx, numbers) = chan::bounded::<u32>(1);
/// let (_stop, stopped) = chan::bounded::<()>(0);
/// let producer = thread::spawn(move || {
///     (1..=3).for_each(|n| numbers_tx.send(n).expect("the receiver is there"));
/// });
///
/// let sum = block_on(async {
///     let mut sum = 0;
///     loop {
///         select_async! {
///             recv(numbers) -> n => match n {
///                 Ok(n) => sum += n,
///                 Err(_) => break sum,
///             },
///             recv(stopped) -> _ => break 0,
///             default(Duration::from_secs(10)) => unreachable!("it takes no ten seconds"),
///         }
///     }
/// });
/// assert_eq!(sum, 6);
/// producer.join().expect("no panic");
/// ```
#[macro_export]
macro_rules! select_async {
    ($($arms:tt)*) => { $crate::select!(@next {async Random} {} $($arms)*) };
}

/// [`select_async!`](crate::select_async!), but of several operations that are ready the first one
/// in the program is done, as with [`select_biased!`](crate::select_biased!).
///
/// # Examples
///
/// ```
/// use gosched::future::block_on;
/// use gosched::{chan, select_biased_async};
///
/// let (tx, rx) = chan::bounded(1);
/// tx.send(1).expect("there is room");
/// block_on(async {
///     select_biased_async! {
///         send(tx, 2) -> sent => unreachable!("{sent:?}"),
///         recv(rx) -> one => assert_eq!(one, Ok(1)),
///     }
/// });
/// ```
#[macro_export]
macro_rules! select_biased_async {
    ($($arms:tt)*) => { $crate::select!(@next {async Biased} {} $($arms)*) };
}
