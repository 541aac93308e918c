//! The key log: written where the environment says, and only if the program asked for it.

use std::fs;
use std::process::Command;

use crate::certificates::Authority;
use crate::pair::{meet, owning, trusting};

const NAME: &str = "key_log::keys_are_written_only_when_they_are_asked_for";

/// rustls reads the environment, so this test runs itself once more, in one of its own.
#[test]
fn keys_are_written_only_when_they_are_asked_for() {
    if std::env::var_os("WS101_TEST_KEY_LOG").is_some() {
        return with_and_without();
    }
    let file = std::env::temp_dir().join(format!("ws101-key-log-{}", std::process::id()));
    let this = std::env::current_exe().unwrap();
    let mut child = Command::new(this);
    child.args(["--exact", NAME]).env("WS101_TEST_KEY_LOG", "1").env("SSLKEYLOGFILE", &file);
    assert!(child.output().unwrap().status.success());
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    // Of one connection of the two, by one of its sides.
    assert_eq!(text.lines().filter(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")).count(), 1, "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("SERVER_TRAFFIC_SECRET_0 ")).count(), 1, "{text}");
}

fn with_and_without() {
    let authority = Authority::new("ca");
    let server = owning(&authority.issue(&["a.example"]));
    let mut client = trusting(&authority);
    assert!(meet(&client, &server, "a.example").client.is_ok());
    client.key_log = true;
    assert!(meet(&client, &server, "a.example").client.is_ok());
}
