//! A session: what its requests and listeners have in common.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::options::{Options, SharedOptions};
use crate::transport::tls::Configurations;

/// A session. Closing it does not disturb what was made from it.
#[derive(Debug)]
pub struct Session {
    options: Mutex<SharedOptions>,
    tls: Arc<Configurations>,
    no_threads: bool,
}

impl Session {
    /// Opens a session. No I/O.
    pub fn open(user_agent: Option<&str>, no_threads: bool) -> Arc<Session> {
        let options = Options { user_agent: user_agent.map(str::to_owned), ..Options::default() };
        Arc::new(Session { options: Mutex::new(Arc::new(options)), tls: Arc::default(), no_threads })
    }

    /// The options as they are now: what a child inherits.
    pub fn options(&self) -> SharedOptions {
        Arc::clone(&self.options.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the options; children made earlier keep theirs. If `change` fails, nothing is changed.
    pub fn change_options(&self, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        let mut options = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Options::clone(&options);
        change(&mut changed)?;
        *options = Arc::new(changed);
        Ok(())
    }

    /// What was made of the options of TLS: children share it, and with it the sessions that can be resumed.
    pub fn tls(&self) -> Arc<Configurations> {
        Arc::clone(&self.tls)
    }

    /// Whether the library may start threads for this session (name lookup, the caretaker).
    pub fn may_start_threads(&self) -> bool {
        !self.no_threads
    }
}
