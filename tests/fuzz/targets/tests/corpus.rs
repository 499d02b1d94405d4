//! The corpus of the fuzzer, and every input that once found something, through the same functions: without a fuzzer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use offhook_fuzz_targets::TARGETS;

/// More would make every checkout large; `make fuzz` begins with less.
const MOST_FILES: usize = 300;
const MOST_BYTES: u64 = 500_000;

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(kind)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs every file of one kind through its target, and names all that fail.
fn replay(kind: &str) -> usize {
    let mut failed = Vec::new();
    let mut count = 0;
    for (name, target) in TARGETS {
        for file in files(&folder(kind).join(name)) {
            let bytes = fs::read(&file).unwrap();
            count += 1;
            if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
                failed.push(file);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    count
}

#[test]
fn every_input_of_the_corpus_leaves_what_has_to_hold() {
    let count = replay("corpus");
    assert!(count >= TARGETS.len() * 5, "{count} inputs are no corpus");
}

#[test]
fn every_input_that_once_found_something_finds_it_no_more() {
    assert!(replay("found") > 0, "what was found is kept");
}

#[test]
fn every_target_has_a_corpus_and_there_is_no_other_one() {
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let folders: Vec<String> = files(&folder("corpus"))
        .iter()
        .map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, names);
    for found in files(&folder("found")) {
        let name = found.file_name().unwrap().to_string_lossy().into_owned();
        assert!(names.contains(&name.as_str()), "{name} is no target");
    }
    let programs = files(&folder("fuzz_targets"));
    let programs: Vec<_> = programs.iter().map(|it| it.file_stem().unwrap()).collect();
    assert_eq!(programs, names);
}

#[test]
fn the_corpus_is_small() {
    let all: Vec<PathBuf> = TARGETS
        .iter()
        .flat_map(|(name, _)| files(&folder("corpus").join(name)))
        .collect();
    let bytes: u64 = all
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    assert!(
        all.len() <= MOST_FILES && bytes <= MOST_BYTES,
        "{} files, {bytes} bytes",
        all.len()
    );
}
