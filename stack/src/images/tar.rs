//! Just enough of ustar: short names, files only.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

pub(super) const BLOCK: usize = 512;

/// A layer of programs. Times and owners are zero, so the same programs make the same layer.
pub(super) fn layer(files: &[(PathBuf, &str)]) -> Result<Vec<u8>> {
    let mut tar = Vec::new();
    for (from, to) in files {
        let mut content = Vec::new();
        File::open(from)
            .and_then(|mut file| file.read_to_end(&mut content))
            .with_context(|| format!("no {}", from.display()))?;
        let size = content.len() as u64;
        tar.extend(header(to, size, 0o755)?);
        tar.append(&mut content);
        tar.extend(padding(size));
    }
    tar.extend([0; 2 * BLOCK]);
    Ok(tar)
}

/// A ustar header. Names here are short, so its extensions are not needed.
pub(super) fn header(name: &str, size: u64, mode: u32) -> Result<[u8; BLOCK]> {
    let mut block = [0_u8; BLOCK];
    if name.len() >= 100 {
        bail!("{name} is too long for a tar header");
    }
    block[..name.len()].copy_from_slice(name.as_bytes());
    let mut field =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(100, &format!("{mode:07o}"));
    field(108, "0000000");
    field(116, "0000000");
    field(124, &format!("{size:011o}"));
    field(136, "00000000000");
    // The checksum counts its own field as spaces.
    field(148, "        ");
    field(156, "0");
    field(257, "ustar\u{0}00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Ok(block)
}

pub(super) fn padding(size: u64) -> Vec<u8> {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    vec![0; (BLOCK - over) % BLOCK]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_a_tar_with_programs_of_root() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        let tar = layer(&[(program, "usr/local/bin/program")]).unwrap();
        let text = |from: usize, to: usize| std::str::from_utf8(&tar[from..to]).unwrap();
        assert!(text(0, 100).starts_with("usr/local/bin/program\0"));
        assert_eq!(text(100, 107), "0000755");
        assert_eq!(text(124, 135), "00000000012");
        assert_eq!(text(257, 262), "ustar");
        assert_eq!(&tar[BLOCK..BLOCK + 10], b"#!/bin/sh\n");
        assert_eq!(tar.len(), 4 * BLOCK);
    }

    #[test]
    fn a_headers_checksum_counts_its_own_field_as_spaces() {
        let header = header("a", 3, 0o644).unwrap();
        let stored = std::str::from_utf8(&header[148..154]).unwrap();
        let own: u32 = header[148..156].iter().map(|byte| u32::from(*byte)).sum();
        let sum = header.iter().map(|byte| u32::from(*byte)).sum::<u32>() - own + 8 * 32;
        assert_eq!(u32::from_str_radix(stored, 8).unwrap(), sum);
    }
}
