//! wss measured: CPU seconds a gigabyte and microseconds a round trip of a client, its memory, and the CPU of a server's handshakes.
//!
//! `ws101-bench-tls` runs all; each client is a process of its own, and so is the peer, which is always the same: a server of ws101's.

mod bare;
mod ours;
mod peer;
mod server;
mod tungstenite;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// What a client does, and how much of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Receives messages of this size.
    Receive(usize, usize),
    /// Sends them.
    Send(usize, usize),
    /// Sends each when the last has come back.
    Echo(usize, usize),
    /// Opens so many connections, one after the other, and closes them.
    Handshakes(usize),
    /// Keeps so many open.
    Idle(usize),
}

impl Work {
    fn parse(words: &[String]) -> Work {
        let number = |index: usize| words[index].parse::<usize>().expect("a number");
        match words[0].as_str() {
            "receive" => Work::Receive(number(1), number(2)),
            "send" => Work::Send(number(1), number(2)),
            "echo" => Work::Echo(number(1), number(2)),
            "handshakes" => Work::Handshakes(number(1)),
            "idle" => Work::Idle(number(1)),
            other => panic!("what is {other}?"),
        }
    }

    /// The path tells the peer what to do.
    pub fn path(self) -> String {
        match self {
            Work::Receive(size, count) => format!("/source/{size}/{count}"),
            Work::Send(..) => "/sink".to_owned(),
            Work::Echo(..) => "/echo".to_owned(),
            Work::Handshakes(_) | Work::Idle(_) => "/idle".to_owned(),
        }
    }
}

/// CPU seconds of this process so far, and its resident memory in bytes.
pub fn usage() -> (f64, usize) {
    // SAFETY: a struct of plain data, filled by the system.
    let times = unsafe {
        let mut times: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut times);
        times
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    (seconds(times.ru_utime) + seconds(times.ru_stime), pages.unwrap_or(0) * 4096)
}

/// From after the handshake to the end of the work.
pub struct Clock(f64, Instant);

impl Clock {
    pub fn start() -> Clock {
        Clock(usage().0, Instant::now())
    }

    pub fn stop(self, work: Work) {
        let (cpu, wall) = (usage().0 - self.0, self.1.elapsed().as_secs_f64());
        match work {
            Work::Receive(size, count) | Work::Send(size, count) => {
                let gigabytes = (size * count) as f64 / 1e9;
                println!("{:.3} CPU-s/GB, {:.2} GB/s", cpu / gigabytes, gigabytes / wall);
            }
            Work::Echo(_, count) => println!("{:.1} us CPU, {:.1} us a round trip", cpu * 1e6 / count as f64, wall * 1e6 / count as f64),
            Work::Handshakes(count) => println!("{:.0} us CPU a handshake", cpu * 1e6 / count as f64),
            Work::Idle(_) => {}
        }
    }
}

/// The peer: a process, its address, and the file with its CA.
struct Peer(Child, String, String);

impl Peer {
    fn start() -> Peer {
        let own = std::env::current_exe().expect("this program");
        let mut child = Command::new(own).arg("peer").stdout(Stdio::piped()).spawn().expect("a peer");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut line = || lines.next().expect("a line").expect("a line");
        let (url, ca) = (line(), line());
        Peer(child, url, ca)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("peer") => peer::serve(),
        Some("server") => server::serve(&words[1]),
        Some("servers") => server::run_all(9),
        Some("client") => client(&words[1..]),
        _ => {
            run_all();
            server::run_all(5);
        }
    }
}

fn client(words: &[String]) {
    let (url, ca, work) = (&words[1], &words[2], Work::parse(&words[3..]));
    match words[0].as_str() {
        "ws101" => ours::run(url, ca, work),
        "tokio-tungstenite" => tungstenite::run(url, ca, work),
        "bare rustls" => bare::run(url, ca, work),
        other => panic!("who is {other}?"),
    }
}

fn run_all() {
    let works: [(&str, &str, u32); 7] = [
        ("receive 1 MiB", "receive 1048576 600", 3),
        ("receive 64 KiB", "receive 65536 9000", 3),
        ("send 1 MiB", "send 1048576 600", 3),
        ("send 64 KiB", "send 65536 9000", 3),
        ("ping-pong 16 B", "echo 16 20000", 3),
        ("client handshakes", "handshakes 300", 1),
        ("memory of idle clients", "idle 500", 1),
    ];
    for (name, work, rounds) in works {
        println!("# {name}");
        // Interleaved, so that a busy moment does not hit one alone.
        for _ in 0..rounds {
            for who in ["ws101", "tokio-tungstenite", "bare rustls"] {
                let peer = Peer::start();
                let own = std::env::current_exe().expect("this program");
                let output = Command::new(own).args(["client", who, &peer.1, &peer.2]).args(work.split(' ')).output().expect("a client");
                println!("{who:18} {}", String::from_utf8_lossy(&output.stdout).trim());
                if !output.status.success() {
                    println!("{}", String::from_utf8_lossy(&output.stderr).lines().take(3).collect::<Vec<_>>().join(" "));
                }
            }
        }
    }
}
