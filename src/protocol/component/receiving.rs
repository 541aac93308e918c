//! The receiving side of a component: the bytes that came, and the one receive that waits for some of them.
//!
//! In scope: which bytes go where. Payload is unmasked where it lies and delivered as a view, or copied into the program's memory, or read from
//! the network straight into that. Out of scope: compressed messages (`inflating`), what control frames and
//! violations lead to (the component), and frames (see [`Decoder`]).

mod inflating;

use super::Delivery;
use super::memory::{Lent, Memory, Place};
use crate::error::{Error, Result, Status};
use crate::options::Options;
use crate::protocol::{Decoder, FrameHeader, Item, Limits, Piece, Role, Violation};

use inflating::Inflating;
pub(super) use inflating::Trouble;

/// From this much on the rest of a frame is read straight into the program's memory: below it one read would bring too little.
const DIRECT: usize = 4 << 10;

/// By how much the buffer grows while a head comes in.
const HEAD_GROWTH: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct Receiving {
    decoder: Decoder,
    sender: Role,
    limits: Limits,
    /// Where compressed messages are inflated, if that was agreed on.
    inflating: Option<Box<Inflating>>,
    /// What was received and not used is `start..end`; what is behind it is room.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    wish: Wish,
    /// Where the read that is under way puts its bytes.
    reads_into: Place,
    bytes: u64,
}

/// The program's receive.
#[derive(Debug, Default)]
enum Wish {
    /// There is none.
    #[default]
    None,
    Waiting(Request),
    /// It has ended, and the program was not told.
    Ended(Request, Result<Delivery>),
    /// It was told, and looks at what came.
    Told(Place),
}

#[derive(Clone, Copy, Debug)]
struct Request {
    /// `None` = a view is fine.
    room: Option<Lent>,
    context: usize,
}

/// What data comes to.
enum Next {
    Piece(Delivery),
    NeedBytes,
    /// It is compressed, and is going to be inflated.
    Compressed,
}

/// What was found among the bytes that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// All is used up, or what is left is the beginning of a header.
    NeedBytes,
    /// Data, and nobody who receives it.
    Blocked,
    /// The receive has ended with a piece.
    Piece,
    /// A control frame; its payload is [`Receiving::control_payload`].
    Control(Item),
}

impl Receiving {
    pub fn new(role: Role) -> Receiving {
        let sender = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        Receiving {
            decoder: Decoder::new(sender, Limits::default()),
            sender,
            limits: Limits::default(),
            inflating: None,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            wish: Wish::None,
            reads_into: Place::Nowhere,
            bytes: 0,
        }
    }

    pub fn set_limits(&mut self, options: &Options) {
        self.limits = Limits { max_message: options.max_message.unwrap_or(u64::MAX), max_fragments: options.max_fragments };
        self.decoder.set_limits(self.limits);
    }

    /// Frames, messages and bytes that came so far.
    pub fn counted(&self) -> (u64, u64, u64) {
        let (frames, messages) = self.decoder.counted();
        (frames, messages, self.bytes)
    }

    pub fn control_payload(&self) -> &[u8] {
        self.decoder.control_payload()
    }

    /// What came and was not used.
    pub fn unused(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// So many bytes of it were used.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
    }

    // ---- the program's receive ----------------------------------------------------------------------------------------------------------

    /// A receive begins; 4317 while another one has not ended.
    pub fn post(&mut self, room: Option<Lent>, context: usize) -> Result<()> {
        match &self.wish {
            Wish::None => {
                self.wish = Wish::Waiting(Request { room, context });
                Ok(())
            }
            Wish::Waiting(_) => Err(Error::new(Status::InvalidOperation, "a receive is waiting already")),
            Wish::Ended(..) | Wish::Told(_) => {
                Err(Error::new(Status::InvalidOperation, "the action that ended the last receive was not completed"))
            }
        }
    }

    /// Whether a receive waits for something.
    pub fn is_waiting(&self) -> bool {
        matches!(self.wish, Wish::Waiting(_))
    }

    /// Whether a receive has ended, and the program was not told.
    pub fn has_ended(&self) -> bool {
        matches!(self.wish, Wish::Ended(..))
    }

    /// The receive that waits ends with this.
    pub fn end_wish(&mut self, result: Result<Delivery>) {
        if let Wish::Waiting(request) = self.wish {
            self.wish = Wish::Ended(request, result);
        }
    }

    /// A receive that waits, or that has ended and was not told, ends with this failure.
    pub fn give_up(&mut self, reason: &Error) {
        self.end_wish(Err(reason.clone()));
    }

