//! Several addresses of one host, tried so that a dead one costs little (happy eyeballs, RFC 8305).
//!
//! The families take turns, beginning with the one that the system's resolver puts first (RFC 6724). An attempt begins a quarter of a second
//! after the one before it, or as soon as that has failed; the first connection wins, and the others are dropped.
//!
//! In scope: the order, the stagger, each attempt's limit, and a sentence for each that failed. Out of scope: waiting, and the limit of it all.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::{Attempt, How};
use crate::error::{Error, Phase, Status};
use crate::transport::Stream;

/// RFC 8305 §5: the recommended delay between two attempts.
const STAGGER: Duration = Duration::from_millis(250);

/// Attempts under way at once; a name may have more addresses than that.
const MOST_AT_ONCE: usize = 6;

/// The most addresses that are tried: who publishes more does not mean each of them.
const MOST_ADDRESSES: usize = 32;

/// Attempts to connect to one host.
#[derive(Debug)]
pub struct Race {
    how: How,
    /// How long one attempt may take.
    limit: Option<Duration>,
    to_come: VecDeque<SocketAddr>,
    running: Vec<Runner>,
    failed: Vec<Failure>,
    /// When the next attempt begins.
    next: Duration,
}

#[derive(Debug)]
struct Runner {
    address: SocketAddr,
    attempt: Attempt,
    begun: Duration,
}

#[derive(Debug)]
struct Failure {
    address: SocketAddr,
    why: Error,
    /// None if there was nothing to wait for.
    after: Option<Duration>,
}

/// What a step of a race did.
#[derive(Debug)]
pub enum RaceStep {
    /// There is a connection.
    Won(Stream),
    /// Attempts are under way.
    Running,
    /// Every attempt has failed.
    Lost,
}

impl Race {
    /// A race of these addresses, each of which has `limit`.
    pub fn new(addresses: Vec<SocketAddr>, how: How, limit: Option<Duration>, now: Duration) -> Race {
        let mut to_come = interleaved(addresses);
        to_come.truncate(MOST_ADDRESSES);
        Race { how, limit, to_come, running: Vec::new(), failed: Vec::new(), next: now }
    }

    /// Goes on as far as it can without waiting.
    pub fn step(&mut self, now: Duration) -> RaceStep {
        loop {
            if let Some(stream) = self.take_outcomes(now) {
                return RaceStep::Won(stream);
            }
            let may_begin = now >= self.next && self.running.len() < MOST_AT_ONCE;
            match self.to_come.front() {
                Some(&address) if may_begin => {
                    self.to_come.pop_front();
                    self.begin(address, now);
                }
                None if self.running.is_empty() => return RaceStep::Lost,
                _ => return RaceStep::Running,
            }
        }
    }

    /// The sockets that become writable when something has happened.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.running.iter().map(|runner| runner.attempt.as_descriptor())
    }

    /// When the next step is due, whatever the sockets do.
    pub fn until(&self) -> Option<Duration> {
        let may_begin = !self.to_come.is_empty() && self.running.len() < MOST_AT_ONCE;
        let ends = self.running.iter().filter_map(|runner| Some(runner.begun + self.limit?));
        ends.chain(may_begin.then_some(self.next)).min()
    }

    /// Why there is no connection. What is still under way has taken too long.
    pub fn into_error(mut self, what: &str, phase: Phase, now: Duration) -> Error {
        for runner in std::mem::take(&mut self.running) {
            self.fail(runner.address, timed_out(), now.saturating_sub(runner.begun));
        }
        let have_all_timed_out = self.failed.iter().all(|failure| failure.why.status() == Status::Timeout);
        let status = if have_all_timed_out { Status::Timeout } else { Status::CannotConnect };
        let mut tried: Vec<String> = self.failed.iter().map(Failure::sentence).collect();
        if !self.to_come.is_empty() {
            tried.push(format!("{} more were not tried", self.to_come.len()));
        }
        let os_error = self.failed.iter().rev().map(|failure| failure.why.details().os_error).find(|&number| number != 0);
        Error::new(status, format!("{what}: {}", tried.join("; "))).in_phase(phase).with_os_error(os_error.unwrap_or(0))
    }

    fn begin(&mut self, address: SocketAddr, now: Duration) {
        log::debug!("{address}: connecting");
        if let Err(why) = check_family(address, self.how.own_address) {
            self.failed.push(Failure { address, why, after: None });
            return;
        }
        match Attempt::begin(address, self.how) {
            Ok(attempt) => {
                self.running.push(Runner { address, attempt, begun: now });
                self.next = now + STAGGER;
            }
            Err(error) => self.fail(address, system_error(error), Duration::ZERO),
        }
    }

    /// The first connection that is made; failures are written down, and let the next attempt begin.
    fn take_outcomes(&mut self, now: Duration) -> Option<Stream> {
        let mut position = 0;
        while let Some(runner) = self.running.get(position) {
            let is_late = self.limit.is_some_and(|limit| now >= runner.begun + limit);
            let outcome = match runner.attempt.outcome() {
                None if is_late => Err(timed_out()),
                None => {
                    position += 1;
                    continue;
                }
                Some(outcome) => outcome.map_err(system_error),
            };
            let runner = self.running.remove(position);
            let stream = outcome.and_then(|()| runner.attempt.into_stream(self.how.nodelay).map_err(system_error));
            match stream {
                Ok(stream) => {
                    log::debug!("{}: connected", runner.address);
                    return Some(stream);
                }
                Err(why) => self.fail(runner.address, why, now - runner.begun),
            }
            self.next = now;
        }
        None
    }

    fn fail(&mut self, address: SocketAddr, why: Error, after: Duration) {
        let failure = Failure { address, why, after: Some(after) };
        log::debug!("{}", failure.sentence());
        self.failed.push(failure);
    }
}

