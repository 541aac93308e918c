//! A connection on a loop: posted receives against the readiness of a socket that tells of it only once.
//!
//! The loop here is the real one's `posting` and `inbox`, with a socket that holds numbers, and the steps of `socket` and `reading` between them.
//! Every receive that is pending must end exactly once; a loop that sleeps while one could end is a deadlock.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::inbox::Inbox;
use crate::posting::{Begun, Beside, Cancelled, Left, Posting, Task, Why};

/// Nothing is ever closed here.
#[derive(Debug, Default)]
struct Open;

impl Beside for Open {
    fn discards(&self) -> bool {
        false
    }
}

/// How a receive that was pending has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Message,
    Cancelled,
}

/// How a call of the program has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Done,
    Pending,
    Refused,
}

/// What the system knows: how many messages a socket holds, and what it has to tell the loop.
#[derive(Debug, Default)]
struct System {
    messages: u32,
    /// The socket has become readable since the loop last asked.
    is_edge: bool,
    /// Somebody has rung for the loop.
    is_rung: bool,
}

struct World {
    posting: Posting<u32, Open>,
    inbox: Inbox<()>,
    system: Mutex<System>,
    alarm: Condvar,
    /// Messages that the library holds; only the one who is busy touches them.
    held: Mutex<u32>,
    ends: Mutex<Vec<(u32, End)>>,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            posting: Posting::new(false, false),
            inbox: Inbox::default(),
            system: Mutex::default(),
            alarm: Condvar::new(),
            held: Mutex::new(0),
            ends: Mutex::default(),
        })
    }

    fn ring(&self) {
        self.system.lock().unwrap().is_rung = true;
        self.alarm.notify_one();
    }

    fn visit_if(&self, is_due: bool) {
        if is_due && self.inbox.put((), false) {
            self.ring();
        }
    }

    /// The peer sends a message.
    fn arrive(&self) {
        let mut system = self.system.lock().unwrap();
        system.messages += 1;
        system.is_edge = true;
        drop(system);
        self.alarm.notify_one();
    }

    /// A message out of what is held.
    fn take_held(&self) -> bool {
        let mut held = self.held.lock().unwrap();
        let has = *held > 0;
        *held -= u32::from(has);
        has
    }

    fn has_held(&self) -> bool {
        *self.held.lock().unwrap() > 0
    }

    /// A message out of the socket.
    fn take_from_socket(&self) -> bool {
        let mut system = self.system.lock().unwrap();
        let has = system.messages > 0;
        system.messages -= u32::from(has);
        has
    }

    fn end(&self, receive: u32, end: End) {
        self.ends.lock().unwrap().push((receive, end));
    }

    /// `ws_receive`, as `socket` takes its steps.
    fn receive(&self, receive: u32) -> Call {
        let has_more = match self.posting.begin() {
            Err(_) => return Call::Refused,
            Ok(Begun::Busy) => None,
            Ok(Begun::Look { .. }) if self.take_held() => {
                self.visit_if(self.posting.end_look(self.has_held(), false));
                return Call::Done;
            }
            Ok(Begun::Look { .. }) => Some(false),
        };
        let (result, is_due) = self.posting.post(receive, has_more, 0, false);
        self.visit_if(is_due);
        if result.is_ok() { Call::Pending } else { Call::Refused }
    }

    /// `ws_cancel`.
    fn cancel(&self, receive: u32) -> Cancelled {
        let cancelled = self.posting.cancel();
        if cancelled == Cancelled::Taken {
            self.end(receive, End::Cancelled);
        }
        cancelled
    }

    /// The loop, until so many receives have ended.
    fn run(&self, ends: usize) {
        let mut wishes = Vec::new();
        loop {
            let is_edge = std::mem::take(&mut self.system.lock().unwrap().is_edge);
            if is_edge {
                self.visit(Why::Ready { has_ended: false });
            }
            self.inbox.take(&mut wishes);
            for () in wishes.drain(..) {
                self.visit(Why::Queued);
            }
            if self.ends.lock().unwrap().len() >= ends {
                return;
            }
            if self.inbox.may_sleep() {
                let mut system = self.system.lock().unwrap();
                while !system.is_edge && !system.is_rung {
                    system = self.alarm.wait(system).unwrap();
                }
                system.is_rung = false;
            }
        }
    }

    /// As `reading` takes its steps.
    fn visit(&self, mut why: Why) {
        loop {
            let Task::Look(look) = self.posting.visit(why) else { return };
            let goes_on = match look.posted {
                Some(receive) if self.take_held() || look.is_readable && self.take_from_socket() => {
                    // The socket may hold more: nobody has found it empty.
                    self.posting.end_receive(Left { in_socket: true, held: self.has_held(), at_rest: false }, false);
                    self.end(receive, End::Message);
                    true
                }
                Some(receive) => match self.posting.put_back(receive, Left::NOTHING) {
                    Ok(has_ended) => has_ended,
                    Err(receive) => {
                        self.end(receive, End::Cancelled);
                        false
                    }
                },
                None => {
                    // What is there is read ahead until it is enough.
                    let found = !self.has_held() && self.take_from_socket();
                    *self.held.lock().unwrap() += u32::from(found);
                    let held = self.has_held();
                    self.posting.end_care(Left { in_socket: held, held, at_rest: false })
                }
            };
            if !goes_on {
                return;
            }
            why = Why::Again;
        }
    }

    fn ends(&self) -> Vec<(u32, End)> {
        self.ends.lock().unwrap().clone()
    }
}

