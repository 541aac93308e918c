//! Certificates and keys as programs have them: PEM, one or several, in one text or two.
//!
//! Which certificate belongs to which key is seen from the keys themselves, so the order in a file does not matter, except that a chain stands
//! behind its own certificate. Out of scope: files (the border reads them), and whom to trust.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::error::{Error, Phase, Result, Status};

/// The certificates in a text; 87 if there is none, or one that cannot be read.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let refused = |message: String| Error::new(Status::InvalidParameter, message);
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| refused(format!("the certificates cannot be read: {error}")))?;
    if found.is_empty() {
        return Err(refused("there is no certificate (-----BEGIN CERTIFICATE-----) in the PEM".to_owned()));
    }
    Ok(found)
}

/// Whether a text has certificates in it that can be used.
pub fn check_certificates(pem: &[u8]) -> Result<()> {
    for (index, certificate) in certificates(pem)?.iter().enumerate() {
        ParsedCertificate::try_from(certificate).map_err(|error| {
            Error::new(Status::InvalidParameter, format!("certificate {} of the PEM cannot be used: {error}", index + 1))
        })?;
    }
    Ok(())
}

fn keys(pem: &[u8]) -> Result<Vec<PrivateKeyDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> = PrivateKeyDer::pem_slice_iter(pem).collect();
    // Never the text itself.
    found.map_err(|_| Error::new(Status::InvalidParameter, "the private key cannot be read: its PEM is damaged"))
}

/// Whether a text has a private key in it that can be used.
pub fn check_key(pem: &[u8]) -> Result<()> {
    let refused = |message: &'static str| Err(Error::new(Status::InvalidParameter, message));
    if pem.windows(9).any(|window| window == b"ENCRYPTED") {
        return refused("the private key is encrypted with a password; write it without one (openssl pkey -in KEY -out PLAIN)");
    }
    let keys = keys(pem)?;
    if keys.is_empty() {
        return refused("there is no private key (-----BEGIN PRIVATE KEY-----) in the PEM");
    }
    let provider = super::config::provider();
    if keys.into_iter().any(|key| provider.key_provider.load_private_key(key).is_err()) {
        return refused("the private key is of no kind that can be used (RSA of 2048 bits or more, ECDSA P-256 or P-384, Ed25519)");
    }
    Ok(())
}

/// The own certificates, each with its chain and key. Keys may stand in either text.
pub fn own(certificates_pem: &[u8], key_pem: Option<&[u8]>, provider: &CryptoProvider) -> Result<Vec<Arc<CertifiedKey>>> {
    let refused = |message: String| Error::new(Status::CertInvalid, message).in_phase(Phase::Tls);
    let certificates = certificates(certificates_pem)?;
    let mut signing: Vec<Arc<dyn SigningKey>> = Vec::new();
    for key in keys(key_pem.unwrap_or(certificates_pem))? {
        let key = provider.key_provider.load_private_key(key).map_err(|_| refused("the private key cannot be used".to_owned()))?;
        signing.push(key);
    }
    let mut found: Vec<CertifiedKey> = Vec::new();
    for certificate in certificates {
        let own = signing.iter().find(|key| has_key(&certificate, key));
        match (own, found.last_mut()) {
            (Some(key), _) => found.push(CertifiedKey::new(vec![certificate], Arc::clone(key))),
            (None, Some(last)) => last.cert.push(certificate),
            (None, None) => {
                let what = if signing.is_empty() { "there is no private key" } else { "the private key is another one's" };
                return Err(refused(format!("{what}: the first certificate must have its key")));
            }
        }
    }
    Ok(found.into_iter().map(Arc::new).collect())
}

fn has_key(certificate: &CertificateDer<'_>, key: &Arc<dyn SigningKey>) -> bool {
    let Ok(certificate) = ParsedCertificate::try_from(certificate) else { return false };
    key.public_key().is_some_and(|public| public == certificate.subject_public_key_info())
}

/// A server's certificates: the one for the name that a client asks for, else the first.
#[derive(Debug)]
pub struct ByName(pub Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |own: &&Arc<CertifiedKey>| own.key.choose_scheme(client_hello.signature_schemes()).is_some();
        if let [only] = &self.0[..] {
            return Some(Arc::clone(only));
        }
        let name = client_hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let is_for = |own: &&Arc<CertifiedKey>| {
            let certificate = own.cert.first().and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
            name.as_ref().zip(certificate).is_some_and(|(name, certificate)| verify_server_name(&certificate, name).is_ok())
        };
        let own = self.0.iter().filter(fits).find(is_for).or_else(|| self.0.iter().find(fits)).or_else(|| self.0.first());
        own.map(Arc::clone)
    }
}

/// `sha256//` and the base64 of 32 bytes, as curl and browsers write it; one slash will do.
pub fn pin(text: &str) -> Option<[u8; 32]> {
    let hash = text.strip_prefix("sha256/")?;
    BASE64.decode(hash.strip_prefix('/').unwrap_or(hash)).ok()?.try_into().ok()
}

/// Whether a text is a pin.
pub fn is_pin(text: &str) -> bool {
    pin(text).is_some()
}
