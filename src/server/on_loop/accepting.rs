//! Accepting on a loop: connections, for as long as there is room for their handshakes.
//!
//! Out of scope: what becomes of a connection whose head is being read (`requests`).

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::requests::{ArrivalTask, RequestOnLoop};
use super::{AdoptRequest, Hall};
use crate::driver::event_loop::{Answer, Recipient, Task, TaskSign, TaskStep, Told};
use crate::error::{Error, Result, Status};
use crate::server::{Entrance, Handshaking, Listener, Request};
use crate::transport::Stream;

/// Handshakes under way at once where the program has set no limit.
const MOST_ARRIVING: u32 = 4096;

/// Requests that wait for somebody to accept them.
const MOST_READY: usize = 1024;

/// Connections accepted before others have their turn.
const ACCEPTS_AT_ONCE: usize = 64;

/// How long nobody is accepted when no connection can be, for want of descriptors, say.
const PAUSE: Duration = Duration::from_millis(500);

impl Listener {
    /// A request whose head has come already, or an event when one has.
    pub fn begin_accept(self: &Arc<Self>, recipient: Arc<dyn Recipient>, adopt: AdoptRequest) -> Result<Answer<Arc<Request>>> {
        self.tls_config()?;
        let hall = self.hall()?;
        let home = hall.home.shared();
        if home.is_closed() {
            return Err(Error::new(Status::Cancelled, "the loop was closed"));
        }
        let mut waiting = hall.waiting();
        if let Some(request) = waiting.ready.pop_front() {
            return Ok(Answer::Done(request));
        }
        if waiting.is_closed || waiting.drain.is_some() {
            return Err(Error::new(Status::InvalidOperation, "the listener was drained: it accepts nobody any more"));
        }
        waiting.posted += 1;
        waiting.recipient = Some(recipient);
        match &waiting.acceptor {
            Some(acceptor) => home.nudge(acceptor),
            None => {
                let sign = TaskSign::new();
                waiting.acceptor = Some(Arc::clone(&sign));
                let acceptor =
                    Acceptor { listener: Arc::downgrade(self), hall: Arc::clone(hall), adopt, sign: Arc::clone(&sign), is_watched: false };
                home.begin(sign, Box::new(acceptor));
            }
        }
        Ok(Answer::Pending)
    }
}

/// Accepts connections as long as there is room for their handshakes.
struct Acceptor {
    listener: Weak<Listener>,
    hall: Arc<Hall>,
    adopt: AdoptRequest,
    sign: Arc<TaskSign>,
    /// The system was told of its sockets.
    is_watched: bool,
}

impl Acceptor {
    /// Room for one more, if there is.
    fn enter(&self, listener: &Listener) -> Option<Handshaking> {
        let options = listener.options();
        let most = if options.max_handshakes == 0 { MOST_ARRIVING } else { options.max_handshakes };
        let waiting = self.hall.waiting();
        if waiting.arriving >= most || waiting.ready.len() >= MOST_READY {
            return None;
        }
        drop(waiting);
        listener.doorway.begin_handshake_or_wait(options.max_handshakes, self.hall.home.shared(), &self.sign)
    }

    fn begin_arrival(&self, listener: &Listener, stream: Stream, handshaking: Handshaking, told: &mut Told) -> Result<()> {
        log::debug!("{}: accepted", stream.remote_address().unwrap_or_default());
        let shared = self.hall.loops.next()?;
        let deflate_pool = Arc::clone(&listener.deflate_pool);
        let entrance = Entrance { prefix: listener.url.path().to_owned(), doorway: Some(Arc::clone(&listener.doorway)), deflate_pool };
        let on_loop = RequestOnLoop::arriving(&self.hall, &shared);
        let (tls, options) = (listener.tls_config()?, listener.options());
        let request = Request::new(stream, tls, entrance, Some(handshaking), options, listener.may_start_threads, Some(on_loop));
        let Some(arrival) = request.begin()? else { return Ok(()) };
        self.hall.waiting().arriving += 1;
        let task = ArrivalTask::accepting(request, *arrival, (Arc::clone(&self.hall), self.adopt), &shared);
        if Arc::ptr_eq(&shared, self.hall.home.shared()) {
            told.task(TaskSign::new(), Box::new(task));
        } else {
            shared.begin(TaskSign::new(), Box::new(task));
        }
        Ok(())
    }
}

impl Task for Acceptor {
    fn step(&mut self, now: Duration, told: &mut Told) -> TaskStep {
        let Some(listener) = self.listener.upgrade() else { return TaskStep::Done };
        for _ in 0..ACCEPTS_AT_ONCE {
            let Some(handshaking) = self.enter(&listener) else { return TaskStep::Wait(None) };
            match listener.sockets.accept_for_loop(listener.options().nodelay) {
                Ok(stream) => {
                    if let Err(error) = self.begin_arrival(&listener, stream, handshaking, told) {
                        log::warn!("a connection could not be taken: {error}");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return TaskStep::Wait(None),
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    // No descriptor is left, say: whoever waits outside is looked at again soon.
                    log::warn!("no connection can be accepted: {error}");
                    return TaskStep::Wait(Some(now + PAUSE));
                }
            }
        }
        TaskStep::Wait(Some(now))
    }

    fn sockets(&mut self, sockets: &mut Vec<RawFd>) {
        if !std::mem::replace(&mut self.is_watched, true)
            && let Some(listener) = self.listener.upgrade()
        {
            sockets.extend(listener.sockets.descriptors().map(|socket| socket.as_raw_fd()));
        }
    }

    fn stop(&mut self, _reason: Error, _told: &mut Told) {}
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
        || error.raw_os_error() == Some(libc::EPROTO)
}
