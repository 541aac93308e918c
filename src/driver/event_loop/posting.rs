//! A receive that is posted, and a socket that becomes ready: whoever comes second finds the other, whichever that is.
//!
//! Calls of the program come from any thread: they look at what the library holds, post, and cancel. The loop visits when the socket has become
//! ready or somebody has queued the connection. One of them is busy with the receive half at a time; each step here is one change under one lock,
//! and no lock is held while something is received or told. Out of scope: what is posted and how it is received (`socket`, `reading`), and how a
//! loop is woken (`inbox`).

use crate::sync::{Mutex, MutexGuard};

/// What changes under the same lock.
pub trait Beside: Default {
    /// Whether what still comes is of no use.
    fn discards(&self) -> bool;
}

/// What calls and the loop share about receiving on one connection: `R` is what is posted.
#[derive(Debug)]
pub struct Posting<R, B>(Mutex<State<R, B>>);

/// The same, locked.
#[derive(Debug)]
pub struct State<R, B> {
    posted: Option<R>,
    /// Until which tick of the clock; 0 = for ever.
    deadline: u32,
    /// Somebody has the receive half for a moment.
    is_busy: bool,
    /// The loop is busy, and has taken what was posted with it.
    is_receiving: bool,
    /// That receive was cancelled meanwhile.
    is_cancelled: bool,
    /// The socket may have something.
    is_readable: bool,
    /// The peer sends no more, or the connection is broken: whoever reads finds the end, and the system tells of it only once.
    has_ended: bool,
    /// Something was received and not delivered.
    is_held: bool,
    /// Nothing was, not even a part of something: there is no receive half.
    is_at_rest: bool,
    /// The loop is going to visit.
    is_queued: bool,
    /// Every message is an event; no receive is posted.
    is_whole: bool,
    /// The program was told of the end: nothing is received any more.
    is_over: bool,
    pub beside: B,
}

/// Why a receive cannot begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Messages come as events.
    Whole,
    /// Another receive is pending.
    Pending,
}

/// What a call of the program does first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begun {
    /// It looks at what is held, and then ends the look.
    Look { is_at_rest: bool },
    /// Somebody else is looking: it can only post.
    Busy,
}

/// What a cancel has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancelled {
    /// Nothing was posted.
    Nothing,
    /// The receive is posted no longer; whoever cancels tells of it.
    Taken,
    /// The loop is receiving: when it finds nothing, it tells.
    Later,
}

/// Whether a posted receive has waited long enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// It waits for ever, or none is posted.
    Never,
    /// Not before so many ticks are over.
    In(u32),
    /// It is posted no longer.
    Now,
}

/// Why the loop visits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The connection was queued.
    Queued,
    /// The socket has become readable, possibly because it has ended.
    Ready { has_ended: bool },
    /// The last look may have left something.
    Again,
}

/// What the loop does on a visit.
#[derive(Debug)]
pub enum Task<R> {
    /// Nothing: there is nothing, or a call of the program is looking and comes back to it.
    Nothing,
    /// Throws away what comes.
    Discard,
    /// Looks, and then ends the visit.
    Look(Look<R>),
}

/// How the loop looks.
#[derive(Debug)]
pub struct Look<R> {
    /// For this receive.
    pub posted: Option<R>,
    /// For whole messages.
    pub is_whole: bool,
    /// There is no receive half.
    pub is_at_rest: bool,
    /// The socket may have something.
    pub is_readable: bool,
}

/// What there is to receive after a look.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// In the socket, as far as anybody knows.
    pub in_socket: bool,
    /// In the library.
    pub held: bool,
    /// The receive half was not kept.
    pub at_rest: bool,
}

impl Left {
    /// Nothing will ever come.
    pub const NOTHING: Left = Left { in_socket: false, held: false, at_rest: false };
    /// Nobody could look.
    pub const UNKNOWN: Left = Left { in_socket: true, held: true, at_rest: false };
    /// Nothing, and nothing was kept.
    pub const AT_REST: Left = Left { in_socket: false, held: false, at_rest: true };
}

impl<R, B: Beside> Posting<R, B> {
    /// Of a new connection, which may have something already.
    pub fn new(is_whole: bool, is_at_rest: bool) -> Posting<R, B> {
        Posting(Mutex::new(State {
            posted: None,
            deadline: 0,
            is_busy: false,
            is_receiving: false,
            is_cancelled: false,
            is_readable: true,
            has_ended: false,
            is_held: false,
            is_at_rest,
            is_queued: false,
            is_whole,
            is_over: false,
            beside: B::default(),
        }))
    }

    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, State<R, B>> {
        self.0.lock()
    }
}

