//! Loopback ports for servers that must come back on the port they had.

use std::net::{Ipv4Addr, TcpListener};

/// Below the ephemeral ranges of Linux (32768 up) and of macOS and the BSDs (49152 up): otherwise an outgoing connection
/// could take a stopped server's port before its restart.
const RANGE: std::ops::Range<u16> = 16_000..32_000;

/// A listener on a free port, set up for use by tokio.
pub(crate) fn listen() -> TcpListener {
    let listener = (0..1_000)
        .find_map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, random_port())).ok())
        .expect("one of a thousand random loopback ports is free");
    listener
        .set_nonblocking(true)
        .expect("a socket can be made non-blocking");
    listener
}

/// A port that nothing listens on at the moment.
///
/// Another process may take it first; whoever binds it has to cope with that and ask again.
pub(crate) fn free_port() -> u16 {
    listen()
        .local_addr()
        .expect("a listener has an address")
        .port()
}

fn random_port() -> u16 {
    let width = u32::from(RANGE.end - RANGE.start);
    let random = getrandom::u32().expect("the operating system has random bytes");
    RANGE.start + u16::try_from(random % width).expect("the range fits in 16 bits")
}
