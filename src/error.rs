//! What can go wrong, in the numbers of the C API, and the sentence that says why.
//!
//! In scope: the status numbers, the phases, and [`Error`], which carries both with the reason.
//! Out of scope: who remembers the last error (that is `ffi`), and what led to it (every room writes its own sentence).

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use std::io;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Every status but `WS_OK`, with the number the C API gives it.
        ///
        /// Numbers below 13000 are Win32's and WinHTTP's and mean the same idea; from 13000 they are ours.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(i32)]
        #[non_exhaustive]
        pub enum Status { $($(#[$doc])* #[doc = $text] $name = $code,)* }

        impl Status {
            /// Every status, in the order of the numbers.
            pub const ALL: &[Status] = &[$(Status::$name,)*];

            /// One short sentence, without the details of a particular failure.
            pub const fn text(self) -> &'static str {
                match self { $(Status::$name => $text,)* }
            }

            /// The same, as the C string that `ws_status_string` hands out.
            pub const fn text_c(self) -> &'static CStr {
                match self { $(Status::$name => const {
                    match CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                        Ok(text) => text,
                        Err(_) => panic!("a status text contains NUL"),
                    }
                },)* }
            }
        }
    };
}

statuses! {
    InvalidHandle = 6, "the handle is not open";
    NotEnoughMemory = 8, "there is not enough memory";
    NotSupported = 50, "this is not supported by this build, or in this mode";
    InvalidParameter = 87, "a parameter is not valid";
    InsufficientBuffer = 122, "the buffer is too small";
    Pending = 997, "the operation goes on; an event will tell its end";
    InvalidOperation = 4317, "the operation is not possible in this state";
    Timeout = 12002, "the time limit was reached";
    Internal = 12004, "an internal error; please report it";
    InvalidUrl = 12005, "the URL is not valid";
    UnrecognizedScheme = 12006, "the URL's scheme is neither ws nor wss";
    NameNotResolved = 12007, "the host name could not be resolved";
    InvalidOption = 12009, "there is no such option";
    OptionNotSettable = 12011, "the option can only be queried";
    LoginFailure = 12015, "the credentials were not accepted";
    Cancelled = 12017, "the operation was cancelled";
    IncorrectHandleType = 12018, "the handle is of another kind";
    IncorrectHandleState = 12019, "the handle is not in the right state";
    CannotConnect = 12029, "no connection to the server could be made";
    Connection = 12030, "the connection was lost";
    CertDateInvalid = 12037, "the certificate is not valid at this date";
    CertNameInvalid = 12038, "the certificate is for another name";
    ClientCertNeeded = 12044, "the server asks for a client certificate";
    CertUnknownIssuer = 12045, "the certificate's issuer is not trusted";
    HeaderNotFound = 12150, "there is no such header";
    InvalidServerResponse = 12152, "the server's response is not valid";
    InvalidHeader = 12153, "the header is not valid";
    RedirectFailed = 12156, "the redirect was not followed";
    TlsChannel = 12157, "the secure channel failed";
    CertInvalid = 12169, "the certificate is not valid";
    CertRevoked = 12170, "the certificate is revoked, or not among the pinned ones";
    Tls = 12175, "TLS failed";
    HeaderCountExceeded = 12181, "the peer sent too many headers";
    HeaderSizeOverflow = 12182, "the peer's headers are too large";
    WouldBlock = 13000, "the send queue is full";
    UpgradeRefused = 13001, "the upgrade was refused";
    MessageTooBig = 13002, "the message is larger than the limit";
    Proxy = 13003, "the proxy failed";
    AddressInUse = 13004, "the address is in use";
    Forked = 13005, "the handle was made before fork()";
    Interrupted = 13006, "a signal ended the wait";
    ProtocolViolation = 13007, "the peer broke the WebSocket protocol";
    InvalidPayload = 13008, "a text is not valid UTF-8";
    PeerLost = 13009, "the peer did not answer the keep-alive ping in time";
}

impl Status {
    /// The number of the C API.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status with this number.
    pub fn from_code(code: i32) -> Option<Status> {
        Status::ALL.iter().copied().find(|status| status.code() == code)
    }

    /// Whether a later attempt with the same arguments may succeed.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Status::Timeout | Status::NameNotResolved | Status::CannotConnect | Status::Connection | Status::PeerLost | Status::WouldBlock
        )
    }
}

/// Which part of a connection's life failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(i32)]
pub enum Phase {
    /// None in particular: a parameter, a handle, a state.
    #[default]
    None = 0,
    /// Looking up the host name.
    Resolve = 1,
    /// Connecting TCP.
    Connect = 2,
    /// Talking to the proxy.
    Proxy = 3,
    /// TLS.
    Tls = 4,
    /// The HTTP upgrade.
    Http = 5,
    /// The open WebSocket.
    WebSocket = 6,
    /// The closing handshake.
    Close = 7,
}

