//! SQLite calls hooks in the middle of its own work, and the hooks use the database.
//!
//! Four threads have a connection each. An SQL function, a progress handler and the hook of updates
//! are callbacks; the function asks a goroutine and runs a query of its own on the same connection,
//! whose rows call the function again: SQLite, Rust, SQLite, Rust.
//!
//! # Safety
//!
//! The declarations are those of `sqlite3.h`. A connection is used by one thread.
#![expect(unsafe_code, reason = "calls into SQLite")]
#![cfg_attr(not(host = "sqlite"), expect(dead_code, reason = "SQLite is not installed"))]

use hosts::frame::Host;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

type Connection = *mut c_void;
type Function = unsafe extern "C" fn(*mut c_void, c_int, *mut *mut c_void);
type Row = unsafe extern "C" fn(*mut c_void, c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;
type OnUpdate = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *const c_char, i64);

#[cfg_attr(host = "sqlite", link(name = "sqlite3"))]
unsafe extern "C" {
    fn sqlite3_open(name: *const c_char, connection: *mut Connection) -> c_int;
    fn sqlite3_close(connection: Connection) -> c_int;
    fn sqlite3_exec(
        connection: Connection,
        sql: *const c_char,
        row: Option<Row>,
        user: *mut c_void,
        error: *mut *mut c_char,
    ) -> c_int;
    fn sqlite3_create_function(
        connection: Connection,
        name: *const c_char,
        arguments: c_int,
        encoding: c_int,
        user: *mut c_void,
        function: Option<Function>,
        step: Option<Function>,
        last: Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> c_int;
    fn sqlite3_user_data(context: *mut c_void) -> *mut c_void;
    fn sqlite3_value_int64(value: *mut c_void) -> i64;
    fn sqlite3_result_int64(context: *mut c_void, value: i64);
    fn sqlite3_update_hook(
        connection: Connection,
        hook: Option<OnUpdate>,
        user: *mut c_void,
    ) -> *mut c_void;
    fn sqlite3_progress_handler(
        connection: Connection,
        steps: c_int,
        handler: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
        user: *mut c_void,
    );
}

const UTF8: c_int = 1;
const THREADS: i64 = 4;
const ROWS: i64 = 300;

/// What a connection's callbacks use.
struct Shared {
    host: &'static Host,
    connection: Connection,
    updates: AtomicI64,
}

impl Shared {
    /// Runs `sql`, and returns the number in the first column of its last row.
    fn sql(&self, sql: &str) -> i64 {
        unsafe extern "C" fn row(
            user: *mut c_void,
            _columns: c_int,
            values: *mut *mut c_char,
            _names: *mut *mut c_char,
        ) -> c_int {
            // SAFETY: there is a column.
            let text = unsafe { *values };
            // SAFETY: its value is no null here, and ends with a zero.
            let text = unsafe { CStr::from_ptr(text) };
            let number = text.to_str().ok().and_then(|text| text.parse().ok());
            // SAFETY: the number below, which is there for the call.
            unsafe { *user.cast::<i64>() = number.unwrap_or(i64::MIN) };
            0
        }
        let mut number = 0;
        let text = CString::new(sql).expect("no zero in it");
        let user = (&raw mut number).cast();
        // SAFETY: an open connection of this thread.
        let code =
            unsafe { sqlite3_exec(self.connection, text.as_ptr(), Some(row), user, null_mut()) };
        self.host.check(code == 0, format_args!("{sql}: error {code}"));
        number
    }
}

/// `ask(n)`: twice `n` and one. Every tenth call asks the database, too, by `ask` itself.
unsafe extern "C" fn ask(context: *mut c_void, _count: c_int, values: *mut *mut c_void) {
    // SAFETY: as the function was made.
    let shared = unsafe { sqlite3_user_data(context) }.cast::<Shared>();
    // SAFETY: it is there until the connection is closed.
    let shared = unsafe { &*shared };
    // SAFETY: one argument.
    let value = unsafe { *values };
    // SAFETY: a value of this call.
    let value = unsafe { sqlite3_value_int64(value) };
    let host = shared.host;
    let answer = host.around(|| {
        let entered = host.bridge().enter(|| {
            if value % 10 == 0 {
                let inner = shared.sql(&format!("select ask({})", value + 1));
                host.check(inner == value * 2 + 3, format_args!("inner answer {inner}"));
            }
            host.ask(value)
        });
        entered.unwrap_or(-1)
    });
    host.account(value, answer);
    // SAFETY: the context of this call.
    unsafe { sqlite3_result_int64(context, answer) };
}

unsafe extern "C" fn on_update(
    user: *mut c_void,
    _what: c_int,
    _database: *const c_char,
    _table: *const c_char,
    row: i64,
) {
    // SAFETY: as the hook was set.
    let shared = unsafe { &*user.cast::<Shared>() };
    shared.host.call(row);
    shared.updates.fetch_add(1, Relaxed);
}

fn one(host: &'static Host) {
    let mut connection = null_mut();
    // SAFETY: writes the connection.
    let opened = unsafe { sqlite3_open(c":memory:".as_ptr(), &raw mut connection) };
    assert_eq!(opened, 0);
    let shared = Shared { host, connection, updates: AtomicI64::new(0) };
    let user = (&raw const shared).cast_mut().cast();
    let name = c"ask".as_ptr();
    // SAFETY: `shared` is there until the connection is closed.
    let made =
        unsafe { sqlite3_create_function(connection, name, 1, UTF8, user, Some(ask), None, None) };
    assert_eq!(made, 0);
    // SAFETY: as above.
    unsafe { sqlite3_update_hook(connection, Some(on_update), user) };
    let steps = Arc::new(AtomicI64::new(0));
    let seen = Arc::clone(&steps);
    // 1 would interrupt the query.
    let progress = host.callback::<fn() -> c_int, _>(1, move || {
        seen.fetch_add(1, Relaxed);
        0
    });
    let handler = Some(progress.with_data_first());
    // SAFETY: the function and the user data of one callback, which is there.
    unsafe { sqlite3_progress_handler(connection, 100, handler, progress.user_data()) };

    shared.sql("create table numbers(n integer primary key, answer integer)");
    for n in 1..=ROWS {
        shared.sql(&format!("insert into numbers values({n}, ask({n}))"));
    }
    let sum = shared.sql("select sum(answer) from numbers");
    host.check(sum == ROWS * (ROWS + 1) + ROWS, format_args!("the sum is {sum}"));
    let again = shared.sql("select count(*) from numbers where answer = ask(n)");
    host.check(again == ROWS, format_args!("{again} rows have their answer"));
    let updates = shared.updates.load(Relaxed);
    host.check(updates == ROWS, format_args!("{updates} updates"));
    host.check(steps.load(Relaxed) > 0, "no progress");
    // SAFETY: this thread's; nothing of it is open.
    let closed = unsafe { sqlite3_close(connection) };
    host.check(closed == 0, "the connection was busy");
}

fn run(host: &'static Host) {
    let threads: Vec<_> = (0..THREADS).map(|_| std::thread::spawn(move || one(host))).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let tens = ROWS / 10;
    let wanted = THREADS * (3 * ROWS + 2 * tens);
    let callbacks = host.callbacks();
    host.check(callbacks == wanted as u64, format_args!("{callbacks} callbacks, not {wanted}"));
}

hosts::host!("sqlite", "libsqlite3-dev", run);
