//! What a loop drives besides open connections: handshakes of both roles, accepting, answers on their way out.
//!
//! In scope: the shape of such a task, and the handle by which others stop it. Out of scope: every task itself (`client`, `server`).

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::event::{OwnedEvent, Recipient};
use crate::error::Error;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What a step of a task came to.
#[derive(Debug)]
pub enum TaskStep {
    /// It has ended; its events were told.
    Done,
    /// One of its sockets must become ready, or this moment must pass.
    Wait(Option<Duration>),
    /// A name must be looked up; the addresses come through [`Task::found`].
    LookUp {
        /// The name.
        host: String,
        /// For the addresses.
        port: u16,
        /// When the task is stepped even if they have not come.
        until: Option<Duration>,
    },
}

/// Something that is done in steps, none of which waits.
pub trait Task: Send {
    /// Goes on as far as possible.
    fn step(&mut self, now: Duration, told: &mut Told) -> TaskStep;

    /// Every socket that it waits for, after a step, unless the system was told of it already. (The number of one that was closed may be that of another.)
    fn sockets(&mut self, sockets: &mut Vec<RawFd>);

    /// A name was looked up.
    fn found(&mut self, addresses: io::Result<Vec<SocketAddr>>) {
        drop(addresses);
    }

    /// It was stopped: tells how its operation has ended. Nothing follows.
    fn stop(&mut self, reason: Error, told: &mut Told);
}

/// What a task has to tell.
#[derive(Default)]
pub struct Told {
    pub(super) events: Vec<(Arc<dyn Recipient>, OwnedEvent)>,
    pub(super) tasks: Vec<(Arc<TaskSign>, Box<dyn Task>)>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("events", &self.events.len()).field("tasks", &self.tasks.len()).finish()
    }
}

impl Told {
    /// An event for a handle.
    pub fn event(&mut self, to: &Arc<dyn Recipient>, event: OwnedEvent) {
        self.events.push((Arc::clone(to), event));
    }

    /// Another task, for the same loop.
    pub fn task(&mut self, sign: Arc<TaskSign>, task: Box<dyn Task>) {
        self.tasks.push((sign, task));
    }
}

/// By which others stop a task. It belongs to one loop and one task.
#[derive(Debug, Default)]
pub struct TaskSign {
    /// Its place in the loop, once it has one.
    pub(super) key: AtomicU32,
    is_over: AtomicBool,
}

impl TaskSign {
    /// A sign for a task that is about to begin.
    pub fn new() -> Arc<TaskSign> {
        Arc::default()
    }

    /// Whether the task has ended or was stopped.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Claims the end of the task; false if somebody else has. SeqCst: exactly one of the loop and those who stop it tells of the end.
    pub(super) fn end(&self) -> bool {
        !self.is_over.swap(true, Ordering::SeqCst)
    }

    /// Stops the task with `reason`, on its loop; false if it has ended already.
    pub fn stop(self: &Arc<Self>, of: &Arc<Shared>, reason: Error) -> bool {
        if self.is_over() {
            return false;
        }
        of.wish(super::Wish::StopTask(Arc::clone(self), reason));
        true
    }
}
