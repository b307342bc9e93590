//! JSON objects, one after the other, in a body that comes in pieces.

use bytes::{Bytes, BytesMut};
use tonic::Status;

use super::too_large;

/// Finds where each object ends. What it holds is left to the parser; here only braces and quotes are looked at, each
/// byte once.
#[derive(Debug)]
pub(super) struct Values {
    buffer: BytesMut,
    bytes_max: usize,
    /// How many bytes of the buffer have been looked at.
    seen: usize,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Values {
    /// Holds at most `bytes_max`, and what came last.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), bytes_max, seen: 0, depth: 0, in_string: false, is_escaped: false }
    }

    pub(super) fn extend(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// How many bytes of objects there are that have not been taken.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The next object that is there in full.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        if self.depth == 0 {
            self.skip_space()?;
        }
        while let Some(&byte) = self.buffer.get(self.seen) {
            self.seen += 1;
            self.look_at(byte);
            if self.seen > self.bytes_max {
                return Err(too_large(self.bytes_max));
            }
            if self.depth == 0 {
                let value = self.buffer.split_to(self.seen).freeze();
                self.seen = 0;
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Between two objects only space may be.
    fn skip_space(&mut self) -> Result<(), Status> {
        let space = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let _ = self.buffer.split_to(space);
        match self.buffer.first() {
            None | Some(b'{') => Ok(()),
            Some(_) => {
                Err(Status::invalid_argument("a stream's request is JSON objects, one after the other"))
            }
        }
    }

    fn look_at(&mut self, byte: u8) {
        if std::mem::take(&mut self.is_escaped) {
            return;
        }
        match byte {
            b'"' => self.in_string = !self.in_string,
            b'\\' => self.is_escaped = self.in_string,
            b'{' | b'[' if !self.in_string => self.depth += 1,
            b'}' | b']' if !self.in_string => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&self) -> Result<(), Status> {
        match self.buffer.is_empty() {
            true => Ok(()),
            false => Err(Status::invalid_argument("the request ends in the middle of a JSON object")),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    /// Everything that comes out of `body`, cut in pieces.
    fn values(body: &str, piece_len: usize) -> Result<Vec<String>, Status> {
        let (mut values, mut found) = (Values::new(100), Vec::new());
        for piece in body.as_bytes().chunks(piece_len) {
            values.extend(piece);
            while let Some(value) = values.next()? {
                found.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
        values.end()?;
        Ok(found)
    }

    #[test]
    fn objects_end_where_they_end_however_they_are_cut() {
        let objects = [r#"{}"#, r#"{"a":{"b":[{},{}]}}"#, r#"{"}":"\"}{\\"}"#, r#"{"a":"\\\""}"#];
        for between in ["", "\n", " \r\n\t"] {
            let body = objects.join(between) + between;
            for piece_len in [1, 2, 3, 7, 1000] {
                assert_eq!(values(&body, piece_len).unwrap(), objects, "in pieces of {piece_len}");
            }
        }
    }

    #[test]
    fn what_is_no_object_or_no_whole_one_or_too_large_is_refused() {
        let code = |body: &str| values(body, 10).unwrap_err().code();
        for wrong in ["1", "{}]", "null", "{", "{}{\"a", "[{}]"] {
            assert_eq!(code(wrong), Code::InvalidArgument, "{wrong}");
        }
        assert_eq!(code(&format!("{{\"a\":\"{}\"}}", "x".repeat(100))), Code::ResourceExhausted);
        // Each for itself may be as large.
        assert_eq!(values(&format!("{{\"a\":\"{}\"}}", "x".repeat(90)).repeat(5), 7).unwrap().len(), 5);
    }
}
