//! Blocks: the items of a backup, a few megabytes at a time, compressed and with a checksum.
//!
//! `magic · format · number of items · length of the items · LZ4 block · BLAKE3 of all before`. Inside, each item's
//! length and its flat form. A block that is not exactly what was written is refused.

use bytes::Bytes;
use partita_model::StoredItem;

use super::store::StoreError;

const MAGIC: &[u8; 4] = b"PTBB";
const FORMAT: u8 = 1;
/// Magic, format, items, length.
const HEADER_BYTES: usize = 4 + 1 + 4 + 4;
const HASH_BYTES: usize = 32;
/// The most bytes of items a block may say it has: far above what is written, below what could exhaust memory.
const MAX_RAW_BYTES: usize = 64 << 20;

/// Items on their way into a block.
#[derive(Debug, Default)]
pub(super) struct Block {
    raw: Vec<u8>,
    items: u32,
}

impl Block {
    /// A block is written when it has this many bytes. Tests have blocks of few items.
    const FULL_BYTES: usize = if cfg!(test) { 300 } else { 4 << 20 };

    /// Adds an item.
    pub(super) fn add(&mut self, item: &StoredItem) {
        let bytes = item.as_bytes();
        // Items are at most a few times 400 KB long.
        self.raw.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.raw.extend_from_slice(bytes);
        self.items += 1;
    }

    /// Whether it is time to write the block.
    pub(super) fn is_full(&self) -> bool {
        self.raw.len() >= Self::FULL_BYTES
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// How many items it holds.
    pub(super) const fn items(&self) -> u32 {
        self.items
    }

    /// The bytes to store.
    pub(super) fn encode(&self) -> Bytes {
        let packed = lz4_flex::block::compress(&self.raw);
        let mut block = Vec::with_capacity(HEADER_BYTES + packed.len() + HASH_BYTES);
        block.extend_from_slice(MAGIC);
        block.push(FORMAT);
        block.extend_from_slice(&self.items.to_be_bytes());
        block.extend_from_slice(&u32::try_from(self.raw.len()).unwrap_or(u32::MAX).to_be_bytes());
        block.extend_from_slice(&packed);
        let hash = blake3::hash(&block);
        block.extend_from_slice(hash.as_bytes());
        block.into()
    }
}

/// The items of a block.
///
/// # Errors
/// `Damaged` when the block is not what was written.
pub(super) fn decode(block: &Bytes) -> Result<Vec<StoredItem>, StoreError> {
    decode_checked(block).ok_or_else(|| StoreError::Damaged("a block's checksum does not fit".to_owned()))
}

fn decode_checked(block: &Bytes) -> Option<Vec<StoredItem>> {
    let (content, hash) = block.split_at_checked(block.len().checked_sub(HASH_BYTES)?)?;
    if blake3::hash(content).as_bytes() != hash {
        return None;
    }
    let rest = content.strip_prefix(MAGIC)?.strip_prefix(&[FORMAT])?;
    let (items, rest) = rest.split_first_chunk()?;
    let (length, packed) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= MAX_RAW_BYTES)?;
    let raw = Bytes::from(lz4_flex::block::decompress(packed, length).ok()?);
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let length = usize::try_from(u32::from_be_bytes(*raw.get(at..)?.first_chunk()?)).ok()?;
        let (from, to) = (at + 4, (at + 4).checked_add(length)?);
        if to > raw.len() {
            return None;
        }
        decoded.push(StoredItem::from_bytes(raw.slice(from..to)));
        at = to;
    }
    (decoded.len() == usize::try_from(u32::from_be_bytes(*items)).ok()?).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use partita_model::{AttributeMap, AttributeValue};

    use super::*;

    fn block(items: u32) -> (Block, Vec<StoredItem>) {
        let item = |n: u32| {
            let mut item = AttributeMap::new();
            item.insert("pk", AttributeValue::S(format!("key {n}")));
            StoredItem::from_item(&item)
        };
        let items: Vec<StoredItem> = (0..items).map(item).collect();
        let mut block = Block::default();
        items.iter().for_each(|item| block.add(item));
        (block, items)
    }

    #[test]
    fn items_are_read_back() {
        for count in [0, 1, 100] {
            let (block, items) = block(count);
            assert_eq!(decode(&block.encode()).unwrap(), items);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let whole = block(5).0.encode();
        for at in 0..whole.len() {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 1 << (at % 8);
            assert!(decode(&flipped.into()).is_err(), "flipped at {at}");
            assert!(decode(&whole.slice(..at)).is_err(), "cut at {at}");
        }
    }
}
