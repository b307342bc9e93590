//! gRPC straight on HTTP/2: a call is two frames out, and the answer is handed on as the bytes that came.
//!
//! A whole gRPC client spends as much on a call as the server does, on the same two cores. This one leaves out what a
//! measurement does not need: reconnecting, deadlines, compression, middleware.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HeaderMap, TE};
use http::{Method as Verb, Request, Version};
use prost::Message;
use tokio::net::TcpStream;

use crate::Outcome;

/// How much may be under way to us on one stream: some thousands of events.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// What precedes a message: whether it is compressed, and its length.
const FRAME_HEADER_LEN: usize = 5;

/// A connection to a server. It lasts while this, a [`Method`] or a stream of it does.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    authority: String,
}

/// A method of the API on one connection.
#[derive(Clone)]
pub(crate) struct Method {
    sender: SendRequest<Bytes>,
    request: Request<()>,
}

/// The server said no.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: String,
    pub(crate) message: String,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Outcome<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let (sender, connection) = builder.handshake(socket).await?;
        // How it ends is seen by the calls on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, authority: format!("127.0.0.1:{port}") })
    }

    pub(crate) async fn open_some(port: u16, count: usize) -> Outcome<Vec<Self>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Self::open(port).await?);
        }
        Ok(connections)
    }

    /// The method at `path`, as in `/etcdserverpb.KV/Put`.
    pub(crate) fn method(&self, path: &str) -> Outcome<Method> {
        let request = Request::builder()
            .method(Verb::POST)
            .version(Version::HTTP_2)
            .uri(format!("http://{}{path}", self.authority))
            .header(TE, "trailers")
            .header(CONTENT_TYPE, "application/grpc")
            .body(())?;
        Ok(Method { sender: self.sender.clone(), request })
    }
}

impl Method {
    /// One message there and one back.
    pub(crate) async fn call(&self, message: Bytes) -> Outcome<Bytes> {
        let (mut requests, mut answers) = self.start().await?;
        requests.send_data(message, true)?;
        let answer = answers.next().await?.ok_or("there was no answer")?;
        match answers.next().await? {
            None => Ok(answer),
            Some(_) => Err("there was more than one answer".into()),
        }
    }

    /// Any number of messages both ways.
    pub(crate) async fn start(&self) -> Outcome<(SendStream<Bytes>, Answers)> {
        let mut sender = self.sender.clone().ready().await?;
        let (response, requests) = sender.send_request(self.request.clone(), false)?;
        Ok((requests, Answers::new(response)))
    }
}

/// The message as it goes over the wire.
pub(crate) fn framed(message: &impl Message, buf: &mut BytesMut) -> Outcome {
    let len = message.encoded_len();
    buf.reserve(FRAME_HEADER_LEN + len);
    buf.put_u8(0);
    buf.put_u32(u32::try_from(len)?);
    Ok(message.encode(buf)?)
}

/// The messages that come back.
pub(crate) struct Answers {
    /// Until the first bytes come.
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    /// What came and is not handed on yet.
    chunk: Bytes,
    /// The beginning of a message whose end is still to come.
    begun: BytesMut,
}

impl Answers {
    fn new(response: ResponseFuture) -> Self {
        Self { response: Some(response), body: None, chunk: Bytes::new(), begun: BytesMut::new() }
    }

    /// The next message; none at a good end. Nothing is lost where this future is dropped.
    pub(crate) async fn next(&mut self) -> Outcome<Option<Bytes>> {
        loop {
            if let Some(message) = self.take_message()? {
                return Ok(Some(message));
            }
            if let Some(response) = &mut self.response {
                let response = response.await?;
                self.response = None;
                self.body = Some(opened(response)?);
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            match body.data().await {
                Some(chunk) => {
                    self.chunk = chunk?;
                    body.flow_control().release_capacity(self.chunk.len())?;
                }
                None => {
                    let trailers = body.trailers().await?.unwrap_or_default();
                    self.body = None;
                    judge(&trailers)?;
                }
            }
        }
    }

    /// The next message of those that are here. Copies only where it came in parts.
    fn take_message(&mut self) -> Outcome<Option<Bytes>> {
        let is_whole = |end: &usize| *end <= self.chunk.len();
        if self.begun.is_empty()
            && let Some(end) = end_of_message(&self.chunk)?.filter(is_whole)
        {
            let mut message = self.chunk.split_to(end);
            message.advance(FRAME_HEADER_LEN);
            return Ok(Some(message));
        }
        while self.chunk.has_remaining() {
            let end = end_of_message(&self.begun)?.unwrap_or(FRAME_HEADER_LEN);
            self.begun.reserve(end - self.begun.len());
            let part = self.chunk.len().min(end - self.begun.len());
            self.begun.put(self.chunk.split_to(part));
            if end_of_message(&self.begun)? == Some(self.begun.len()) {
                let mut message = self.begun.split().freeze();
                message.advance(FRAME_HEADER_LEN);
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// Where the message ends that begins with these bytes, if they say so yet.
fn end_of_message(bytes: &[u8]) -> Outcome<Option<usize>> {
    match bytes {
        [0, a, b, c, d, ..] => {
            Ok(Some(FRAME_HEADER_LEN + usize::try_from(u32::from_be_bytes([*a, *b, *c, *d]))?))
        }
        [] | [0, ..] => Ok(None),
        _ => Err("a message is compressed, and nobody asked for that".into()),
    }
}

fn opened(response: http::Response<RecvStream>) -> Outcome<RecvStream> {
    if response.status() != http::StatusCode::OK {
        return Err(format!("HTTP status {}", response.status()).into());
    }
    // Where there is nothing but a status, it comes with the headers.
    if response.headers().contains_key("grpc-status") {
        judge(response.headers())?;
    }
    Ok(response.into_body())
}

fn judge(trailers: &HeaderMap) -> Outcome {
    let text = |name: &str| {
        String::from_utf8_lossy(trailers.get(name).map_or(b"none".as_slice(), |value| value.as_bytes()))
            .into_owned()
    };
    match text("grpc-status").as_str() {
        "0" => Ok(()),
        status => Err(Refused { status: status.to_owned(), message: text("grpc-message") }.into()),
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server refused with status {}: {}", self.status, self.message)
    }
}

impl std::error::Error for Refused {}
