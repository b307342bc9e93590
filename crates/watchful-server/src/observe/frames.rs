//! Where gRPC's messages begin in a body that comes in pieces: five bytes before each say how long it is.

/// Counts messages as their prefixes pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frames {
    /// Bytes of the message that are still to come.
    rest: usize,
    /// Bytes of the next prefix that have come.
    prefix_len: usize,
    /// What they say so far: the length, big-endian, after a byte that says whether it is compressed.
    len: u32,
}

pub(crate) const PREFIX_LEN: usize = 5;

impl Frames {
    /// How many messages begin in this piece: their prefixes end in it.
    pub(crate) fn count(&mut self, piece: &[u8]) -> u64 {
        let (mut messages, mut at) = (0, 0);
        while at < piece.len() {
            if self.rest > 0 {
                let skipped = self.rest.min(piece.len() - at);
                (self.rest, at) = (self.rest - skipped, at + skipped);
                continue;
            }
            self.len = if self.prefix_len == 0 { 0 } else { (self.len << 8) | u32::from(piece[at]) };
            (self.prefix_len, at) = (self.prefix_len + 1, at + 1);
            if self.prefix_len == PREFIX_LEN {
                messages += 1;
                (self.prefix_len, self.rest) = (0, self.len as usize);
            }
        }
        messages
    }

    /// How many bytes of a message have come that has not ended.
    pub(crate) fn begun(&self) -> usize {
        if self.rest > 0 { PREFIX_LEN + self.len as usize - self.rest } else { self.prefix_len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_the_body_is_cut_every_message_counts_once() {
        let mut body = Vec::new();
        for len in [0_u32, 1, 7, 300, 0, 70_000] {
            body.push(0);
            body.extend(len.to_be_bytes());
            body.resize(body.len() + len as usize, 0xff);
        }
        for piece_len in [1, 2, 3, 5, 6, 64, 4096, body.len()] {
            let mut frames = Frames::default();
            let counted: u64 = body.chunks(piece_len).map(|piece| frames.count(piece)).sum();
            assert_eq!(counted, 6, "in pieces of {piece_len}");
        }
    }

    #[test]
    fn what_has_begun_is_told() {
        let mut frames = Frames::default();
        for (piece, begun) in [(&[0, 0, 0][..], 3), (&[0, 4], 5), (b"abc", 8), (b"d", 0), (&[0], 1)] {
            frames.count(piece);
            assert_eq!(frames.begun(), begun);
        }
    }
}
