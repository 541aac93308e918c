//! Whatever two correct programs do, over whatever network: every message arrives, in order, and the connection ends clean.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use ws101::protocol::deflate::{Agreed, IS_BUILT, Parameters};

#[derive(Clone, Debug)]
enum Step {
    /// `length` more bytes of the open message, or of a new one of this kind.
    Send {
        role: Role,
        kind: MessageKind,
        length: usize,
        ends_message: bool,
    },
    Ping {
        role: Role,
        length: usize,
    },
    Pass {
        milliseconds: u64,
    },
    /// The network takes nothing from this side until time passes again.
    Hold {
        role: Role,
    },
    Close {
        role: Role,
        status: u16,
    },
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(MessageKind::Text), Just(MessageKind::Binary)];
    let length = prop_oneof![4 => 0..10usize, 2 => 100..300usize, 1 => 65_530..65_545usize];
    prop_oneof![
        10 => (role(), kind, length, any::<bool>())
            .prop_map(|(role, kind, length, ends_message)| Step::Send { role, kind, length, ends_message }),
        4 => (role(), 0..=125usize).prop_map(|(role, length)| Step::Ping { role, length }),
        4 => prop_oneof![0..20u64, Just(31_000)].prop_map(|milliseconds| Step::Pass { milliseconds }),
        1 => role().prop_map(|role| Step::Hold { role }),
        1 => (role(), prop_oneof![Just(1000u16), Just(1005), 3000..5000u16]).prop_map(|(role, status)| Step::Close { role, status }),
    ]
}

/// What both sides have agreed on, if they have: every window, level and threshold.
fn compression() -> impl Strategy<Value = Option<[Agreed; 2]>> {
    let parameters = (any::<bool>(), any::<bool>(), 8..=15u8, 8..=15u8).prop_map(|(client, server, client_bits, server_bits)| Parameters {
        client_no_context_takeover: client,
        server_no_context_takeover: server,
        client_max_window_bits: client_bits,
        server_max_window_bits: server_bits,
    });
    let choices = (parameters, 1..=9u8, prop_oneof![Just(0u32), Just(7), Just(200)]);
    let both = choices.prop_map(|(parameters, level, threshold)| ROLES.map(|role| Agreed { parameters, role, level, threshold }));
    prop::option::of(both).prop_map(|agreed| agreed.filter(|_| IS_BUILT))
}

/// What one program has sent so far.
#[derive(Default)]
struct Said {
    messages: Vec<Heard>,
    pings: Vec<Vec<u8>>,
    open: Option<(MessageKind, Vec<u8>)>,
    has_closed: bool,
}

/// The next fragment: of text, bytes that go on with what was sent, cut anywhere, but whole at the end of the message.
fn fragment(kind: MessageKind, start: usize, length: usize, ends_message: bool) -> Vec<u8> {
    const TEXT: &[u8] = "aé€𝄞κόσμε".as_bytes();
    let byte = |index: usize| TEXT[index % TEXT.len()];
    let mut bytes: Vec<u8> = (start..start + length).map(byte).collect();
    if ends_message && kind == MessageKind::Text {
        bytes.extend((start + length..).map(byte).take_while(|byte| byte & 0xC0 == 0x80));
    }
    bytes
}

