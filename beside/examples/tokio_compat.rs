//! A client library of tokio's, hyper, used by goroutines in the blocking style: each asks a server
//! and waits for its answer, and 50 of them share two threads.
//!
//! ```text
//! $ cargo run -p gosched-beside --example tokio_compat
//! 50 goroutines asked by hyper: 40425
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.
#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use gosched::future::block_on_in;
use gosched::{Mode, Runtime};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

/// What a client does with hyper, as its documentation has it. It runs in tokio's context.
async fn ask(server: SocketAddr, path: String) -> Result<String, Failure> {
    let socket = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "here").body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?;
    Ok(String::from_utf8(body.to_bytes().to_vec())?)
}

fn main() -> Result<(), Failure> {
    let tokio =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = tokio.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let server = listener.local_addr()?;
    let square = |Path(n): Path<u64>| async move { (n * n).to_string() };
    let routes = Router::new().route("/square/{n}", get(square));
    tokio.spawn(async move { axum::serve(listener, routes).await });

    // SAFETY: nothing here waits in a closure of other people's code. Inside of hyper's and tokio's
    // functions nothing waits by gosched: `block_on_in` sees to that.
    let mode = unsafe { Mode::settled() };
    let goroutines = Runtime::builder(mode).procs(2).build()?;
    let sum = goroutines.run(|| {
        gosched::scope_try(|s| {
            let handle = tokio.handle();
            let asked: Vec<_> = (0..50)
                .map(|n| {
                    s.go(move || {
                        let answer = ask(server, format!("/square/{n}"));
                        let answer = block_on_in(|| handle.enter(), answer)?;
                        Ok::<u64, Failure>(answer.parse()?)
                    })
                })
                .collect();
            Ok::<u64, Failure>(asked.into_iter().map(|asked| asked.join()).sum())
        })
    })?;
    println!("50 goroutines asked by hyper: {sum}");
    Ok(())
}
