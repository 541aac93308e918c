//! The models: who meets whom, and what must hold in every order.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::thread;

use crate::address::Address;
use crate::connection::{Ahead, Connection, Operation, Received, Sources, Upgraded};
use crate::driver::blocking::{self, StopSign, Task};
use crate::error::Status;
use crate::event::{Notify, OpaqueCallback};
use crate::inbox::Inbox;
use crate::options::{Options, SharedOptions};
use crate::postings;
use crate::protocol::{CloseFrame, CloseStatus, MessageKind, Role};
use crate::table::Table;
use crate::transport::{Bells, Stream, Wake, frames, listen::ListenSockets};

type Model = fn();

/// Each by its name.
pub const ALL: &[(&str, Model)] = &[
    ("a_callback_comes_with_its_own_context", a_callback_comes_with_its_own_context),
    ("a_wish_is_never_left_in_the_inbox_of_a_sleeping_loop", a_wish_is_never_left_in_the_inbox_of_a_sleeping_loop),
    ("a_pong_is_not_lost_behind_a_frame_that_ends", a_pong_is_not_lost_behind_a_frame_that_ends),
    ("a_pong_is_not_lost_behind_a_turn_that_settles", a_pong_is_not_lost_behind_a_turn_that_settles),
    ("a_pong_waits_for_a_frame_that_is_stuck", a_pong_waits_for_a_frame_that_is_stuck),
    ("frames_of_two_senders_do_not_mix", frames_of_two_senders_do_not_mix),
    ("a_receive_ends_when_the_connection_is_closed", a_receive_ends_when_the_connection_is_closed),
    ("a_receive_ends_when_the_handle_is_closed", a_receive_ends_when_the_handle_is_closed),
    ("a_close_ends_when_the_handle_is_closed", a_close_ends_when_the_handle_is_closed),
    ("a_send_that_waits_for_its_turn_ends_when_the_handle_is_closed", a_send_that_waits_for_its_turn_ends_when_the_handle_is_closed),
    ("a_cancel_that_found_a_receive_ends_it", a_cancel_that_found_a_receive_ends_it),
    ("a_cancel_that_found_a_send_ends_it", a_cancel_that_found_a_send_ends_it),
    ("a_cancel_that_found_a_sender_in_line_ends_it", a_cancel_that_found_a_sender_in_line_ends_it),
    ("a_cancel_that_found_a_stay_ends_it", a_cancel_that_found_a_stay_ends_it),
    ("a_cancel_does_not_end_a_later_receive", a_cancel_does_not_end_a_later_receive),
    ("a_program_is_never_told_of_the_caretaker", a_program_is_never_told_of_the_caretaker),
    ("one_of_two_receivers_is_told_of_the_other", one_of_two_receivers_is_told_of_the_other),
    ("a_bell_is_heard_whenever_it_is_hung_up", a_bell_is_heard_whenever_it_is_hung_up),
    ("a_ticket_never_finds_another_value", a_ticket_never_finds_another_value),
    ("one_of_two_removers_gets_the_value", one_of_two_removers_gets_the_value),
    ("a_posted_receive_and_a_message_meet", postings::a_posted_receive_and_a_message_meet),
    ("a_receive_that_is_cancelled_ends_once", postings::a_receive_that_is_cancelled_ends_once),
    ("a_receive_without_a_message_is_cancelled", postings::a_receive_without_a_message_is_cancelled),
    ("two_receives_at_once_are_one_and_a_refusal", postings::two_receives_at_once_are_one_and_a_refusal),
    ("a_receive_behind_a_look_finds_what_it_found", postings::a_receive_behind_a_look_finds_what_it_found),
];

/// Tries a model in every order; how many there were.
pub fn run(model: Model) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.max_branches = 20_000;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    orders.load(Ordering::Relaxed)
}

// ---- a connection, and what its peer does -----------------------------------------------------------------------------------------------------

static SOURCES: Sources = Sources { masking_key: || [0; 4], now: || Duration::from_secs(1) };

/// A client's frames, masked with zeroes.
const PING: &[u8] = &[0x89, 0x82, 0, 0, 0, 0, b'h', b'i'];
const TEXT: &[u8] = &[0x81, 0x82, 0, 0, 0, 0, b'o', b'k'];
const CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 3, 232];

const DATA_FRAME: u8 = 0x82;
const PONG_FRAME: u8 = 0x8a;

