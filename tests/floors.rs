//! Imports go down only: reads every source file and fails on one that goes up, sideways where it may not, or out of the house.
//!
//! It reads paths that begin at `crate` or `super`, in `use` items and in code alike. What is only compiled for tests is left out.
//! Out of scope: whether two rooms on one floor should know each other, and everything the compiler checks itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room, and its floor. A new room must find its place here before anybody can enter it.
const ROOMS: &[(&str, u32)] = &[
    ("ffi", 7),
    ("handle", 6),
    ("session", 5),
    ("client", 5),
    ("server", 5),
    ("driver", 4),
    ("connection", 3),
    ("protocol", 2),
    ("transport", 2),
    ("bytes", 1),
    ("http", 1),
    ("error", 1),
    ("options", 1),
    ("process", 1),
    ("sync", 1),
];

/// Rooms on one floor that must not meet: the protocol knows no bytes' way, the transport no WebSocket.
const STRANGERS: &[(&str, &str)] = &[("protocol", "transport"), ("transport", "protocol")];

/// Rooms that decide and never wait: time, randomness and I/O are arguments there.
const PURE: &[&str] = &["protocol", "http", "bytes"];

/// What a pure room must not name. An address as a value is pure; a socket is not.
const IMPURE: &[&str] = &[
    "std::net",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs",
    "std::os",
    "std::env",
    "std::process",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "rand",
    "getrandom",
    "socket2",
    "libc",
    "mio",
];
const PURE_AFTER_ALL: &[&str] = &["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr", "std::net::AddrParseError"];

/// Where `unsafe` may be written, besides `ffi`.
const ISLANDS: &[&str] = &["src/bytes/mask.rs", "src/connection/buffers.rs", "src/process.rs", "src/transport/wait.rs"];

#[test]
fn imports_go_down_only() {
    let files = sources(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(files.len() > 5, "the sources were not found");
    let complaints = check(&files);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

// ---- the checker ----------------------------------------------------------------------------------------------------------------------

/// A file's path from the crate's root, and its text.
type Source = (String, String);

fn sources(root: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path: PathBuf = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("it is below the root").to_string_lossy().replace('\\', "/");
                files.push((name, fs::read_to_string(&path).expect("a source is readable")));
            }
        }
    }
    files.sort();
    files
}

/// One sentence for each fault.
fn check(files: &[Source]) -> Vec<String> {
    let read: Vec<(&str, Vec<Token>)> = files.iter().map(|(name, text)| (name.as_str(), without_tests(tokens(text)))).collect();
    let only_for_tests: BTreeSet<String> = files.iter().flat_map(|(name, text)| modules_for_tests(name, &tokens(text))).collect();
    let mut complaints = Vec::new();
    for (name, tokens) in read {
        let module = module_of(name);
        if only_for_tests.iter().any(|test| module.join("::") == *test || module.join("::").starts_with(&format!("{test}::"))) {
            continue;
        }
        // The street door: it names the rooms and imports nothing.
        let Some(room) = module.first() else { continue };
        check_file(name, room, &module, &tokens, &mut complaints);
    }
    complaints
}

fn check_file(name: &str, room: &str, module: &[String], tokens: &[Token], complaints: &mut Vec<String>) {
    let Some(floor) = floor_of(room) else {
        complaints.push(format!("{name}: the room {room} has no floor in tests/floors.rs"));
        return;
    };
    for path in paths(tokens, module) {
        let line = path.line;
        if path.is_ours {
            let Some(target) = path.segments.first() else { continue };
            let Some(below) = floor_of(target) else {
                complaints.push(format!("{name}:{line}: crate::{target} is no room"));
                continue;
            };
            if below > floor || STRANGERS.contains(&(room, target.as_str())) {
                complaints.push(format!("{name}:{line}: {room} must not know {target}"));
            }
        } else if PURE.contains(&room) {
            let full = path.segments.join("::");
            let names = |list: &[&str]| list.iter().any(|entry| full == *entry || full.starts_with(&format!("{entry}::")));
            if names(IMPURE) && !names(PURE_AFTER_ALL) {
                complaints.push(format!("{name}:{line}: {room} is pure and must not know {full}"));
            }
        }
    }
    if room != "ffi" && !ISLANDS.contains(&name) {
        for at in (0..tokens.len()).filter(|&at| tokens[at].text == "unsafe" && !is_pointer_type(tokens, at)) {
            complaints.push(format!("{name}:{}: unsafe outside ffi and its islands", tokens[at].line));
        }
    }
}

