//! Directories to save: many small files of words, and big ones of noise.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

const DIRECTORIES: u64 = 100;
const FILES_EACH: u64 = 100;
const SMALL_BYTES: usize = 20_000;
const BIG_FILES: u64 = 8;
const BIG_BYTES: usize = 50_000_000;
const WORDS: u64 = 2000;

/// Numbers that look random and are the same each time.
#[derive(Debug)]
pub(super) struct Numbers(u64);

impl Numbers {
    /// The same as every time.
    pub(super) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Fills with what does not compress.
    pub(super) fn noise(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            let number = self.next().to_le_bytes();
            word.copy_from_slice(&number[..word.len()]);
        }
    }

    fn words(&mut self, text: &mut Vec<u8>) {
        text.clear();
        while text.len() < SMALL_BYTES {
            let number = self.next();
            let end = if number >> 61 == 0 { '\n' } else { ' ' };
            let word = number % WORDS * 7919;
            write!(text, "w{word:x}{end}").expect("memory takes text");
        }
        text.truncate(SMALL_BYTES);
    }
}

/// Writes 600 MB: 10,000 files of 20 kB and 8 of 50 MB.
pub(super) fn write(root: &Path) -> io::Result<()> {
    let mut numbers = Numbers::new();
    let mut text = Vec::with_capacity(SMALL_BYTES + 64);
    for directory in 0..DIRECTORIES {
        let dir = root.join(format!("d{directory:02}"));
        fs::create_dir(&dir)?;
        for file in 0..FILES_EACH {
            numbers.words(&mut text);
            fs::write(dir.join(format!("f{file:02}")), &text)?;
        }
    }
    let mut noise = vec![0; BIG_BYTES];
    for big in 0..BIG_FILES {
        numbers.noise(&mut noise);
        fs::write(root.join(format!("big{big}")), &noise)?;
    }
    Ok(())
}

/// Gives 20 small files another content.
pub(super) fn change(root: &Path) -> io::Result<()> {
    let mut numbers = Numbers(0xdead_beef);
    let mut text = Vec::new();
    for directory in 0..20 {
        numbers.words(&mut text);
        fs::write(root.join(format!("d{directory:02}/f00")), &text)?;
    }
    Ok(())
}

/// The shell command by which a run does the like to its workspace.
pub(super) const CHANGE_SCRIPT: &str = "for d in $(seq 10 29); do seq $(date +%N | sed s/^0*//) 7 999999999 | head -c 20000 > d$d/f01; done";
