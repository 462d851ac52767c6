//! A crawler in the blocking style: a goroutine for each page, 16 requests at a time, by a client
//! library of tokio's; Ctrl-C ends it in order.
//!
//! ```text
//! $ cargo run -p gosched-beside --example crawler
//! 127 pages, the deepest at level 7
//! ```
//!
//! It crawls a site of its own. With `--endless` that has no end.
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`.
#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::collections::HashSet;
use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use gosched::cancel::Token;
use gosched::chan::{self, Receiver};
use gosched::future::block_on_in;
use gosched::sync::Semaphore;
use gosched::{Mode, Runtime, scope, select, signal};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use libc::{SIGINT, SIGTERM};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

/// Returns the links of a page.
async fn fetch(server: SocketAddr, page: u64) -> Result<Vec<u64>, Failure> {
    let socket = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let path = format!("/page/{page}");
    let request = Request::get(path).header("host", "here").body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    std::str::from_utf8(&body)?.split_whitespace().map(|link| Ok(link.parse()?)).collect()
}

/// Crawls from page 1 on, until all is seen or a signal comes. Returns the pages, and the signal.
/// `links_of` parks the goroutine.
fn crawl(
    links_of: impl Fn(u64) -> Result<Vec<u64>, Failure> + Sync,
    stops: &Receiver<i32>,
) -> Result<(HashSet<u64>, Option<i32>), Failure> {
    let (slots, stop) = (Semaphore::new(16), Token::new());
    let mut pages = HashSet::new();
    scope(|s| {
        let (found_tx, found) = chan::unbounded();
        let visit = |page: u64| {
            let (found, stop, slots, links_of) = (found_tx.clone(), &stop, &slots, &links_of);
            s.go(move || {
                // A cancelled visit reports nothing: nobody waits for it any more.
                let _cancelled = stop.run(|| {
                    let _slot = slots.acquire();
                    found.send(links_of(page))
                });
            });
        };
        let mut new = vec![1];
        let mut pending = 0;
        loop {
            for page in new.drain(..).filter(|page| pages.insert(*page)) {
                visit(page);
                pending += 1;
            }
            if pending == 0 {
                return Ok(None);
            }
            select! {
                recv(found) -> links => {
                    new = links.expect("one sender is here").inspect_err(|_| stop.cancel())?;
                }
                recv(stops) -> signal => {
                    stop.cancel();
                    return Ok(signal.ok());
                }
            }
            pending -= 1;
        }
    })
    .map(|signal| (pages, signal))
}

fn main() -> Result<(), Failure> {
    let last = if std::env::args().any(|word| word == "--endless") { u64::MAX / 2 } else { 63 };
    let tokio =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = tokio.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let server = listener.local_addr()?;
    let page = move |Path(n): Path<u64>| async move {
        if n <= last { format!("{} {}", 2 * n, 2 * n + 1) } else { String::new() }
    };
    let site = Router::new().route("/page/{n}", get(page));
    tokio.spawn(async move { axum::serve(listener, site).await });
    let stops = signal::notify([SIGINT, SIGTERM])?;
    println!("crawls {server}");

    // SAFETY: nothing here waits in a closure of other people's code.
    let goroutines = Runtime::builder(unsafe { Mode::settled() }).build()?;
    let handle = tokio.handle();
    let links_of = |page| block_on_in(|| handle.enter(), fetch(server, page));
    let (pages, signal) = goroutines.run(|| crawl(links_of, &stops))?;
    if let Some(signal) = signal {
        println!("stopped by signal {signal}");
    }
    let deepest = pages.iter().map(|page| page.ilog2() + 1).max().unwrap_or(0);
    println!("{} pages, the deepest at level {deepest}", pages.len());
    Ok(())
}
