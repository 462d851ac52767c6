//! An echo server and its clients in one process, with 1,000 connections at the same time: sockets
//! of `async-io` in goroutines, as `examples/sockets.rs` uses them, and tokio with its own sockets.
//! `cargo bench --bench sockets`, or with other numbers,
//! `cargo bench --bench sockets -- CONNECTIONS ROUND_TRIPS`.
//!
//! Each peer runs in a process of its own, in turn with the others, nine times after one run that
//! is not counted. Every runtime has as many workers as there are CPUs, its default. Each
//! connection sends 32 bytes, waits for them to come back, and compares them. The time begins when
//! all are connected and ends with the last answer. The program prints the median and the range.
#![expect(unsafe_code, reason = "promises the modes, asks for limits and processor time")]

use std::fmt::Write as _;
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::Async;
use gosched::future::block_on;
use gosched::sync::Barrier;
use gosched::{Mode, Runtime, go};

const PEERS: [&str; 3] = ["settled", "migratory", "tokio"];
const FIGURES: [&str; 2] = ["round trips a second", "processor us a round trip"];
const ROUNDS: usize = 9;
const MESSAGE: usize = 32;

fn main() -> io::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.retain(|argument| argument != "--bench");
    let role = arguments.iter().position(|argument| argument == "peer");
    let peer = role.map(|at| arguments.drain(at..at + 2).nth(1).expect("its name"));
    let mut numbers = arguments.iter().map(|number| number.parse().expect("a number"));
    let connections: usize = numbers.next().unwrap_or(1_000);
    let round_trips: usize = numbers.next().unwrap_or(200);
    match peer.as_deref() {
        Some(name) => {
            allow_descriptors(2 * connections + 64);
            let times = match name {
                // SAFETY: nothing here suspends inside a thread-local's initialiser or code that
                // nests calls.
                "settled" => goroutines(unsafe { Mode::settled() }, connections, round_trips),
                // SAFETY: as above, and nothing bound to a thread is held across a suspension.
                "migratory" => goroutines(unsafe { Mode::migratory() }, connections, round_trips),
                _ => tokio_tasks(connections, round_trips),
            }?;
            let trips = (connections * round_trips) as f64;
            println!(
                "{} {}",
                trips / times.answered.as_secs_f64(),
                times.processor.as_secs_f64() * 1e6 / trips
            );
        }
        None => compare(connections, round_trips)?,
    }
    Ok(())
}

/// Runs the peers in turn and prints their figures.
fn compare(connections: usize, round_trips: usize) -> io::Result<()> {
    println!("{connections} connections, {round_trips} round trips each");
    let mut figures = [const { [const { Vec::new() }; FIGURES.len()] }; PEERS.len()];
    for counted in [false].into_iter().chain([true; ROUNDS]) {
        for (peer, figures) in PEERS.into_iter().zip(&mut figures) {
            let output = Command::new(std::env::current_exe()?)
                .args(["peer", peer, &connections.to_string(), &round_trips.to_string()])
                .output()?;
            let (said, complaint) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{peer}: {complaint}");
            for (figure, figures) in said.split_whitespace().zip(figures).filter(|_| counted) {
                figures.push(figure.parse::<f64>().expect("a figure"));
            }
        }
    }
    for (at, name) in FIGURES.into_iter().enumerate() {
        let mut line = format!("{name:25}");
        for (peer, figures) in PEERS.into_iter().zip(&mut figures) {
            let figures = &mut figures[at];
            figures.sort_by(f64::total_cmp);
            let (least, median, most) = (figures[0], figures[ROUNDS / 2], figures[ROUNDS - 1]);
            write!(line, "  {peer} {median:.1} ({least:.1} - {most:.1})").expect("a string");
        }
        println!("{line}");
    }
    Ok(())
}

struct Times {
    /// From the moment when all are connected until the last answer.
    answered: Duration,
    /// The processor time of the process meanwhile.
    processor: Duration,
}

/// The bytes that a client sends in a round.
fn message(number: usize, round: usize) -> String {
    format!("{number:>16}{round:>16}")
}

