//! The closing handshake (RFC 6455 §7.1, §5.5.1): who has sent a close frame, and what is still allowed.
//!
//! Out of scope: sending (see [`Controls`](super::Controls)), deadlines and the TCP connection, which belong to who waits.

use super::CloseFrame;
use crate::error::{Error, Result, Status};

/// What a received close frame asks of this side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Send this answer.
    Send(CloseFrame),
    /// The program answers itself.
    LeftToProgram,
    /// This side has already sent its own: the handshake is done.
    Done,
}

/// Both directions of the closing handshake.
#[derive(Debug, Default)]
pub struct Lifecycle {
    sent: bool,
    /// What was sent is the library's own answer.
    answered: bool,
    /// The peer's close frame. Boxed: most connections are open most of the time.
    received: Option<Box<CloseFrame>>,
}

impl Lifecycle {
    /// Whether data frames may be sent: not after either close frame.
    pub fn may_send(&self) -> bool {
        !self.sent && self.received.is_none()
    }

    /// Whether data frames may be received: not after the peer's close frame.
    pub fn may_receive(&self) -> bool {
        self.received.is_none()
    }

    /// Whether this side's close frame is sent, or on its way: nothing may follow it.
    pub fn has_sent_close(&self) -> bool {
        self.sent
    }

    /// Whether the peer's close frame was answered without the program.
    pub fn has_answered(&self) -> bool {
        self.answered
    }

    /// Whether both close frames were seen.
    pub fn is_closed(&self) -> bool {
        self.sent && self.received.is_some()
    }

    /// The peer's close frame.
    pub fn received(&self) -> Option<&CloseFrame> {
        self.received.as_deref()
    }

    /// The status and the reason of the peer's close frame; 4317 before it has come.
    pub fn told(&self) -> Result<(u16, Vec<u8>)> {
        match self.received() {
            Some(frame) => Ok((frame.status(), frame.reason().as_bytes().to_vec())),
            None => Err(Error::new(Status::InvalidOperation, "the peer has sent no close frame")),
        }
    }

    /// This side's close frame is on its way. Returns false if there already was one.
    pub fn send_close(&mut self) -> bool {
        !std::mem::replace(&mut self.sent, true)
    }

    /// The peer's close frame has come. Unless `manual`, it is answered with the same status, as browsers do; that answer counts as sent.
    pub fn receive_close(&mut self, frame: CloseFrame, manual: bool) -> Reply {
        let reply = match (self.sent, manual) {
            (true, _) => Reply::Done,
            (false, true) => Reply::LeftToProgram,
            (false, false) => {
                self.sent = true;
                self.answered = true;
                Reply::Send(frame.echo())
            }
        };
        self.received = Some(Box::new(frame));
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::CloseStatus;

    fn going_away() -> CloseFrame {
        CloseFrame::new(CloseStatus::new(1001).unwrap(), "bye").unwrap()
    }

    #[test]
    fn the_peers_close_is_answered_with_its_status_once() {
        let mut lifecycle = Lifecycle::default();
        assert!(lifecycle.may_send() && lifecycle.may_receive());
        let Reply::Send(answer) = lifecycle.receive_close(going_away(), false) else { panic!("an answer was due") };
        assert_eq!((answer.status(), answer.reason()), (1001, ""));
        assert!(lifecycle.is_closed() && !lifecycle.may_send() && !lifecycle.may_receive());
        assert_eq!(lifecycle.received().unwrap().reason(), "bye");
        assert!(!lifecycle.send_close(), "the answer was the close frame of this side");
    }

    #[test]
    fn a_manual_close_leaves_the_answer_to_the_program() {
        let mut lifecycle = Lifecycle::default();
        assert_eq!(lifecycle.receive_close(going_away(), true), Reply::LeftToProgram);
        assert!(!lifecycle.is_closed() && !lifecycle.may_send());
        assert!(lifecycle.send_close());
        assert!(lifecycle.is_closed());
    }

    #[test]
    fn after_its_own_close_a_side_still_receives() {
        let mut lifecycle = Lifecycle::default();
        assert!(lifecycle.send_close());
        assert!(!lifecycle.may_send() && lifecycle.may_receive());
        assert_eq!(lifecycle.receive_close(CloseFrame::empty(), false), Reply::Done);
        assert!(lifecycle.is_closed());
    }
}
