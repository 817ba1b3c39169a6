//! Files of info hashes, one a line.

use std::fs;
use std::path::{Path, PathBuf};

use proto::id::InfoHash;

use super::BadSettings;

/// Bytes of a list at the most: three million info hashes.
const MAX_LIST: u64 = 128 << 20;

/// The info hashes of all `files`.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<InfoHash>, BadSettings> {
    let mut all = Vec::new();
    for file in files {
        let bad = |reason: String| BadSettings(format!("cannot read the list {}: {reason}", file.display()));
        let len = fs::metadata(file).map_err(|error| bad(error.to_string()))?.len();
        if len > MAX_LIST {
            return Err(bad(format!("{len} bytes are more than {MAX_LIST}")));
        }
        let text = fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
        parse(file, &text, &mut all)?;
    }
    Ok(all)
}

fn parse(file: &Path, text: &str, all: &mut Vec<InfoHash>) -> Result<(), BadSettings> {
    for (number, line) in (1..).zip(text.lines()) {
        let word = line.split('#').next().unwrap_or_default().trim();
        if !word.is_empty() {
            let bad = |error| BadSettings(format!("{}:{number}: `{word}`: {error}", file.display()));
            all.push(word.parse().map_err(bad)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_comments_and_errors_name_the_line() {
        let mut all = Vec::new();
        let hash = "aa".repeat(20);
        let good = format!("# ours\n\n  {hash}  # a film\n{}\n", hash.to_uppercase());
        parse(Path::new("list"), &good, &mut all).expect("good");
        assert_eq!(all, [InfoHash([0xaa; 20]); 2]);
        let bad = parse(Path::new("list"), "\nxyz\n", &mut all).expect_err("bad");
        assert_eq!(bad.to_string(), "list:2: `xyz`: an info hash is 40 hexadecimal digits");
    }
}
