//! What stands in for `src/driver`: the real blocking mode, in a machine without time and without a caretaker's thread.

#[path = "../../src/driver/blocking/mod.rs"]
pub mod blocking;

pub mod clock {
    pub fn now() -> std::time::Duration {
        std::time::Duration::from_secs(1)
    }
}

/// The thread is left out: a model looks after a connection where a caretaker would.
pub mod caretaker {
    pub fn look_after(_: &std::sync::Arc<crate::connection::Connection>) {}
}
