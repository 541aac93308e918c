//! A client's way to an answer: look the name up, connect, send the request, read the response.
//!
//! Each stage has its own deadline below the one of the whole handshake; the error names every address that was tried. Out of scope: what the
//! answer means.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::stop::{Deadline, Stay, sleep};
use crate::connection::opening::HeadExchange;
use crate::driver::clock;
use crate::error::{Error, Phase, Result, Status};
use crate::http::{Body, Limits, ResponseHead};
use crate::options::Options;
use crate::process;
use crate::process::Process;
use crate::protocol::Url;
use crate::transport::dial::{self, Attempt};
use crate::transport::{Interest, Stream, Wake, Woken, wait};

/// How long the page that comes with a refusal is waited for: its sender may keep the connection open for good.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// What a client waits with.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'o> {
    /// Where to.
    pub url: &'o Url,
    /// Deadlines and limits.
    pub options: &'o Options,
    /// Ended by whoever closes or cancels.
    pub stay: &'o Stay<'o>,
    /// Whether a thread may look the name up, so that its wait has an end.
    pub may_start_threads: bool,
}

/// The server's answer.
#[derive(Debug)]
pub struct Reply {
    /// Its head, whatever its status.
    pub head: ResponseHead,
    /// The connection, if the answer was 101.
    pub stream: Stream,
    /// What came behind a 101: it belongs to the WebSocket.
    pub early: Vec<u8>,
    /// The body of any other answer, up to 64 KiB.
    pub body: Vec<u8>,
    /// The server's address.
    pub remote_address: String,
    /// This side's address.
    pub local_address: String,
}

/// Gets the answer to `request`, which is sent as it is; over `stream`, if there is a connection already.
pub fn open(opening: Opening<'_>, stream: Option<Stream>, request: Vec<u8>) -> Result<Reply> {
    let Opening { url, options, stay, .. } = opening;
    let whole = Deadline::new(options.handshake_timeout, Phase::Http, "the server did not answer the handshake");
    let stream = match stream {
        Some(stream) => stream,
        None => connect(opening, &addresses(opening, whole)?, whole)?,
    };
    let limits = Limits { max_size: options.max_head_size as usize, max_headers: options.max_headers as usize };
    let mut exchange = HeadExchange::new(request, limits);
    while exchange.send(&stream)?.is_none() {
        sleep(stay, &[whole], options.interruptible, |wake, timeout| stream.wait(Interest::WRITE, wake, timeout))?;
    }
    let head = loop {
        match exchange.read_response(&stream)? {
            Some(head) => break head,
            None => sleep(stay, &[whole], options.interruptible, |wake, timeout| stream.wait(Interest::READ, wake, timeout))?,
        }
    };
    let address = |address: std::io::Result<String>| address.unwrap_or_else(|_| url.authority());
    let (remote_address, local_address) = (address(stream.remote_address()), address(stream.local_address()));
    if head.status == 101 {
        return Ok(Reply { head, stream, early: exchange.into_rest(), body: Vec::new(), remote_address, local_address });
    }
    let body = read_body(opening, &stream, exchange, &head, whole);
    Ok(Reply { head, stream, early: Vec::new(), body, remote_address, local_address })
}

/// The page of a refusal. It is a courtesy: whatever ends it, the answer stands.
fn read_body(opening: Opening<'_>, stream: &Stream, mut exchange: HeadExchange, head: &ResponseHead, whole: Deadline) -> Vec<u8> {
    let mut body = Body::of_response(head.status, &head.headers);
    let own = Deadline::new(Some(BODY_TIMEOUT), Phase::Http, "the body did not come");
    while let Ok(None) = exchange.read_body(stream, &mut body) {
        let read = |wake: &Wake, timeout| stream.wait(Interest::READ, wake, timeout);
        if sleep(opening.stay, &[whole, own], opening.options.interruptible, read).is_err() {
            break;
        }
    }
    body.into_content()
}

/// The addresses of the URL's host.
fn addresses(opening: Opening<'_>, whole: Deadline) -> Result<Vec<SocketAddr>> {
    let (host, port) = (opening.url.host(), opening.url.port());
    if let Some(address) = dial::literal(host, port) {
        return Ok(vec![address]);
    }
    let found = if opening.may_start_threads { look_up(opening, whole)? } else { dial::resolve(host, port) };
    let failed = |message: String| Error::new(Status::NameNotResolved, message).in_phase(Phase::Resolve);
    match found {
        Ok(addresses) if addresses.is_empty() => Err(failed(format!("the name {host} has no address"))),
        Ok(addresses) => Ok(addresses),
        Err(error) => Err(failed(format!("the name {host} could not be resolved: {error}"))),
    }
}

type Found = std::io::Result<Vec<SocketAddr>>;

/// Threads that look a name up; those of a former process are not counted.
static LOOK_UPS: Mutex<Option<(Process, u32)>> = Mutex::new(None);
static LOOK_UP_ENDED: Condvar = Condvar::new();

