//! A host of plugins that it does not trust: one answers, one panics, one hangs, and one waits
//! where it must not. The host goes on, and says what became of each.
//!
//! ```text
//! $ cargo run --release --example plugin_host
//! greeter: "hello, 3 plugins"
//! crasher: panicked: index out of bounds: the len is 0 but the index is 7
//! sleeper: no answer within 100 ms; cancelled
//! sorter: panicked: a key that waits: an operation that may wait, inside of no_wait
//! greeter: "hello again, 1 left"
//! ```
//!
//! # Safety
//!
//! The one promise: see `Mode::settled`. The host keeps it for a plugin, too: what a plugin hands
//! to the standard library's sort runs in `no_wait`.

#![expect(unsafe_code, reason = "promises what the settled mode asks for")]

use std::any::Any;
use std::panic;
use std::time::Duration;

use gosched::chan::{self, Receiver, Sender, oneshot};
use gosched::goroutine::Builder;
use gosched::{JoinHandle, Mode, no_wait, run, time};

/// What a plugin is asked, with the way back.
type Question = (String, oneshot::Sender<String>);

/// A plugin: a function that answers questions until there are none.
type Plugin = fn(Receiver<Question>);

/// A plugin that runs.
struct Running {
    name: &'static str,
    ask: Sender<Question>,
    goroutine: JoinHandle<()>,
}

fn greeter(questions: Receiver<Question>) {
    for (question, answer) in questions {
        let _nobody_waits_any_more = answer.send(format!("hello{question}"));
    }
}

fn crasher(questions: Receiver<Question>) {
    let none: Vec<u32> = questions.try_iter().map(|_| 0).take(0).collect();
    let _asked = questions.recv();
    println!("{}", none[std::hint::black_box(7)]);
}

fn sleeper(questions: Receiver<Question>) {
    let _question = questions.recv();
    time::sleep(Duration::from_secs(3600));
}

/// Sorts by a key that asks a channel. `no_wait` makes a message of what would be a broken promise
/// if `sort_by_cached_key` relied on its thread.
fn sorter(questions: Receiver<Question>) {
    let Ok((question, answer)) = questions.recv() else { return };
    let mut words: Vec<&str> = question.split(' ').collect();
    words.sort_by_cached_key(|word| no_wait(|| (questions.recv().is_ok(), word.len())));
    let _nobody_waits_any_more = answer.send(words.join(" "));
}

impl Running {
    fn start(name: &'static str, plugin: Plugin) -> Self {
        let (ask, questions) = chan::bounded(4);
        Self { name, ask, goroutine: Builder::new().name(name).go(move || plugin(questions)) }
    }

    /// Asks, and waits for the answer. None if the plugin is of no use any more; it has ended then.
    fn asked(self, question: &str) -> Option<Self> {
        let (back, answer) = oneshot::channel();
        let sent = self.ask.try_send((question.to_owned(), back));
        let limit = Duration::from_millis(100);
        match sent.ok().and_then(|()| answer.recv_timeout(limit).ok()) {
            Some(answer) => println!("{}: {answer:?}", self.name),
            None => {
                let hangs = self.goroutine.cancel();
                match self.goroutine.join() {
                    Err(payload) if !payload.is::<gosched::Cancelled>() => {
                        println!("{}: panicked: {}", self.name, said(&*payload));
                    }
                    _ if hangs => println!("{}: no answer within 100 ms; cancelled", self.name),
                    _ => println!("{}: it has ended", self.name),
                }
                return None;
            }
        }
        Some(self)
    }
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map_or("", String::as_str);
    if text.contains("`no_wait`") {
        return "a key that waits: an operation that may wait, inside of no_wait".to_owned();
    }
    text.to_owned()
}

fn main() {
    panic::set_hook(Box::new(|_| ())); // The host says it itself.
    // SAFETY: nothing here suspends in a thread-local's initialiser or in code that relies on
    // nesting.
    run(unsafe { Mode::settled() }, || {
        let plugins: [(&str, Plugin); 4] =
            [("greeter", greeter), ("crasher", crasher), ("sleeper", sleeper), ("sorter", sorter)];
        let running = plugins.map(|(name, plugin)| Running::start(name, plugin));
        let left: Vec<_> =
            running.into_iter().filter_map(|plugin| plugin.asked(", 3 plugins")).collect();
        let question = format!(" again, {} left", left.len());
        left.into_iter().for_each(|plugin| drop(plugin.asked(&question)));
    });
}
