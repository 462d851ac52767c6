//! Which auto traits each public type has, beside those of its counterpart in `std`, crossbeam or
//! tokio. The compiler checks the table: a row that is wrong does not build.
//!
//! A row says what the type has with `T = u8`: `Send`, `Sync`, `Unpin`, `UnwindSafe`,
//! `RefUnwindSafe`, in this order. Behind `as` stands the counterpart. Both are compared with each
//! of the probes as `T`. The traits in which they differ stand behind `but`, with the type that is
//! the counterpart there, and the reason.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::marker::{PhantomData, PhantomPinned};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::time::Instant;

use gosched::sync::RwLockReadGuard;

/// Without state that anything could break: has every auto trait.
type Plain = u8;

/// A future whose node waits in a list: it stays in place, and one task polls it.
type Waits = (Cell<u8>, PhantomPinned);

/// What a panic carries.
type Payload = Box<dyn std::any::Any + Send>;

/// A type with a parameter that it need not use.
trait Family {
    type With<T: 'static>;
}

struct Has<T>(PhantomData<T>);

/// What is said of a type that lacks the trait.
trait Lacks {
    const SEND: bool = false;
    const SYNC: bool = false;
    const UNPIN: bool = false;
    const UNWIND_SAFE: bool = false;
    const REF_UNWIND_SAFE: bool = false;
}

impl<T> Lacks for Has<T> {}

/// Found before those of [`Lacks`], where the bound holds.
impl<T: Send> Has<T> {
    const SEND: bool = true;
}
impl<T: Sync> Has<T> {
    const SYNC: bool = true;
}
impl<T: Unpin> Has<T> {
    const UNPIN: bool = true;
}
impl<T: UnwindSafe> Has<T> {
    const UNWIND_SAFE: bool = true;
}
impl<T: RefUnwindSafe> Has<T> {
    const REF_UNWIND_SAFE: bool = true;
}

const NAMES: [&str; 5] = ["Send", "Sync", "Unpin", "UnwindSafe", "RefUnwindSafe"];

type Traits = [bool; NAMES.len()];

macro_rules! traits {
    ($type:ty) => {
        [
            Has::<$type>::SEND,
            Has::<$type>::SYNC,
            Has::<$type>::UNPIN,
            Has::<$type>::UNWIND_SAFE,
            Has::<$type>::REF_UNWIND_SAFE,
        ]
    };
}

