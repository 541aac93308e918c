//! Certificates for tests, made on the spot: nothing expires in the repository, and no private key lies in it.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Own {
    pub certificate: String,
    pub key: String,
}

/// A CA.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: String,
}

impl Authority {
    /// One that signs itself.
    pub fn new(name: &str) -> Authority {
        let (params, key) = (Authority::params(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// One below this one.
    pub fn intermediate(&self, name: &str) -> Authority {
        let (params, key) = (Authority::params(name), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    /// A certificate for these names (or addresses), changed as the test wants it.
    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Own {
        let key = KeyPair::generate().unwrap();
        let params = leaf(names, change);
        Own { certificate: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    /// A certificate for these names.
    pub fn issue(&self, names: &[&str]) -> Own {
        self.issue_with(names, |_| {})
    }
}

/// A certificate that is its own issuer.
pub fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Own {
    let key = KeyPair::generate().unwrap();
    Own { certificate: leaf(names, change).self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// Makes it one that has expired.
pub fn expired(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 3), date_time_ymd(2026, 1, 3));
}

/// Makes it one that is not valid yet.
pub fn not_yet_valid(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2090, 5, 1), date_time_ymd(2091, 5, 1));
}

/// Makes it one for clients.
pub fn of_client(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

fn leaf(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("nobody", String::as_str));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    params
}