impl Failure {
    /// `[::1]:8000 refused after 0.2 ms`.
    fn sentence(&self) -> String {
        let (address, why) = (self.address, &self.why);
        // Without floating point, whose formatting is more than 12 KB of code.
        match self.after.map(|after| (after.as_micros() + 50) / 100) {
            None => format!("{address} {why}"),
            Some(tenths @ ..10_000) => format!("{address} {why} after {}.{} ms", tenths / 10, tenths % 10),
            Some(tenths) => format!("{address} {why} after {}.{} s", (tenths + 500) / 10_000, (tenths + 500) / 1000 % 10),
        }
    }
}

/// The families in turn, each in its own order.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first() else { return VecDeque::new() };
    let prefers_ipv6 = first.is_ipv6();
    let (preferred, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == prefers_ipv6);
    let mut order = VecDeque::new();
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    loop {
        match (preferred.next(), others.next()) {
            (None, None) => return order,
            (one, other) => order.extend(one.into_iter().chain(other)),
        }
    }
}

fn check_family(address: SocketAddr, own: Option<IpAddr>) -> Result<(), Error> {
    match own {
        Some(own) if own.is_ipv4() != address.is_ipv4() => {
            Err(Error::new(Status::CannotConnect, format!("cannot be reached from {own}, which is of the other family")))
        }
        _ => Ok(()),
    }
}

fn timed_out() -> Error {
    Error::new(Status::Timeout, "timed out")
}

