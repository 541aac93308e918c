//! The receiving side while nobody receives: control frames are seen to, and data is left where it is.
//!
//! Out of scope: when this is called (`driver::caretaker`), and the clock ([`Connection::keep_alive`]).

use super::super::buffers::{Buffer, Use};
use super::{ReadError, ReceiveHalf, is_nothing, lost};
use crate::connection::Connection;
use crate::transport::Patience;

/// The most that is read while nobody receives.
const READ_AHEAD: usize = 16 << 10;

/// What lies before the caretaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ahead {
    /// Nothing yet.
    Nothing,
    /// A data frame, which is the program's.
    Data,
    /// Nothing more will come, or nothing that matters.
    End,
}

impl ReceiveHalf {
    /// For the caretaker: sees to control frames as far as the first data frame, and reads a little ahead, once: one talkative peer must not keep
    /// it from the others. What goes wrong is kept for the next receive.
    pub fn look_after(&mut self, connection: &Connection) -> Ahead {
        let mut has_read = false;
        loop {
            if self.is_ending {
                return Ahead::End;
            }
            match self.see_to_controls(connection) {
                Some(ahead) => return ahead,
                None if self.decoder.direct_room() > 0 => return Ahead::Data,
                None if has_read => return Ahead::Nothing,
                None => {}
            }
            if !self.read_ahead(connection) {
                return if self.is_ending { Ahead::End } else { Ahead::Nothing };
            }
            has_read = true;
        }
    }

    /// The control frames among what was received; `None` once it is used up.
    fn see_to_controls(&mut self, connection: &Connection) -> Option<Ahead> {
        if self.behind_length > 0 && self.buffer.is_none() {
            let behind = self.behind;
            if self.keep(connection, &behind[..usize::from(self.behind_length)]).is_err() {
                return Some(Ahead::End);
            }
            self.behind_length = 0;
        }
        while let Some(buffer) = &mut self.buffer {
            let item = match self.decoder.feed_controls(buffer.filled()) {
                Err(violation) => {
                    connection.fail_with(violation);
                    return Some(Ahead::End);
                }
                Ok((_, None)) => return Some(Ahead::Data),
                Ok((used, Some(item))) => {
                    buffer.consume(used);
                    item
                }
            };
            if buffer.is_empty() {
                self.give_buffer_back();
            }
            match self.see_to(connection, item) {
                Ok(false) => {}
                // The program is told by its next receive.
                Ok(true) => {
                    self.is_ending = true;
                    return Some(Ahead::End);
                }
                Err(_) => return Some(Ahead::End),
            }
        }
        None
    }

    /// One read into a small buffer; false if there was nothing.
    fn read_ahead(&mut self, connection: &Connection) -> bool {
        let Ok(mut buffer) = Buffer::take(Use::Receive, READ_AHEAD) else { return false };
        match self.count(connection, connection.stream.receive(buffer.room(), &mut [], Patience::None), READ_AHEAD) {
            Ok(count) => {
                buffer.add(count);
                self.buffer = Some(buffer);
                return true;
            }
            Err(ReadError::Socket(error)) if is_nothing(&error) => {}
            Err(ReadError::Socket(error)) => self.defer(lost(&error)),
            Err(ReadError::Other(error)) => self.defer(error),
            Err(ReadError::Violation(_)) => {}
        }
        buffer.give_back(Use::Receive);
        false
    }
}
