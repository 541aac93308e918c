//! From options to what rustls needs: made once, and shared by all connections that have the same options.

use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::{Hash, HashAlgorithm};
use rustls::pki_types::{Der, TrustAnchor};
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, KeyLogFile, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion};

use super::certificates::{ByName, certificates, own, pin};
use super::reasons;
use super::trust::{Danger, Trust};
use crate::error::{Error, Phase, Result, Status};
use crate::options::TlsOptions;
use crate::sync::Mutex;

/// The only protocol that is spoken inside (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// How many sets of options a session keeps ready for each side.
const KEPT: usize = 8;

/// What a client's handshake needs.
#[derive(Clone, Debug)]
pub struct ClientConfig(Arc<rustls::ClientConfig>);

/// What a server's handshake needs.
#[derive(Clone, Debug)]
pub struct ServerConfig(Arc<rustls::ServerConfig>);

impl ClientConfig {
    /// Trust, certificates and versions as the options say; without a CA of the program's, the system's.
    pub fn new(options: &TlsOptions) -> Result<ClientConfig> {
        let provider = Arc::new(provider());
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions(options))
            .map_err(|error| reasons::of_setup(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust(options, &provider)?));
        let own = own_certificates(options, &provider)?.into_iter().next();
        let mut config = match own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::in_memory_sessions(256);
        if options.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(ClientConfig(Arc::new(config)))
    }

    pub(super) fn rustls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.0)
    }
}

impl ServerConfig {
    /// Certificates, the CAs of clients, and versions as the options say; 12044 without a certificate.
    pub fn new(options: &TlsOptions) -> Result<ServerConfig> {
        let provider = Arc::new(provider());
        let own = own_certificates(options, &provider)?;
        if own.is_empty() {
            let message = "wss needs a certificate: set WS_OPTION_TLS_CERTIFICATE and WS_OPTION_TLS_KEY";
            return Err(Error::new(Status::CertInvalid, message).in_phase(Phase::Tls));
        }
        let verifier = match &options.client_ca {
            Some(pem) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), Arc::clone(&provider)).build();
                verifier.map_err(|error| Error::new(Status::CertInvalid, format!("the CAs of clients: {error}")).in_phase(Phase::Tls))?
            }
            None => Arc::new(NoClientAuth),
        };
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(options))
            .map_err(|error| reasons::of_setup(&error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(ByName(own)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Sealed tickets instead of memory: a server holds nothing for clients that are gone.
        config.ticketer = ticketer()?;
        if options.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(ServerConfig(Arc::new(config)))
    }

    pub(super) fn rustls(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.0)
    }
}

/// The configurations of a session. Whoever has the same options shares one, and with it the sessions that can be resumed.
#[derive(Debug, Default)]
pub struct Configurations {
    clients: Mutex<Vec<(Arc<TlsOptions>, ClientConfig)>>,
    servers: Mutex<Vec<(Arc<TlsOptions>, ServerConfig)>>,
}

impl Configurations {
    /// A client's configuration for these options.
    pub fn client(&self, options: &Arc<TlsOptions>) -> Result<ClientConfig> {
        shared(&self.clients, options, ClientConfig::new)
    }

    /// A server's.
    pub fn server(&self, options: &Arc<TlsOptions>) -> Result<ServerConfig> {
        shared(&self.servers, options, ServerConfig::new)
    }
}

fn shared<C: Clone>(
    kept: &Mutex<Vec<(Arc<TlsOptions>, C)>>,
    options: &Arc<TlsOptions>,
    make: impl FnOnce(&TlsOptions) -> Result<C>,
) -> Result<C> {
    let find = |kept: &[(Arc<TlsOptions>, C)]| {
        let found = kept.iter().find(|(known, _)| Arc::ptr_eq(known, options) || known == options);
        found.map(|(_, config)| config.clone())
    };
    if let Some(config) = find(&kept.lock()) {
        return Ok(config);
    }
    // Without the lock: the system's CAs come from files.
    let config = make(options)?;
    let mut kept = kept.lock();
    if let Some(config) = find(&kept) {
        return Ok(config);
    }
    if kept.len() == KEPT {
        kept.remove(0);
    }
    kept.push((Arc::clone(options), config.clone()));
    Ok(config)
}