/// Waits until no thread looks a name up; false if one still does after `timeout`: the system's resolver cannot be stopped.
pub fn end_look_ups(timeout: Duration) -> bool {
    let look_ups = LOOK_UPS.lock().unwrap_or_else(PoisonError::into_inner);
    let is_busy =
        |look_ups: &mut Option<(Process, u32)>| look_ups.is_some_and(|(process, count)| process == Process::current() && count > 0);
    let waited = LOOK_UP_ENDED.wait_timeout_while(look_ups, timeout, is_busy);
    !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
}

/// A thread that looks a name up, until it is dropped.
struct LookUp;

impl LookUp {
    fn begin() -> LookUp {
        let mut look_ups = LOOK_UPS.lock().unwrap_or_else(PoisonError::into_inner);
        let own = Process::current();
        let count = look_ups.filter(|(process, _)| *process == own).map_or(0, |(_, count)| count);
        *look_ups = Some((own, count + 1));
        LookUp
    }
}

impl Drop for LookUp {
    fn drop(&mut self) {
        let mut look_ups = LOOK_UPS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = &mut *look_ups {
            *count -= 1;
        }
        LOOK_UP_ENDED.notify_all();
    }
}

/// Looks the name up on a thread of its own: the system's resolver has no deadline and cannot be stopped.
fn look_up(opening: Opening<'_>, whole: Deadline) -> Result<Found> {
    let (host, port) = (opening.url.host().to_owned(), opening.url.port());
    let own = Deadline::new(opening.options.resolve_timeout, Phase::Resolve, "the host name was not resolved");
    let result: Arc<Mutex<Option<Found>>> = Arc::default();
    let bell = Wake::of_this_thread().map_err(|error| Error::from_io(Status::Internal, "no descriptor to be woken by", &error))?;
    let theirs = Arc::clone(&result);
    let look_up = LookUp::begin();
    let body = move || {
        let found = dial::resolve(&host, port);
        *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        bell.ring();
        drop(look_up);
    };
    process::without_signals(|| std::thread::Builder::new().name("ws101-resolve".to_owned()).spawn(body))
        .map_err(|error| Error::from_io(Status::NotEnoughMemory, "no thread could be started to look the name up", &error))?;
    let taken: Mutex<Option<Found>> = Mutex::default();
    sleep(opening.stay, &[whole, own], opening.options.interruptible, |wake, timeout| {
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let look = || result.lock().unwrap_or_else(PoisonError::into_inner).take();
        *taken = look();
        if taken.is_some() {
            return Ok(Woken::Ready);
        }
        let woken = wait::wait_any(&[], Interest::READ, wake, timeout)?;
        *taken = look();
        Ok(if taken.is_some() { Woken::Ready } else { woken })
    })?;
    let found = taken.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(found.unwrap_or_else(|| Err(std::io::ErrorKind::TimedOut.into())))
}

/// Tries the addresses in turn until one connects.
fn connect(opening: Opening<'_>, addresses: &[SocketAddr], whole: Deadline) -> Result<Stream> {
    let mut tried = Vec::new();
    let mut last = None;
    for (index, &address) in addresses.iter().enumerate() {
        let start = clock::now();
        // An address that swallows everything must leave time for the next.
        let left = (addresses.len() - index) as u32;
        let fair = whole.remaining()?.map(|remaining| remaining / left);
        match attempt(opening, address, fair, whole) {
            Ok(stream) => {
                log::debug!("{address}: connected");
                return Ok(stream);
            }
            Err(AttemptError::Stopped(error)) => return Err(error),
            Err(AttemptError::Failed(error)) => {
                let time = (clock::now() - start).as_secs_f64() * 1e3;
                log::debug!("{address}: {error} after {time:.1} ms");
                tried.push(format!("{address}: {error} after {time:.1} ms"));
                last = Some(error);
            }
        }
    }
    let status = if last.as_ref().is_some_and(|error| error.status() == Status::Timeout) { Status::Timeout } else { Status::CannotConnect };
    let mut error = Error::new(status, format!("no connection: {}", tried.join("; "))).in_phase(Phase::Connect);
    if let Some(last) = last {
        error = error.with_os_error(last.details().os_error);
    }
    Err(error)
}

enum AttemptError {
    /// The whole opening is over.
    Stopped(Error),
    /// The next address may do better.
    Failed(Error),
}

fn attempt(opening: Opening<'_>, address: SocketAddr, fair: Option<Duration>, whole: Deadline) -> Result<Stream, AttemptError> {
    let options = opening.options;
    let failed = |error: std::io::Error| AttemptError::Failed(Error::from_system(Status::CannotConnect, &error));
    let time = [options.connect_timeout, fair].into_iter().flatten().min();
    let own = Deadline::new(time, Phase::Connect, "not connected");
    let attempt = Attempt::begin(address).map_err(failed)?;
    let waited = sleep(opening.stay, &[own, whole], options.interruptible, |wake, timeout| attempt.wait(wake, timeout));
    if let Err(error) = waited {
        let own_is_over = error.status() == Status::Timeout && whole.remaining().is_ok();
        return Err(if own_is_over { AttemptError::Failed(error) } else { AttemptError::Stopped(error) });
    }
    attempt.finish(options.nodelay).map_err(failed)
}
