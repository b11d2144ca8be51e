//! What every target does: it shows the bytes to its reader.

use std::sync::OnceLock;

use self::readers::{READERS, Reader};

#[path = "readers.rs"]
mod readers;

static READER: OnceLock<Reader> = OnceLock::new();

/// Shows `bytes` to the reader of that name, which panics where it breaks.
pub fn read(name: &str, bytes: &[u8]) {
    READER.get_or_init(|| make(name)).read(bytes);
}

/// Makes the reader, and writes its examples into the folder that `FUZZ_EXAMPLES` names, if it does.
fn make(name: &str) -> Reader {
    let reader = READERS.iter().find(|(known, _)| *known == name).expect("a reader has this name").1();
    if let Some(folder) = std::env::var_os("FUZZ_EXAMPLES") {
        for (number, example) in reader.examples.iter().enumerate() {
            std::fs::write(std::path::Path::new(&folder).join(number.to_string()), example)
                .expect("the folder is there");
        }
    }
    reader
}
