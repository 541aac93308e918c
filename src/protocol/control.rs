//! The control frames that wait to be sent: at most one pong, one ping and one close frame.
//!
//! In scope: which goes next, and what its frame looks like. Out of scope: who sends it, and when a ping or close is due.

use super::{CloseFrame, FrameHeader, MAX_CONTROL_PAYLOAD, MAX_FRAME_HEADER, MaskingKey, Opcode};
use crate::bytes::mask;

/// A control frame as it goes on the wire.
#[derive(Clone, Copy, Debug)]
pub struct ControlFrame {
    bytes: [u8; MAX_FRAME_HEADER + MAX_CONTROL_PAYLOAD],
    length: u8,
    opcode: Opcode,
}

impl ControlFrame {
    fn new(opcode: Opcode, payload: &[u8], masking_key: Option<MaskingKey>) -> ControlFrame {
        let header = FrameHeader { fin: true, opcode, masking_key, length: payload.len() as u64 }.encode();
        let header = header.as_slice();
        let mut bytes = [0; MAX_FRAME_HEADER + MAX_CONTROL_PAYLOAD];
        let length = header.len() + payload.len();
        bytes[..header.len()].copy_from_slice(header);
        mask::copy(payload, &mut bytes[header.len()..length], masking_key.unwrap_or_default(), 0);
        ControlFrame { bytes, length: length as u8, opcode }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// What it is.
    pub fn opcode(&self) -> Opcode {
        self.opcode
    }
}

/// What waits. Nothing is allocated until something does.
#[derive(Debug, Default)]
pub struct Controls {
    pong: Option<Payload>,
    ping: Option<Payload>,
    close: Option<CloseFrame>,
}

/// At most 125 bytes; empty ones take no memory.
type Payload = Box<[u8]>;

impl Controls {
    /// Answers a ping. RFC 6455 §5.5.3: only the latest ping need be answered.
    pub fn put_pong(&mut self, payload: &[u8]) {
        self.pong = Some(clip(payload));
    }

    /// Asks for a pong; a ping that still waits is replaced.
    pub fn put_ping(&mut self, payload: &[u8]) {
        self.ping = Some(clip(payload));
    }

    /// The last frame of this side: it goes after the others, and nothing after it.
    pub fn put_close(&mut self, frame: CloseFrame) {
        self.close = Some(frame);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pong.is_none() && self.ping.is_none() && self.close.is_none()
    }

    /// Whether something waits that may go before data frames: anything but this side's close frame.
    pub fn is_urgent(&self) -> bool {
        self.pong.is_some() || self.ping.is_some()
    }

    /// Takes the next frame. `masking_key` is asked for a key once, and only for a frame; a server gives none.
    pub fn take(&mut self, masking_key: impl FnOnce() -> Option<MaskingKey>) -> Option<ControlFrame> {
        if let Some(payload) = self.pong.take() {
            return Some(ControlFrame::new(Opcode::Pong, &payload, masking_key()));
        }
        if let Some(payload) = self.ping.take() {
            return Some(ControlFrame::new(Opcode::Ping, &payload, masking_key()));
        }
        let close = self.close.take()?;
        let mut room = [0; MAX_CONTROL_PAYLOAD];
        let length = close.encode(&mut room);
        Some(ControlFrame::new(Opcode::Close, &room[..length], masking_key()))
    }
}

/// Control payloads come from the decoder or through the C border, both of which hold them to 125 bytes.
fn clip(payload: &[u8]) -> Payload {
    debug_assert!(payload.len() <= MAX_CONTROL_PAYLOAD);
    payload[..payload.len().min(MAX_CONTROL_PAYLOAD)].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::CloseStatus;

    #[test]
    fn only_the_latest_ping_is_answered_and_close_goes_last() {
        let mut controls = Controls::default();
        controls.put_close(CloseFrame::of(CloseStatus::NORMAL));
        controls.put_ping(b"are you there");
        controls.put_pong(b"first");
        controls.put_pong(b"second");
        let mut sent = Vec::new();
        while let Some(frame) = controls.take(|| None) {
            sent.push(frame.as_slice().to_vec());
        }
        assert_eq!(sent, [b"\x8a\x06second".to_vec(), b"\x89\x0dare you there".to_vec(), b"\x88\x02\x03\xe8".to_vec()]);
        assert!(controls.is_empty());
    }

    #[test]
    fn a_client_masks_the_payload() {
        let mut controls = Controls::default();
        controls.put_pong(&[7; MAX_CONTROL_PAYLOAD]);
        let frame = controls.take(|| Some([1, 2, 4, 8])).unwrap();
        assert_eq!(frame.as_slice()[..6], [0x8A, 0x80 | 125, 1, 2, 4, 8]);
        assert_eq!(frame.as_slice()[6..10], [7 ^ 1, 7 ^ 2, 7 ^ 4, 7 ^ 8]);
        assert_eq!(frame.as_slice().len(), 6 + MAX_CONTROL_PAYLOAD);
    }

    #[test]
    fn a_key_is_drawn_only_for_a_frame() {
        assert!(Controls::default().take(|| unreachable!("nothing waits")).is_none());
    }
}
