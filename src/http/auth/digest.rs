//! The Digest scheme, RFC 7616: a proof that the password is known, over the method, the target and two nonces.
//!
//! In scope: MD5 and SHA-256, each also as `-sess`; quality `auth`, or none as in RFC 2069. Out of scope: `auth-int` (an upgrade has no body)
//! and SHA-512/256, which nobody offers alone.

use super::{Challenge, Credentials};
use md5::Digest as _;

/// A challenge that can be answered, again and again.
#[derive(Clone, Debug)]
pub(super) struct Digest {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// As the challenge wrote it; a server may compare it.
    algorithm_name: Option<String>,
    is_session: bool,
    has_quality: bool,
    hashes_user: bool,
    /// How often this nonce was used.
    count: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        fn hex(bytes: &[u8]) -> String {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        match self {
            Algorithm::Md5 => hex(&md5::Md5::digest(text.as_bytes())),
            Algorithm::Sha256 => hex(&sha2::Sha256::digest(text.as_bytes())),
        }
    }
}

impl Digest {
    /// The challenge, if it is one of Digest and of a kind that is known here.
    pub(super) fn of(challenge: &Challenge) -> Option<Digest> {
        if !challenge.is("Digest") {
            return None;
        }
        let text = |name| challenge.parameter(name).map(str::to_owned);
        let algorithm_name = text("algorithm");
        let lower = algorithm_name.as_deref().unwrap_or("MD5").to_ascii_lowercase();
        let (name, is_session) = lower.strip_suffix("-sess").map_or((lower.as_str(), false), |name| (name, true));
        let algorithm = match name {
            "md5" => Algorithm::Md5,
            "sha-256" => Algorithm::Sha256,
            _ => return None,
        };
        let has_quality = match challenge.parameter("qop") {
            None => false,
            Some(list) if list.split(',').any(|quality| quality.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None,
        };
        let hashes_user = challenge.parameter("userhash").is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
        let (realm, nonce, opaque) = (text("realm")?, text("nonce")?, text("opaque"));
        Some(Digest { realm, nonce, opaque, algorithm, algorithm_name, is_session, has_quality, hashes_user, count: 0 })
    }

    /// How good it is beside others.
    pub(super) fn strength(&self) -> impl Ord + use<> {
        self.algorithm
    }

    /// The value of the header.
    pub(super) fn answer(&mut self, credentials: &Credentials, method: &str, target: &str, client_nonce: &[u8; 16]) -> String {
        self.count += 1;
        let client_nonce: String = client_nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let count = format!("{:08x}", self.count);
        let response = self.response(credentials, method, target, &client_nonce, &count);
        let user = match self.hashes_user {
            true => self.algorithm.hash(&format!("{}:{}", credentials.user, self.realm)),
            false => credentials.user.clone(),
        };
        let mut value = format!("Digest username={}, realm={}", quoted(&user), quoted(&self.realm));
        let mut add = |text: String| value.push_str(&format!(", {text}"));
        add(format!("nonce={}", quoted(&self.nonce)));
        add(format!("uri={}", quoted(target)));
        if let Some(name) = &self.algorithm_name {
            add(format!("algorithm={name}"));
        }
        add(format!("response=\"{response}\""));
        if let Some(opaque) = &self.opaque {
            add(format!("opaque={}", quoted(opaque)));
        }
        if self.has_quality {
            add(format!("qop=auth, nc={count}"));
        }
        if self.has_quality || self.is_session {
            add(format!("cnonce=\"{client_nonce}\""));
        }
        if self.hashes_user {
            add("userhash=true".to_owned());
        }
        value
    }

    /// RFC 7616 §3.4.1.
    fn response(&self, credentials: &Credentials, method: &str, target: &str, client_nonce: &str, count: &str) -> String {
        let hash = |text: String| self.algorithm.hash(&text);
        let nonce = &self.nonce;
        let mut secret = hash(format!("{}:{}:{}", credentials.user, self.realm, credentials.password));
        if self.is_session {
            secret = hash(format!("{secret}:{nonce}:{client_nonce}"));
        }
        let request = hash(format!("{method}:{target}"));
        match self.has_quality {
            true => hash(format!("{secret}:{nonce}:{count}:{client_nonce}:auth:{request}")),
            false => hash(format!("{secret}:{nonce}:{request}")),
        }
    }
}

/// RFC 9110 §5.6.4.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::super::{Scheme, challenges};
    use super::*;

    fn digest(text: &str) -> Option<Digest> {
        Digest::of(challenges(text).first()?)
    }

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials { scheme: Scheme::Digest, user: user.into(), password: password.into() }
    }

    const CHALLENGE: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

    #[test]
    fn the_examples_of_rfc_7616() {
        let mufasa = credentials("Mufasa", "Circle of Life");
        let client_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, expected) in
            [("MD5", "8ca523f5e9506fed4657c9700eebdbec"), ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1")]
        {
            let digest = digest(&format!("{CHALLENGE}, algorithm={algorithm}")).unwrap();
            assert_eq!(digest.response(&mufasa, "GET", "/dir/index.html", client_nonce, "00000001"), expected);
        }
    }

    #[test]
    fn the_example_of_rfc_2069_has_no_quality() {
        // As corrected by erratum 749.
        let digest = digest("Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", algorithm=md5").unwrap();
        let response = digest.response(&credentials("Mufasa", "CircleOfLife"), "GET", "/dir/index.html", "", "");
        assert_eq!(response, "1949323746fe6a43ef61f9606e7febea");
    }

    #[test]
    fn the_answer_names_what_was_asked_and_counts() {
        let mut digest = digest(&format!("{CHALLENGE}, algorithm=SHA-256-sess")).unwrap();
        let user = credentials("a \"b\" \\", "x");
        let first = digest.answer(&user, "CONNECT", "h:443", &[0xab; 16]);
        for part in [
            "Digest username=\"a \\\"b\\\" \\\\\", realm=\"http-auth@example.org\", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\"",
            ", uri=\"h:443\", algorithm=SHA-256-sess, response=\"",
            ", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", qop=auth, nc=00000001, cnonce=\"abababababababababababababababab\"",
        ] {
            assert!(first.contains(part), "{first}");
        }
        let second = digest.answer(&user, "CONNECT", "h:443", &[0xcd; 16]);
        assert!(second.contains("nc=00000002"), "{second}");
    }

    #[test]
    fn a_user_may_be_hashed() {
        let mut digest = digest("Digest realm=\"r\", nonce=\"n\", userhash=true, qop=auth").unwrap();
        let answer = digest.answer(&credentials("secret name", "x"), "GET", "/", &[0; 16]);
        assert!(!answer.contains("secret name") && answer.ends_with(", userhash=true"), "{answer}");
    }

    #[test]
    fn what_is_not_known_is_not_answered() {
        for text in [
            "Basic realm=\"r\", nonce=\"n\"",
            "Digest realm=\"r\"",
            "Digest nonce=\"n\"",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256",
        ] {
            assert!(digest(text).is_none(), "{text}");
        }
    }
}