/// `unsafe extern "C" fn()` as a type: naming it does nothing.
fn is_pointer_type(tokens: &[Token], at: usize) -> bool {
    let mut words = tokens[at + 1..].iter().map(|token| token.text.as_str()).filter(|&word| word != "extern");
    (words.next(), words.next()) == (Some("fn"), Some("("))
}

fn floor_of(room: &str) -> Option<u32> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|&(_, floor)| floor)
}

/// `src/protocol/frame/mod.rs` is `protocol::frame`; `src/lib.rs` is the crate itself.
fn module_of(name: &str) -> Vec<String> {
    let inner = name.strip_prefix("src/").unwrap_or(name).trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

// ---- reading Rust -----------------------------------------------------------------------------------------------------------------------

/// An identifier, `::`, or a single sign; never a comment, a text or a lifetime.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < bytes.len() {
        let start = at;
        let rest = &text[at..];
        match bytes[at] {
            b'/' if rest.starts_with("//") => at += rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => at += block_comment(rest),
            b'"' => at += quoted(rest, b'"'),
            b'r' | b'b' | b'c' if literal(rest).is_some() => at += literal(rest).unwrap_or(1),
            b'\'' => at += character_or_lifetime(rest),
            b':' if rest.starts_with("::") => at += 2,
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
                at += rest.find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_').unwrap_or(rest.len());
            }
            _ => at += rest.chars().next().map_or(1, char::len_utf8),
        }
        let piece = &text[start..at];
        let first = piece.as_bytes()[0];
        let is_word = first.is_ascii_alphanumeric() || first == b'_';
        let is_text = is_word && piece.contains(['"', '\'']);
        let is_sign = piece == "::" || (piece.len() == 1 && !first.is_ascii_whitespace() && first != b'"' && first != b'\'');
        if (is_word && !is_text) || is_sign {
            tokens.push(Token { text: piece.to_owned(), line });
        }
        line += piece.matches('\n').count();
    }
    tokens
}

/// The length of a nested block comment.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a text with escapes, from its opening quote.
fn quoted(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The length of `r"…"`, `r#"…"#`, `b"…"`, `b'…'`, `c"…"` and their kin; `None` if an identifier begins here.
fn literal(rest: &str) -> Option<usize> {
    let prefix = rest.find(|sign: char| !matches!(sign, 'r' | 'b' | 'c')).filter(|&length| length <= 2)?;
    let bytes = rest.as_bytes();
    let hashes = rest[prefix..].bytes().take_while(|&byte| byte == b'#').count();
    match bytes.get(prefix + hashes) {
        Some(b'"') if rest[..prefix].contains('r') => {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = prefix + hashes + 1;
            Some(rest[body..].find(&end).map_or(rest.len(), |length| body + length + end.len()))
        }
        Some(&quote @ (b'"' | b'\'')) if hashes == 0 => Some(prefix + quoted(&rest[prefix..], quote)),
        _ => None,
    }
}

/// `'x'`, `'\n'` whole; of `'static` only the tick, so that the name stays a word nobody looks for.
fn character_or_lifetime(rest: &str) -> usize {
    let mut signs = rest.chars().skip(1);
    match (signs.next(), signs.next()) {
        (Some('\\'), _) => quoted(rest, b'\''),
        (Some(sign), Some('\'')) => 2 + sign.len_utf8(),
        _ => 1,
    }
}

/// The index behind the bracket that closes the one at `open`.
fn behind_bracket(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// Whether `#[…]` at `at` is `cfg(test)`, or `cfg(all(test, …))`; `not(test)` is not.
fn is_for_tests(tokens: &[Token], at: usize) -> bool {
    let attribute: Vec<&str> = tokens[at..behind_bracket(tokens, at + 1)].iter().map(|token| token.text.as_str()).collect();
    attribute.starts_with(&["#", "[", "cfg", "(", "test", ")"]) || attribute.starts_with(&["#", "[", "cfg", "(", "all", "(", "test", ","])
}

fn is_attribute(tokens: &[Token], at: usize) -> bool {
    tokens[at].text == "#" && tokens.get(at + 1).is_some_and(|next| next.text == "[")
}

/// The index behind the item at `at`: its further attributes, and all up to its `;` or its braces.
fn behind_item(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() && is_attribute(tokens, at) {
        at = behind_bracket(tokens, at + 1);
    }
    let is_use = tokens.get(at).is_some_and(|token| token.text == "use");
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" | "," => return at + 1,
            "{" if is_use => at = behind_bracket(tokens, at),
            "{" => return behind_bracket(tokens, at),
            "(" | "[" => at = behind_bracket(tokens, at),
            _ => at += 1,
        }
    }
    at
}

fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if is_attribute(&tokens, at) && is_for_tests(&tokens, at) {
            at = behind_item(&tokens, behind_bracket(&tokens, at + 1));
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// `#[cfg(test)] mod pair;` makes a whole file a test.
fn modules_for_tests(name: &str, tokens: &[Token]) -> Vec<String> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if !is_attribute(tokens, at) || !is_for_tests(tokens, at) {
            continue;
        }
        let item = behind_bracket(tokens, at + 1);
        let words: Vec<&str> = tokens[item..].iter().take(8).map(|token| token.text.as_str()).collect();
        let Some(keyword) = words.iter().position(|&word| word == "mod") else { continue };
        if words.get(keyword + 2) == Some(&";") {
            let mut module = module_of(name);
            module.push(words[keyword + 1].to_owned());
            found.push(module.join("::"));
        }
    }
    found
}

/// A path that begins at our crate, or at another one.
struct ImportedPath {
    is_ours: bool,
    segments: Vec<String>,
    line: usize,
}

/// All paths with a `::` in them, groups unfolded; `super` and `self` are counted from `module`.
fn paths(tokens: &[Token], module: &[String]) -> Vec<ImportedPath> {
    let mut found = Vec::new();
    let (mut inner, mut closes): (Vec<String>, Vec<usize>) = (module.to_vec(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let word = tokens[at].text.as_str();
        while closes.last().is_some_and(|&close| at >= close) {
            closes.pop();
            inner.pop();
        }
        if word == "mod" && tokens.get(at + 2).is_some_and(|token| token.text == "{") {
            inner.push(tokens[at + 1].text.clone());
            closes.push(behind_bracket(tokens, at + 2));
            at += 3;
            continue;
        }
        let is_word = word.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '_');
        let begins = is_word && (at == 0 || tokens[at - 1].text != "::" || (at >= 2 && !is_path_word(&tokens[at - 2].text)));
        if begins && tokens.get(at + 1).is_some_and(|token| token.text == "::") {
            at = unfold(tokens, at, &[], &inner, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// A name that a `::` may follow; `use ::std` begins a path.
fn is_path_word(text: &str) -> bool {
    if matches!(text, "use" | "in" | "as" | "dyn" | "impl" | "for" | "mut" | "return" | "else" | "match" | "if" | "let" | "where") {
        return false;
    }
    text.starts_with(|sign: char| sign.is_ascii_alphanumeric() || sign == '_') || text == ">"
}

/// Follows one path from `at`, and each branch of a group in it; gives the index behind it.
fn unfold(tokens: &[Token], mut at: usize, prefix: &[String], module: &[String], found: &mut Vec<ImportedPath>) -> usize {
    let line = tokens[at].line;
    let mut segments = prefix.to_vec();
    loop {
        match tokens.get(at).map(|token| token.text.as_str()) {
            Some("{") => {
                let end = behind_bracket(tokens, at);
                at += 1;
                while at + 1 < end {
                    at = if tokens[at].text == "," { at + 1 } else { unfold(tokens, at, &segments, module, found) };
                }
                return end;
            }
            Some(word) if word == "*" || is_path_word(word) && word != ">" => segments.push(word.to_owned()),
            _ => break,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    found.push(resolve(&segments, module, line));
    // `as name` in a group belongs to the branch.
    if tokens.get(at).is_some_and(|token| token.text == "as") { at + 2 } else { at.max(1) }
}

/// `super::super::x` in `protocol::frame::header` is `protocol::x`.
fn resolve(segments: &[String], module: &[String], line: usize) -> ImportedPath {
    let mut from: Vec<String> = Vec::new();
    let mut rest = segments;
    let is_ours = matches!(segments.first().map(String::as_str), Some("crate" | "super" | "self"));
    if is_ours && segments[0] != "crate" {
        from = module.to_vec();
    }
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "crate" | "self" => {}
            "super" => {
                from.pop();
            }
            _ => break,
        }
        rest = others;
    }
    from.extend_from_slice(rest);
    ImportedPath { is_ours, segments: from, line }
}

// ---- the checker, checked ---------------------------------------------------------------------------------------------------------------

fn complaints(name: &str, text: &str) -> Vec<String> {
    check(&[(name.to_owned(), text.to_owned())])
}

/// A made-up file, and how many faults it has.
const SAMPLES: &[(&str, &str, usize)] = &[
    // Down, and along a floor.
    ("src/ffi/websocket.rs", "use crate::handle; use crate::{bytes::mask, error::{Error, Result}};", 0),
    ("src/driver/blocking.rs", "use crate::connection::Connection; use super::timer; fn f() { crate::transport::wait::wait(); }", 0),
    ("src/client.rs", "use crate::session::Session; use crate::http::Headers;", 0),
    ("src/protocol/decoder.rs", "use super::{frame, opcode::Opcode}; use crate::bytes::utf8; use std::time::Duration;", 0),
    ("src/protocol/frame/header.rs", "use super::super::opcode::Opcode; use self::inner::x;", 0),
    ("src/protocol/url.rs", "use std::net::{Ipv4Addr, Ipv6Addr};", 0),
    ("src/lib.rs", "pub mod ffi; pub use ffi::ws_open; unsafe impl Send for X {}", 0),
    // Up.
    ("src/handle.rs", "use crate::ffi::ws_handle;", 1),
    ("src/session.rs", "use crate::handle;", 1),
    ("src/driver/blocking.rs", "use crate::{client::Request, server::Listener};", 2),
    ("src/connection/mod.rs", "use super::driver::blocking;", 1),
    ("src/connection/send/half.rs", "fn f() { super::super::super::driver::wait() }", 1),
    ("src/protocol/decoder.rs", "use crate::connection::Connection;", 1),
    ("src/protocol/decoder.rs", "use crate::\n  { bytes::{mask, utf8},\n    connection::{self, Connection} };", 2),
    ("src/transport/tcp.rs", "pub(in crate::driver) fn f() {}", 1),
    ("src/http/head.rs", "impl From<crate::protocol::X> for Y {}", 1),
    ("src/bytes/mask.rs", "macro_rules! m { () => { $crate::protocol::X } }", 1),
    ("src/error.rs", "use crate::connection as c;", 1),
    // Sideways.
    ("src/protocol/decoder.rs", "use crate::transport::Stream;", 1),
    ("src/transport/tcp.rs", "use crate::protocol::Opcode;", 1),
    // Out of the house.
    ("src/protocol/decoder.rs", "use std::time::Instant;", 1),
    ("src/protocol/decoder.rs", "use std::time::{Duration, Instant, SystemTime};", 2),
    ("src/protocol/decoder.rs", "use std::{time::{self, Instant}, thread};", 2),
    ("src/protocol/decoder.rs", "fn f() { let now = std::time::Instant::now(); }", 1),
    ("src/http/head.rs", "use std::net::{TcpStream, Ipv4Addr};", 1),
    ("src/http/head.rs", "use ::std::net::TcpStream;", 1),
    ("src/bytes/mask.rs", "let mask = rand::random();", 1),
    ("src/protocol/mask.rs", "use rand::Rng;", 1),
    ("src/driver/blocking.rs", "use std::time::Instant; use rand::Rng; use std::net::TcpStream;", 0),
    // unsafe.
    ("src/bytes/mask.rs", "unsafe { mask() }", 0),
    ("src/ffi/session.rs", "pub unsafe extern \"C\" fn f() {}", 0),
    ("src/bytes/utf8.rs", "unsafe { mask() }", 1),
    ("src/driver/blocking.rs", "unsafe impl Send for X {}", 1),
    ("src/handle.rs", "pub type F = unsafe extern \"C\" fn(u8); fn g(f: Option<unsafe fn()>) {}", 0),
    ("src/handle.rs", "pub unsafe extern \"C\" fn f() {} unsafe fn g() {}", 2),
    ("src/driver/blocking.rs", "#![deny(unsafe_code)] // unsafe\nfn f() { \"unsafe\"; r#\"unsafe { \"#; b'u'; 'u'; }", 0),
    // A room without a floor, and a name that is no room.
    ("src/cellar.rs", "", 1),
    ("src/client.rs", "use crate::Session;", 1),
    // Comments, texts, and what is only for tests.
    (
        "src/protocol/decoder.rs",
        "// use crate::driver::X;\n/* use crate::driver::X; /* */ */\n/// [`crate::driver`]\nconst T: &str = \"crate::driver::x\";",
        0,
    ),
    ("src/protocol/decoder.rs", "#[cfg(test)]\nmod tests { use crate::connection::X; fn f() { unsafe { std::thread::yield_now() } } }", 0),
    ("src/protocol/decoder.rs", "#[cfg(test)] use crate::{connection::X, driver::{a, b}};\nuse crate::driver;", 1),
    (
        "src/protocol/decoder.rs",
        "#[cfg(all(test, feature = \"x\"))]\n#[allow(unused)]\nfn f(a: [u8; 4]) { crate::driver::x(); }\nuse crate::driver;",
        1,
    ),
    ("src/protocol/decoder.rs", "#[cfg(not(test))] use crate::driver;", 1),
    ("src/protocol/decoder.rs", "fn f<'a>(x: &'a str) -> char { '\\'' } use crate::driver;", 1),
    // An inline module's `super` is the file's own.
    ("src/protocol/decoder.rs", "mod known { use super::super::opcode; use super::x; }\nuse super::opcode;", 0),
    ("src/protocol/decoder.rs", "mod known { use super::super::super::driver; }", 1),
];

#[test]
fn the_checker_finds_what_is_there_and_nothing_else() {
    for (name, text, expected) in SAMPLES {
        let found = complaints(name, text);
        assert_eq!(found.len(), *expected, "{name}: {text}\n{}", found.join("\n"));
    }
}

#[test]
fn a_complaint_names_the_file_the_line_and_the_rooms() {
    let found = complaints("src/protocol/decoder.rs", "//! Decodes.\n\nuse crate::driver::blocking;\n");
    assert_eq!(found, ["src/protocol/decoder.rs:3: protocol must not know driver"]);
}

#[test]
fn a_file_that_is_only_for_tests_is_left_out() {
    let parent = ("src/protocol/mod.rs".to_owned(), "#[cfg(test)]\nmod pair;\nmod frame;".to_owned());
    let import = "use crate::driver::X;".to_owned();
    let left_out = ("src/protocol/pair.rs".to_owned(), import.clone());
    let below = ("src/protocol/pair/link.rs".to_owned(), import.clone());
    let checked = ("src/protocol/frame.rs".to_owned(), import);
    assert_eq!(check(&[parent.clone(), left_out, below]), Vec::<String>::new());
    assert_eq!(check(&[parent, checked]).len(), 1);
}