    /// The receive that has ended: its context and how.
    pub fn tell(&mut self) -> Option<(usize, Result<Delivery>)> {
        match std::mem::take(&mut self.wish) {
            Wish::Ended(request, result) => {
                self.wish = Wish::Told(result.as_ref().map_or(Place::Nowhere, |delivery| delivery.place));
                Some((request.context, result))
            }
            other => {
                self.wish = other;
                None
            }
        }
    }

    /// The program has looked at what came.
    pub fn release(&mut self) {
        self.wish = Wish::None;
    }

    /// Whether the program looks at the buffer, or is going to: it must stay as it is.
    pub fn is_viewed(&self) -> bool {
        match &self.wish {
            Wish::Ended(_, Ok(delivery)) => matches!(delivery.place, Place::Buffer { .. } | Place::Inflated { .. }),
            Wish::Told(place) => matches!(place, Place::Buffer { .. } | Place::Inflated { .. }),
            _ => false,
        }
    }

    // ---- from the bytes that came to pieces ---------------------------------------------------------------------------------------------

    /// Uses what came until there is something to tell. Data is used only for the receive that waits.
    pub fn digest(&mut self, memory: &mut dyn Memory, size: usize) -> Result<Found, Trouble> {
        loop {
            let room = if let Wish::Waiting(request) = &self.wish { Some(request.room) } else { None };
            if self.inflating.as_ref().is_some_and(|inflating| inflating.has_more()) {
                let Some(room) = room else { return Ok(Found::Blocked) };
                if let Some(delivery) = self.inflate(room, memory, size)? {
                    self.end_wish(Ok(delivery));
                    return Ok(Found::Piece);
                }
            }
            let input = &self.buffer[self.start..self.end];
            if input.is_empty() {
                return Ok(Found::NeedBytes);
            }
            let (used, item) = self.decoder.feed_controls(input)?;
            self.start += used;
            match (item, room) {
                (Some(Item::NeedBytes), _) => return Ok(Found::NeedBytes),
                (Some(item), _) => return Ok(Found::Control(item)),
                (None, None) => return Ok(Found::Blocked),
                (None, Some(room)) => match self.next_piece(room, memory)? {
                    Next::Piece(delivery) => {
                        self.end_wish(Ok(delivery));
                        return Ok(Found::Piece);
                    }
                    Next::NeedBytes => return Ok(Found::NeedBytes),
                    Next::Compressed => {}
                },
            }
        }
    }

    /// What the data that comes next is.
    fn next_piece(&mut self, room: Option<Lent>, memory: &mut dyn Memory) -> Result<Next, Violation> {
        let Some(header) = self.next_header() else { return Ok(Next::NeedBytes) };
        if self.inflating.is_some() {
            // Only a header tells whether a message is compressed.
            let empty = if header > 0 { self.feed_header(header)? } else { None };
            if self.decoder.is_compressed() {
                return self.take_compressed(empty.and_then(|delivery| delivery.piece));
            }
            if let Some(delivery) = empty {
                return Ok(Next::Piece(delivery));
            }
            if self.start == self.end {
                return Ok(Next::NeedBytes);
            }
        }
        let delivery = match room {
            Some(room) => self.copy_piece(room, memory)?,
            None => self.view_piece()?,
        };
        Ok(delivery.map_or(Next::NeedBytes, Next::Piece))
    }

    // ---- plain ones ---------------------------------------------------------------------------------------------------------------------

    /// A piece in the program's memory; `None` while its header is not all there.
    fn copy_piece(&mut self, room: Lent, memory: &mut dyn Memory) -> Result<Option<Delivery>, Violation> {
        let Some(header) = self.next_header() else { return Ok(None) };
        let input = &self.buffer[self.start..self.end];
        if header == input.len() && header > 0 && !self.is_empty_frame() {
            // Nothing of the payload is here: it can go to the program's memory without a stop, if there is much of it.
            return self.feed_header(header);
        }
        let (used, item) = self.decoder.feed(input, memory.room(room))?;
        self.start += used;
        Ok(delivered(item, |length| Place::Lent(room.part(0, length))))
    }

    /// A piece where it lies; `None` while nothing of it is there.
    fn view_piece(&mut self) -> Result<Option<Delivery>, Violation> {
        let Some(header) = self.next_header() else { return Ok(None) };
        if header > 0
            && let Some(delivery) = self.feed_header(header)?
        {
            return Ok(Some(delivery));
        }
        let length = usize::try_from(self.decoder.direct_room()).unwrap_or(usize::MAX).min(self.end - self.start);
        if length == 0 {
            return Ok(None);
        }
        let start = self.start;
        let piece = self.decoder.accept_direct(&mut self.buffer[start..start + length])?;
        self.start += length;
        Ok(Some(Delivery { piece: Some(piece), place: Place::Buffer { start, length } }))
    }

