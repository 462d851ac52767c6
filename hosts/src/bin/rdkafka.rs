//! librdkafka with a cluster of its own, the mock cluster: no server is needed.
//!
//! Delivery reports come where the producer is polled, and messages where a consumer asks for them.
//! The log comes on librdkafka's own threads, which block all signals. The mock cluster's thread
//! does not, and gives up when a signal interrupts its `poll`, so it is made with signals blocked.
//!
//! # Safety
//!
//! The declarations are those of `rdkafka.h` and `rdkafka_mock.h`. Configurations go to the handle
//! that is made with them.
#![expect(unsafe_code, reason = "calls into librdkafka")]
#![cfg_attr(not(host = "rdkafka"), expect(dead_code, reason = "it is not installed"))]

use hosts::frame::Host;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// `rd_kafka_message_t`.
#[repr(C)]
struct Message {
    error: c_int,
    topic: *mut c_void,
    partition: i32,
    payload: *mut c_void,
    size: usize,
    key: *mut c_void,
    key_size: usize,
    offset: i64,
    user: *mut c_void,
}

type Handle = *mut c_void;
type OnDelivery = unsafe extern "C" fn(Handle, *const Message, *mut c_void);
type OnMessage = unsafe extern "C" fn(*mut Message, *mut c_void);
type OnLog = unsafe extern "C" fn(Handle, c_int, *const c_char, *const c_char);

#[cfg_attr(host = "rdkafka", link(name = "rdkafka"))]
unsafe extern "C" {
    safe fn rd_kafka_conf_new() -> *mut c_void;
    fn rd_kafka_conf_set(
        settings: *mut c_void,
        name: *const c_char,
        value: *const c_char,
        error: *mut c_char,
        size: usize,
    ) -> c_int;
    fn rd_kafka_conf_set_opaque(settings: *mut c_void, user: *mut c_void);
    fn rd_kafka_conf_set_dr_msg_cb(settings: *mut c_void, call: OnDelivery);
    fn rd_kafka_conf_set_log_cb(settings: *mut c_void, call: OnLog);
    fn rd_kafka_new(kind: c_int, settings: *mut c_void, error: *mut c_char, size: usize) -> Handle;
    fn rd_kafka_opaque(handle: Handle) -> *mut c_void;
    fn rd_kafka_topic_new(handle: Handle, name: *const c_char, more: *mut c_void) -> *mut c_void;
    fn rd_kafka_topic_destroy(topic: *mut c_void);
    fn rd_kafka_produce(
        topic: *mut c_void,
        partition: i32,
        flags: c_int,
        payload: *const c_void,
        size: usize,
        key: *const c_void,
        key_size: usize,
        user: *mut c_void,
    ) -> c_int;
    fn rd_kafka_poll(handle: Handle, ms: c_int) -> c_int;
    fn rd_kafka_outq_len(handle: Handle) -> c_int;
    fn rd_kafka_consume_start(topic: *mut c_void, partition: i32, offset: i64) -> c_int;
    fn rd_kafka_consume_stop(topic: *mut c_void, partition: i32) -> c_int;
    fn rd_kafka_consume_callback(
        topic: *mut c_void,
        partition: i32,
        ms: c_int,
        call: OnMessage,
        user: *mut c_void,
    ) -> c_int;
    fn rd_kafka_handle_mock_cluster(handle: Handle) -> *mut c_void;
    fn rd_kafka_mock_cluster_bootstraps(cluster: *mut c_void) -> *const c_char;
    fn rd_kafka_destroy(handle: Handle);
}

const PRODUCER: c_int = 0;
const CONSUMER: c_int = 1;
const COPY: c_int = 2;
const FROM_THE_FIRST: i64 = -2;
const MESSAGES: i64 = 500;

struct Shared {
    host: &'static Host,
    delivered: AtomicI64,
    consumed: AtomicI64,
    logged: AtomicI64,
}

unsafe extern "C" fn on_log(
    handle: Handle,
    _level: c_int,
    _part: *const c_char,
    _text: *const c_char,
) {
    // SAFETY: a handle of this program.
    let user = unsafe { rd_kafka_opaque(handle) };
    // SAFETY: the value of `run`, which stays.
    if let Some(shared) = unsafe { user.cast::<Shared>().as_ref() } {
        shared.host.call(1);
        shared.logged.fetch_add(1, Relaxed);
    }
}

unsafe extern "C" fn on_delivery(_handle: Handle, message: *const Message, user: *mut c_void) {
    // SAFETY: the value of `run`.
    let shared = unsafe { &*user.cast::<Shared>() };
    // SAFETY: a message, for the call.
    let message = unsafe { &*message };
    let value = message.user.addr() as i64;
    shared.host.check(message.error == 0, format_args!("{value}: error {}", message.error));
    shared.host.call(value);
    shared.delivered.fetch_add(value, Relaxed);
}