fn say(pair: &mut Pair, said: &mut Said, step: &Step) {
    match *step {
        Step::Send { role, kind, length, ends_message } => {
            let (open_kind, sent) = said.open.clone().unwrap_or((kind, Vec::new()));
            let bytes = fragment(kind, sent.len(), length, ends_message);
            let may_send = pair.side(role).endpoint.lifecycle().may_send();
            match pair.send(role, kind, ends_message, &bytes) {
                Err(error) if !may_send => assert_eq!(error.status(), Status::InvalidOperation),
                Err(error) => {
                    assert_ne!(kind, open_kind, "{error}");
                    assert_eq!(error.status(), Status::InvalidParameter);
                }
                Ok(()) => {
                    assert!(may_send && kind == open_kind);
                    let message = [sent, bytes].concat();
                    said.open = if ends_message { None } else { Some((kind, message.clone())) };
                    if ends_message {
                        said.messages.push(if kind == MessageKind::Text { Heard::Text(message) } else { Heard::Binary(message) });
                    }
                }
            }
        }
        Step::Ping { role, length } => {
            let payload = vec![said.pings.len() as u8; length];
            let may_ping = !pair.side(role).endpoint.lifecycle().has_sent_close();
            assert_eq!(pair.ping(role, &payload).is_ok(), may_ping);
            if may_ping {
                said.pings.push(payload);
            }
        }
        Step::Pass { milliseconds } => {
            pair.client.can_send = true;
            pair.server.can_send = true;
            pair.run_until(pair.now + Duration::from_millis(milliseconds));
        }
        Step::Hold { role } => pair.side(role).can_send = false,
        Step::Close { role, status } => {
            let frame = if status == 1005 { CloseFrame::empty() } else { close_frame(status, "as the script has it") };
            let may_close = !pair.side(role).endpoint.lifecycle().has_sent_close();
            assert_eq!(pair.close(role, frame).is_ok(), may_close);
            said.has_closed |= may_close;
        }
    }
}

fn role_of(step: &Step) -> Role {
    match *step {
        Step::Send { role, .. } | Step::Ping { role, .. } | Step::Hold { role } | Step::Close { role, .. } => role,
        Step::Pass { .. } => Role::Client,
    }
}

fn controls(heard: &[Heard], wanted: impl Fn(&Heard) -> Option<&Vec<u8>>) -> Vec<Vec<u8>> {
    heard.iter().filter_map(wanted).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_arrive_in_order_and_whole_and_the_connection_ends_clean(
        seed: u64,
        compression in compression(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let [client, server] = compression.map_or([None; 2], |both| both.map(Some));
        let kept_alive =
            Settings { keepalive_interval: seconds(30), keepalive_timeout: seconds(20), compression: client, ..Settings::default() };
        let mut pair = Pair::new(seed, kept_alive, Settings { compression: server, ..Settings::default() });
        let (mut client, mut server) = (Said::default(), Said::default());
        for step in &steps {
            say(&mut pair, if role_of(step) == Role::Client { &mut client } else { &mut server }, step);
            prop_assert!(is_correct(&pair));
        }
        if !client.has_closed && !server.has_closed {
            say(&mut pair, &mut client, &Step::Close { role: Role::Client, status: 1000 });
        }
        say(&mut pair, &mut client, &Step::Pass { milliseconds: 0 });

        prop_assert!(is_correct(&pair), "{:?} {:?}", pair.client.violation, pair.server.violation);
        for (said, from, to) in [(&client, &pair.client, &pair.server), (&server, &pair.server, &pair.client)] {
            prop_assert!(from.endpoint.lifecycle().is_closed() && from.endpoint.outgoing().is_empty() && from.lost_at.is_none());
            prop_assert_eq!(&to.messages(), &said.messages);
            prop_assert_eq!(&to.begun, &said.open.as_ref().map_or(Vec::new(), |(_, bytes)| bytes.clone()), "what was begun arrived too");
            // Keep-alive asks with empty pings of its own.
            let pings = controls(&to.heard, |heard| match heard { Heard::Ping(payload) => Some(payload), _ => None });
            let own = |pings: &[Vec<u8>]| pings.iter().filter(|payload| !payload.is_empty()).cloned().collect::<Vec<_>>();
            prop_assert_eq!(own(&pings), own(&said.pings));
            let pongs = controls(&from.heard, |heard| match heard { Heard::Pong(payload) => Some(payload), _ => None });
            prop_assert!(pings.starts_with(&pongs), "every pong answers its ping, until the close frame");
            prop_assert!(matches!(to.heard.last(), Some(Heard::Close(..))), "nothing comes after the close frame");
        }
    }
}
