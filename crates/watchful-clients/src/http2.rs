//! HTTP/2 by hand, and gRPC in it: sockets, and frames that no library would send.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use prost::encoding::encode_varint;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No attack waits longer for the server than this.
const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A connection of HTTP/2 that keeps to no rule but the form of a frame.
pub(crate) struct Http2 {
    stream: TcpStream,
    /// What is sent with the next flush.
    pub(crate) out: Vec<u8>,
    /// The next call's number.
    next: u32,
}

/// A frame that the server sent.
struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

impl Http2 {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut http2 = Self { stream: connect(address)?, out: PREFACE.to_vec(), next: 1 };
        http2.frame(SETTINGS, 0, 0, &[]);
        http2.flush()?;
        Ok(http2)
    }

    /// The same, when the server's settings hold: before that, what a call may send is 64 KiB.
    pub(crate) fn connect_settled(address: SocketAddr) -> io::Result<Self> {
        let mut http2 = Self::connect(address)?;
        http2.ping()?;
        http2.frame(SETTINGS, ACK, 0, &[]);
        Ok(http2)
    }

    /// Writes a frame, which is sent with the next flush.
    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let len = len_bytes(payload);
        self.out.extend_from_slice(&len[1..]);
        self.out.extend_from_slice(&[kind, flags]);
        self.out.extend_from_slice(&stream.to_be_bytes());
        self.out.extend_from_slice(payload);
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Begins a call, and gives its number.
    pub(crate) fn call(&mut self, path: &str, token: Option<&str>, flags: u8) -> u32 {
        self.call_by(&head(path, token), flags)
    }

    /// The same with a block of headers that is made elsewhere.
    pub(crate) fn call_by(&mut self, block: &[u8], flags: u8) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.frame(HEADERS, END_HEADERS | flags, stream, block);
        stream
    }

    /// A call with its one message.
    pub(crate) fn ask(&mut self, path: &str, token: Option<&str>, message: &[u8]) -> u32 {
        let stream = self.call(path, token, 0);
        self.frame(DATA, END_STREAM, stream, &grpc(message));
        stream
    }

    /// The next frame. An error where none comes within the attack's patience, or nothing comes any more.
    fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload)?;
        Ok(Frame { kind, flags, payload })
    }

    /// Sends what there is, and waits until the server has seen it.
    pub(crate) fn ping(&mut self) -> io::Result<()> {
        self.frame(PING, 0, 0, &[7; 8]);
        self.flush()?;
        while self.read()?.kind != PING {}
        Ok(())
    }

    /// Sends what there is, and waits until so many calls are answered.
    pub(crate) fn answered(&mut self, mut calls: u64) -> io::Result<()> {
        self.flush()?;
        while calls > 0 {
            let Frame { kind, flags, .. } = self.read()?;
            let is_end = matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
            calls -= u64::from(is_end || kind == RST_STREAM);
        }
        Ok(())
    }

    /// Why the server says that it ends the connection, if it does: a code of HTTP/2's.
    pub(crate) fn goaway(&mut self) -> Option<u32> {
        loop {
            let frame = self.read().ok()?;
            if frame.kind == GOAWAY {
                return Some(u32::from_be_bytes(frame.payload.get(4..8)?.try_into().ok()?));
            }
        }
    }

    /// Throws away what has come so far.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        let mut buffer = [0; 16 << 10];
        let drained = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.stream.set_nonblocking(false)?;
        drained
    }
}

/// A header that is not kept for later ones.
pub(crate) fn header(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.push(0);
    text(block, name.as_bytes());
    text(block, value);
}

/// A length in seven bits and more, and the bytes.
pub(crate) fn text(block: &mut Vec<u8>, bytes: &[u8]) {
    match u8::try_from(bytes.len()) {
        Ok(len @ 0..=126) => block.push(len),
        _ => {
            block.push(127);
            encode_varint(bytes.len() as u64 - 127, block);
        }
    }
    block.extend_from_slice(bytes);
}

pub(crate) fn head(path: &str, token: Option<&str>) -> Vec<u8> {
    let mut block = Vec::new();
    let fixed = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "here")];
    let fixed = fixed.into_iter().chain([("content-type", "application/grpc"), ("te", "trailers")]);
    fixed.chain(token.map(|token| ("token", token))).for_each(|(name, value)| {
        header(&mut block, name, value.as_bytes());
    });
    block
}

/// A message as gRPC frames it.
pub(crate) fn grpc(message: &[u8]) -> Vec<u8> {
    [&[0][..], &len_bytes(message), message].concat()
}

fn len_bytes(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("no message here comes near 4 GiB").to_be_bytes()
}

/// A field of bytes, as protobuf writes it.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}
