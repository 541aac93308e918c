//! What a failure of TLS means to a program: one of our numbers, and a sentence that names the reason.

use std::fmt::Write as _;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage, OtherError};

use super::records::Records;
use super::trust::PinMissing;
use crate::error::{Error, Phase, Status};

/// The failure of a connection. `peer` is what a client calls its server; empty for a server.
pub fn of(error: &TlsError, records: &Records, peer: &str) -> Error {
    let is_client = records.is_client();
    let in_handshake = records.state().is_handshaking();
    let (status, message) = match error {
        TlsError::InvalidCertificate(error) => of_certificate(error, if is_client { peer } else { "a client" }),
        TlsError::NoCertificatesPresented if is_client => (Status::CertInvalid, format!("{peer} showed no certificate")),
        TlsError::NoCertificatesPresented => {
            (Status::ClientCertNeeded, "the client showed no certificate, and one is asked for".to_owned())
        }
        TlsError::AlertReceived(alert) => of_alert(*alert, is_client),
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) if in_handshake => not_tls(is_client),
        TlsError::PeerIncompatible(_)
        | TlsError::PeerMisbehaved(_)
        | TlsError::InvalidMessage(_)
        | TlsError::InappropriateMessage { .. }
        | TlsError::InappropriateHandshakeMessage { .. }
        | TlsError::PeerSentOversizedRecord
        | TlsError::DecryptError
        | TlsError::NoApplicationProtocol => (Status::TlsChannel, format!("TLS with {}: {error}", who(is_client, peer))),
        _ => (Status::Tls, format!("TLS with {}: {error}", who(is_client, peer))),
    };
    let error = Error::new(status, message);
    if in_handshake { error.in_phase(Phase::Tls) } else { error.with_close_status(1006) }
}

/// The failure of a configuration, before there is a connection.
pub fn of_setup(error: &TlsError) -> Error {
    let status = match error {
        TlsError::InvalidCertificate(_) | TlsError::InconsistentKeys(_) => Status::CertInvalid,
        _ => Status::Tls,
    };
    Error::new(status, format!("TLS cannot be set up: {error}")).in_phase(Phase::Tls)
}

fn who(is_client: bool, peer: &str) -> &str {
    if is_client { peer } else { "a client" }
}

fn not_tls(is_client: bool) -> (Status, String) {
    let message = if is_client {
        "the server does not speak TLS on this port: is it ws://?"
    } else {
        "the client does not speak TLS: did it mean wss://?"
    };
    (Status::TlsChannel, message.to_owned())
}

fn of_certificate(error: &CertificateError, whose: &str) -> (Status, String) {
    let certificate = format!("the certificate of {whose}");
    match error {
        CertificateError::Expired => (Status::CertDateInvalid, format!("{certificate} has expired")),
        CertificateError::ExpiredContext { not_after, .. } => {
            (Status::CertDateInvalid, format!("{certificate}: certificate expired {}", date(*not_after)))
        }
        CertificateError::NotValidYet => (Status::CertDateInvalid, format!("{certificate} is not valid yet")),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (Status::CertDateInvalid, format!("{certificate}: certificate not valid before {}", date(*not_before)))
        }
        CertificateError::NotValidForName => (Status::CertNameInvalid, format!("{certificate} is for another name")),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let name = expected.to_str();
            if presented.is_empty() {
                let why = "the certificate names no host (a common name does not count)";
                return (Status::CertNameInvalid, format!("{why}, so it is not valid for {name}"));
            }
            let names: Vec<String> = presented.iter().map(|name| plain_name(name)).collect();
            (Status::CertNameInvalid, format!("the certificate is valid for [{}], not for {name}", names.join(", ")))
        }
        CertificateError::UnknownIssuer => {
            let why = "self-signed, signed by a CA that is not trusted, or sent without its intermediate certificates";
            (Status::CertUnknownIssuer, format!("{certificate} has an unknown issuer: {why}"))
        }
        CertificateError::Revoked => (Status::CertRevoked, format!("{certificate} was revoked")),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            (Status::CertInvalid, format!("{certificate} is for another use: {error}"))
        }
        CertificateError::Other(other) => of_other_certificate(other, &certificate),
        _ => (Status::CertInvalid, format!("{certificate} is not valid: {error}")),
    }
}

fn of_other_certificate(error: &OtherError, certificate: &str) -> (Status, String) {
    if let Some(missing) = error.0.downcast_ref::<PinMissing>() {
        return (Status::CertRevoked, missing.to_string());
    }
    if let Some(webpki::Error::CaUsedAsEndEntity) = error.0.downcast_ref::<webpki::Error>() {
        let message = format!("{certificate} is a CA's own (self-signed?), or the chain does not begin with the server's");
        return (Status::CertInvalid, message);
    }
    (Status::CertInvalid, format!("{certificate} is not valid: {}", error.0))
}

/// rustls tells names as `DnsName("a.example")`.
fn plain_name(presented: &str) -> String {
    match presented.split_once('(') {
        Some((_, rest)) => rest.trim_end_matches(')').trim_matches('"').to_owned(),
        None => presented.to_owned(),
    }
}

fn of_alert(alert: AlertDescription, is_client: bool) -> (Status, String) {
    let name = alert.as_str().map_or_else(|| format!("{alert:?}"), spaced);
    let status = match alert {
        AlertDescription::CertificateRequired if is_client => {
            return (Status::ClientCertNeeded, format!("handshake alert: {name}: the server asks for a client certificate"));
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            Status::TlsChannel
        }
        AlertDescription::UnexpectedMessage | AlertDescription::BadRecordMac | AlertDescription::DecodeError => Status::TlsChannel,
        AlertDescription::IllegalParameter | AlertDescription::NoApplicationProtocol | AlertDescription::RecordOverflow => {
            Status::TlsChannel
        }
        _ => Status::Tls,
    };
    let whose = if is_client { "the server's" } else { "the client's" };
    (status, format!("handshake alert: {name} ({whose})"))
}

/// `CertificateRequired` → "certificate required".
fn spaced(name: &str) -> String {
    let mut text = String::new();
    let mut last_is_small = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && last_is_small {
            text.push(' ');
        }
        last_is_small = letter.is_ascii_lowercase();
        text.push(if last_is_small || name.len() < 4 { letter } else { letter.to_ascii_lowercase() });
    }
    text
}

/// `2026-01-03`; with the time of day if it is not midnight.
fn date(time: UnixTime) -> String {
    let (days, seconds) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    let (year, month, day) = civil(days as i64);
    let mut text = format!("{year:04}-{month:02}-{day:02}");
    if seconds > 0 {
        let _ = write!(text, " {:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    text
}

/// Year, month and day of a number of days since 1970, by eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_read_as_people_write_them() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (1_767_398_400, "2026-01-03"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(UnixTime::since_unix_epoch(Duration::from_secs(seconds))), text);
        }
    }

    #[test]
    fn alerts_are_words() {
        assert_eq!(spaced("CertificateRequired"), "certificate required");
        assert_eq!(spaced("UnknownCA"), "unknown ca");
        assert_eq!(spaced("UnexpectedMessage"), "unexpected message");
    }

    #[test]
    fn names_lose_their_dress() {
        assert_eq!(plain_name("DnsName(\"a.example\")"), "a.example");
        assert_eq!(plain_name("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(plain_name("plain"), "plain");
    }
}