/// A server's connection, whose peer takes `room` bytes before it reads.
fn server(room: usize) -> Arc<Connection> {
    let mut options = Options::default();
    // Nobody's silence matters where no time passes.
    options.keepalive_interval = None;
    let upgraded = Upgraded { stream: Stream::open(room), agreed: Arc::default(), early: &[] };
    Arc::new(Connection::new(Role::Server, upgraded, SharedOptions::new(options), &SOURCES).expect("there is memory"))
}

fn send(connection: &Connection, payload: &[u8]) -> Result<(), Status> {
    blocking::send(connection, MessageKind::Binary, true, payload).map_err(|error| error.status())
}

fn receive(connection: &Connection) -> Result<Received, Status> {
    blocking::receive(connection, &mut [0; 16]).map_err(|error| error.status())
}

/// One look at what the peer has sent, as the first step of a receive takes it.
fn step(connection: &Connection) {
    let mut claim = connection.claim_receive().expect("nobody else receives");
    claim.half().step(connection, &mut [0; 16], crate::transport::Patience::None).expect("the peer behaves");
}

fn spawn<T: 'static>(connection: &Arc<Connection>, run: impl FnOnce(&Connection) -> T + 'static) -> thread::JoinHandle<T> {
    let connection = Arc::clone(connection);
    thread::spawn(move || run(&connection))
}

/// What has left, in any order.
fn sent(connection: &Connection) -> Vec<(u8, Vec<u8>)> {
    let bytes = connection.stream().sent();
    let mut frames = frames(&bytes);
    let whole: usize = frames.iter().map(|(_, payload)| payload.len() + 2).sum();
    assert_eq!(whole, bytes.len(), "half a frame at the end of {bytes:?}");
    frames.sort();
    frames
}

// ---- the writer turn and the outbox -----------------------------------------------------------------------------------------------------------

fn a_pong_is_not_lost_behind_a_frame_that_ends() {
    let connection = server(100);
    connection.stream().peer_sends(PING);
    let sender = spawn(&connection, |connection| send(connection, b"data"));
    step(&connection);
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert!(connection.is_flushed());
    assert_eq!(sent(&connection), [(DATA_FRAME, b"data".to_vec()), (PONG_FRAME, b"hi".to_vec())]);
}

fn a_pong_is_not_lost_behind_a_turn_that_settles() {
    let connection = server(100);
    connection.stream().peer_sends(PING);
    let sender = spawn(&connection, |connection| {
        if let Ok(Some(turn)) = connection.try_turn_for_data() {
            turn.settle();
        }
    });
    step(&connection);
    sender.join().unwrap();
    assert!(connection.is_flushed());
    assert_eq!(sent(&connection), [(PONG_FRAME, b"hi".to_vec())]);
}

fn a_pong_waits_for_a_frame_that_is_stuck() {
    let connection = server(3);
    connection.stream().peer_sends(PING);
    let sender = spawn(&connection, |connection| send(connection, b"data"));
    let peer = spawn(&connection, |connection| connection.stream().peer_takes(100));
    step(&connection);
    assert_eq!(sender.join().unwrap(), Ok(()));
    peer.join().unwrap();
    // A pong that was cut off before the sender came is the sender's to finish; one that was cut off after it is the next writer's.
    connection.flush();
    assert!(connection.is_flushed());
    assert_eq!(sent(&connection), [(DATA_FRAME, b"data".to_vec()), (PONG_FRAME, b"hi".to_vec())]);
}

fn frames_of_two_senders_do_not_mix() {
    let connection = server(100);
    connection.stream().peer_sends(PING);
    let sender = spawn(&connection, |connection| send(connection, b"left"));
    let receiver = spawn(&connection, step);
    assert_eq!(send(&connection, b"right"), Ok(()));
    assert_eq!(sender.join().unwrap(), Ok(()));
    receiver.join().unwrap();
    assert!(connection.is_flushed());
    let expected = [(DATA_FRAME, b"left".to_vec()), (DATA_FRAME, b"right".to_vec()), (PONG_FRAME, b"hi".to_vec())];
    assert_eq!(sent(&connection), expected);
}

// ---- closing ----------------------------------------------------------------------------------------------------------------------------------

fn a_receive_ends_when_the_connection_is_closed() {
    let connection = server(100);
    connection.stream().peer_answers_close(CLOSE);
    let receiver = spawn(&connection, receive);
    let frame = CloseFrame::of(CloseStatus::NORMAL);
    assert!(blocking::close(&connection, frame).is_ok());
    let received = receiver.join().unwrap();
    // Before, or after; the peer's answer may be what it saw, unless the close had begun.
    assert!(matches!(received, Err(Status::Cancelled | Status::InvalidOperation)), "{received:?}");
    assert!(connection.is_closed());
    assert_eq!(connection.claim_receive().unwrap_err().status(), Status::InvalidOperation);
}

