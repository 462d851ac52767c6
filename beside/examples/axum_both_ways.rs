//! axum and goroutines, both ways: handlers await goroutines, and goroutines ask the server.
//!
//! A handler of axum's runs on tokio's threads, and waits for goroutines as for anything else: a
//! `JoinHandle` is a future, and so are `send_async` and `recv_async`. What would block the thread,
//! a computation or a library without async, it gives to a goroutine.
//!
//! ```text
//! $ cargo run -p gosched-beside --example axum_both_ways
//! 40 requests, 20 computed and 20 counted by one goroutine: 210
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.
#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use gosched::chan::{self, oneshot};
use gosched::future::block_on_in;
use gosched::{Handle, Mode, Runtime};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

/// A question to the goroutine that counts, with the way back.
type Count = (u64, oneshot::Sender<u64>);

/// What handlers share.
#[derive(Clone)]
struct Shared {
    goroutines: Handle,
    counter: chan::Sender<Count>,
}

/// Computes in a goroutine, and awaits it.
async fn triangle(State(shared): State<Shared>, Path(n): Path<u64>) -> Result<String, StatusCode> {
    let sum = shared.goroutines.go(move || (1..=n).sum::<u64>());
    sum.await.map(|sum| sum.to_string()).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// Asks a goroutine that has state of its own.
async fn count(State(shared): State<Shared>, Path(n): Path<u64>) -> Result<String, StatusCode> {
    let (back, answer) = oneshot::channel();
    let gone = |_| StatusCode::SERVICE_UNAVAILABLE;
    shared.counter.send_async((n, back)).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    answer.recv_async().await.map(|total| total.to_string()).map_err(gone)
}

/// A client's part: runs in tokio's context.
async fn ask(server: SocketAddr, path: String) -> Result<u64, Failure> {
    let socket = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "here").body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?;
    Ok(std::str::from_utf8(&body.to_bytes())?.parse()?)
}

fn main() -> Result<(), Failure> {
    // SAFETY: nothing here waits in a closure of other people's code.
    let mode = unsafe { Mode::settled() };
    let runtime = Runtime::builder(mode).build()?;
    let tokio =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;

    let (counter, questions) = chan::bounded::<Count>(4);
    runtime.handle().go(move || {
        let mut total = 0;
        for (n, back) in &questions {
            total += n;
            let _nobody_waits_any_more = back.send(total);
        }
    });
    let routes = Router::new()
        .route("/triangle/{n}", get(triangle))
        .route("/count/{n}", get(count))
        .with_state(Shared { goroutines: runtime.handle(), counter });
    let listener = tokio.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let server = listener.local_addr()?;
    tokio.spawn(async move { axum::serve(listener, routes).await });

    let handle = tokio.handle();
    let counted = runtime.run(|| {
        gosched::scope_try(|s| {
            let clients: Vec<_> = (1..=20)
                .map(|n| {
                    s.go(move || {
                        let ask = |path| block_on_in(|| handle.enter(), ask(server, path));
                        assert_eq!(ask(format!("/triangle/{n}"))?, n * (n + 1) / 2);
                        ask(format!("/count/{n}"))
                    })
                })
                .collect();
            Ok(clients.into_iter().map(|client| client.join()).max().unwrap_or(0))
        })
    });
    println!("40 requests, 20 computed and 20 counted by one goroutine: {}", counted?);
    Ok(())
}
