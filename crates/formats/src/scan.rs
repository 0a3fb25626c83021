//! The search for the bytes of a string that JSON does not write as they are: quotation marks, backslashes, controls.

/// Bytes that are looked at together, as one number.
const WORD: usize = 8;
/// Bytes that are passed over together when none of them is special.
const BLOCK: usize = 4 * WORD;

/// The place of the first byte that is a quotation mark, a backslash or a control character.
#[must_use]
pub fn first_special(bytes: &[u8]) -> Option<usize> {
    let mut at = bytes.as_chunks::<BLOCK>().0.iter().take_while(|block| marks_of(*block) == 0).count() * BLOCK;
    loop {
        let rest = bytes.get(at..)?;
        let word = rest.first_chunk().copied();
        let found = marks(&word.unwrap_or_else(|| padded(rest)));
        if found != 0 {
            return Some(at + usize::try_from(found.trailing_zeros() / u8::BITS).unwrap_or(0));
        }
        word?;
        at += WORD;
    }
}

/// Whether none of the bytes is a quotation mark, a backslash or a control character.
///
/// What is left behind the last block is looked at with bytes before it, which does no harm and needs no loop.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<BLOCK>() {
        return bytes.as_chunks::<BLOCK>().0.iter().chain([last]).all(|block| marks_of(block) == 0);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<{ 2 * WORD }>(), bytes.last_chunk::<{ 2 * WORD }>()) {
        return marks_of(first) | marks_of(last) == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return marks(first) | marks(last) == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let both = u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << u32::BITS;
        return marks(&both.to_le_bytes()) == 0;
    }
    bytes.iter().all(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\')
}

/// The marks of several words in one: which word has them is lost.
fn marks_of(block: &[u8]) -> u64 {
    block.as_chunks().0.iter().fold(0, |found, word| found | marks(word))
}

fn padded(bytes: &[u8]) -> [u8; WORD] {
    let mut word = [b' '; WORD];
    word.iter_mut().zip(bytes).for_each(|(byte, from)| *byte = *from);
    word
}

/// Nothing where no byte of the word is special; else the lowest mark is in the first special byte.
///
/// A subtraction borrows into a byte's highest bit when the byte is smaller than what is taken from it. What is borrowed
/// from the next byte can only mark bytes behind the first.
const fn marks(word: &[u8; WORD]) -> u64 {
    const fn each(byte: u8) -> u64 {
        u64::from_le_bytes([byte; WORD])
    }
    let word = u64::from_le_bytes(*word);
    let controls = word.wrapping_sub(each(b' '));
    let quotation_marks = (word ^ each(b'"')).wrapping_sub(each(1));
    let backslashes = (word ^ each(b'\\')).wrapping_sub(each(1));
    (controls | quotation_marks | backslashes) & !word & each(0x80)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    }

    #[test]
    fn every_byte_at_every_place_is_judged() {
        for length in 0..70 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![0xc3; length];
                    bytes[at] = byte;
                    assert_eq!(first_special(&bytes), expected(&bytes), "{byte} at {at} of {length}");
                    assert_eq!(is_plain(&bytes), expected(&bytes).is_none(), "{byte} at {at} of {length}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(bytes in prop::collection::vec(prop_oneof![20 => 0x20u8..=0xff, 1 => any::<u8>()], 0..150)) {
            prop_assert_eq!(first_special(&bytes), expected(&bytes));
            prop_assert_eq!(is_plain(&bytes), expected(&bytes).is_none());
        }
    }
}
