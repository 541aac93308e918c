//! Every order in which threads can meet on a connection, on its bells, on a stop sign and in the ticket table, tried by loom.
//!
//! These are the real sources of `connection`, `driver/blocking`, `transport/bells`, `handle/table`, and of what threads share in
//! `driver/event_loop`, compiled once more over the locks and atomics of
//! loom (`sync`) and the sockets of a machine without time (`transport`). Everything else is the library's. A model fails when a check in it does,
//! when threads wait for each other, or when a thread is never woken.
//!
//! Out of scope: threads of the system and real sockets (`tests/threads`), and what one thread sees (everywhere else).
//!
//! Not run by the usual frame, which would run the sources' own tests too. Arguments choose the models whose name contains one of them;
//! LOOM_MAX_PREEMPTIONS is how often a thread is interrupted where it need not be (3).
#![allow(dead_code, missing_docs, unused_imports, unreachable_pub)]

use ws101::{bytes, error, http, options, process, protocol};

#[path = "../../src/driver/event_loop/address.rs"]
mod address;
#[path = "../../src/connection/mod.rs"]
mod connection;
mod driver;
mod event {
    pub use ws101::driver::event_loop::{Notify, OpaqueCallback};
}
#[path = "../../src/driver/event_loop/inbox.rs"]
mod inbox;
mod models;
#[path = "../../src/driver/event_loop/posting.rs"]
mod posting;
mod postings;
mod sync;
#[path = "../../src/handle/table.rs"]
mod table;
mod transport;

use std::process::{Command, ExitCode};
use std::time::Instant;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = words.as_slice()
        && flag == "--one"
    {
        let (_, model) = models::ALL.iter().find(|(known, _)| known == name).expect("a model has this name");
        println!("{} orders", models::run(*model));
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = words.into_iter().filter(|word| !word.starts_with('-')).collect();
    let chosen = models::ALL.iter().filter(|(name, _)| words.is_empty() || words.iter().any(|word| name.contains(word.as_str())));
    let failed = chosen.clone().filter(|(name, _)| !run_alone(name)).count();
    let passed = chosen.count() - failed;
    // As the usual frame says it.
    println!("\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured", if failed == 0 { "ok" } else { "FAILED" });
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One model in a process of its own: when loom finds a deadlock there is no going on in that one.
fn run_alone(name: &str) -> bool {
    let begin = Instant::now();
    let own = std::env::current_exe().expect("this program has a path");
    let output = Command::new(own).args(["--one", name]).env("RUST_BACKTRACE", "0").output().expect("this program can be run");
    let (seconds, told) = (begin.elapsed().as_secs_f64(), String::from_utf8_lossy(&output.stdout));
    println!("test {name} ... {} ({seconds:.1} s, {})", if output.status.success() { "ok" } else { "FAILED" }, told.trim());
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}