fn system_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::new(Status::CannotConnect, "refused").with_os_error(error.raw_os_error().unwrap_or(0)),
        io::ErrorKind::TimedOut => timed_out().with_os_error(error.raw_os_error().unwrap_or(0)),
        _ => Error::from_system(Status::CannotConnect, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const MS: Duration = Duration::from_millis(1);
    const HOW: How = How { nodelay: true, own_address: None };

    /// An address whose system answers no further attempt: the queue of its listener is full.
    fn black_hole() -> (SocketAddr, Vec<socket2::Socket>) {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut kept = vec![listener];
        for _ in 0..4 {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            kept.push(socket);
        }
        (address.as_socket().unwrap(), kept)
    }

    fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    /// Steps at this moment until something has happened; loopback needs a little real time for it.
    fn settle(race: &mut Race, now: Duration) -> RaceStep {
        for _ in 0..200 {
            match race.step(now) {
                RaceStep::Running => std::thread::sleep(MS),
                step => return step,
            }
        }
        RaceStep::Running
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_begins() {
        let parse = |text: &str| -> Vec<SocketAddr> { text.split_whitespace().map(|address| address.parse().unwrap()).collect() };
        for (given, expected) in [
            ("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 2.2.2.2:1", "[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1"),
            ("1.1.1.1:1 2.2.2.2:1 [::1]:1", "1.1.1.1:1 [::1]:1 2.2.2.2:1"),
            ("1.1.1.1:1", "1.1.1.1:1"),
            ("", ""),
        ] {
            assert_eq!(interleaved(parse(given)), parse(expected));
        }
    }

    #[test]
    fn a_silent_address_holds_the_next_up_for_a_quarter_of_a_second() {
        let (hole, _kept) = black_hole();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut race = Race::new(vec![hole, server.local_addr().unwrap()], HOW, None, Duration::ZERO);
        assert!(matches!(race.step(Duration::ZERO), RaceStep::Running));
        assert_eq!(race.until(), Some(STAGGER));
        assert!(matches!(race.step(STAGGER - MS), RaceStep::Running));
        assert_eq!(race.descriptors().count(), 1, "the second has not begun");
        let RaceStep::Won(stream) = settle(&mut race, STAGGER) else { panic!("{race:?}") };
        assert_eq!(stream.remote_address().unwrap(), server.local_addr().unwrap().to_string());
    }

    #[test]
    fn a_refused_address_does_not_hold_the_next_up() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut race = Race::new(vec![nobody(), server.local_addr().unwrap()], HOW, None, Duration::ZERO);
        assert!(matches!(settle(&mut race, Duration::ZERO), RaceStep::Won(_)));
    }

    #[test]
    fn who_is_slow_may_still_win() {
        let (hole, mut kept) = black_hole();
        let mut race = Race::new(vec![hole, nobody()], HOW, None, Duration::ZERO);
        assert!(matches!(race.step(Duration::ZERO), RaceStep::Running));
        assert!(matches!(race.step(STAGGER), RaceStep::Running));
        // Room in the queue; the system repeats the attempt within some seconds.
        kept.truncate(1);
        while kept[0].accept().is_ok() {
            if let RaceStep::Won(_) = settle(&mut race, STAGGER * 2) {
                return;
            }
        }
        panic!("{race:?}");
    }

    #[test]
    fn every_attempt_is_named_with_its_time() {
        let (hole, _kept) = black_hole();
        let refusing = nobody();
        let mut race = Race::new(vec![hole, refusing], HOW, Some(Duration::from_secs(10)), Duration::ZERO);
        let limit = Duration::from_secs(10);
        assert!(matches!(race.step(Duration::ZERO), RaceStep::Running));
        assert!(matches!(settle(&mut race, STAGGER), RaceStep::Running));
        assert_eq!(race.until(), Some(limit));
        assert!(matches!(race.step(limit - MS), RaceStep::Running));
        assert!(matches!(race.step(limit), RaceStep::Lost));
        let error = race.into_error("no connection", Phase::Connect, limit);
        let (begin, end) = (format!("no connection: {refusing} refused"), format!("; {hole} timed out after 10.0 s"));
        assert!(error.to_string().starts_with(&begin) && error.to_string().ends_with(&end), "{error}");
        assert_eq!((error.status(), error.details().os_error), (Status::CannotConnect, libc::ECONNREFUSED));
    }

    #[test]
    fn what_is_under_way_at_the_end_has_timed_out() {
        let (hole, _kept) = black_hole();
        let mut race = Race::new(vec![hole; 2], HOW, None, Duration::ZERO);
        assert!(matches!(race.step(Duration::ZERO), RaceStep::Running));
        let error = race.into_error("no connection", Phase::Connect, 30 * MS);
        assert_eq!(error.to_string(), format!("no connection: {hole} timed out after 30.0 ms; 1 more were not tried"));
        assert_eq!(error.status(), Status::Timeout);
    }

    #[test]
    fn the_own_address_is_used_and_the_other_family_is_not() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let own: IpAddr = "127.0.0.9".parse().unwrap();
        let how = How { nodelay: true, own_address: Some(own) };
        let addresses = vec!["[::1]:1".parse().unwrap(), server.local_addr().unwrap()];
        let mut race = Race::new(addresses, how, None, Duration::ZERO);
        let RaceStep::Won(_stream) = settle(&mut race, Duration::ZERO) else { panic!("{race:?}") };
        assert_eq!(server.accept().unwrap().1.ip(), own);
        let mut race = Race::new(vec!["[::1]:1".parse().unwrap()], how, None, Duration::ZERO);
        assert!(matches!(race.step(Duration::ZERO), RaceStep::Lost));
        let error = race.into_error("no connection", Phase::Connect, Duration::ZERO);
        assert_eq!(error.to_string(), "no connection: [::1]:1 cannot be reached from 127.0.0.9, which is of the other family");
    }

    #[test]
    fn no_more_than_a_few_attempts_are_under_way() {
        let (hole, _kept) = black_hole();
        let mut race = Race::new(vec![hole; 100], HOW, Some(Duration::from_secs(3600)), Duration::ZERO);
        for tick in 0..100 {
            assert!(matches!(race.step(STAGGER * tick), RaceStep::Running));
        }
        assert_eq!(race.descriptors().count(), MOST_AT_ONCE);
        assert_eq!(race.until(), Some(Duration::from_secs(3600)), "nothing happens before one of them has ended");
        let _ = TcpStream::connect(nobody());
    }
}
