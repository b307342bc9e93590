//! What a connection says first. A client of HTTP/2 begins with 24 bytes that are always the same, and who begins otherwise
//! speaks HTTP/1, of which the request's head has a time limit of its own.
//!
//! They are read before the connection is served, along with the handshake and within its time: a connection that says
//! nothing, or stops in the middle of it, costs no more than that, and not for long.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How every connection of HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until it is known which of the two it is. Nothing, where the client went without a word.
pub(super) async fn first_words(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let (mut said, mut len) = ([0; PREFACE.len()], 0);
    while len < said.len() && PREFACE.starts_with(&said[..len]) {
        match io.read(&mut said[len..]).await? {
            0 => break,
            read => len += read,
        }
    }
    Ok(Bytes::copy_from_slice(&said[..len]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sent: &[u8], expected: &[u8]) {
        let mut sent = sent;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(first_words(&mut sent)).unwrap(), expected);
    }

    #[test]
    fn no_more_is_read_than_tells_who_it_is() {
        check(&[PREFACE, &b"and more"[..]].concat(), PREFACE);
        check(b"PRI * HTTP", b"PRI * HTTP");
        check(b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n");
        check(b"POST /v3/kv/range HTTP/1.1\r\nHost: here\r\n\r\n", b"POST /v3/kv/range HTTP/1");
        check(b"", b"");
    }
}
