//! A fingerprint of 128 bits: two lanes that multiply and fold what they are given. Several times as fast as the library's
//! hasher run twice, and hashing states is a good part of the check.

use std::hash::Hasher;

const FIRST: u64 = 0x9E37_79B9_7F4A_7C15;
const SECOND: u64 = 0xD6E8_FEB8_6659_FD93;

pub(crate) struct Print(u64, u64);

impl Default for Print {
    fn default() -> Self {
        Self(0x2436_A6B1_0F4C_9D27, 0x1319_8A2E_0370_7344)
    }
}

/// Both halves of the product: no bit of what is multiplied is lost.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let (low, high) = (product & u128::from(u64::MAX), product >> 64);
    u64::try_from(low ^ high).expect("both are halves")
}

impl Print {
    pub(crate) fn end(&self) -> u128 {
        let first = fold(self.0 ^ SECOND, FIRST);
        let second = fold(self.1 ^ FIRST, SECOND);
        u128::from(first) << 64 | u128::from(second)
    }
}

impl Hasher for Print {
    fn finish(&self) -> u64 {
        fold(self.0 ^ SECOND, FIRST)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let chunk = chunk.try_into().expect("a chunk is 8 bytes");
            self.write_u64(u64::from_le_bytes(chunk));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(last));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // Different for each place, because the lanes are turned before.
        self.0 = fold(self.0.rotate_left(23) ^ word, FIRST) ^ word;
        self.1 = fold(self.1.rotate_left(41) ^ word, SECOND).wrapping_add(word);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(u64::try_from(number).expect("of 64 bits"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::state::fingerprint;

    #[test]
    fn prints_of_small_values_at_every_place_differ() {
        let mut seen = HashSet::new();
        for a in 0..40_u8 {
            for b in 0..40_u32 {
                for c in ["", "a", "b", "ab", "abcdefgh", "abcdefgi"] {
                    assert!(seen.insert(fingerprint(&(a, b, c))), "{a} {b} {c}");
                    assert!(seen.insert(fingerprint(&(c, a, b, 1_u8))), "{c} {a} {b}");
                }
            }
        }
        let halves: HashSet<u64> = seen
            .iter()
            .map(|p| u64::try_from(p >> 64).unwrap())
            .collect();
        assert_eq!(halves.len(), seen.len());
    }
}