fn a_receive_ends_when_the_handle_is_closed() {
    let connection = server(100);
    let receiver = spawn(&connection, receive);
    connection.drop_connection();
    assert_eq!(receiver.join().unwrap(), Err(Status::Cancelled));
}

fn a_close_ends_when_the_handle_is_closed() {
    let connection = server(3);
    let closer =
        spawn(&connection, |connection| blocking::close(connection, CloseFrame::of(CloseStatus::NORMAL)).map_err(|error| error.status()));
    connection.drop_connection();
    assert_eq!(closer.join().unwrap(), Err(Status::Cancelled));
}

fn a_send_that_waits_for_its_turn_ends_when_the_handle_is_closed() {
    let connection = server(3);
    let first = spawn(&connection, |connection| send(connection, b"first"));
    let second = spawn(&connection, |connection| send(connection, b"second"));
    connection.drop_connection();
    for sender in [first, second] {
        let status = sender.join().unwrap().unwrap_err();
        assert_eq!(status, Status::Cancelled);
    }
}

// ---- cancelling -------------------------------------------------------------------------------------------------------------------------------

fn a_cancel_that_found_a_receive_ends_it() {
    let connection = server(100);
    let receiver = spawn(&connection, receive);
    if connection.cancel(Operation::Receive) {
        assert_eq!(receiver.join().unwrap(), Err(Status::Cancelled));
        // The connection is as it was.
        connection.stream().peer_sends(TEXT);
    } else {
        connection.stream().peer_sends(TEXT);
        assert!(receiver.join().unwrap().is_ok());
        connection.stream().peer_sends(TEXT);
    }
    assert!(matches!(receive(&connection), Ok(Received::Piece(piece)) if piece.length == 2));
}

fn a_cancel_that_found_a_send_ends_it() {
    let connection = server(0);
    let sender = spawn(&connection, |connection| send(connection, b"data"));
    if connection.cancel(Operation::Send) {
        assert_eq!(sender.join().unwrap(), Err(Status::Cancelled));
        connection.stream().peer_takes(100);
        assert_eq!(sent(&connection), []);
    } else {
        connection.stream().peer_takes(100);
        assert_eq!(sender.join().unwrap(), Ok(()));
    }
}

fn a_cancel_that_found_a_sender_in_line_ends_it() {
    let connection = server(100);
    let turn = connection.try_turn_for_data().unwrap().unwrap();
    // As a send waits: whoever saw no cancel when it began must be woken by it, while the turn is still taken.
    let sender = spawn(&connection, |connection| {
        let before = connection.signals().cancels(Operation::Send);
        if before == 0 {
            connection.wait_for_turn(Duration::MAX, || connection.signals().cancels(Operation::Send) != before);
            assert_eq!(connection.signals().cancels(Operation::Send), 1);
        }
    });
    assert!(connection.cancel(Operation::Send), "a turn that is taken is a send");
    sender.join().unwrap();
    drop(turn);
}

fn a_cancel_does_not_end_a_later_receive() {
    let connection = server(100);
    connection.stream().peer_sends(TEXT);
    let canceller = spawn(&connection, |connection| connection.cancel(Operation::Receive));
    let first = receive(&connection);
    let found_it = canceller.join().unwrap();
    assert!(first.is_ok() || found_it && first == Err(Status::Cancelled), "{first:?}");
    connection.stream().peer_sends(TEXT);
    assert!(receive(&connection).is_ok());
}

fn a_cancel_that_found_a_stay_ends_it() {
    let sign = Arc::new(StopSign::default());
    let accepting = {
        let sign = Arc::clone(&sign);
        thread::spawn(move || {
            let stay = sign.begin(Task::Accept);
            blocking::accept(&ListenSockets, &Options::default(), &stay, || Some(())).map_err(|error| error.status()).map(|_| ())
        })
    };
    if !sign.cancel(&Task::ALL) {
        sign.close();
    }
    assert_eq!(accepting.join().unwrap(), Err(Status::Cancelled));
}

// ---- the receive claim ------------------------------------------------------------------------------------------------------------------------

fn a_program_is_never_told_of_the_caretaker() {
    let connection = server(100);
    connection.stream().peer_sends(PING);
    let caretaker = spawn(&connection, |connection| match connection.claim_for_caretaker(0) {
        Ok(mut claim) => assert_eq!(claim.half().look_after(connection), Ahead::Nothing),
        Err(claims) => assert!(claims != 0),
    });
    step(&connection);
    caretaker.join().unwrap();
    connection.flush();
    assert_eq!(sent(&connection), [(PONG_FRAME, b"hi".to_vec())]);
}

