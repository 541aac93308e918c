//! The log: lines that the rooms write through the `log` crate go to one callback of the C program.
//!
//! Off until ws_set_log: a line that nobody wants costs one load. Out of scope: what is logged (each room), which is never a payload, nor a
//! header's value that may be secret (`http::shown`), nor the query of a URL.

use std::cell::Cell;
use std::ffi::{CString, c_void};
use std::fmt::Write;
use std::sync::OnceLock;

use log::{LevelFilter, Log, Metadata, Record};

use super::types::ws_log_callback;
use crate::error::{Error, Result, Status};
use crate::sync::Mutex;

/// Whom to call; the context is a number here because it is never followed.
#[derive(Clone, Copy)]
struct Hook {
    callback: ws_log_callback,
    context: usize,
}

/// Held for a copy in or out, never across a call.
static HOOK: Mutex<Hook> = Mutex::new(Hook { callback: None, context: 0 });

thread_local! {
    /// The thread is inside the callback: what it calls there is not logged, or it would never end.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Sends lines up to a level to a callback; 87 for a level that is none, 50 in a Rust program that has a logger of its own.
pub fn set(level: i32, callback: ws_log_callback, context: *mut c_void) -> Result<()> {
    let filter = match level {
        0 => LevelFilter::Off,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        5 => LevelFilter::Trace,
        _ => return Err(Error::new(Status::InvalidParameter, format!("level {level} is not 0 to 5"))),
    };
    let filter = if callback.is_some() { filter } else { LevelFilter::Off };
    static IS_OURS: OnceLock<bool> = OnceLock::new();
    if filter != LevelFilter::Off && !*IS_OURS.get_or_init(|| log::set_logger(&Bridge).is_ok()) {
        return Err(Error::new(Status::NotSupported, "the program's own logger gets the log"));
    }
    if IS_OURS.get() == Some(&true) {
        *HOOK.lock() = Hook { callback, context: context as usize };
        log::set_max_level(filter);
    }
    Ok(())
}

struct Bridge;

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && metadata.target().starts_with("ws101")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || IS_INSIDE.replace(true) {
            return;
        }
        let hook = *HOOK.lock();
        if let Some(callback) = hook.callback {
            let line = line(record);
            // SAFETY: the program promised ws_set_log a function of this type that takes calls from any thread; the line is terminated.
            unsafe { callback(record.level() as i32, line.as_ptr(), hook.context as *mut c_void) };
        }
        IS_INSIDE.set(false);
    }

    fn flush(&self) {}
}

/// One line, whatever a peer has put into it.
fn line(record: &Record<'_>) -> CString {
    let mut text = String::new();
    // A formatter that fails leaves what it had written.
    let _ = write!(text, "{}", record.args());
    let shown: String = text.chars().map(|character| if character.is_control() { '?' } else { character }).collect();
    CString::new(shown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        let record = |text: &str| line(&Record::builder().args(format_args!("{text}")).build());
        assert_eq!(record("GET /a\r\nforged\0 line ä").to_str().unwrap(), "GET /a??forged? line ä");
    }

    #[test]
    fn only_lines_of_the_library_are_wanted() {
        // The maximum is the process's; nothing is on in this one, so that only the target is judged beside Off.
        let metadata = |target| Metadata::builder().level(log::Level::Error).target(target).build();
        assert!(!Bridge.enabled(&metadata("somebody_else")));
        assert_eq!(Bridge.enabled(&metadata("ws101::client")), log::max_level() >= LevelFilter::Error);
    }
}
