//! What an answer leads to: the end, or another round with credentials or at another place.
//!
//! In scope: 401 and 407, redirects and what they may not do, and errors that say all that a program can act on. Out of scope: making the
//! request of the next round (`stages`).

use std::time::Duration;

use super::stages::{Asking, Begin, Refused, Stage};
use super::{Moved, Opening, Peer, Reply};
use crate::error::{Error, Phase, Result, Status};
use crate::http::auth::{Advice, Authenticator};
use crate::http::date::retry_after_ms;
use crate::http::head::status_with_phrase;
use crate::http::{Headers, ResponseHead, write_request};

/// What no other server may learn than the one that the program meant.
const ONLY_FOR_ONE_SERVER: [&str; 3] = ["Authorization", "Cookie", "Host"];

impl Opening {
    pub(super) fn server_answered(&mut self, asking: Asking, head: ResponseHead, now: Duration) -> Result<Moved> {
        match head.status {
            101 => Ok(self.done(asking, head, Vec::new(), false)),
            401 => {
                let advice = self.authenticator.challenged(head.headers.values("WWW-Authenticate"));
                let tries_again = advice == Advice::TryAgain && (self.dials || keeps_alive(&head));
                Ok(Opening::refused(asking, head, tries_again, advice == Advice::Rejected, now))
            }
            301 | 302 | 303 | 307 | 308 if self.options.redirects > 0 && self.dials && head.headers.has("Location") => {
                self.redirect(&head)?;
                Ok(Moved::To(Stage::Start(Begin::Dial)))
            }
            _ => Ok(Opening::refused(asking, head, false, false, now)),
        }
    }

    pub(super) fn proxy_answered(&mut self, asking: Asking, head: ResponseHead, now: Duration) -> Result<Moved> {
        if (200..300).contains(&head.status) {
            let Asking { ask, stream, exchange, .. } = asking;
            // Neither HTTP nor TLS lets a server speak first: what is here is not the server's.
            if !exchange.into_rest().is_empty() {
                return Err(self.proxy_error("sent bytes behind its answer to CONNECT".to_owned()));
            }
            return self.secured(ask, stream);
        }
        if head.status == 407 {
            let advice = self.proxy_authenticator.challenged(head.headers.values("Proxy-Authenticate"));
            return Ok(Opening::refused(asking, head, advice == Advice::TryAgain, advice == Advice::Rejected, now));
        }
        let sentence = format!("answered CONNECT {} with {}", self.url.authority(), status_with_phrase(head.status));
        Err(self.with_answer(self.proxy_error(sentence), &head))
    }

    /// All of an answer that is no 101 has come, or as much as there will be.
    pub(super) fn body_read(&mut self, refused: Refused, now: Duration) -> Result<Moved> {
        let Refused { asking, head, body, tries_again, is_rejected, .. } = refused;
        if !tries_again {
            return Ok(self.done(asking, head, body.into_content(), is_rejected));
        }
        let is_kept = keeps_alive(&head) && body.has_ended_exactly();
        match asking.exchange.peer() {
            Peer::Proxy if is_kept => self.ask_proxy(asking.ask, asking.stream, true).map(Moved::To),
            Peer::Proxy => self.reach(asking.ask, now),
            _ if is_kept => Ok(Moved::To(Stage::Start(Begin::Kept(asking.stream)))),
            _ if self.dials => Ok(Moved::To(Stage::Start(Begin::Dial))),
            _ => Ok(self.done(asking, head, body.into_content(), false)),
        }
    }