/// The loop runs while the others do; where a call was done at once there is nothing for it to end.
fn with_loop(world: &Arc<World>, others: Vec<thread::JoinHandle<()>>, ends: usize) {
    world.run(ends);
    others.into_iter().for_each(|other| other.join().unwrap());
}

pub fn a_posted_receive_and_a_message_meet() {
    let world = World::new();
    // The loop has looked before: from here on only the system tells of a message.
    world.visit(Why::Queued);
    let (program, peer) = (Arc::clone(&world), Arc::clone(&world));
    let others = vec![
        thread::spawn(move || {
            if program.receive(1) == Call::Done {
                program.end(1, End::Message);
                program.ring();
            }
        }),
        thread::spawn(move || peer.arrive()),
    ];
    with_loop(&world, others, 1);
    assert_eq!(world.ends(), [(1, End::Message)]);
}

pub fn a_receive_that_is_cancelled_ends_once() {
    let world = World::new();
    let (program, peer) = (Arc::clone(&world), Arc::clone(&world));
    let others = vec![
        thread::spawn(move || {
            if program.receive(1) == Call::Done {
                program.end(1, End::Message);
            } else if program.cancel(1) == Cancelled::Nothing {
                assert!(!program.ends().is_empty() || program.posting.cancel() == Cancelled::Nothing, "it was pending, and nobody had it");
            }
            program.ring();
        }),
        thread::spawn(move || peer.arrive()),
    ];
    with_loop(&world, others, 1);
    assert_eq!(world.ends().len(), 1);
}

pub fn a_receive_without_a_message_is_cancelled() {
    let world = World::new();
    let program = Arc::clone(&world);
    let call = thread::spawn(move || {
        assert_eq!(program.receive(1), Call::Pending);
        assert_ne!(program.cancel(1), Cancelled::Nothing);
        program.ring();
    });
    with_loop(&world, vec![call], 1);
    assert_eq!(world.ends(), [(1, End::Cancelled)]);
}

pub fn two_receives_at_once_are_one_and_a_refusal() {
    let world = World::new();
    world.arrive();
    let calls: Vec<_> = [1, 2]
        .into_iter()
        .map(|receive| {
            let program = Arc::clone(&world);
            thread::spawn(move || {
                // One that is done or refused ends as well, as far as the loop is to wait for it.
                if program.receive(receive) != Call::Pending {
                    program.end(receive, End::Cancelled);
                    program.ring();
                }
            })
        })
        .collect();
    // A message for each of them, for where the second comes late enough to be taken.
    world.arrive();
    with_loop(&world, calls, 2);
    let ends = world.ends();
    assert_eq!(ends.len(), 2);
    assert!([1, 2].iter().all(|receive| ends.iter().filter(|(own, _)| own == receive).count() == 1), "{ends:?}");
}

pub fn a_receive_behind_a_look_finds_what_it_found() {
    let world = World::new();
    world.arrive();
    let program = Arc::clone(&world);
    let call = thread::spawn(move || {
        if program.receive(1) == Call::Done {
            program.end(1, End::Message);
            program.ring();
        }
    });
    // The loop looks for nobody first, or for the receive, or the call looks meanwhile.
    world.posting.note_ready(false);
    world.visit(Why::Queued);
    with_loop(&world, vec![call], 1);
    assert_eq!(world.ends(), [(1, End::Message)]);
}
