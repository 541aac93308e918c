//! Keep-alive: when a silent peer is asked, and when it is given up. The clock is virtual.

use std::time::Duration;

use super::*;
use ws101::protocol::Endpoint;

const KEPT_ALIVE: Settings = Settings {
    limits: ws101::protocol::Limits { max_message: u64::MAX, max_fragments: u32::MAX },
    manual_close: false,
    check_sent_text: true,
    keepalive_interval: Some(Duration::from_secs(30)),
    keepalive_timeout: Some(Duration::from_secs(20)),
    compression: None,
};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn instant(role: Role, settings: Settings) -> Pair {
    match role {
        Role::Client => Pair::instant(settings, Settings::default()),
        Role::Server => Pair::instant(Settings::default(), settings),
    }
}

fn pings_of(pair: &mut Pair, role: Role) -> usize {
    frames_of(&pair.side(role).wire).iter().filter(|(first, ..)| *first == 0x89).count()
}

#[test]
fn a_peer_that_answers_is_asked_again_and_again_and_never_lost() {
    for role in ROLES {
        let mut pair = instant(role, KEPT_ALIVE);
        for (until, pings) in [(29, 0), (30, 1), (59, 1), (60, 2), (3000, 100)] {
            pair.run_until(at(until));
            assert_eq!(pings_of(&mut pair, role), pings, "after {until} seconds");
        }
        assert_eq!(pair.side(role).lost_at, None);
        assert_eq!(pair.side(role).heard, vec![Heard::Pong(vec![]); 100]);
    }
}

#[test]
fn a_silent_peer_is_asked_once_and_lost_when_it_does_not_answer() {
    for role in ROLES {
        let mut pair = instant(role, KEPT_ALIVE);
        pair.side(role).can_receive = false;
        pair.run_until(at(49));
        assert_eq!((pings_of(&mut pair, role), pair.side(role).lost_at), (1, None));
        pair.run_until(at(300));
        assert_eq!((pings_of(&mut pair, role), pair.side(role).lost_at), (1, Some(at(50))));
    }
}

#[test]
fn an_answer_in_the_last_moment_saves_the_peer() {
    let mut pair = instant(Role::Client, KEPT_ALIVE);
    pair.client.can_receive = false;
    pair.run_until(at(50) - Duration::from_millis(1));
    pair.client.can_receive = true;
    pair.run_until(at(79));
    assert_eq!((pings_of(&mut pair, Role::Client), pair.client.lost_at), (1, None));
    pair.run_until(at(80));
    assert_eq!(pings_of(&mut pair, Role::Client), 2, "30 seconds after the answer");
}

#[test]
fn a_ping_that_cannot_leave_does_not_count() {
    for role in ROLES {
        let mut pair = instant(role, KEPT_ALIVE);
        pair.side(role).can_receive = false;
        pair.side(role).can_send = false;
        pair.run_until(at(200));
        assert_eq!((pings_of(&mut pair, role), pair.side(role).lost_at), (0, None));
        pair.side(role).can_send = true;
        pair.run_until(at(219));
        assert_eq!((pings_of(&mut pair, role), pair.side(role).lost_at), (1, None));
        pair.run_until(at(220));
        assert_eq!(pair.side(role).lost_at, Some(at(220)));
    }
}

#[test]
fn a_ping_has_left_with_its_last_byte_behind_what_waited_before_it() {
    let mut endpoint = Endpoint::new(Role::Client, KEPT_ALIVE, at(0));
    let mut keys = || [1, 2, 3, 4];
    endpoint.send(MessageKind::Binary, true, &[0; 1000], &mut keys).unwrap();
    assert_eq!(endpoint.step(at(30), &mut keys).unwrap(), None, "no clock runs while the ping waits");
    endpoint.send(MessageKind::Binary, true, b"behind it", &mut keys).unwrap();
    let ping_end = 8 + 1000 + 6;
    endpoint.sent(500, at(31));
    endpoint.sent(ping_end - 501, at(32));
    assert_eq!(endpoint.step(at(100), &mut keys).unwrap(), None, "its last byte waits");
    endpoint.sent(1, at(101));
    assert_eq!(endpoint.step(at(101), &mut keys).unwrap(), Some(at(121)));
    assert_status(endpoint.step(at(121), &mut keys), Status::PeerLost);
}

#[test]
fn any_byte_is_life_even_of_an_unfinished_frame() {
    for role in ROLES {
        let mut pair = instant(role, KEPT_ALIVE);
        let header = frame_to(role, 0x82, &[0; 125]);
        for (index, byte) in header.iter().take(100).enumerate() {
            pair.run_until(at(25 * (index as u64 + 1)));
            pair.inject(role, &[*byte]);
        }
        assert_eq!((pings_of(&mut pair, role), pair.side(role).lost_at), (0, None));
    }
}

#[test]
fn both_clocks_can_be_off() {
    let mut pair = instant(Role::Client, Settings { keepalive_interval: None, ..KEPT_ALIVE });
    pair.client.can_receive = false;
    pair.run_until(at(10_000));
    assert_eq!((pings_of(&mut pair, Role::Client), pair.client.lost_at), (0, None));

    let mut pair = instant(Role::Client, Settings { keepalive_timeout: None, ..KEPT_ALIVE });
    pair.client.can_receive = false;
    pair.run_until(at(10_000));
    assert_eq!((pings_of(&mut pair, Role::Client), pair.client.lost_at), (1, None));
}

#[test]
fn both_sides_may_ask() {
    for seed in 0..10 {
        let mut pair = Pair::new(seed, KEPT_ALIVE, KEPT_ALIVE);
        pair.run_until(at(1000));
        assert_eq!((pair.client.lost_at, pair.server.lost_at), (None, None));
        assert!(pings_of(&mut pair, Role::Client) + pings_of(&mut pair, Role::Server) >= 32, "somebody asked every 30 seconds");
    }
}

#[test]
fn after_its_own_close_frame_a_side_asks_nothing() {
    let mut pair = instant(Role::Client, KEPT_ALIVE);
    pair.client.can_receive = false;
    pair.close(Role::Client, close_frame(1000, "")).unwrap();
    pair.run_until(at(1000));
    assert_eq!((pings_of(&mut pair, Role::Client), pair.client.lost_at), (0, None));
}

#[test]
fn after_the_peers_close_frame_nobody_is_lost_while_the_program_thinks() {
    for role in ROLES {
        let mut pair = instant(role, Settings { manual_close: true, ..KEPT_ALIVE });
        pair.close(other(role), close_frame(1000, "")).unwrap();
        pair.run_until(at(1000));
        // The peer may not answer a ping any more, and no byte of it would be looked at.
        assert_eq!((pings_of(&mut pair, role), pair.side(role).lost_at), (0, None));
        pair.close(role, close_frame(1000, "")).unwrap();
        pair.run();
        assert!(pair.side(other(role)).endpoint.lifecycle().is_closed());
    }
}
