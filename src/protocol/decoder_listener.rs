//! What the decoder's tests listen with: frames written by hand, and a decoder with everything it has said.

use super::*;
use Heard::{Close, Data, Ping, Pong};

pub const SENDERS: [Role; 2] = [Role::Client, Role::Server];
const KEY: MaskingKey = [0x37, 0xFA, 0x21, 0x3D];

/// Which door takes the n-th step, bit by bit: never the second, always where it is open, in turns, in pairs.
pub const DOORS: [u32; 4] = [0, u32::MAX, 0xAAAA_AAAA, 0xCCCC_CCCC];

/// What came out, with neighbouring pieces of one message put together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Kind, bytes, and whether they end the message.
    Data(MessageKind, Vec<u8>, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Vec<u8>),
}

/// A frame whose length field has its shortest form.
pub fn frame(sender: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let (short, extended) = match payload.len() {
        length @ 0..=125 => (length as u8, vec![]),
        length @ 126..=0xFFFF => (126, (length as u16).to_be_bytes().to_vec()),
        length => (127, (length as u64).to_be_bytes().to_vec()),
    };
    raw_frame(sender, first, short, &extended, payload)
}

/// A frame whose length field is what it is.
pub fn raw_frame(sender: Role, first: u8, short: u8, extended: &[u8], payload: &[u8]) -> Vec<u8> {
    let is_masked = sender == Role::Client;
    let mut bytes = vec![first, short | if is_masked { 0x80 } else { 0 }];
    bytes.extend_from_slice(extended);
    if is_masked {
        bytes.extend_from_slice(&KEY);
        bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ KEY[index % 4]));
    } else {
        bytes.extend_from_slice(payload);
    }
    bytes
}

pub fn frames(sender: Role, frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| frame(sender, *first, payload)).collect()
}

/// A decoder with everything it has said.
pub struct Listener {
    pub decoder: Decoder,
    room: Vec<u8>,
    doors: u32,
    pub heard: Vec<Heard>,
    pub data_bytes: usize,
}

impl Listener {
    pub fn new(sender: Role, limits: Limits, room: usize, doors: u32) -> Listener {
        Listener { decoder: Decoder::new(sender, limits), room: vec![0; room], doors, heard: Vec::new(), data_bytes: 0 }
    }

    /// Takes all of `input`, or as much as comes before a violation.
    pub fn take(&mut self, mut input: &[u8]) -> Result<(), Violation> {
        loop {
            self.doors = self.doors.rotate_right(1);
            self.room.fill(0xEE);
            let direct = shorter(self.decoder.direct_room(), input.len()).min(self.room.len());
            if self.doors & 1 == 1 && direct > 0 {
                self.room[..direct].copy_from_slice(&input[..direct]);
                let piece = self.decoder.accept_direct(&mut self.room[..direct])?;
                assert_eq!(piece.length, direct, "the second door takes all it is given");
                self.hear_piece(piece);
                input = &input[direct..];
                continue;
            }
            let (used, item) = self.decoder.feed(input, &mut self.room)?;
            input = &input[used..];
            let payload = self.decoder.control_payload().to_vec();
            match item {
                Item::NeedBytes => {
                    assert!(input.is_empty(), "{} bytes were left over", input.len());
                    return Ok(());
                }
                Item::Piece(piece) => self.hear_piece(piece),
                Item::Ping => self.heard.push(Ping(payload)),
                Item::Pong => self.heard.push(Pong(payload)),
                Item::Close => self.heard.push(Close(payload)),
            }
        }
    }

    fn hear_piece(&mut self, piece: Piece) {
        assert_eq!(self.decoder.is_inside_message(), !piece.ends_message);
        assert!(self.room[piece.length..].iter().all(|&byte| byte == 0xEE), "written behind the piece");
        self.data_bytes += piece.length;
        let bytes = &self.room[..piece.length];
        match self.heard.last_mut() {
            Some(Data(kind, before, ended @ false)) => {
                assert_eq!(*kind, piece.kind, "the kind changed inside a message");
                before.extend_from_slice(bytes);
                *ended = piece.ends_message;
            }
            _ => self.heard.push(Data(piece.kind, bytes.to_vec(), piece.ends_message)),
        }
    }
}

/// Every way of cutting `wire` into at most two reads, and into single bytes.
fn cuts(wire: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut cuts: Vec<Vec<&[u8]>> = (0..=wire.len()).map(|at| vec![&wire[..at], &wire[at..]]).collect();
    cuts.push(wire.chunks(1).collect());
    cuts
}

/// Hears `wire` in every way there is.
pub fn check(what: &str, sender: Role, limits: Limits, wire: &[u8], expected: &[Heard], violation: Option<Violation>) {
    for cut in cuts(wire) {
        for room in [1, 2, 3, 1000] {
            for doors in DOORS {
                let mut listener = Listener::new(sender, limits, room, doors);
                let found = cut.iter().try_for_each(|part| listener.take(part)).err();
                let lengths = cut.iter().map(|part| part.len()).collect::<Vec<_>>();
                let how = format!("{what}, from {sender:?}, in reads of {lengths:?} with room for {room}, doors {doors:#x}");
                assert_eq!(found, violation, "{how}");
                // How much of a text is delivered before its first wrong byte depends on the reads.
                let is_text_cut = violation == Some(Violation::InvalidText);
                assert_eq!(settled(&listener.heard, is_text_cut), settled(expected, is_text_cut), "{how}");
            }
        }
    }
}

/// What was heard, without the message that a violation cut off.
fn settled(heard: &[Heard], is_text_cut: bool) -> &[Heard] {
    match heard {
        [before @ .., Data(_, _, false)] if is_text_cut => before,
        _ => heard,
    }
}
