//! What a program chooses about TLS. Kept behind an `Arc` of its own: who shares it also shares what was made of it.

use std::fmt;
use std::sync::Arc;

/// Trust, own certificates and versions. All of it as the program gave it; PEM is a text with any number of certificates or keys.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// The only CAs that a client trusts, PEM; `None` = those of the system.
    pub ca: Option<Arc<[u8]>>,
    /// The own certificate and its chain, PEM; of a server possibly several.
    pub certificate: Option<Arc<[u8]>>,
    /// Its private key, PEM; `None` = in the same text.
    pub key: Option<Arc<[u8]>>,
    /// The CAs of clients, PEM: then every client must show a certificate.
    pub client_ca: Option<Arc<[u8]>>,
    /// `sha256//…`: keys of which a server must have one.
    pub pins: Vec<String>,
    /// What is forgiven a server. Bits: 1 an unknown issuer, 2 another name, 4 a wrong date.
    pub danger: u32,
    /// 12 or 13.
    pub min_version: u32,
    /// Keys are written to the file that SSLKEYLOGFILE names.
    pub key_log: bool,
}

impl Default for TlsOptions {
    fn default() -> TlsOptions {
        TlsOptions { ca: None, certificate: None, key: None, client_ca: None, pins: Vec::new(), danger: 0, min_version: 12, key_log: false }
    }
}

impl fmt::Debug for TlsOptions {
    /// Whether, not what: keys have no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("ca", &self.ca.is_some())
            .field("certificate", &self.certificate.is_some())
            .field("key", &self.key.is_some())
            .field("client_ca", &self.client_ca.is_some())
            .field("pins", &self.pins)
            .field("danger", &self.danger)
            .field("min_version", &self.min_version)
            .field("key_log", &self.key_log)
            .finish()
    }
}
