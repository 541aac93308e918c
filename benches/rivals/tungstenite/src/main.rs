//! tungstenite: synchronous calls. The command line and the output are those of `bench.h`.

use std::error::Error;
use std::net::TcpStream;
use std::time::Instant;
use std::{env, fs, mem, process};

use tungstenite::{Bytes, Message, WebSocket};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Bench {
    port: u16,
    scenario: String,
    count: u64,
    path: String,
    pattern: Bytes,
}

fn parse() -> Option<Bench> {
    let arguments: Vec<String> = env::args().collect();
    let [_, port, scenario, size, count] = arguments.as_slice() else { return None };
    let modes = [("pingpong", "echo"), ("receive", "source"), ("send", "sink"), ("idle", "idle")];
    let (_, mode) = modes.into_iter().find(|(name, _)| name == scenario)?;
    let (length, count) = (size.parse::<usize>().ok()?, count.parse().ok()?);
    let pattern = (0..length).map(|index| (index * 7 + index / 251) as u8).collect();
    Some(Bench { port: port.parse().ok()?, scenario: scenario.clone(), count, path: format!("/{mode}/{size}/{count}"), pattern })
}

impl Bench {
    fn dial(&self) -> Result<WebSocket<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        let url = format!("ws://127.0.0.1:{}{}", self.port, self.path);
        Ok(tungstenite::client(url, stream)?.0)
    }

    fn receive(&self, websocket: &mut WebSocket<TcpStream>) -> Result<Bytes> {
        match websocket.read()? {
            Message::Binary(bytes) if bytes.len() == self.pattern.len() => Ok(bytes),
            other => Err(format!("not the message that was expected: {} bytes", other.len()).into()),
        }
    }

    fn send(&self, websocket: &mut WebSocket<TcpStream>) -> Result<()> {
        Ok(websocket.send(Message::Binary(self.pattern.clone()))?)
    }

    fn run(&self) -> Result<()> {
        let mut websocket = self.dial()?;
        let (sends, receives) = (self.scenario != "receive", self.scenario != "send");
        let mut last = self.pattern.clone();
        let (clock, cpu) = (Instant::now(), cpu_ns());
        for _ in 0..self.count {
            if sends {
                self.send(&mut websocket)?;
            }
            if receives {
                last = self.receive(&mut websocket)?;
            }
        }
        println!("{} {}", cpu_ns() - cpu, clock.elapsed().as_nanos());
        if last == self.pattern { Ok(()) } else { Err("the last message is not what was sent".into()) }
    }

    fn idle(&self) -> Result<()> {
        let mut websockets = Vec::with_capacity(self.count as usize + 1);
        let mut before = 0;
        for index in 0..=self.count {
            let mut websocket = self.dial()?;
            self.send(&mut websocket)?;
            self.receive(&mut websocket)?;
            websockets.push(websocket);
            if index == 0 {
                before = resident()?;
            }
        }
        println!("{}", (resident()? - before) / self.count as i64);
        Ok(())
    }
}

/// User and system time of this process.
fn cpu_ns() -> u64 {
    // SAFETY: plain numbers, for which all zeroes are valid, and which getrusage fills.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let microseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    (microseconds(usage.ru_utime) + microseconds(usage.ru_stime)) * 1000
}

fn resident() -> Result<i64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find(|line| line.starts_with("Rss:")).ok_or("no Rss in smaps_rollup")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<i64>()? * 1024)
}

fn main() {
    let Some(bench) = parse() else {
        eprintln!("usage: bench-tungstenite PORT pingpong|receive|send|idle SIZE COUNT");
        process::exit(2);
    };
    let result = if bench.scenario == "idle" { bench.idle() } else { bench.run() };
    if let Err(error) = result {
        eprintln!("{error}");
        process::exit(1);
    }
}
