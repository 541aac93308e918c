//! The opening handshake of a component: as bytes of HTTP/1.1, or as lists of headers for a program that has its own HTTP.
//!
//! In scope: the order of its steps. Out of scope: the rules (`handshake`), and heads as bytes (`http`).

use std::sync::Arc;

use super::{Component, Surroundings};
use crate::error::{Error, Phase, Result, Status};
use crate::http::{HeadError, HeadReader, Headers, Limits, RequestHead, ResponseHead, reason_phrase, write_request, write_response};
use crate::options::Options;
use crate::protocol::Role;
use crate::protocol::deflate::{self, Parameters, Preferences};
use crate::protocol::handshake::{Acceptance, Agreement, ClientHandshake, Key, Offer, ServerPolicy, ServerRefusal, Verdict, judge_request};
use crate::protocol::url::{Url, origin_form};

/// Interim responses that are skipped, as the sockets do.
const MAX_INTERIM: u32 = 10;

/// How far the handshake is.
#[derive(Debug, Default)]
pub(super) enum Opening {
    #[default]
    Fresh,
    /// A client has asked.
    Response(Box<Asked>),
    /// A server listens.
    Request(Box<HeadReader>),
    /// A server has the request, and the program decides; `None` = it does not ask for a WebSocket.
    Judged(Option<Acceptance>),
    /// A client has given out its headers.
    ClientListed(Box<ClientHandshake>),
    /// A server has given out its headers.
    ServerListed,
    /// A server's answer other than 101 is on its way.
    Refusing,
    Open,
    Failed,
}

#[derive(Debug)]
pub(super) struct Asked {
    handshake: ClientHandshake,
    reader: HeadReader,
    interim: u32,
}

impl Opening {
    pub fn is_open(&self) -> bool {
        matches!(self, Opening::Open)
    }

    /// Whether bytes of it come or go.
    pub fn is_under_way(&self) -> bool {
        matches!(self, Opening::Response(_) | Opening::Request(_) | Opening::Refusing)
    }

    pub fn is_refusing(&self) -> bool {
        matches!(self, Opening::Refusing)
    }
}

/// What the peer said in the handshake.
#[derive(Clone, Debug)]
pub struct PeerHead {
    /// Of an answer; 0 of a request.
    pub status: u16,
    /// Of a request.
    pub method: String,
    /// Of a request: path and query.
    pub target: String,
    /// All of them, in order.
    pub headers: Arc<Headers>,
    /// Whether a request asks for a WebSocket, validly.
    pub is_websocket: bool,
}

impl Component {
    // ---- as bytes -----------------------------------------------------------------------------------------------------------------------

    /// A client asks. `nonce` must be unpredictable; `headers` are the program's.
    pub fn begin_client(&mut self, url: &Url, nonce: [u8; 16], headers: &Headers, options: &Options) -> Result<()> {
        self.check_fresh(Role::Client)?;
        let compression = Preferences::of(&options.compression, Role::Client).map(deflate::offer);
        let offer = Offer {
            url,
            subprotocols: &options.subprotocols,
            extensions: compression.as_deref(),
            user_agent: options.user_agent.as_deref(),
            headers,
        };
        let handshake = ClientHandshake::new(Key::from_nonce(nonce), &offer)?;
        self.sending.put_head(&write_request("GET", url.target(), handshake.request_headers()))?;
        self.agreed.url = url.to_string();
        self.opening = Opening::Response(Box::new(Asked { handshake, reader: HeadReader::new(limits(options)), interim: 0 }));
        Ok(())
    }

    /// A server listens.
    pub fn begin_server(&mut self, options: &Options) -> Result<()> {
        self.check_fresh(Role::Server)?;
        self.opening = Opening::Request(Box::new(HeadReader::new(limits(options))));
        Ok(())
    }

    /// A server opens the WebSocket that was asked for: the 101 goes first. `extra` are the program's headers.
    pub fn accept(&mut self, extra: &Headers) -> Result<()> {
        match &self.opening {
            Opening::Judged(Some(acceptance)) => {
                self.sending.put_head(&write_response(101, &acceptance.response_headers(extra), &[]))?;
                self.opening = Opening::Open;
                Ok(())
            }
            Opening::Judged(None) => Err(not_now("the request does not ask for a WebSocket")),
            _ => self.no_request(),
        }
    }

    /// A server answers with something else; afterwards the component ends. `headers` are all but `Content-Length`.
    pub fn respond(&mut self, status: u16, headers: &Headers, body: &[u8]) -> Result<()> {
        if !matches!(self.opening, Opening::Judged(_)) {
            return self.no_request();
        }
        self.sending.put_head(&write_response(status, headers, body))?;
        self.opening = Opening::Refusing;
        Ok(())
    }