/// Calls of the program. Those that return a `bool` say whether the loop is to be asked to visit.
impl<R, B: Beside> Posting<R, B> {
    /// A receive begins.
    pub fn begin(&self) -> Result<Begun, Refused> {
        let mut state = self.lock();
        state.check()?;
        if state.is_busy {
            return Ok(Begun::Busy);
        }
        state.is_busy = true;
        Ok(Begun::Look { is_at_rest: state.is_at_rest })
    }

    /// The look has found what was to be received. What comes behind it may be a ping or a close frame, which is answered even if nobody receives on.
    pub fn end_look(&self, has_more: bool, is_end: bool) -> bool {
        let mut state = self.lock();
        (state.is_busy, state.is_held) = (false, has_more);
        state.is_over |= is_end;
        (state.is_readable || state.is_held) && state.queue()
    }

    /// The look has failed.
    pub fn fail_look(&self) -> bool {
        let mut state = self.lock();
        state.is_busy = false;
        (state.is_readable || state.is_held) && state.queue()
    }

    /// Posts a receive, after a look that has found nothing, or, with `None`, without one. `always`: the loop is to look at it even if it knows of
    /// nothing. Refused if another thread has come in between.
    pub fn post(&self, posted: R, has_more: Option<bool>, deadline: u32, always: bool) -> (Result<(), Refused>, bool) {
        let mut state = self.lock();
        if let Some(has_more) = has_more {
            (state.is_busy, state.is_held) = (false, has_more);
        }
        let result = state.check();
        if result.is_ok() {
            (state.posted, state.deadline) = (Some(posted), deadline);
        }
        let is_to_be_visited = state.is_readable || state.is_held || result.is_ok() && always;
        (result, is_to_be_visited && state.queue())
    }

    /// Ends a receive that is posted.
    pub fn cancel(&self) -> Cancelled {
        let mut state = self.lock();
        if state.posted.take().is_some() {
            state.deadline = 0;
            return Cancelled::Taken;
        }
        if state.is_receiving {
            state.is_cancelled = true;
            return Cancelled::Later;
        }
        Cancelled::Nothing
    }

    /// Messages come as events from now on, or no longer.
    pub fn set_whole(&self, is_whole: bool) -> Result<bool, Refused> {
        let mut state = self.lock();
        if state.is_pending() {
            return Err(Refused::Pending);
        }
        state.is_whole = is_whole;
        // What lies there already is looked at, whoever is to have it.
        state.is_readable = true;
        Ok(state.queue())
    }
}

/// The loop.
impl<R, B: Beside> Posting<R, B> {
    /// The socket has become ready; true if a visit is due that was not before.
    pub fn note_ready(&self, has_ended: bool) -> bool {
        let mut state = self.lock();
        state.is_readable = true;
        state.has_ended |= has_ended;
        state.queue()
    }

    /// A visit begins. The one who looks has the receive half until it ends the visit in one of the ways below.
    #[inline]
    pub fn visit(&self, why: Why) -> Task<R> {
        let mut state = self.lock();
        match why {
            Why::Queued => state.is_queued = false,
            Why::Ready { has_ended } => {
                state.is_readable = true;
                state.has_ended |= has_ended;
            }
            Why::Again => {}
        }
        if state.is_busy {
            // When the call that is looking ends its look, it asks for another visit.
            state.is_readable |= state.posted.is_some();
            return Task::Nothing;
        }
        if state.beside.discards() {
            return Task::Discard;
        }
        if state.is_over || !(state.is_readable || state.is_held || state.posted.is_some() && why == Why::Queued) {
            return Task::Nothing;
        }
        let posted = state.posted.take();
        state.is_busy = true;
        state.is_receiving = posted.is_some();
        Task::Look(Look { posted, is_whole: state.is_whole, is_at_rest: state.is_at_rest, is_readable: state.is_readable })
    }

    /// Nothing was there for a posted receive: it is posted again, and whether a look would find the end of the connection. The other case: it was
    /// cancelled meanwhile, and whoever visits tells of it.
    pub fn put_back(&self, posted: R, left: Left) -> Result<bool, R> {
        let mut state = self.lock();
        let is_cancelled = state.end_look(left);
        if is_cancelled {
            state.deadline = 0;
            return Err(posted);
        }
        state.posted = Some(posted);
        Ok(state.has_ended)
    }

    /// A posted receive has ended; `is_end`: nothing is received after it.
    pub fn end_receive(&self, left: Left, is_end: bool) {
        let mut state = self.lock();
        state.end_look(left);
        state.deadline = 0;
        state.is_over |= is_end;
    }

    /// A visit for which nothing was posted has ended; true if another look would find something.
    #[inline]
    pub fn end_visit(&self, left: Left, is_end: bool) -> bool {
        let mut state = self.lock();
        state.end_look(left);
        state.is_over |= is_end;
        (state.is_readable || state.is_held) && !state.is_over
    }

