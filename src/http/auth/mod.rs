//! Answering 401 and 407 with user name and password, RFC 9110 §11.
//!
//! In scope: which challenge is answered, with Basic (RFC 7617) or Digest (RFC 7616), and when to stop. Out of scope: whose challenge it is,
//! and sending the answer. Randomness is an argument.

mod challenge;
mod digest;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use challenge::{Challenge, challenges};
use digest::Digest;

/// How credentials may be used. The numbers are WinHTTP's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// The password goes over the wire as it is.
    Basic = 1,
    /// A proof that the password is known.
    Digest = 8,
}

/// A user's name and password for one scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// What they may be used for.
    pub scheme: Scheme,
    /// The name.
    pub user: String,
    /// The password; never shown.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.scheme)
    }
}

/// How often a fresh nonce is answered: who calls every one of them stale never accepts any.
const MOST_STALE_NONCES: u32 = 2;

/// One side of a conversation with somebody who asks for credentials: a server or a proxy.
#[derive(Clone, Debug, Default)]
pub struct Authenticator {
    credentials: Vec<Credentials>,
    chosen: Option<Chosen>,
    /// The last request had an answer in it.
    has_answered: bool,
    stale_nonces: u32,
}

#[derive(Clone, Debug)]
enum Chosen {
    Basic(Credentials),
    Digest(Credentials, Digest),
}

/// What to do after a 401 or 407.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// The same request again, with what [`Authenticator::answer`] gives.
    TryAgain,
    /// There are no credentials for any of its challenges.
    NothingToAnswer,
    /// It has seen the credentials, and does not accept them.
    Rejected,
}

impl Authenticator {
    /// With these credentials, at most one for each scheme.
    pub fn new(credentials: Vec<Credentials>) -> Authenticator {
        Authenticator { credentials, ..Authenticator::default() }
    }