    /// Reads what there is of the peer's head.
    pub(super) fn open(&mut self, around: &Surroundings<'_>) {
        if self.is_over || !self.opening.is_under_way() {
            return;
        }
        // A read that is under way may still write there.
        if self.under_way.has(super::Kind::NetworkReceive) {
            return;
        }
        self.wants_bytes = false;
        match &self.opening {
            Opening::Response(_) => self.read_response(around.options),
            Opening::Request(_) => self.read_request(around.options),
            _ => {}
        }
    }

    fn read_response(&mut self, options: &Options) {
        loop {
            let Opening::Response(asked) = &mut self.opening else { return };
            let found = match asked.reader.read_response(self.receiving.unused()) {
                Ok(found) => found,
                Err(error) => {
                    let error = Error::new(error.status(), format!("the server's response head: {error}")).in_phase(Phase::Http);
                    return self.end_opening(error);
                }
            };
            let Some((head, used)) = found else {
                self.wants_bytes = true;
                return;
            };
            self.receiving.consume(used);
            if head.is_interim() {
                asked.interim += 1;
                asked.reader = HeadReader::new(limits(options));
                if asked.interim <= MAX_INTERIM {
                    continue;
                }
                let message = format!("the server sent more than {MAX_INTERIM} interim responses");
                return self.end_opening(Error::new(Status::InvalidServerResponse, message).in_phase(Phase::Http));
            }
            return self.judge_response(head, options);
        }
    }

    fn judge_response(&mut self, head: ResponseHead, options: &Options) {
        let Opening::Response(asked) = &self.opening else { return };
        let verdict = asked.handshake.judge(head.status, head.minor_version, &head.headers);
        self.head = Some(PeerHead {
            status: head.status,
            method: String::new(),
            target: String::new(),
            headers: Arc::new(head.headers),
            is_websocket: verdict.is_ok(),
        });
        match verdict {
            Ok(agreement) => {
                self.agree(agreement, options);
                self.outcome = Some(Ok(()));
                self.opening = Opening::Open;
            }
            Err(refusal) => self.end_opening(refusal.into()),
        }
    }

    fn read_request(&mut self, options: &Options) {
        let Opening::Request(reader) = &mut self.opening else { return };
        match reader.read_request(self.receiving.unused()) {
            Ok(None) => self.wants_bytes = true,
            Ok(Some((head, used))) => {
                self.receiving.consume(used);
                self.judge_request(head, options);
            }
            Err(error) => self.refuse(of_head(&error)),
        }
    }

    fn judge_request(&mut self, head: RequestHead, options: &Options) {
        let policy = policy(options);
        let verdict = judge_request(&head.method, &head.target, head.minor_version, &head.headers, &policy);
        self.agreed.url = format!("ws://{}{}", head.headers.get_text("Host", 0).unwrap_or_default(), origin_form(&head.target));
        self.head = Some(PeerHead {
            status: 0,
            method: head.method,
            target: head.target,
            headers: Arc::new(head.headers),
            is_websocket: matches!(verdict, Verdict::Upgrade(_)),
        });
        let acceptance = match verdict {
            Verdict::Upgrade(acceptance) => Some(acceptance),
            Verdict::NotWebSocket => None,
            Verdict::Refuse(refusal) => return self.refuse(refusal),
        };
        if let Some(acceptance) = &acceptance {
            self.accepted(acceptance, options);
        }
        self.opening = Opening::Judged(acceptance);
        self.outcome = Some(Ok(()));
    }

    /// The answer to a request that breaks the rules; then the component ends.
    fn refuse(&mut self, refusal: ServerRefusal) {
        let answer = write_response(refusal.status, &refusal.headers, refusal.reason.as_bytes());
        let error = refused(&refusal);
        self.outcome = Some(Err(error.clone()));
        let sent = self.sending.put_head(&answer);
        self.fail(sent.err().unwrap_or(error));
        self.opening = Opening::Refusing;
    }

    /// The handshake has failed, and there is nothing to say to the peer.
    fn end_opening(&mut self, error: Error) {
        self.fail_opening(error.clone());
        self.lose(error);
    }

    /// If the handshake is under way, this is its outcome.
    pub(super) fn fail_opening(&mut self, error: Error) {
        if matches!(self.opening, Opening::Response(_) | Opening::Request(_)) {
            self.outcome = Some(Err(error));
            self.opening = Opening::Failed;
        }
    }

    // ---- as lists -----------------------------------------------------------------------------------------------------------------------

    /// The headers with which a client asks, beside its own `Host` and whatever else it sends.
    pub fn begin_client_list(&mut self, nonce: [u8; 16], options: &Options) -> Result<Headers> {
        self.check_fresh(Role::Client)?;
        let compression = Preferences::of(&options.compression, Role::Client).map(deflate::offer);
        let handshake = ClientHandshake::without_http(Key::from_nonce(nonce), &options.subprotocols, compression.as_deref())?;
        let headers = handshake.request_headers().clone();
        self.opening = Opening::ClientListed(Box::new(handshake));
        Ok(headers)
    }

