//! The bodies of the fuzz targets over pseudo-random inputs, so that they never rot; `scripts/fuzz` runs them for real.

#[path = "../fuzz/src/lib.rs"]
mod bodies;

/// Bytes that follow from a seed, half of them from the few that matter to the target.
fn bytes(seed: u64, telling: &[u8]) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as usize
    };
    let length = next() % 200;
    (0..length).map(|_| if next() % 2 == 0 { telling[next() % telling.len()] } else { next() as u8 }).collect()
}

#[test]
fn the_decoder_says_what_the_model_says() {
    let telling = [0x7E, 0xFE, 0x7F, 0xFF, 0x80, 0x81, 0x01, 0x00, 0x02, 0x82, 0x88, 0x89, 0x8A, 0x00, 0x03, 0xE2, b'a'];
    for seed in 0..20_000 {
        bodies::frames::run(&bytes(seed, &telling));
    }
}

#[test]
fn sessions_hear_what_reached_them() {
    let telling = [0x00, 0x30, 0x80, 0xB0, 0x06, 0x86, 0x07, 0x87, 0x08, 0x09, 0x8A, 0x0C, 0x01, 0x02, 0x03];
    for seed in 0..5_000 {
        bodies::sessions::run(&bytes(seed, &telling));
    }
}

#[test]
#[cfg(feature = "tls")]
fn records_deliver_what_was_said() {
    let telling = [0x00, 0x80, 0x05, 0x85, 0xFF, 0x07, 0x87, 0x17, 0x97, 0x0B, 0x8B, 0x0C, 0x8C, 0x0D, 0x0E];
    for seed in 0..1_000 {
        bodies::records::run(&bytes(seed, &telling));
    }
}

/// A request, a response, header fields and a URL, each with a few bytes changed, cut out or doubled.
#[test]
fn heads_are_read_the_same_however_they_come() {
    const REQUEST: &[u8] = b"GET /chat?a=b HTTP/1.1\r\nHost: server.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: E4WSEcseoWr4csPLS2QJHA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: 7eQChgCtQMnVILefJAO6dK5JwPc=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n\x81\x00";
    const FIELDS: &[u8] = b"Host: a\nX-Empty:\nCookie:  a=b; c \t\nSet-Cookie: \xC3\xA9";
    const URL: &[u8] = b"wss://[2001:db8::1]:8443/a/b?c=%20d";
    let mut handshakes = [0; 4];
    for seed in 0..20_000 {
        let noise = bytes(seed, b" \t\r\n:/?#,;@[]");
        let mut text = [REQUEST, RESPONSE, FIELDS, URL][seed as usize % 4].to_vec();
        for change in noise.chunks_exact(3).take(seed as usize / 4 % 4) {
            let at = usize::from(change[0]) % text.len();
            match change[1] % 3 {
                0 => text[at] = change[2],
                1 => text.insert(at, change[2]),
                _ => drop(text.remove(at)),
            }
        }
        let head = [(seed % 4) as u8 | (seed >> 2) as u8 & 0xFC, noise.first().copied().unwrap_or(0), seed as u8, 1];
        handshakes[seed as usize % 4] += usize::from(bodies::heads::run(&[&head[..], &text].concat()));
    }
    // The judges of both sides were reached, and neither says yes to everything.
    assert!((500..4500).contains(&handshakes[0]) && (500..4500).contains(&handshakes[1]), "{handshakes:?}");
    assert_eq!(handshakes[2..], [0, 0]);
}