    /// How long the header is that the unused bytes begin with; 0 inside a frame, `None` if it is not all there. A header is given to the decoder
    /// only whole, so that this can look at it.
    fn next_header(&self) -> Option<usize> {
        if self.decoder.direct_room() > 0 {
            return Some(0);
        }
        match FrameHeader::decode_extended(self.unused(), self.sender, self.inflating.is_some()) {
            Ok(None) => None,
            Ok(Some((_, length))) => Some(length),
            // The decoder says what is wrong with it.
            Err(_) => Some(self.end - self.start),
        }
    }

    fn is_empty_frame(&self) -> bool {
        matches!(FrameHeader::decode(self.unused(), self.sender), Ok(Some((header, _))) if header.length == 0)
    }

    /// Only a header: an empty frame is a piece already.
    fn feed_header(&mut self, length: usize) -> Result<Option<Delivery>, Violation> {
        let start = self.start;
        let (used, item) = self.decoder.feed(&self.buffer[start..start + length], &mut [])?;
        self.start += used;
        Ok(delivered(item, |length| Place::Buffer { start: start + used, length }))
    }

    // ---- the network --------------------------------------------------------------------------------------------------------------------

    /// Where the network's next bytes go: into the program's memory if the rest of a large frame fits there, else into the buffer.
    pub fn begin_read(&mut self, size: usize) -> Result<Place> {
        debug_assert!(!self.is_viewed());
        if let Wish::Waiting(Request { room: Some(room), .. }) = self.wish {
            let length = usize::try_from(self.decoder.direct_room()).unwrap_or(usize::MAX).min(room.length);
            if self.start == self.end && length >= DIRECT && !self.decoder.is_compressed() {
                self.reads_into = Place::Lent(room.part(0, length));
                return Ok(self.reads_into);
            }
        }
        self.make_room(size)?;
        self.reads_into = Place::Buffer { start: self.end, length: self.buffer.len() - self.end };
        Ok(self.reads_into)
    }

    /// Moves what is unused to the front: a cut header at most, or a head that is not complete.
    fn make_room(&mut self, size: usize) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let wanted = size.max(self.end + if self.end > 0 { HEAD_GROWTH.min(size) } else { 0 });
        if self.buffer.len() < wanted {
            let growth = wanted - self.buffer.len();
            self.buffer.try_reserve_exact(growth).map_err(|_| no_memory(growth))?;
            self.buffer.resize(wanted, 0);
        }
        Ok(())
    }

    /// How many bytes the read that is under way may bring.
    pub fn read_room(&self) -> usize {
        self.reads_into.length()
    }

    /// So many bytes have come.
    pub fn end_read(&mut self, count: usize, memory: &mut dyn Memory) -> Result<(), Violation> {
        self.bytes += count as u64;
        match std::mem::take(&mut self.reads_into) {
            Place::Lent(room) => {
                let piece = self.decoder.accept_direct(memory.room(room.part(0, count)))?;
                self.end_wish(Ok(Delivery { piece: Some(piece), place: Place::Lent(room.part(0, count)) }));
            }
            _ => self.end += count,
        }
        Ok(())
    }

    /// The read that was under way has brought nothing, or nothing that matters.
    pub fn forget_read(&mut self) {
        self.reads_into = Place::Nowhere;
    }

    /// Nothing that came, or will come, is of use.
    pub fn discard(&mut self) {
        self.start = self.end;
    }

    /// The bytes at a place of this side.
    pub fn buffered(&self, start: usize, length: usize) -> &[u8] {
        self.buffer.get(start..start + length).unwrap_or_default()
    }

    /// The same, to write there.
    pub fn buffered_mut(&mut self, start: usize, length: usize) -> &mut [u8] {
        self.buffer.get_mut(start..start + length).unwrap_or_default()
    }
}

fn delivered(item: Item, place: impl FnOnce(usize) -> Place) -> Option<Delivery> {
    match item {
        Item::Piece(piece @ Piece { length, .. }) => Some(Delivery { piece: Some(piece), place: place(length) }),
        _ => None,
    }
}

#[cold]
fn no_memory(count: usize) -> Error {
    Error::new(Status::NotEnoughMemory, format!("there is no memory to receive {count} bytes"))
}
