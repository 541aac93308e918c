//! Whom a client trusts: the system, or given CAs; what of their verdict is forgiven; and which keys the server must have.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::hash::Hash;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

/// What is forgiven, each under a name that says danger: bits of `WS_OPTION_TLS_DANGER`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Danger(pub u32);

impl Danger {
    /// A CA that nobody knows, or a certificate that is its own issuer.
    pub fn any_issuer(self) -> bool {
        self.0 & 1 != 0
    }

    /// Another host's certificate.
    pub fn any_name(self) -> bool {
        self.0 & 2 != 0
    }

    /// A certificate that has expired, or is not valid yet.
    pub fn any_date(self) -> bool {
        self.0 & 4 != 0
    }
}

/// The verdict on a server's certificate.
pub struct Trust {
    /// By the rules, without anything forgiven.
    pub strict: Arc<dyn ServerCertVerifier>,
    /// Certificates that the program named itself: one of them may be the server's own, whoever issued it.
    pub named: Vec<CertificateDer<'static>>,
    /// SHA-256 of the public keys of which the server must have one; empty = any.
    pub pins: Vec<[u8; 32]>,
    /// What is forgiven.
    pub danger: Danger,
    /// SHA-256.
    pub sha256: &'static dyn Hash,
}

/// The server has none of the keys that it must have.
#[derive(Debug)]
pub struct PinMissing {
    key: String,
}

impl fmt::Display for PinMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's key is not among the pinned ones: it has sha256//{}", self.key)
    }
}

impl std::error::Error for PinMissing {}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("pins", &self.pins.len()).field("danger", &self.danger).finish_non_exhaustive()
    }
}

impl Trust {
    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut time = now;
        // Every turn forgives one date, and a chain has few.
        for _ in 0..8 {
            let Err(error) = self.strict.verify_server_cert(certificate, chain, name, ocsp, time) else { return Ok(()) };
            let Error::InvalidCertificate(reason) = &error else { return Err(error) };
            match reason {
                CertificateError::ExpiredContext { not_after, .. } if self.danger.any_date() && time != *not_after => time = *not_after,
                CertificateError::NotValidYetContext { not_before, .. } if self.danger.any_date() && time != *not_before => {
                    time = *not_before
                }
                // The name is looked at last: all the rest was in order.
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } if self.danger.any_name() => {
                    return Ok(());
                }
                // The issuer is looked at after the certificate's own dates and uses, which were in order, and before the name.
                _ if is_about_issuer(reason) && (self.danger.any_issuer() || self.named.contains(certificate)) => {
                    return if self.danger.any_name() {
                        Ok(())
                    } else {
                        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
                    };
                }
                // Signed by another CA of the same name: one that was made anew, as a rule.
                CertificateError::BadSignature => return Err(CertificateError::UnknownIssuer.into()),
                _ => return Err(error),
            }
        }
        Err(CertificateError::Expired.into())
    }

    fn check_pin(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.pins.is_empty() {
            return Ok(());
        }
        let certificate = ParsedCertificate::try_from(certificate)?;
        let hash = self.sha256.hash(&certificate.subject_public_key_info());
        if self.pins.iter().any(|pin| pin == hash.as_ref()) {
            return Ok(());
        }
        let missing = PinMissing { key: BASE64.encode(hash) };
        Err(CertificateError::Other(OtherError(Arc::new(missing))).into())
    }
}

/// Whether the verdict is about who issued the certificate: nobody known, or, as is common where people try things out, itself.
fn is_about_issuer(reason: &CertificateError) -> bool {
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => true,
        CertificateError::Other(other) => matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity)),
        _ => false,
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, server_name, ocsp_response, now)?;
        self.check_pin(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