    /// A look on behalf of nobody has ended: what it found waits for a receive. True if one was posted meanwhile.
    pub fn end_care(&self, left: Left) -> bool {
        let mut state = self.lock();
        state.end_look(left);
        state.posted.is_some()
    }

    /// What came was thrown away, or is not all gone.
    pub fn end_discard(&self, may_have_more: bool) {
        let mut state = self.lock();
        (state.is_readable, state.is_held) = (may_have_more, false);
    }

    /// Whether a posted receive has waited long enough at this tick; then it is posted no longer. Ticks may go round: a deadline is less than half a
    /// round away.
    pub fn expire(&self, tick: u32) -> Expiry {
        let mut state = self.lock();
        if state.deadline == 0 {
            return Expiry::Never;
        }
        let remaining = state.deadline.wrapping_sub(tick);
        if remaining as i32 > 0 {
            return Expiry::In(remaining);
        }
        // While the loop receives for it, it has not waited in vain.
        if state.posted.take().is_none() {
            return Expiry::Never;
        }
        state.deadline = 0;
        Expiry::Now
    }

    /// Whether something waits for a program that does not receive.
    pub fn waits_for_program(&self) -> bool {
        let state = self.lock();
        (state.is_readable || state.is_held) && state.posted.is_none() && !state.is_whole && !state.beside.discards()
    }

    /// The connection is lost. Whether the program, which posts no receives, is to be told so, once.
    pub fn lose_messages(&self) -> bool {
        let mut state = self.lock();
        let is_to_be_told = state.is_whole && !state.is_over;
        state.is_over |= is_to_be_told;
        is_to_be_told
    }
}

impl<R, B: Beside> State<R, B> {
    /// A visit is due; true if none was before.
    pub fn queue(&mut self) -> bool {
        !std::mem::replace(&mut self.is_queued, true)
    }

    /// The receive half was made.
    pub fn wake(&mut self) {
        self.is_at_rest = false;
    }

    /// Nothing is received any more.
    pub fn end(&mut self) {
        self.is_over = true;
    }

    fn is_pending(&self) -> bool {
        self.posted.is_some() || self.is_receiving
    }

    fn check(&self) -> Result<(), Refused> {
        match (self.is_whole, self.is_pending()) {
            (true, _) => Err(Refused::Whole),
            (false, true) => Err(Refused::Pending),
            (false, false) => Ok(()),
        }
    }

    /// The loop is busy no longer; whether the receive that it had was cancelled.
    #[inline]
    fn end_look(&mut self, left: Left) -> bool {
        (self.is_busy, self.is_receiving) = (false, false);
        (self.is_readable, self.is_held, self.is_at_rest) = (left.in_socket || self.has_ended, left.held, left.at_rest);
        std::mem::take(&mut self.is_cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Beside for () {
        fn discards(&self) -> bool {
            false
        }
    }

    fn posted(deadline: u32) -> Posting<u32, ()> {
        let posting = Posting::new(false, false);
        assert_eq!(posting.begin(), Ok(Begun::Look { is_at_rest: false }));
        assert_eq!(posting.post(1, Some(false), deadline, false), (Ok(()), true));
        posting
    }

    #[test]
    fn a_receive_expires_at_its_tick_and_not_before_also_where_ticks_go_round() {
        for deadline in [7, 2, u32::MAX, 1] {
            let posting = posted(deadline);
            assert_eq!(posting.expire(deadline.wrapping_sub(5)), Expiry::In(5));
            assert_eq!(posting.expire(deadline), Expiry::Now);
            assert_eq!(posting.expire(deadline), Expiry::Never);
        }
        assert_eq!(posted(0).expire(u32::MAX), Expiry::Never);
    }

    #[test]
    fn the_end_of_one_receive_leaves_the_deadline_of_the_next() {
        let posting = posted(10);
        assert_eq!(posting.expire(11), Expiry::Now);
        assert_eq!(posting.post(2, None, 20, false).0, Ok(()));
        assert_eq!(posting.expire(12), Expiry::In(8));
        assert_eq!(posting.cancel(), Cancelled::Taken);
        assert_eq!((posting.expire(30), posting.cancel()), (Expiry::Never, Cancelled::Nothing));
    }

    #[test]
    fn a_second_receive_is_refused_and_the_first_one_stays() {
        let posting = posted(0);
        assert_eq!(posting.begin(), Err(Refused::Pending));
        assert_eq!(posting.post(2, None, 0, false).0, Err(Refused::Pending));
        assert!(matches!(posting.visit(Why::Queued), Task::Look(Look { posted: Some(1), .. })));
    }
}