fn goroutines(mode: Mode, connections: usize, round_trips: usize) -> io::Result<Times> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};

    fn echo(mut socket: Async<TcpStream>) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            match block_on(socket.read(&mut buffer))? {
                0 => return Ok(()),
                n => block_on(socket.write_all(&buffer[..n]))?,
            }
        }
    }

    fn ask(
        address: SocketAddr,
        number: usize,
        round_trips: usize,
        all: &Barrier,
    ) -> io::Result<()> {
        let mut socket = block_on(Async::<TcpStream>::connect(address))?;
        all.wait();
        for round in 0..round_trips {
            let (question, mut answer) = (message(number, round), [0; MESSAGE]);
            block_on(socket.write_all(question.as_bytes()))?;
            block_on(socket.read_exact(&mut answer))?;
            assert_eq!(question.as_bytes(), answer);
        }
        Ok(())
    }

    Runtime::builder(mode).build()?.run(|| {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
        let address = listener.get_ref().local_addr()?;
        let server = go(move || {
            for _ in 0..connections {
                let (socket, _) = block_on(listener.accept())?;
                go(move || echo(socket));
            }
            io::Result::Ok(())
        });
        let all = Arc::new(Barrier::new(connections + 1));
        let clients: Vec<_> = (0..connections)
            .map(|number| {
                let all = all.clone();
                go(move || ask(address, number, round_trips, &all))
            })
            .collect();
        all.wait();
        let (used, began) = (processor_time(), Instant::now());
        clients.into_iter().try_for_each(|one| one.join().expect("it does not panic"))?;
        let (answered, processor) = (began.elapsed(), processor_time() - used);
        server.join().expect("it does not panic")?;
        Ok(Times { answered, processor })
    })
}

fn tokio_tasks(connections: usize, round_trips: usize) -> io::Result<Times> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Barrier;

    async fn echo(mut socket: TcpStream) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            match socket.read(&mut buffer).await? {
                0 => return Ok(()),
                n => socket.write_all(&buffer[..n]).await?,
            }
        }
    }

    async fn ask(
        address: SocketAddr,
        number: usize,
        round_trips: usize,
        all: Arc<Barrier>,
    ) -> io::Result<()> {
        let mut socket = TcpStream::connect(address).await?;
        all.wait().await;
        for round in 0..round_trips {
            let (question, mut answer) = (message(number, round), [0; MESSAGE]);
            socket.write_all(question.as_bytes()).await?;
            socket.read_exact(&mut answer).await?;
            assert_eq!(question.as_bytes(), answer);
        }
        Ok(())
    }

    let tokio = tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
    let body = async move {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            for _ in 0..connections {
                let (socket, _) = listener.accept().await?;
                tokio::spawn(echo(socket));
            }
            io::Result::Ok(())
        });
        let all = Arc::new(Barrier::new(connections + 1));
        let clients: Vec<_> = (0..connections)
            .map(|number| tokio::spawn(ask(address, number, round_trips, all.clone())))
            .collect();
        all.wait().await;
        let (used, began) = (processor_time(), Instant::now());
        for client in clients {
            client.await.expect("it does not panic")?;
        }
        let (answered, processor) = (began.elapsed(), processor_time() - used);
        server.await.expect("it does not panic")?;
        Ok(Times { answered, processor })
    };
    // On a worker, as `run` puts it on a P.
    tokio.block_on(tokio.spawn(body)).expect("it does not panic")
}

fn processor_time() -> Duration {
    let mut used = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the structure is written by the call.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, used.as_mut_ptr()) };
    assert_eq!(code, 0);
    // SAFETY: the call succeeded, so it is.
    let used = unsafe { used.assume_init() };
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// Raises the soft limit of open descriptors.
fn allow_descriptors(needed: usize) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is alive and may be written.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = limit.rlim_cur.max(needed as libc::rlim_t);
    // SAFETY: the structure is alive.
    let code = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(code, 0, "{needed} descriptors are more than the hard limit");
}
