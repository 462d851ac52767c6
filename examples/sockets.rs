//! An echo server and 1,000 clients that are connected to it at the same time: sockets of the
//! `async-io` crate, in goroutines.
//!
//! ```text
//! $ cargo run --release --example sockets
//! 1000 connections at the same time, 20 round trips each: 20000 right answers
//! ```
//!
//! `--connections N` and `--rounds N` change the two numbers. The time goes to standard error. The
//! example fails if an answer is wrong, or if it needs more than a minute.
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
use std::time::{Duration, Instant};

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use gosched::future::block_on;
use gosched::sync::Barrier;
use gosched::{Mode, go, run, time};

const LIMIT: Duration = Duration::from_secs(60);

/// Bytes of a message.
const MESSAGE: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let (connections, rounds) = (argument("--connections", 1000)?, argument("--rounds", 20)?);
    allow_descriptors(2 * connections + 64)?;
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    let mode = unsafe { Mode::settled() };
    let began = Instant::now();
    let answers = run(mode, || time::timeout(LIMIT, || talk(connections, rounds)))??;
    eprintln!("{:.0?}", began.elapsed());
    println!(
        "{connections} connections at the same time, {rounds} round trips each: {answers} right \
         answers"
    );
    assert_eq!(answers, connections * rounds);
    Ok(())
}

/// Runs the server and the clients. Returns the number of right answers.
fn talk(connections: usize, rounds: usize) -> io::Result<usize> {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
    let address = listener.get_ref().local_addr()?;
    let server = go(move || serve(&listener, connections));
    let all_connected = Arc::new(Barrier::new(connections));
    let clients: Vec<_> = (0..connections)
        .map(|number| {
            let all_connected = all_connected.clone();
            go(move || ask(address, number, rounds, &all_connected))
        })
        .collect();
    let mut answers = 0;
    for client in clients {
        answers += client.join().expect("it does not panic")?;
    }
    server.join().expect("it does not panic")?;
    Ok(answers)
}

/// Accepts as many connections, each of which gets a goroutine, and waits until all have ended.
fn serve(listener: &Async<TcpListener>, connections: usize) -> io::Result<()> {
    let mut served = Vec::new();
    for _ in 0..connections {
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

/// Sends so many requests, once all are connected. Returns the number of right answers.
fn ask(
    address: SocketAddr,
    number: usize,
    rounds: usize,
    all_connected: &Barrier,
) -> io::Result<usize> {
    let mut socket = block_on(Async::<TcpStream>::connect(address))?;
    all_connected.wait();
    let mut right = 0;
    for round in 0..rounds {
        let message = format!("{number:>16}{round:>16}");
        let mut answer = [0; MESSAGE];
        block_on(socket.write_all(message.as_bytes()))?;
        block_on(socket.read_exact(&mut answer))?;
        right += usize::from(message.as_bytes() == answer);
    }
    Ok(right)
}

/// Returns the number behind the option, or the default.
fn argument(option: &str, unless_given: usize) -> Result<usize, Box<dyn Error>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != option).skip(1);
    match arguments.next() {
        Some(number) => {
            number.parse().map_err(|_| format!("{option} wants a number, not {number}").into())
        }
        None => Ok(unless_given),
    }
}

/// Raises the soft limit of open descriptors, as far as needed and as the hard limit allows. The
/// usual limit is 1,024, and each connection needs two.
fn allow_descriptors(needed: usize) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is alive and may be written.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let needed = needed as libc::rlim_t;
    if needed <= limit.rlim_cur {
        return Ok(());
    }
    if needed > limit.rlim_max {
        let allowed = limit.rlim_max;
        return Err(io::Error::other(format!(
            "{needed} descriptors are needed, the hard limit is {allowed} (`ulimit -Hn`): use \
             fewer `--connections`"
        )));
    }
    limit.rlim_cur = needed;
    // SAFETY: the structure is alive.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
