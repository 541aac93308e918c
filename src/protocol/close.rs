//! The payload of a close frame (RFC 6455 §5.5.1, §7.4): a status and a reason, or nothing.

use super::{MAX_CONTROL_PAYLOAD, Violation};

/// The longest reason: a control payload without the status.
pub const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

/// A close status that may stand in a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseStatus(u16);

impl CloseStatus {
    /// Done.
    pub const NORMAL: CloseStatus = CloseStatus(1000);
    /// Stands for a close frame without a status; never on the wire.
    pub const EMPTY: u16 = 1005;

    /// RFC 6455 §7.4 and the IANA registry: 1000–1003, 1007–1014, 3000–4999.
    pub const fn new(status: u16) -> Option<CloseStatus> {
        match status {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(CloseStatus(status)),
            _ => None,
        }
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }
}

/// What a close frame says. Small enough to be copied; most close frames have a short reason or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CloseFrame {
    /// `None`: the frame has no payload.
    status: Option<CloseStatus>,
    reason: Box<str>,
}

impl Default for CloseStatus {
    fn default() -> CloseStatus {
        CloseStatus::NORMAL
    }
}

impl CloseFrame {
    /// A close frame without a payload.
    pub fn empty() -> CloseFrame {
        CloseFrame::default()
    }

    /// A close frame with a status; `None` if the reason is longer than [`MAX_REASON`] bytes.
    pub fn new(status: CloseStatus, reason: &str) -> Option<CloseFrame> {
        (reason.len() <= MAX_REASON).then(|| CloseFrame { status: Some(status), reason: reason.into() })
    }

    /// A close frame with a status alone.
    pub fn of(status: CloseStatus) -> CloseFrame {
        CloseFrame { status: Some(status), reason: Box::default() }
    }

    /// Reads the payload of a received close frame.
    pub fn decode(payload: &[u8]) -> Result<CloseFrame, Violation> {
        let (status, reason) = match payload {
            [] => return Ok(CloseFrame::empty()),
            [_] => return Err(Violation::CloseOfOneByte),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        let status = CloseStatus::new(status).ok_or(Violation::CloseStatus(status))?;
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::InvalidReason)?;
        Ok(CloseFrame { status: Some(status), reason: reason.into() })
    }

    /// Writes the payload into `room` and returns how long it is.
    pub fn encode(&self, room: &mut [u8; MAX_CONTROL_PAYLOAD]) -> usize {
        let Some(status) = self.status else { return 0 };
        let end = 2 + self.reason.len();
        room[..2].copy_from_slice(&status.0.to_be_bytes());
        room[2..end].copy_from_slice(self.reason.as_bytes());
        end
    }

    /// The status, with 1005 for a frame that has none.
    pub fn status(&self) -> u16 {
        self.status.map_or(CloseStatus::EMPTY, CloseStatus::code)
    }

    /// The reason; empty for most.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The answer that RFC 6455 §5.5.1 expects: the same status, without the reason.
    pub fn echo(&self) -> CloseFrame {
        CloseFrame { status: self.status, reason: Box::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_that_may_be_sent_are_those_of_the_registry() {
        let legal = |status: u16| matches!(status, 1000..=1003 | 1007..=1014 | 3000..=4999);
        for status in 0..=u16::MAX {
            assert_eq!(CloseStatus::new(status).is_some(), legal(status), "{status}");
        }
    }

    #[test]
    fn a_payload_comes_back_as_it_was() {
        let frame = CloseFrame::new(CloseStatus::NORMAL, "Done").unwrap();
        let mut room = [0; MAX_CONTROL_PAYLOAD];
        let length = frame.encode(&mut room);
        assert_eq!(&room[..length], b"\x03\xe8Done");
        assert_eq!(CloseFrame::decode(&room[..length]), Ok(frame));
        assert_eq!(CloseFrame::empty().encode(&mut room), 0);
        assert_eq!(CloseFrame::decode(&[]).unwrap().status(), 1005);
    }

    #[test]
    fn payloads_that_break_the_rules_are_named() {
        assert_eq!(CloseFrame::decode(&[3]), Err(Violation::CloseOfOneByte));
        assert_eq!(CloseFrame::decode(&1005u16.to_be_bytes()), Err(Violation::CloseStatus(1005)));
        assert_eq!(CloseFrame::decode(b"\x03\xe8\xff"), Err(Violation::InvalidReason));
    }

    #[test]
    fn a_reason_has_at_most_123_bytes() {
        assert!(CloseFrame::new(CloseStatus::NORMAL, &"r".repeat(MAX_REASON)).is_some());
        assert!(CloseFrame::new(CloseStatus::NORMAL, &"r".repeat(MAX_REASON + 1)).is_none());
    }
}