    /// Turns to where the answer points.
    fn redirect(&mut self, head: &ResponseHead) -> Result<()> {
        let from = self.url.without_query();
        let refused = |sentence: String| {
            Error::new(Status::RedirectFailed, sentence).in_phase(Phase::Http).with_http_status(head.status).with_retryable(false)
        };
        let most = self.options.redirects;
        if self.redirects == most {
            return Err(refused(format!("{from} redirects after {most} redirects, which is the limit")));
        }
        let location = head.headers.get("Location", 0).map(String::from_utf8_lossy).unwrap_or_default();
        let to = self.url.join(&location).map_err(|error| refused(format!("{from} redirects, but {error}")))?;
        if self.url.is_secure() && !to.is_secure() {
            return Err(refused(format!("{from} redirects to {}, which is not secure", to.without_query())));
        }
        log::info!("{from}: answered {}, going on to {}", head.status, to.without_query());
        self.redirects += 1;
        if self.url.is_same_server(&to) {
            self.authenticator = Authenticator::new(self.credentials.clone());
        } else {
            self.is_elsewhere = true;
            self.credentials.clear();
            self.authenticator = Authenticator::default();
            self.headers = without(&self.headers, &ONLY_FOR_ONE_SERVER);
        }
        self.url = to;
        Ok(())
    }

    fn done(&self, asking: Asking, head: ResponseHead, body: Vec<u8>, is_rejected: bool) -> Moved {
        let Asking { ask, stream, exchange, .. } = asking;
        let address = |address: std::io::Result<String>| address.unwrap_or_else(|_| self.url.authority());
        let (remote_address, local_address) = (address(stream.remote_address()), address(stream.local_address()));
        let verdict = match (exchange.peer(), head.status) {
            (Peer::Proxy, _) => Err(self.proxy_wants_login(&head, is_rejected)),
            (_, 401) if is_rejected => {
                let sentence = format!("server answered {} to the credentials", status_with_phrase(head.status));
                Err(self.with_answer(Error::new(Status::LoginFailure, sentence).in_phase(Phase::Http), &head))
            }
            _ => {
                let verdict = ask.handshake.judge(head.status, head.minor_version, &head.headers);
                verdict.map_err(|refusal| self.with_answer(refusal.into(), &head))
            }
        };
        let request = write_request("GET", self.url.target(), ask.handshake.request_headers());
        let (url, early, security) = (self.url.clone(), exchange.into_rest(), stream.security());
        Moved::Done(Box::new(Reply { url, request, head, verdict, stream, early, body, remote_address, local_address, security }))
    }

    fn proxy_wants_login(&self, head: &ResponseHead, is_rejected: bool) -> Error {
        let status = status_with_phrase(head.status);
        let error = match is_rejected {
            true => Error::new(Status::LoginFailure, format!("the proxy {} answered {status} to the credentials", self.proxy_name())),
            false => self.proxy_error(format!("answered {status}, and there are no credentials for it")),
        };
        self.with_answer(error.in_phase(Phase::Proxy), head)
    }

    fn proxy_error(&self, what: String) -> Error {
        Error::new(Status::Proxy, format!("the proxy {} {what}", self.proxy_name())).in_phase(Phase::Proxy)
    }

    fn proxy_name(&self) -> String {
        self.proxy.as_ref().map(|proxy| proxy.authority()).unwrap_or_default()
    }

    /// An error with what the answer says about another attempt.
    fn with_answer(&self, error: Error, head: &ResponseHead) -> Error {
        let error = error.with_http_status(head.status);
        if head.status == 101 {
            return error;
        }
        let asked = head.headers.get_text("Retry-After", 0).and_then(|value| retry_after_ms(value, (self.sources.unix_time)()));
        // Those that pass: RFC 9110 §15.5.9, §15.6, RFC 8470 §5.2, RFC 6585 §4.
        let passes = matches!(head.status, 408 | 425 | 429 | 500 | 502 | 503 | 504);
        error.with_retryable(passes || asked.is_some()).with_retry_after_ms(asked.unwrap_or(0))
    }
}

/// Whether the peer goes on listening behind its answer, RFC 9112 §9.3.
fn keeps_alive(head: &ResponseHead) -> bool {
    let names = ["Connection", "Proxy-Connection"];
    head.minor_version >= 1 && !names.iter().any(|name| head.headers.has_token(name, "close"))
}

fn without(headers: &Headers, names: &[&str]) -> Headers {
    let mut kept = Headers::new();
    for (name, value) in headers.iter().filter(|(name, _)| !names.iter().any(|left_out| left_out.eq_ignore_ascii_case(name))) {
        kept.push(name, value).expect("it was a header before");
    }
    kept
}