    /// The answer to a client's headers, which came with 101: 12152 if it breaks the rules.
    pub fn end_client_list(&mut self, received: Headers, options: &Options) -> Result<()> {
        let Opening::ClientListed(handshake) = &self.opening else {
            return Err(not_now("the handshake was not begun with a list of headers, or is done"));
        };
        let agreement = handshake.judge(101, 1, &received)?;
        self.agree(agreement, options);
        let headers = Arc::new(received);
        self.head = Some(PeerHead { status: 101, method: String::new(), target: String::new(), headers, is_websocket: true });
        self.opening = Opening::Open;
        Ok(())
    }

    /// The headers with which a server answers 101, beside whatever else it sends: 13001 if the request breaks the rules, 12019 if it does not
    /// ask for a WebSocket.
    pub fn begin_server_list(&mut self, received: Headers, extra: &Headers, options: &Options) -> Result<Headers> {
        self.check_fresh(Role::Server)?;
        let policy = policy(options);
        // Method, target and version are the program's HTTP to judge.
        let acceptance = match judge_request("GET", "/", 1, &received, &policy) {
            Verdict::Upgrade(acceptance) => acceptance,
            Verdict::NotWebSocket => return Err(not_now("the request does not ask for a WebSocket")),
            Verdict::Refuse(refusal) => return Err(refused(&refusal)),
        };
        let headers = acceptance.response_headers(extra);
        self.accepted(&acceptance, options);
        let received = Arc::new(received);
        self.head = Some(PeerHead { status: 0, method: String::new(), target: String::new(), headers: received, is_websocket: true });
        self.opening = Opening::ServerListed;
        Ok(headers)
    }

    /// A server's answer is on its way.
    pub fn end_server_list(&mut self) -> Result<()> {
        if !matches!(self.opening, Opening::ServerListed) {
            return Err(not_now("the handshake was not begun with a list of headers, or is done"));
        }
        self.opening = Opening::Open;
        Ok(())
    }

    // ---- questions ----------------------------------------------------------------------------------------------------------------------

    /// What the peer said; 12019 before it has.
    pub fn peer_head(&self) -> Result<&PeerHead> {
        self.head.as_ref().ok_or_else(|| not_now("the peer's head has not come yet"))
    }

    /// The HTTP status of the answer to a client; 12019 before it has come, 12018 for a server.
    pub fn http_status(&self) -> Result<u16> {
        if self.role == Role::Server {
            return Err(Error::new(Status::IncorrectHandleType, "a client's end is needed, this is a server's"));
        }
        Ok(self.peer_head()?.status)
    }

    fn agree(&mut self, agreement: Agreement, options: &Options) {
        self.agreed.subprotocol = agreement.subprotocol;
        self.agreed.extensions = agreement.extensions;
        self.allow_compression(agreement.compression, options);
    }

    fn accepted(&mut self, acceptance: &Acceptance, options: &Options) {
        self.agreed.subprotocol = acceptance.subprotocol.clone();
        self.agreed.extensions = acceptance.extensions.clone();
        self.allow_compression(acceptance.compression, options);
    }

    fn allow_compression(&mut self, parameters: Option<Parameters>, options: &Options) {
        if let Some(parameters) = parameters {
            let agreed = deflate::Agreed::new(parameters, self.role, &options.compression);
            self.sending.allow_compression(agreed);
            self.receiving.allow_compression(agreed);
        }
    }

    fn check_fresh(&self, role: Role) -> Result<()> {
        if self.role != role {
            let own = if self.role == Role::Client { "a client" } else { "a server" };
            return Err(Error::new(Status::InvalidParameter, format!("this is {own}'s end")));
        }
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if matches!(self.opening, Opening::Fresh) { Ok(()) } else { Err(not_now("the handshake was begun already")) }
    }

    fn no_request(&self) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        Err(not_now(if self.role == Role::Client { "a client answers nothing" } else { "there is no request to answer" }))
    }
}

fn policy(options: &Options) -> ServerPolicy<'_> {
    let compression = Preferences::of(&options.compression, Role::Server);
    ServerPolicy { subprotocols: &options.subprotocols, origins: &options.origins, compression }
}

fn limits(options: &Options) -> Limits {
    Limits { max_size: options.max_head_size as usize, max_headers: options.max_headers as usize }
}

fn not_now(why: &'static str) -> Error {
    Error::new(Status::IncorrectHandleState, why).in_phase(Phase::Http)
}

fn of_head(error: &HeadError) -> ServerRefusal {
    ServerRefusal::plain(error.http_status(), error.to_string())
}

fn refused(refusal: &ServerRefusal) -> Error {
    let (status, reason) = (refusal.status, &refusal.reason);
    let message = format!("the request was answered {status} {}: {reason}", reason_phrase(status));
    Error::new(Status::UpgradeRefused, message).in_phase(Phase::Http).with_http_status(status)
}