fn one_of_two_receivers_is_told_of_the_other() {
    let connection = server(100);
    connection.stream().peer_sends(TEXT);
    connection.stream().peer_sends(TEXT);
    let other = spawn(&connection, receive);
    let results = [receive(&connection), other.join().unwrap()];
    let told = results.iter().filter(|result| **result == Err(Status::InvalidOperation)).count();
    assert!(told <= 1 && results.iter().filter(|result| result.is_ok()).count() == 2 - told, "{results:?}");
}

// ---- bells, and the ticket table --------------------------------------------------------------------------------------------------------------

fn a_bell_is_heard_whenever_it_is_hung_up() {
    let bells = Arc::new(Bells::default());
    let reason = Arc::new(loom::sync::atomic::AtomicBool::new(false));
    let ringer = {
        let (bells, reason) = (Arc::clone(&bells), Arc::clone(&reason));
        thread::spawn(move || {
            reason.store(true, Ordering::Relaxed);
            bells.ring_all();
        })
    };
    let hung = bells.hang(Wake::of_this_thread().unwrap());
    // Relaxed on both sides, as `Signals` is: the mutex of the bells orders them.
    while !reason.load(Ordering::Relaxed) {
        hung.wake().sleep();
    }
    drop(hung);
    ringer.join().unwrap();
}

fn a_ticket_never_finds_another_value() {
    let table: Arc<Table<u32, 1>> = Arc::new(Table::new());
    let old = table.insert(1, 7).unwrap();
    let remover = {
        let table = Arc::clone(&table);
        thread::spawn(move || assert_eq!(table.remove(old), Some(7)))
    };
    let inserter = {
        let table = Arc::clone(&table);
        thread::spawn(move || {
            let new = table.insert(1, 8).unwrap();
            assert_eq!(table.get(new), Some(8));
            new
        })
    };
    assert!(matches!(table.get(old), None | Some(7)));
    remover.join().unwrap();
    let new = inserter.join().unwrap();
    assert!(new != old && table.get(old).is_none() && table.get(new) == Some(8));
    assert_eq!(table.live_count(), 1);
}

fn one_of_two_removers_gets_the_value() {
    let table: Arc<Table<u32, 1>> = Arc::new(Table::new());
    let ticket = table.insert(1, 7).unwrap();
    let other = {
        let table = Arc::clone(&table);
        thread::spawn(move || table.remove(ticket))
    };
    let own = table.remove(ticket);
    let theirs = other.join().unwrap();
    assert_eq!([own, theirs].iter().flatten().count(), 1);
    assert_eq!(table.live_count(), 0);
}

/// A callback and a context that belong together.
fn notify(number: usize) -> Notify {
    Notify { callback: NonZeroUsize::new(number).map(OpaqueCallback), context: number }
}

fn a_callback_comes_with_its_own_context() {
    let address = Arc::new(Address::default());
    let theirs = Arc::clone(&address);
    let writer = thread::spawn(move || {
        theirs.set_notify(notify(1));
        theirs.set_notify(notify(2));
    });
    let found = address.notify();
    assert_eq!(found, notify(found.context));
    writer.join().unwrap();
    assert_eq!(address.notify(), notify(2));
}

/// The loop's sleep is a wait for the bell; a wish that rings for nothing, or does not ring, shows.
fn a_wish_is_never_left_in_the_inbox_of_a_sleeping_loop() {
    let inbox: Arc<Inbox<u32>> = Arc::default();
    let rung = Arc::new((loom::sync::Mutex::new(0), loom::sync::Condvar::new()));
    let wishers: Vec<_> = [1, 2]
        .into_iter()
        .map(|wish| {
            let (inbox, rung) = (Arc::clone(&inbox), Arc::clone(&rung));
            thread::spawn(move || {
                if inbox.put(wish, false) {
                    *rung.0.lock().unwrap() += 1;
                    rung.1.notify_one();
                }
            })
        })
        .collect();
    let mut wishes = Vec::new();
    while wishes.len() < 2 {
        inbox.take(&mut wishes);
        if wishes.len() < 2 && inbox.may_sleep() {
            let mut bells = rung.0.lock().unwrap();
            while *bells == 0 {
                bells = rung.1.wait(bells).unwrap();
            }
            *bells = 0;
        }
    }
    wishers.into_iter().for_each(|wisher| wisher.join().unwrap());
}
