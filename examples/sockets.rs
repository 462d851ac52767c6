//! An echo server and 1,000 clients that are connected to it at the same time: sockets of the
//! `async-io` crate, in goroutines.
//!
//! ```text
//! $ cargo run --release --example sockets
//! 1000 connections at the same time, 20 round trips each: 20000 right answers
//! ```
//!
//! A socket is an `Async<TcpStream>`, which never blocks its thread. `block_on` runs a future of
//! that socket: while the future is pending, the goroutine is parked, and its thread runs others.
//! A thread of `async-io` waits for all sockets of the process and wakes the goroutines.
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`. A future of `async-io` does not wait while it is polled,
//! because that crate does not call gosched. Two system calls, about the number of descriptors, are
//! unsafe, too.

#![expect(unsafe_code, reason = "promises what the settled mode asks for; calls setrlimit")]

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use gosched::future::block_on;
use gosched::sync::Barrier;
use gosched::{Mode, go, run, time};

const CONNECTIONS: usize = 1000;
/// Requests on each connection.
const ROUNDS: usize = 20;

/// Bytes of a message.
const MESSAGE: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    allow_descriptors(2 * CONNECTIONS + 64)?;
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let answers =
        run(unsafe { Mode::settled() }, || time::timeout(Duration::from_secs(60), talk))??;
    print!("{CONNECTIONS} connections at the same time, {ROUNDS} round trips each: ");
    println!("{answers} right answers");
    assert_eq!(answers, CONNECTIONS * ROUNDS);
    Ok(())
}

/// Runs the server and the clients. Returns the number of right answers.
fn talk() -> io::Result<usize> {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
    let address = listener.get_ref().local_addr()?;
    let server = go(move || serve(&listener));
    let all_connected = Arc::new(Barrier::new(CONNECTIONS));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let all_connected = all_connected.clone();
            go(move || ask(address, number, &all_connected))
        })
        .collect();
    let answers = clients.into_iter().map(|client| client.join().expect("it does not panic")).sum();
    server.join().expect("it does not panic")?;
    answers
}

/// Accepts all connections, each of which gets a goroutine, and waits until all have ended.
fn serve(listener: &Async<TcpListener>) -> io::Result<()> {
    let mut served = Vec::new();
    for _ in 0..CONNECTIONS {
        let (socket, _) = block_on(listener.accept())?;
        served.push(go(move || echo(socket)));
    }
    served.into_iter().try_for_each(|one| one.join().expect("it does not panic"))
}

/// Sends back the received bytes, until the client has closed its side.
fn echo(mut socket: Async<TcpStream>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match block_on(socket.read(&mut buffer))? {
            0 => return Ok(()),
            n => block_on(socket.write_all(&buffer[..n]))?,
        }
    }
}

/// Sends the requests, once all are connected. Returns the number of right answers.
fn ask(address: SocketAddr, number: usize, all_connected: &Barrier) -> io::Result<usize> {
    let mut socket = block_on(Async::<TcpStream>::connect(address))?;
    all_connected.wait();
    let mut right = 0;
    for round in 0..ROUNDS {
        let message = format!("{number:>16}{round:>16}");
        let mut answer = [0; MESSAGE];
        block_on(socket.write_all(message.as_bytes()))?;
        block_on(socket.read_exact(&mut answer))?;
        right += usize::from(message.as_bytes() == answer);
    }
    Ok(right)
}

/// Raises the soft limit of open descriptors, as far as the hard limit allows. The usual one is
/// 1,024, and each connection needs two.
fn allow_descriptors(needed: usize) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is alive and may be written.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_cur.max(needed as libc::rlim_t);
    // SAFETY: the structure is alive.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
