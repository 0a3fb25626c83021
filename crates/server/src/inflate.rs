//! Decompresses a request body piece by piece, never past a limit.
//!
//! Every step makes at most some tens of kilobytes, so the caller can account for memory between steps and a
//! compression bomb is stopped at the limit, not after it.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The encodings of request bodies that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 1950 as HTTP means it, or bare RFC 1951 as some clients send it.
    Deflate,
}

/// Why decompression ended early.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// More output than the limit allows.
    TooLarge,
    /// Not a whole, valid stream.
    Corrupt,
}

/// A decompression under way.
pub(crate) struct Inflater {
    decoder: Decoder,
}

enum Decoder {
    Gzip(MultiGzDecoder<Bounded>),
    /// Nothing has arrived yet that would tell zlib and bare deflate apart.
    Undecided(Bounded),
    Zlib(ZlibDecoder<Bounded>),
    Raw(DeflateDecoder<Bounded>),
}

/// The output, which refuses to grow past its limit.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.limit - self.bytes.len() < bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<io::Error> for InflateError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::FileTooLarge { Self::TooLarge } else { Self::Corrupt }
    }
}

impl Inflater {
    /// A decompressor that yields at most `limit` bytes; none for [`Encoding::Identity`].
    pub(crate) fn new(encoding: Encoding, limit: usize) -> Option<Self> {
        let output = Bounded { bytes: Vec::new(), limit };
        let decoder = match encoding {
            Encoding::Identity => return None,
            Encoding::Gzip => Decoder::Gzip(MultiGzDecoder::new(output)),
            Encoding::Deflate => Decoder::Undecided(output),
        };
        Some(Self { decoder })
    }

    /// Takes some of `input` and returns what is left of it. One bounded step: call it until nothing is left.
    pub(crate) fn step<'i>(&mut self, input: &'i [u8]) -> Result<&'i [u8], InflateError> {
        if let Decoder::Undecided(output) = &mut self.decoder
            && let Some(&first) = input.first()
        {
            let output = Bounded { bytes: Vec::new(), limit: output.limit };
            self.decoder = if begins_zlib(first) {
                Decoder::Zlib(ZlibDecoder::new(output))
            } else {
                Decoder::Raw(DeflateDecoder::new(output))
            };
        }
        let taken = match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.write(input)?,
            Decoder::Zlib(decoder) => decoder.write(input)?,
            Decoder::Raw(decoder) => decoder.write(input)?,
            Decoder::Undecided(_) => 0,
        };
        match input.get(taken..) {
            Some(rest) if taken > 0 || input.is_empty() => Ok(rest),
            _ => Err(InflateError::Corrupt), // bytes after the end of the stream
        }
    }

    /// Bytes made so far.
    pub(crate) fn produced(&self) -> usize {
        let output = match &self.decoder {
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Zlib(decoder) => decoder.get_ref(),
            Decoder::Raw(decoder) => decoder.get_ref(),
            Decoder::Undecided(output) => output,
        };
        output.bytes.len()
    }

    /// The whole output, if the stream is complete and its checksum right. No input at all is no output.
    pub(crate) fn finish(self) -> Result<Vec<u8>, InflateError> {
        let output = match self.decoder {
            Decoder::Gzip(decoder) => decoder.finish()?,
            Decoder::Zlib(decoder) => decoder.finish()?,
            Decoder::Raw(decoder) => decoder.finish()?,
            Decoder::Undecided(output) => output,
        };
        Ok(output.bytes)
    }
}

/// Whether a deflate stream that begins with `byte` has the zlib wrapper: method 8 and a window of at most 32 KiB.
/// Bare deflate begins like that only in a stored block with dirty padding, which no compressor writes.
fn begins_zlib(byte: u8) -> bool {
    byte & 0x0f == 8 && byte >> 4 <= 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    const LIMIT: usize = 1 << 20;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(encoding: Encoding, input: &[u8], piece: usize) -> Result<Vec<u8>, InflateError> {
        let mut inflater = Inflater::new(encoding, LIMIT).unwrap();
        for mut rest in input.chunks(piece) {
            while !rest.is_empty() {
                let before = inflater.produced();
                rest = inflater.step(rest)?;
                assert!(inflater.produced() - before <= 64 * 1024, "a step must be small");
            }
        }
        inflater.finish()
    }

    #[test]
    fn all_three_forms_round_trip_in_pieces_of_any_size() {
        let body = "{\"TableName\":\"Users\"}".repeat(5_000).into_bytes();
        for piece in [1, 7, 4096, usize::MAX] {
            assert_eq!(inflate(Encoding::Gzip, &gzip(&body), piece).as_ref(), Ok(&body));
            assert_eq!(inflate(Encoding::Deflate, &zlib(&body), piece).as_ref(), Ok(&body));
            assert_eq!(inflate(Encoding::Deflate, &raw(&body), piece).as_ref(), Ok(&body));
        }
    }

    #[test]
    fn gzip_members_are_concatenated() {
        let input = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(inflate(Encoding::Gzip, &input, 3), Ok(b"one two".to_vec()));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = vec![0; LIMIT + 1];
        let largest = vec![0; LIMIT];
        for (encoding, compress) in
            [(Encoding::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Encoding::Deflate, zlib), (Encoding::Deflate, raw)]
        {
            assert_eq!(inflate(encoding, &compress(&bomb), usize::MAX), Err(InflateError::TooLarge));
            assert_eq!(inflate(encoding, &compress(&largest), usize::MAX), Ok(largest.clone()));
        }
    }

    #[test]
    fn truncated_corrupt_and_trailing_bytes_are_refused() {
        for (encoding, good) in [
            (Encoding::Gzip, gzip(b"some text to compress")),
            (Encoding::Deflate, zlib(b"some text to compress")),
            (Encoding::Deflate, raw(b"some text to compress")),
        ] {
            for cut in 1..good.len() {
                assert!(inflate(encoding, &good[..cut], 5).is_err(), "{encoding:?} cut at {cut}");
            }
            let trailing = [&good[..], b"x"].concat();
            assert_eq!(inflate(encoding, &trailing, 5), Err(InflateError::Corrupt), "{encoding:?}");
            assert_eq!(inflate(encoding, b"{\"not\":\"compressed\"}", 5), Err(InflateError::Corrupt));
        }
        let mut checksum = gzip(b"some text to compress");
        let place = checksum.len() - 8;
        checksum[place] ^= 1;
        assert_eq!(inflate(Encoding::Gzip, &checksum, 5), Err(InflateError::Corrupt));
    }

    #[test]
    fn no_input_is_an_empty_deflate_body() {
        assert_eq!(inflate(Encoding::Deflate, b"", 1), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_or_hang(input in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1usize..300) {
            let _ = inflate(Encoding::Gzip, &input, piece);
            let _ = inflate(Encoding::Deflate, &input, piece);
        }

        #[test]
        fn flipped_bits_never_panic_or_pass_unseen(at in 0usize..60, bit in 0u8..8) {
            let body = b"a body that is compressed, and long enough to have a few symbols";
            let mut input = gzip(body);
            let at = at % input.len();
            input[at] ^= 1 << bit;
            if let Ok(output) = inflate(Encoding::Gzip, &input, 9) {
                prop_assert_eq!(output, body.to_vec());
            }
        }
    }
}