unsafe extern "C" fn on_message(message: *mut Message, user: *mut c_void) {
    // SAFETY: the value of `run`.
    let shared = unsafe { &*user.cast::<Shared>() };
    // SAFETY: a message, for the call.
    let message = unsafe { &*message };
    if message.error != 0 || message.size != 8 {
        return; // The end of what there is, for now.
    }
    // SAFETY: eight bytes, at any address.
    let value = unsafe { message.payload.cast::<i64>().read_unaligned() };
    shared.host.call(value);
    shared.consumed.fetch_add(value, Relaxed);
}

/// A handle with these settings.
fn handle(kind: c_int, shared: &'static Shared, settings: &[(&CStr, &CStr)]) -> Handle {
    let configuration = rd_kafka_conf_new();
    for (name, value) in settings {
        let (name, value) = (name.as_ptr(), value.as_ptr());
        // SAFETY: a configuration, and strings.
        let set = unsafe { rd_kafka_conf_set(configuration, name, value, null_mut(), 0) };
        assert_eq!(set, 0, "{settings:?}");
    }
    let user = std::ptr::from_ref(shared).cast_mut().cast();
    // SAFETY: a configuration.
    unsafe { rd_kafka_conf_set_opaque(configuration, user) };
    // SAFETY: as above.
    unsafe { rd_kafka_conf_set_log_cb(configuration, on_log) };
    if kind == PRODUCER {
        // SAFETY: as above.
        unsafe { rd_kafka_conf_set_dr_msg_cb(configuration, on_delivery) };
    }
    // SAFETY: as above. `shared` stays.
    let handle =
        with_signals_blocked(|| unsafe { rd_kafka_new(kind, configuration, null_mut(), 0) });
    assert!(!handle.is_null(), "no handle");
    handle
}

/// Threads that `make` makes block all signals.
fn with_signals_blocked<R>(make: impl FnOnce() -> R) -> R {
    // SAFETY: plain data.
    let (mut all, mut former): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: a set of this function.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: the thread's own mask.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut former) };
    let made = make();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const former, null_mut()) };
    made
}

fn topic(handle: Handle) -> *mut c_void {
    // SAFETY: a handle, and a string.
    unsafe { rd_kafka_topic_new(handle, c"numbers".as_ptr(), null_mut()) }
}

/// Produces all messages, and waits for the reports.
fn produce(producer: Handle) {
    let topic = topic(producer);
    for value in 1..=MESSAGES {
        let user = without_provenance_mut(value as usize);
        let payload = (&raw const value).cast();
        // SAFETY: the payload is copied.
        let code =
            unsafe { rd_kafka_produce(topic, 0, COPY, payload, 8, std::ptr::null(), 0, user) };
        assert_eq!(code, 0, "the queue is full");
    }
    // SAFETY: a handle.
    while unsafe { rd_kafka_outq_len(producer) } > 0 {
        // SAFETY: as above.
        unsafe { rd_kafka_poll(producer, 10) };
    }
    // SAFETY: of this function.
    unsafe { rd_kafka_topic_destroy(topic) };
}

/// Consumes until all messages have come.
fn consume(consumer: Handle, shared: &'static Shared) {
    let topic = topic(consumer);
    // SAFETY: of this function.
    assert_eq!(unsafe { rd_kafka_consume_start(topic, 0, FROM_THE_FIRST) }, 0);
    let user = std::ptr::from_ref(shared).cast_mut().cast();
    while shared.consumed.load(Relaxed) < MESSAGES * (MESSAGES + 1) / 2 {
        // SAFETY: it was started.
        unsafe { rd_kafka_consume_callback(topic, 0, 100, on_message, user) };
    }
    // SAFETY: as above.
    unsafe { rd_kafka_consume_stop(topic, 0) };
    // SAFETY: of this function.
    unsafe { rd_kafka_topic_destroy(topic) };
}

fn run(host: &'static Host) {
    let zero = || AtomicI64::new(0);
    let shared = Shared { host, delivered: zero(), consumed: zero(), logged: zero() };
    let shared: &'static Shared = Box::leak(Box::new(shared));
    let settings = [(c"test.mock.num.brokers", c"2"), (c"debug", c"broker,topic")];
    let producer = handle(PRODUCER, shared, &settings);
    // SAFETY: the setting has made one.
    let cluster = unsafe { rd_kafka_handle_mock_cluster(producer) };
    // SAFETY: the cluster.
    let brokers = unsafe { rd_kafka_mock_cluster_bootstraps(cluster) };
    // SAFETY: a string that is there as long as the cluster.
    let brokers = unsafe { CStr::from_ptr(brokers) };
    produce(producer);
    let settings = [(c"bootstrap.servers", brokers), (c"debug", c"broker,fetch")];
    let consumer = handle(CONSUMER, shared, &settings);
    consume(consumer, shared);
    for handle in [consumer, producer] {
        // SAFETY: nothing of it is open. Its threads are joined.
        unsafe { rd_kafka_destroy(handle) };
    }
    let wanted = MESSAGES * (MESSAGES + 1) / 2;
    let sums = [&shared.delivered, &shared.consumed].map(|sum| sum.load(Relaxed));
    host.check(sums == [wanted; 2], format_args!("{sums:?}, not {wanted}"));
    host.check(shared.logged.load(Relaxed) > 0, "nothing was logged");
}

hosts::host!("rdkafka", "librdkafka-dev", run);
