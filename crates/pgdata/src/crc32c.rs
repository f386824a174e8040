//! CRC-32C (Castagnoli), as PostgreSQL computes it over pg_control and over records of the write-ahead log.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    !more(!0, bytes)
}

/// Of several parts as if they were one.
pub(crate) fn crc32c_of(parts: [&[u8]; 2]) -> u32 {
    !more(more(!0, parts[0]), parts[1])
}

fn more(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, &byte| {
        (crc >> 8) ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_catalogue_comes_out() {
        assert_eq!(super::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(super::crc32c_of([b"12345", b"6789"]), 0xE306_9283);
    }
}
