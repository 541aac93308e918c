//! A session: what its requests and listeners have in common.

use std::sync::Arc;

use crate::connection::DeflatePool;
use crate::driver::event_loop::Loops;
use crate::error::Result;
use crate::options::{Options, SharedOptions};
use crate::sync::Mutex;
use crate::transport::tls::Configurations;

/// A session. Closing it does not disturb what was made from it.
#[derive(Debug)]
pub struct Session {
    options: Mutex<SharedOptions>,
    deflate_pool: Arc<DeflatePool>,
    tls: Arc<Configurations>,
    no_threads: bool,
    /// If it is asynchronous: what drives it.
    loops: Option<Arc<Loops>>,
}

impl Session {
    /// Opens a session. No I/O.
    pub fn open(user_agent: Option<&str>, no_threads: bool) -> Arc<Session> {
        Session::new(user_agent, no_threads, None)
    }

    /// Opens an asynchronous session, which is driven by these loops.
    pub fn open_async(user_agent: Option<&str>, no_threads: bool, loops: Loops) -> Arc<Session> {
        Session::new(user_agent, no_threads, Some(Arc::new(loops)))
    }

    fn new(user_agent: Option<&str>, no_threads: bool, loops: Option<Arc<Loops>>) -> Arc<Session> {
        let options = Options { user_agent: user_agent.map(str::to_owned), ..Options::default() };
        Arc::new(Session { options: Mutex::new(Arc::new(options)), tls: Arc::default(), deflate_pool: Arc::default(), no_threads, loops })
    }

    /// The options as they are now: what a child inherits.
    pub fn options(&self) -> SharedOptions {
        Arc::clone(&self.options.lock())
    }

    /// Changes the options; children made earlier keep theirs. If `change` fails, nothing is changed.
    pub fn change_options(&self, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        let mut options = self.options.lock();
        let mut changed = Options::clone(&options);
        change(&mut changed)?;
        *options = Arc::new(changed);
        Ok(())
    }

    /// Where its connections keep idle states for compression.
    pub fn deflate_pool(&self) -> Arc<DeflatePool> {
        Arc::clone(&self.deflate_pool)
    }

    /// What was made of the options of TLS: children share it, and with it the sessions that can be resumed.
    pub fn tls(&self) -> Arc<Configurations> {
        Arc::clone(&self.tls)
    }

    /// What drives it, if it is asynchronous.
    pub fn loops(&self) -> Option<Arc<Loops>> {
        self.loops.clone()
    }

    /// Whether the library may start threads for this session (name lookup, the caretaker).
    pub fn may_start_threads(&self) -> bool {
        !self.no_threads
    }
}
