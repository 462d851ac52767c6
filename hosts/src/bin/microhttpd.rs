//! libmicrohttpd in both of its thread models: a pool of threads, and a thread for each connection.
//!
//! Each request is a callback, which is answered by a goroutine. Clients on plain threads keep a
//! connection open for some requests, and then make a new one: with the second model, threads of
//! the server come and go.
//!
//! # Safety
//!
//! The declarations are those of `microhttpd.h`. The server is stopped before the host ends.
#![expect(unsafe_code, reason = "calls into libmicrohttpd")]
#![cfg_attr(not(host = "microhttpd"), expect(dead_code, reason = "it is not installed"))]

use hosts::frame::Host;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::IntoRawFd;

type OnRequest = unsafe extern "C" fn(
    *mut c_void,
    *mut c_void,
    *const c_char,
    *const c_char,
    *const c_char,
    *const c_char,
    *mut usize,
    *mut *mut c_void,
) -> c_int;

#[cfg_attr(host = "microhttpd", link(name = "microhttpd"))]
unsafe extern "C" {
    fn MHD_start_daemon(
        flags: c_uint,
        port: u16,
        accept: *const c_void,
        accept_user: *mut c_void,
        on_request: OnRequest,
        user: *mut c_void,
        ...
    ) -> *mut c_void;
    fn MHD_stop_daemon(daemon: *mut c_void);
    fn MHD_create_response_from_buffer(
        size: usize,
        buffer: *mut c_void,
        mode: c_int,
    ) -> *mut c_void;
    fn MHD_queue_response(connection: *mut c_void, status: c_uint, response: *mut c_void) -> c_int;
    fn MHD_destroy_response(response: *mut c_void);
}

const YES: c_int = 1;
const MUST_COPY: c_int = 2;
const THREAD_FOR_EACH: c_uint = 4;
const INTERNAL_THREAD: c_uint = 8;
const LISTEN_SOCKET: c_int = 12;
const POOL_SIZE: c_int = 14;
const END: c_int = 0;

const CLIENTS: i64 = 4;
const CONNECTIONS: i64 = 10;
const REQUESTS: i64 = 20;

/// Is called twice for each request. The first call has only the head.
unsafe extern "C" fn on_request(
    user: *mut c_void,
    connection: *mut c_void,
    url: *const c_char,
    _method: *const c_char,
    _version: *const c_char,
    _upload: *const c_char,
    _upload_size: *mut usize,
    state: *mut *mut c_void,
) -> c_int {
    // SAFETY: the host of `serve`.
    let host = unsafe { &*user.cast::<Host>() };
    // SAFETY: the request's own place.
    let state = unsafe { &mut *state };
    if state.is_null() {
        *state = user;
        return YES;
    }
    // SAFETY: a string that is there for the call.
    let url = unsafe { CStr::from_ptr(url) };
    let value = url.to_str().ok().and_then(|url| url.strip_prefix('/')?.parse().ok());
    let answer = host.call(value.unwrap_or(0)).to_string();
    // SAFETY: the bytes are copied.
    let response = unsafe {
        MHD_create_response_from_buffer(answer.len(), answer.as_ptr().cast_mut().cast(), MUST_COPY)
    };
    // SAFETY: both are of this call.
    let code = unsafe { MHD_queue_response(connection, 200, response) };
    // SAFETY: the connection has its own share.
    unsafe { MHD_destroy_response(response) };
    code
}

/// Asks on one connection, and returns the sum of what was answered.
fn client(server: SocketAddr, first: i64) -> io::Result<i64> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut sum = 0;
    for value in first..first + REQUESTS {
        let request = format!("GET /{value} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length: ") {
                length = number.parse().map_err(io::Error::other)?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let text = String::from_utf8_lossy(&body);
        sum += text.parse::<i64>().map_err(io::Error::other)?;
    }
    Ok(sum)
}

/// All clients against a server of one model.
fn serve(host: &'static Host, model: c_uint, pool: c_uint) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let socket = listener.into_raw_fd();
    let user = std::ptr::from_ref(host).cast_mut().cast();
    let flags = INTERNAL_THREAD | model;
    // A size of 0 is no pool.
    let options = if pool > 0 { POOL_SIZE } else { END };
    let null = std::ptr::null_mut();
    // SAFETY: options in pairs up to the end; the server closes the socket.
    let daemon = unsafe {
        MHD_start_daemon(
            flags,
            0,
            null,
            null,
            on_request,
            user,
            LISTEN_SOCKET,
            socket,
            options,
            pool,
            END,
        )
    };
    assert!(!daemon.is_null(), "no server");
    let all = move || -> io::Result<i64> { (1..=CONNECTIONS).map(|n| client(address, n)).sum() };
    let clients: Vec<_> = (0..CLIENTS).map(|_| std::thread::spawn(all)).collect();
    for one in clients {
        let sum = one.join().expect("no panic")?;
        let numbers = (1..=CONNECTIONS).flat_map(|first| first..first + REQUESTS);
        let wanted: i64 = numbers.map(|value| value * 2 + 1).sum();
        host.check(sum == wanted, format_args!("a client got {sum}, not {wanted}"));
    }
    // SAFETY: no client is left. It joins the server's threads.
    unsafe { MHD_stop_daemon(daemon) };
    Ok(())
}

fn run(host: &'static Host) {
    for (model, pool) in [(0, 3), (THREAD_FOR_EACH, 0)] {
        serve(host, model, pool).expect("the clients are answered");
    }
}

hosts::host!("microhttpd", "libmicrohttpd-dev", run);
