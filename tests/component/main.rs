//! The protocol component: conversations, ends, clocks, and memory that is only touched while it is lent.

mod end;

#[cfg(unix)]
#[path = "against_sockets.rs"]
mod against_sockets;
#[path = "conversations.rs"]
mod conversations;
#[path = "ends.rs"]
mod ends;