#[cfg(not(feature = "aws-lc-rs"))]
use rustls::crypto::ring as cryptography;

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as cryptography;

/// The cryptography, with AES-128 before AES-256: as good for as long as anybody can tell, and a quarter faster.
pub fn provider() -> CryptoProvider {
    let mut provider = cryptography::default_provider();
    let is_fast = |suite: CipherSuite| suite.as_str().is_some_and(|name| name.contains("AES_128"));
    // Nine of them, so four passes are enough; a sort that keeps the order of equals is more code than all of this file.
    let suites = std::mem::take(&mut provider.cipher_suites);
    for (is_newest, has_aes_128) in [(true, true), (true, false), (false, true), (false, false)] {
        let is_next = |suite: &&SupportedCipherSuite| suite.tls13().is_some() == is_newest && is_fast(suite.suite()) == has_aes_128;
        provider.cipher_suites.extend(suites.iter().filter(is_next));
    }
    provider
}

fn ticketer() -> Result<Arc<dyn rustls::server::ProducesTickets>> {
    cryptography::Ticketer::new().map_err(|error| reasons::of_setup(&error))
}

fn sha256(provider: &CryptoProvider) -> Result<&'static dyn Hash> {
    let mut hashes = provider.cipher_suites.iter().filter_map(SupportedCipherSuite::tls13).map(|suite| suite.common.hash_provider);
    let found = hashes.find(|hash| hash.algorithm() == HashAlgorithm::SHA256);
    found.ok_or_else(|| Error::new(Status::Tls, "the cryptography has no SHA-256").in_phase(Phase::Tls))
}

fn versions(options: &TlsOptions) -> &'static [&'static SupportedProtocolVersion] {
    const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    if options.min_version >= 13 { &BOTH[..1] } else { BOTH }
}

fn own_certificates(options: &TlsOptions, provider: &CryptoProvider) -> Result<Vec<Arc<rustls::sign::CertifiedKey>>> {
    match &options.certificate {
        Some(pem) => own(pem, options.key.as_deref(), provider),
        None => Ok(Vec::new()),
    }
}

fn trust(options: &TlsOptions, provider: &Arc<CryptoProvider>) -> Result<Trust> {
    let (strict, named) = match &options.ca {
        Some(pem) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(pem)?), Arc::clone(provider)).build();
            let verifier = verifier.map_err(|error| Error::new(Status::CertInvalid, format!("the CAs: {error}")).in_phase(Phase::Tls))?;
            (verifier as Arc<_>, certificates(pem)?)
        }
        None => (system(provider, Danger(options.danger))?, Vec::new()),
    };
    let pins = options.pins.iter().filter_map(|text| pin(text)).collect();
    Ok(Trust { strict, named, pins, danger: Danger(options.danger), sha256: sha256(provider)? })
}

/// The operating system's verdict. Where it has no certificates, and every issuer is forgiven anyway, none are needed.
fn system(provider: &Arc<CryptoProvider>, danger: Danger) -> Result<Arc<dyn rustls::client::danger::ServerCertVerifier>> {
    match rustls_platform_verifier::Verifier::new(Arc::clone(provider)) {
        Ok(verifier) => Ok(Arc::new(verifier)),
        Err(error) => {
            let message = format!("the system's trusted certificates: {error}; set WS_OPTION_TLS_CA");
            let error = Error::new(Status::CertUnknownIssuer, message).in_phase(Phase::Tls);
            if danger.any_issuer() { nobody(provider).ok_or(error) } else { Err(error) }
        }
    }
}

/// Verdicts by all the rules, with nobody trusted: what is left where every issuer is forgiven.
fn nobody(provider: &Arc<CryptoProvider>) -> Option<Arc<dyn rustls::client::danger::ServerCertVerifier>> {
    // rustls refuses an empty list; no certificate was issued by this name, which is no DER.
    let impossible =
        TrustAnchor { subject: Der::from_slice(b"\xff"), subject_public_key_info: Der::from_slice(b"\xff"), name_constraints: None };
    let roots = Arc::new(RootCertStore { roots: vec![impossible] });
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build().ok()?;
    Some(verifier)
}

fn roots(pem: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| reasons::of_setup(&error))?;
    }
    Ok(roots)
}
