//! Writes the seeds of the corpus into `tests/fuzz/corpus`: what our own writers make, and messages by hand.
//!
//! Run from the top of the project: `cargo run --package offhook-fuzz-targets --example write_seeds`.

mod seeds;

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new("tests/fuzz/corpus");
    for (target, seeds) in seeds::all() {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(format!("seed-{name}")), bytes)?;
        }
    }
    Ok(())
}