/// A failure: the status, and a sentence with the offending value.
///
/// One pointer wide, so that `Result`s stay small in the paths that do not fail.
#[derive(Clone)]
pub struct Error(Box<Details>);

/// What [`Error`] carries.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Details {
    /// The status that the C function returns.
    pub status: Status,
    /// Where it happened.
    pub phase: Phase,
    /// A sentence with the offending value; never a payload or a secret.
    pub message: Cow<'static, str>,
    /// `errno` or its like; 0 = none.
    pub os_error: i32,
    /// The HTTP status of the answer that was refused; 0 = none.
    pub http_status: u16,
    /// The close status that was sent or received for this; 0 = none.
    pub close_status: u16,
    /// How long the peer asks to wait before another attempt; 0 = it did not say.
    pub retry_after_ms: u32,
    /// Whether a later attempt may succeed.
    pub is_retryable: bool,
}

impl Error {
    /// A failure with its sentence.
    #[inline]
    pub fn new(status: Status, message: impl Into<Cow<'static, str>>) -> Error {
        Error::with_message(status, message.into())
    }

    // Cold, as all that follows: what leads here and what comes after is then compiled to be small, at several hundred places.
    #[cold]
    #[inline(never)]
    fn with_message(status: Status, message: Cow<'static, str>) -> Error {
        Error(Box::new(Details {
            status,
            phase: Phase::None,
            message,
            os_error: 0,
            http_status: 0,
            close_status: 0,
            retry_after_ms: 0,
            is_retryable: status.is_retryable(),
        }))
    }

    /// A failure that the operating system reported; `what` names what was tried and on what. One of our own that came the same way (TLS
    /// behind a socket) stays as it is: whoever made it knew more.
    #[inline]
    pub fn from_io(status: Status, what: impl fmt::Display, error: &io::Error) -> Error {
        Error::from_io_about(status, &what, error)
    }

    #[cold]
    #[inline(never)]
    fn from_io_about(status: Status, what: &dyn fmt::Display, error: &io::Error) -> Error {
        if let Some(own) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            return own.clone();
        }
        Error::new(status, format!("{what}: {}", io_text(error))).with_os_error(error.raw_os_error().unwrap_or(0))
    }

    /// A failure that the operating system reported, in its words alone.
    #[cold]
    #[inline(never)]
    pub fn from_system(status: Status, error: &io::Error) -> Error {
        Error::new(status, io_text(error)).with_os_error(error.raw_os_error().unwrap_or(0))
    }

    /// The same failure, with the system's number for it.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn with_os_error(mut self, os_error: i32) -> Error {
        self.0.os_error = os_error;
        self
    }

    /// The same failure, placed in a phase, unless it is in one already: whoever was nearest knew best.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn in_phase(mut self, phase: Phase) -> Error {
        if self.0.phase == Phase::None {
            self.0.phase = phase;
        }
        self
    }

    /// The same failure, with the HTTP status that caused it.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn with_http_status(mut self, http_status: u16) -> Error {
        self.0.http_status = http_status;
        self
    }

    /// The same failure, and whether another attempt makes sense: for a status of which that is not always the same.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn with_retryable(mut self, is_retryable: bool) -> Error {
        self.0.is_retryable = is_retryable;
        self
    }

    /// The same failure, with how long the peer asks to wait before another attempt.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: u32) -> Error {
        self.0.retry_after_ms = retry_after_ms;
        self
    }

    /// The same failure, with the close status that goes with it.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn with_close_status(mut self, close_status: u16) -> Error {
        self.0.close_status = close_status;
        self
    }

    /// The status that the C function returns.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// Everything that is known of it.
    pub fn details(&self) -> &Details {
        &self.0
    }
}

/// The system's text for an error, without Rust's "(os error N)".
fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    match (error.raw_os_error(), text.rfind(" (os error ")) {
        (Some(_), Some(end)) => text[..end].to_lowercase(),
        _ => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({}): {}", self.0.status, self.0.status.code(), self.0.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    /// On its way through what knows only the system's errors.
    fn from(error: Error) -> io::Error {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_found_by_its_number_and_has_a_text() {
        for &status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(status));
            assert!(!status.text().is_empty());
            assert_eq!(status.text().as_bytes(), status.text_c().to_bytes());
        }
        assert_eq!(Status::from_code(0), None);
        assert_eq!(Status::from_code(-1), None);
    }

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn an_error_of_the_system_reads_as_a_sentence() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let error = Error::from_io(Status::CannotConnect, "127.0.0.1:9", &refused);
        assert_eq!(error.to_string(), "127.0.0.1:9: connection refused");
        assert_eq!(error.details().os_error, libc::ECONNREFUSED);
    }
}