    /// Takes the values of `WWW-Authenticate` or `Proxy-Authenticate`.
    pub fn challenged<'v>(&mut self, values: impl Iterator<Item = &'v [u8]>) -> Advice {
        let challenges: Vec<Challenge> = values.filter_map(|value| std::str::from_utf8(value).ok()).flat_map(challenges).collect();
        let Some((chosen, is_stale)) = self.choose(&challenges) else {
            return if self.has_answered { Advice::Rejected } else { Advice::NothingToAnswer };
        };
        if self.has_answered {
            // RFC 7616 §3.3: the answer was right and only its nonce too old.
            if !is_stale || self.stale_nonces == MOST_STALE_NONCES {
                return Advice::Rejected;
            }
            self.stale_nonces += 1;
        }
        self.chosen = Some(chosen);
        Advice::TryAgain
    }

    /// The value of `Authorization` or `Proxy-Authorization`, once there was a challenge. `client_nonce` must be fresh.
    pub fn answer(&mut self, method: &str, target: &str, client_nonce: &[u8; 16]) -> Option<Vec<u8>> {
        self.has_answered = self.chosen.is_some();
        match self.chosen.as_mut()? {
            Chosen::Basic(Credentials { user, password, .. }) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))).into_bytes())
            }
            Chosen::Digest(credentials, digest) => Some(digest.answer(credentials, method, target, client_nonce).into_bytes()),
        }
    }

    /// The strongest challenge that there are credentials for, and whether it says that a nonce was stale.
    fn choose(&self, challenges: &[Challenge]) -> Option<(Chosen, bool)> {
        let credentials = |scheme| self.credentials.iter().find(|credentials| credentials.scheme == scheme).cloned();
        if let Some(credentials) = credentials(Scheme::Digest) {
            let digests = challenges.iter().filter_map(|challenge| Some((Digest::of(challenge)?, challenge)));
            if let Some((digest, challenge)) = digests.max_by_key(|(digest, _)| digest.strength()) {
                let is_stale = challenge.parameter("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"));
                return Some((Chosen::Digest(credentials, digest), is_stale));
            }
        }
        let basic = credentials(Scheme::Basic)?;
        challenges.iter().any(|challenge| challenge.is("Basic")).then_some((Chosen::Basic(basic), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(scheme: Scheme) -> Credentials {
        Credentials { scheme, user: "Aladdin".into(), password: "open sesame".into() }
    }

    fn challenged(authenticator: &mut Authenticator, value: &str) -> Advice {
        authenticator.challenged([value.as_bytes()].into_iter())
    }

    #[test]
    fn basic_is_the_example_of_the_rfc() {
        let mut asked = Authenticator::new(vec![known(Scheme::Basic)]);
        assert_eq!(asked.answer("GET", "/", &[0; 16]), None, "nothing before a challenge");
        assert_eq!(challenged(&mut asked, "Basic realm=\"WallyWorld\", charset=\"UTF-8\""), Advice::TryAgain);
        assert_eq!(asked.answer("GET", "/", &[0; 16]).unwrap(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(challenged(&mut asked, "Basic realm=\"WallyWorld\""), Advice::Rejected);
    }

    #[test]
    fn the_strongest_challenge_is_answered_and_only_with_credentials_for_it() {
        let offers = "Basic realm=\"x\", Digest realm=\"x\", nonce=\"n\", qop=\"auth\", Negotiate, \
                      Digest realm=\"x\", nonce=\"n\", algorithm=SHA-256, qop=\"auth-int, auth\"";
        let mut both = Authenticator::new(vec![known(Scheme::Basic), known(Scheme::Digest)]);
        assert_eq!(challenged(&mut both, offers), Advice::TryAgain);
        let answer = String::from_utf8(both.answer("GET", "/", &[0; 16]).unwrap()).unwrap();
        assert!(answer.starts_with("Digest ") && answer.contains("algorithm=SHA-256"), "{answer}");
        let mut basic = Authenticator::new(vec![known(Scheme::Basic)]);
        assert_eq!(challenged(&mut basic, offers), Advice::TryAgain);
        assert!(basic.answer("GET", "/", &[0; 16]).unwrap().starts_with(b"Basic "));
        let mut digest = Authenticator::new(vec![known(Scheme::Digest)]);
        assert_eq!(challenged(&mut digest, "Basic realm=\"x\""), Advice::NothingToAnswer);
        assert_eq!(
            challenged(&mut digest, "Digest realm=\"x\", nonce=\"n\", algorithm=SHA-512-256, qop=\"auth\""),
            Advice::NothingToAnswer
        );
        assert_eq!(challenged(&mut Authenticator::default(), offers), Advice::NothingToAnswer);
    }

    #[test]
    fn a_stale_nonce_is_replaced_but_not_for_ever() {
        let challenge = |nonce: u32, stale: &str| format!("Digest realm=\"x\", nonce=\"{nonce}\", qop=\"auth\"{stale}");
        let mut asked = Authenticator::new(vec![known(Scheme::Digest)]);
        assert_eq!(challenged(&mut asked, &challenge(1, "")), Advice::TryAgain);
        for nonce in 2..4 {
            assert!(asked.answer("GET", "/", &[0; 16]).is_some());
            assert_eq!(challenged(&mut asked, &challenge(nonce, ", stale=TRUE")), Advice::TryAgain);
        }
        assert!(String::from_utf8(asked.answer("GET", "/", &[0; 16]).unwrap()).unwrap().contains("nonce=\"3\""));
        assert_eq!(challenged(&mut asked, &challenge(4, ", stale=true")), Advice::Rejected);
        let mut wrong = Authenticator::new(vec![known(Scheme::Digest)]);
        assert_eq!(challenged(&mut wrong, &challenge(1, ", stale=true")), Advice::TryAgain);
        assert!(wrong.answer("GET", "/", &[0; 16]).is_some());
        assert_eq!(challenged(&mut wrong, &challenge(2, ", stale=false")), Advice::Rejected);
    }

    #[test]
    fn a_password_is_never_shown() {
        assert!(!format!("{:?}", Authenticator::new(vec![known(Scheme::Digest)])).contains("sesame"));
    }
}
