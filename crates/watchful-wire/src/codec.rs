//! How messages get into a connection's buffer and out of it: as tonic's own codec for prost does it, but for one thing.
//!
//! An answer can have a megabyte. Room for all of it is made at once, where prost would let the buffer grow by doubling
//! and copy what is there each time.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The codec of all services: `E` goes out and `D` comes in.
#[derive(Clone, Debug)]
pub struct WireCodec<E, D> {
    messages: PhantomData<(E, D)>,
}

/// The half that sends.
#[derive(Clone, Debug)]
pub struct WireEncoder<E>(PhantomData<E>);

/// The half that receives.
#[derive(Clone, Debug)]
pub struct WireDecoder<D>(PhantomData<D>);

impl<E, D> Default for WireCodec<E, D> {
    fn default() -> Self {
        Self { messages: PhantomData }
    }
}

impl<E, D> Codec for WireCodec<E, D>
where
    E: Message + Send + 'static,
    D: Message + Default + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = WireEncoder<E>;
    type Decoder = WireDecoder<D>;

    fn encoder(&mut self) -> WireEncoder<E> {
        WireEncoder(PhantomData)
    }

    fn decoder(&mut self) -> WireDecoder<D> {
        WireDecoder(PhantomData)
    }
}

impl<E: Message> Encoder for WireEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(item.encoded_len());
        item.encode_raw(buf);
        Ok(())
    }
}

impl<D: Message + Default> Decoder for WireDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        // As tonic's own codec answers.
        D::decode(buf).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