/// What stands for `T`: each lacks some of the traits.
macro_rules! each_probe {
    ($family:ty) => {
        [
            traits!(<$family as Family>::With<u8>),
            // Not `Sync`, not `RefUnwindSafe`.
            traits!(<$family as Family>::With<Cell<u8>>),
            // Not `Send`.
            traits!(<$family as Family>::With<std::sync::MutexGuard<'static, u8>>),
            // Neither `Send` nor `Sync`.
            traits!(<$family as Family>::With<*const u8>),
            // Not `Unpin`.
            traits!(<$family as Family>::With<PhantomPinned>),
            // Not `UnwindSafe`.
            traits!(<$family as Family>::With<&'static mut u8>),
        ]
    };
}

const PROBES: usize = 6;

const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Whether two types differ in a trait.
const fn differ(number: usize, one: &[Traits; PROBES], other: &[Traits; PROBES]) -> bool {
    let mut differ = false;
    let mut probe = 0;
    while probe < PROBES {
        differ |= one[probe][number] != other[probe][number];
        probe += 1;
    }
    differ
}

/// Panics if a row is wrong. In the traits of `but` the counterpart must differ, and the other
/// counterpart must not.
const fn check(
    row: &str,
    said: Traits,
    ours: [Traits; PROBES],
    theirs: [Traits; PROBES],
    but: &[&str],
    others: [Traits; PROBES],
) {
    let mut number = 0;
    while number < NAMES.len() {
        assert!(said[number] == ours[0][number], "{}", row);
        let mut excused = false;
        let mut reason = 0;
        while reason < but.len() {
            excused |= same(but[reason], NAMES[number]);
            reason += 1;
        }
        assert!(differ(number, &ours, &theirs) == excused, "{}", row);
        assert!(!excused || !differ(number, &ours, &others), "{}", row);
        number += 1;
    }
}

macro_rules! said {
    (yes) => {
        true
    };
    (no) => {
        false
    };
}

/// The first type that there is.
macro_rules! or {
    (, $theirs:ty) => {
        $theirs
    };
    ($other:ty, $theirs:ty) => {
        $other
    };
}

macro_rules! table {
    ($($ours:ty: $($said:ident)+, as $theirs:ty
        $(, but ($($trait:ident)+) as $other:ty: $reason:literal)?;)+) => {
        $(const _: () = {
            struct Ours;
            struct Theirs;
            impl Family for Ours {
                type With<T: 'static> = $ours;
            }
            impl Family for Theirs {
                type With<T: 'static> = $theirs;
            }
            check(
                concat!("this row is wrong: ", stringify!($ours)),
                [$(said!($said)),+],
                each_probe!(Ours),
                each_probe!(Theirs),
                &[$($(stringify!($trait)),+)?],
                {
                    struct Other;
                    impl Family for Other {
                        type With<T: 'static> = or!($($other)?, $theirs);
                    }
                    each_probe!(Other)
                },
            );
        };)+

        const TYPES: &[&str] = &[$(stringify!($ours)),+];
    };
}

table! {
    gosched::CancelScope: yes yes yes yes yes, as Plain;
    gosched::Cancelled: yes yes yes yes yes, as Plain;
    gosched::Deadlock: yes yes yes yes yes, as Plain;
    gosched::Warnings: yes yes yes yes yes, as Plain;
    gosched::Group<T>: yes yes yes yes yes, as tokio::task::JoinHandle<T>;
    gosched::GroupFuture<T>: yes yes yes yes yes, as tokio::task::JoinHandle<T>;
    gosched::Handle: yes yes yes yes yes, as tokio::runtime::Handle;
    gosched::JoinError: yes yes yes no no, as tokio::task::JoinError;
    gosched::JoinHandle<T>: yes yes yes yes yes, as tokio::task::JoinHandle<T>,
        but (Send Sync) as std::thread::JoinHandle<T>:
            "goroutines are made with a T that is Send, so this asks for it no more";
    gosched::JoinNext<'static, T>: yes yes yes no yes, as &'static mut tokio::task::JoinHandle<T>,
        but (Send Sync) as &'static mut std::thread::JoinHandle<T>:
            "goroutines are made with a T that is Send, so this asks for it no more";
    gosched::JoinOnDrop<T>: yes yes yes yes yes, as tokio::task::JoinHandle<T>,
        but (Send Sync) as std::thread::JoinHandle<T>:
            "goroutines are made with a T that is Send, so this asks for it no more";
    gosched::JoinSet<T>: yes yes yes yes yes, as tokio::task::JoinHandle<T>,
        but (Send Sync) as std::thread::JoinHandle<T>:
            "goroutines are made with a T that is Send, so this asks for it no more";
    gosched::JoinSetTimeoutError: yes yes yes yes yes, as Plain;
    gosched::Mode: yes yes yes yes yes, as Plain;
    gosched::NotStarted: yes yes yes no no, as io::Error;
    gosched::Runtime: yes yes yes yes yes, as tokio::runtime::Runtime;
    gosched::Scope<'static, 'static>: yes yes yes no yes, as std::thread::Scope<'static, 'static>;
    gosched::ScopedJoinHandle<'static, T>: yes yes yes yes yes, as tokio::task::JoinHandle<T>,
        but (Send Sync) as std::thread::JoinHandle<T>:
            "goroutines are made with a T that is Send, so this asks for it no more";
    gosched::TryScope<'static, 'static, T>: yes yes yes no yes,
        as (std::thread::Scope<'static, 'static>, std::sync::Mutex<T>);
    gosched::TryScopedJoinHandle<'static, T>: yes yes yes yes yes, as tokio::task::JoinHandle<T>,
        but (Send Sync) as std::thread::JoinHandle<T>:
            "goroutines are made with a T that is Send, so this asks for it no more";
    gosched::ShutdownError: yes yes yes yes yes, as Plain;
    gosched::StackStats: yes yes yes yes yes, as Plain;
    gosched::Stats: yes yes yes yes yes, as Plain;
    gosched::ThreadLock: no no yes yes yes, as Plain,
        but (Send Sync) as *const u8: "its drop unlocks the goroutine that it was made in";

    gosched::callback::Attached: no no yes yes yes, as Plain,
        but (Send Sync) as *const u8: "its drop makes the thread that it was made on C's again";
    gosched::callback::Binding: yes yes yes yes yes, as Plain;
    gosched::callback::Bridge: yes yes yes yes yes, as tokio::runtime::Handle;
    gosched::callback::CallCode: yes yes yes yes yes, as Plain;
    gosched::callback::CallError<T>: yes no yes no no, as (T, io::Error, Payload);
    gosched::callback::Reply<T, u8>: yes yes yes yes yes, as crossbeam_channel::Sender<T>;
    gosched::callback::Request<T, u8>: yes yes yes yes yes, as (T, crossbeam_channel::Sender<T>);
    gosched::callback::Requests<T, u8>: yes yes yes yes yes, as crossbeam_channel::Receiver<T>,
        but (Unpin) as Plain: "no value lies in it";
    gosched::callback::Service<T, u8>: yes yes yes yes yes, as crossbeam_channel::Sender<T>;
    gosched::callback::Callback<fn(u8) -> u8>: yes yes yes yes yes, as Plain;
    gosched::callback::LocalCallback<fn(u8) -> u8>: no no yes yes yes, as Plain,
        but (Send Sync) as *const u8: "its drop drops what may be bound to the thread";
    gosched::callback::CloseError: yes yes yes yes yes, as Plain;
    gosched::callback::EnterCode: yes yes yes yes yes, as Plain;
    gosched::callback::EnterError: yes no yes no no, as (io::Error, Payload);
    gosched::callback::Otherwise<T>: yes yes yes yes yes, as T;
    gosched::callback::OwnedByC<fn(u8) -> u8>: no no yes yes yes, as *const u8;
    gosched::callback::MailPoller<T>: yes yes yes yes yes, as crossbeam_channel::Receiver<T>,
        but (Unpin) as Plain: "no value lies in it";
    gosched::callback::MailReceiver<T>: yes yes yes yes yes, as crossbeam_channel::Receiver<T>,
        but (Unpin) as Plain: "no value lies in it";
    gosched::callback::Mailbox<T>: yes yes yes yes yes, as crossbeam_channel::Sender<T>;

    gosched::cancel::CancelScope: yes yes yes yes yes, as Plain;
    gosched::cancel::Cancelled: yes yes yes yes yes, as Plain;
    gosched::cancel::Cause: yes yes yes no no,
        as std::sync::Arc<dyn std::error::Error + Send + Sync>;
    gosched::cancel::OnCancel: yes yes yes yes yes, as Plain;
    gosched::cancel::Token: yes yes yes yes yes, as Plain;
    gosched::cancel::TokenFuture<'static>: yes no no yes no, as Waits;

    gosched::chan::IntoIter<T>: yes yes yes yes yes, as crossbeam_channel::IntoIter<T>,
        but (Unpin) as Plain: "no value lies in it";
    gosched::chan::IntoSink<T>: yes no yes yes no,
        as (crossbeam_channel::Sender<T>, T, Cell<u8>),
        but (Unpin) as Plain: "its values lie in a box";
    gosched::chan::IntoStream<T>: yes no yes yes no,
        as (crossbeam_channel::Receiver<T>, Cell<u8>),
        but (Unpin) as Plain: "no value lies in it";
    gosched::chan::Iter<'static, T>: yes yes yes yes yes, as crossbeam_channel::Iter<'static, T>;
    gosched::chan::ReadyTimeoutError: yes yes yes yes yes,
        as crossbeam_channel::ReadyTimeoutError;
    gosched::chan::Receiver<T>: yes yes yes yes yes, as crossbeam_channel::Receiver<T>,
        but (Unpin) as Plain: "no value lies in it";
    gosched::chan::RecvError: yes yes yes yes yes, as crossbeam_channel::RecvError;
    gosched::chan::RecvFuture<'static, T>: yes no no yes no,
        as (crossbeam_channel::Receiver<T>, Waits);
    gosched::chan::RecvStream<'static, T>: yes no yes yes no,
        as (crossbeam_channel::Receiver<T>, Cell<u8>),
        but (Unpin) as Plain: "no value lies in it";
    gosched::chan::RecvTimeoutError: yes yes yes yes yes, as crossbeam_channel::RecvTimeoutError;
    gosched::chan::Select<'static>: yes yes yes no no, as crossbeam_channel::Select<'static>;
    gosched::chan::SelectFuture<'static, 'static>: yes no yes no no,
        as (crossbeam_channel::Select<'static>, Cell<u8>);
    gosched::chan::SelectTimeoutError: yes yes yes yes yes,
        as crossbeam_channel::SelectTimeoutError;
    gosched::chan::SelectedOperation<'static, 'static>: yes yes yes no no,
        as crossbeam_channel::SelectedOperation<'static>,
        but (Send Sync UnwindSafe RefUnwindSafe) as &'static mut crossbeam_channel::Select<'static>:
            "it borrows the list, in which the outcome lies already";
    gosched::chan::SendError<T>: yes yes yes yes yes, as crossbeam_channel::SendError<T>;
    gosched::chan::SendFuture<'static, T>: yes no no yes no,
        as (crossbeam_channel::Sender<T>, T, Waits);
    gosched::chan::SendSink<'static, T>: yes no yes yes no,
        as (crossbeam_channel::Sender<T>, T, Cell<u8>),
        but (Unpin) as Plain: "its values lie in a box";
    gosched::chan::SendTimeoutError<T>: yes yes yes yes yes,
        as crossbeam_channel::SendTimeoutError<T>;
    gosched::chan::Sender<T>: yes yes yes yes yes, as crossbeam_channel::Sender<T>;
    gosched::chan::TryIter<'static, T>: yes yes yes yes yes,
        as crossbeam_channel::TryIter<'static, T>;
    gosched::chan::TryRecvError: yes yes yes yes yes, as crossbeam_channel::TryRecvError;
    gosched::chan::TryReadyError: yes yes yes yes yes, as crossbeam_channel::TryReadyError;
    gosched::chan::TrySelectError: yes yes yes yes yes, as crossbeam_channel::TrySelectError;
    gosched::chan::TrySendError<T>: yes yes yes yes yes, as crossbeam_channel::TrySendError<T>;
    gosched::chan::WeakReceiver<T>: yes yes yes yes yes, as crossbeam_channel::Receiver<T>,
        but (Unpin) as Plain: "no value lies in it";
    gosched::chan::WeakSender<T>: yes yes yes yes yes, as crossbeam_channel::Sender<T>;

    gosched::chan::broadcast::IntoStream<T>: yes no yes yes no,
        as (std::sync::Mutex<std::sync::Arc<T>>, Cell<u8>);
    gosched::chan::broadcast::Receiver<T>: yes yes yes yes yes,
        as tokio::sync::broadcast::Receiver<T>,
        but (Send Sync) as std::sync::Arc<T>:
            "receivers clone a value at the same time";
    gosched::chan::broadcast::RecvError: yes yes yes yes yes, as Plain;
    gosched::chan::broadcast::RecvFuture<'static, T>: yes no no yes no,
        as (std::sync::Mutex<std::sync::Arc<T>>, Waits);
    gosched::chan::broadcast::RecvStream<'static, T>: yes no yes yes no,
        as (std::sync::Mutex<std::sync::Arc<T>>, Cell<u8>);
    gosched::chan::broadcast::RecvTimeoutError: yes yes yes yes yes, as Plain;
    gosched::chan::broadcast::Sender<T>: yes yes yes yes yes,
        as tokio::sync::broadcast::Sender<T>,
        but (Send Sync) as std::sync::Arc<T>:
            "receivers clone a value at the same time";
    gosched::chan::broadcast::TryRecvError: yes yes yes yes yes, as Plain;

    gosched::chan::oneshot::Receiver<T>: yes yes yes yes yes, as crossbeam_channel::Receiver<T>,
        but (Unpin) as Plain: "no value lies in it";
    gosched::chan::oneshot::RecvFuture<T>: yes no no yes no,
        as (crossbeam_channel::Receiver<T>, Waits);
    gosched::chan::oneshot::Sender<T>: yes yes yes yes yes, as crossbeam_channel::Sender<T>;

    gosched::chan::watch::ChangedFuture<'static>: yes no no yes no, as Waits;
    gosched::chan::watch::ChangedStream<'static, T>: yes no yes yes no,
        as (std::sync::Arc<std::sync::RwLock<T>>, Cell<u8>);
    gosched::chan::watch::IntoStream<T>: yes no yes yes no,
        as (std::sync::Arc<std::sync::RwLock<T>>, Cell<u8>);
    gosched::chan::watch::Receiver<T>: yes yes yes yes yes,
        as std::sync::Arc<std::sync::RwLock<T>>;
    gosched::chan::watch::Ref<'static, T>: yes yes yes yes yes,
        as gosched::sync::RwLockReadGuard<'static, T>;
    gosched::chan::watch::Sender<T>: yes yes yes yes yes,
        as std::sync::Arc<std::sync::RwLock<T>>;

    gosched::goroutine::Builder: yes yes yes yes yes, as std::thread::Builder;
    gosched::goroutine::Dump: yes yes yes yes yes, as Plain;
    gosched::goroutine::Snapshot: yes yes yes yes yes, as Plain;
    gosched::goroutine::StackUse: yes yes yes yes yes, as Plain;
    gosched::goroutine::State: yes yes yes yes yes, as Plain;

    gosched::local::Local<T>: yes yes yes yes yes, as std::thread::LocalKey<T>;
    gosched::local::NoGoroutine: yes yes yes yes yes, as std::thread::AccessError;

    gosched::runtime::Builder: yes yes yes yes yes, as std::thread::Builder;

    gosched::signal::Check: yes yes yes yes yes, as Plain;
    gosched::signal::Context: yes yes yes yes yes, as Plain;

    gosched::sync::AcquireError: yes yes yes yes yes, as tokio::sync::AcquireError;
    gosched::sync::AcquireFuture<'static>: yes no no yes no, as Waits;
    gosched::sync::ArcMutexGuard<T>: yes yes yes yes yes,
        as std::sync::MutexGuard<'static, T>,
        but (Send Sync) as tokio::sync::OwnedMutexGuard<T>:
            "with the guard goes the mutex, and it may be the last to have it";
    gosched::sync::ArcRwLockReadGuard<T>: yes yes yes yes yes,
        as std::sync::RwLockReadGuard<'static, T>,
        but (Send Sync) as tokio::sync::OwnedRwLockReadGuard<T>:
            "with the guard goes the lock, and it may be the last to have it";
    gosched::sync::ArcRwLockUpgradableReadGuard<T>: yes yes yes yes yes,
        as std::sync::RwLockReadGuard<'static, T>,
        but (Send Sync) as tokio::sync::OwnedRwLockReadGuard<T>:
            "with the guard goes the lock, and it may be the last to have it";
    gosched::sync::ArcRwLockWriteGuard<T>: yes yes yes yes yes,
        as std::sync::RwLockWriteGuard<'static, T>,
        but (Send Sync) as tokio::sync::OwnedRwLockWriteGuard<T>:
            "with the guard goes the lock, and it may be the last to have it";
    gosched::sync::Barrier: yes yes yes yes yes, as std::sync::Barrier;
    gosched::sync::BarrierFuture<'static>: yes no no yes no, as Waits;
    gosched::sync::BarrierTimeoutError: yes yes yes yes yes, as Plain;
    gosched::sync::BarrierWaitResult: yes yes yes yes yes, as std::sync::BarrierWaitResult;
    gosched::sync::Condvar: yes yes yes yes yes, as std::sync::Condvar;
    gosched::sync::LazyLock<T, fn() -> T>: yes yes yes yes yes,
        as std::sync::LazyLock<T, fn() -> T>;
    gosched::sync::LockFuture<'static, T>: yes no no yes no,
        as (&'static std::sync::Mutex<T>, Waits);
    gosched::sync::Mutex<T>: yes yes yes yes yes, as std::sync::Mutex<T>;
    gosched::sync::MutexGuard<'static, T>: yes yes yes yes yes,
        as std::sync::MutexGuard<'static, T>,
        but (Send) as tokio::sync::MutexGuard<'static, T>:
            "a lock that is held over waits is bound to no thread";
    gosched::sync::Notified<'static>: yes no no yes no,
        as tokio::sync::futures::Notified<'static>,
        but (Sync UnwindSafe) as Waits:
            "a reference to a future gives nothing, and a panic in its poll leaves it whole";
    gosched::sync::Notify: yes yes yes yes yes, as tokio::sync::Notify;
    gosched::sync::NotifyTimeoutError: yes yes yes yes yes, as Plain;
    gosched::sync::Once: yes yes yes yes yes, as std::sync::Once;
    gosched::sync::OnceCell<T>: yes yes yes yes yes, as std::sync::OnceLock<T>;
    gosched::sync::OnceState: yes yes yes yes yes, as std::sync::OnceState,
        but (Sync RefUnwindSafe) as Plain: "it holds no cell";
    gosched::sync::OwnedPermit: yes yes yes yes yes, as tokio::sync::OwnedSemaphorePermit;
    gosched::sync::Parker: yes no yes yes yes, as crossbeam_utils::sync::Parker;
    gosched::sync::Permit<'static>: yes yes yes yes yes, as tokio::sync::SemaphorePermit<'static>;
    gosched::sync::ReadFuture<'static, T>: yes no no yes no,
        as (&'static std::sync::RwLock<T>, Waits);
    gosched::sync::RwLock<T>: yes yes yes yes yes, as std::sync::RwLock<T>;
    gosched::sync::RwLockReadGuard<'static, T>: yes yes yes yes yes,
        as std::sync::RwLockReadGuard<'static, T>,
        but (Send) as tokio::sync::RwLockReadGuard<'static, T>:
            "a lock that is held over waits is bound to no thread";
    gosched::sync::RwLockUpgradableReadGuard<'static, T>: yes yes yes yes yes,
        as std::sync::RwLockReadGuard<'static, T>,
        but (Send Sync) as std::sync::Arc<T>: "it becomes the guard for writing";
    gosched::sync::RwLockWriteGuard<'static, T>: yes yes yes yes yes,
        as std::sync::RwLockWriteGuard<'static, T>,
        but (Send) as tokio::sync::RwLockWriteGuard<'static, T>:
            "a lock that is held over waits is bound to no thread";
    gosched::sync::Semaphore: yes yes yes yes yes, as tokio::sync::Semaphore;
    gosched::sync::Unparker: yes yes yes yes yes, as crossbeam_utils::sync::Unparker;
    gosched::sync::UpgradableReadFuture<'static, T>: yes no no yes no,
        as (&'static std::sync::RwLock<T>, Waits);
    gosched::sync::UpgradeFuture<'static, T>: yes no no yes no,
        as (&'static std::sync::RwLock<T>, Waits);
    gosched::sync::WaitGroup: yes yes yes yes yes, as crossbeam_utils::sync::WaitGroup;
    gosched::sync::WaitGroupFuture<'static>: yes no no yes no, as Waits;
    gosched::sync::WaitGroupTimeoutError: yes yes yes yes yes, as Plain;
    gosched::sync::WaitTimeoutResult: yes yes yes yes yes, as std::sync::WaitTimeoutResult;
    gosched::sync::WriteFuture<'static, T>: yes no no yes no,
        as (&'static std::sync::RwLock<T>, Waits);

    gosched::time::Elapsed: yes yes yes yes yes, as tokio::sync::AcquireError;
    gosched::time::SleepFuture: yes no yes yes no, as Cell<u8>;
    gosched::time::Ticker: yes yes yes yes yes, as crossbeam_channel::Receiver<Instant>;
    gosched::time::TimeoutFuture<T>: yes no yes yes no, as (T, Cell<u8>);
    gosched::time::Timer: yes yes yes yes yes, as crossbeam_channel::Receiver<Instant>;
}

/// Types that this build does not have. `beside/tests/auto_traits.rs` has their rows.
const BEHIND_FEATURES: [&str; 2] = ["gosched::CarriedSpans", "gosched::CarrySpans"];

/// The guard is covariant, as that of `std`.
const _: () = {
    fn _shortened<'a>(guard: RwLockReadGuard<'a, &'static str>) -> RwLockReadGuard<'a, &'a str> {
        guard
    }
};

/// The structs and enums in a list of the public API, without their parameters.
fn public_types(api: &str) -> BTreeSet<String> {
    // The attributes of an item stand before it in its line.
    let lines = api.lines().map(|line| line.rsplit("] ").next().unwrap_or_default());
    lines
        .filter_map(|line| {
            let item = ["pub struct ", "pub enum ", "pub union "];
            let rest = item.iter().find_map(|item| line.strip_prefix(item))?;
            rest.split(['<', '(', ' ']).next().map(str::to_owned)
        })
        .collect()
}

#[test]
fn the_table_has_every_public_type() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("public-api.txt");
    let public = public_types(&fs::read_to_string(list).expect("public-api.txt is there"));
    let rows = TYPES.iter().chain(&BEHIND_FEATURES).map(|row| row.replace(' ', ""));
    let rows: BTreeSet<String> =
        rows.map(|row| row.split('<').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(rows, public);
    assert!(public.len() > 70, "{public:?}");
}

#[test]
fn types_are_found_in_the_list() {
    let api = "pub fn gosched::f()\npub struct gosched::A<'a, T>(_)\n\
               #[non_exhaustive] pub enum gosched::b::B\n\
               #[must_use] #[repr(transparent)] pub struct gosched::C(_)";
    let found: Vec<String> = public_types(api).into_iter().collect();
    assert_eq!(found, ["gosched::A", "gosched::C", "gosched::b::B"]);
}

#[test]
fn a_trait_that_a_type_lacks_is_seen() {
    assert_eq!(traits!(Plain), [true; NAMES.len()]);
    assert_eq!(traits!(std::rc::Rc<Cell<u8>>), [false, false, true, false, false]);
    assert_eq!(traits!((PhantomPinned, &'static mut u8)), [true, true, false, false, true]);
}
