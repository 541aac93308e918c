//! The protocol component: conversations, ends, clocks, and memory that is only touched while it is lent.

mod end;

#[path = "conversations.rs"]
mod conversations;
#[path = "ends.rs"]
mod ends;
