//! What each crate may name. The compiler keeps a crate from what it does not depend on; these checks
//! keep the rest of the rules that ARCHITECTURE.md gives.

use std::fs;
use std::path::{Path, PathBuf};

const SOCKETS: [&str; 5] = [
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixDatagram",
];
const CLOCKS: [&str; 2] = ["Instant::now", "SystemTime::now"];
const TASKS: [&str; 3] = ["tokio", "thread::spawn", "thread::sleep"];
const FILES: [&str; 4] = ["std::fs", "File::open", "File::create", "std::process"];
const RANDOMNESS: [&str; 4] = ["RandomState", "thread_rng", "rand", "getrandom"];

#[test]
fn sip_and_media_have_no_socket_clock_task_file_or_randomness() {
    let forbidden = [&SOCKETS[..], &CLOCKS, &TASKS, &FILES, &RANDOMNESS].concat();
    assert_names_none(code_under("sip/src"), &forbidden);
    assert_names_none(code_under("media/src"), &forbidden);
}

#[test]
fn sip_and_media_do_not_know_of_each_other() {
    assert_names_none(code_under("sip/src"), &["offhook_media", "offhook_session"]);
    assert_names_none(code_under("media/src"), &["offhook_sip", "offhook_session"]);
}

#[test]
fn only_the_message_layer_names_rsip() {
    assert_names_none(outside(code_under("sip/src"), "sip/src/message"), &["rsip"]);
    for folder in ["media/src", "session/src", "daemon/src", "tests/src"] {
        assert_names_none(code_under(folder), &["rsip"]);
    }
}

/// The session steers audio by `media::control` and converts it by `media::resampler`; what a packet or
/// a session description looks like is the call's business alone.
#[test]
fn only_the_call_names_protocols_within_session() {
    let code = outside(code_under("session/src"), "session/src/call");
    let used: Vec<String> = code
        .iter()
        .filter(|line| {
            line.text
                .split("offhook_media")
                .skip(1)
                .any(|rest| !rest.starts_with("::control") && !rest.starts_with("::resampler"))
        })
        .map(|line| format!("{}:{}: {}", line.file, line.number, line.text.trim()))
        .collect();
    assert!(used.is_empty(), "\n{}", used.join("\n"));
    assert_names_none(code, &["offhook_sip"]);
}

#[test]
fn session_reaches_the_world_through_providers_only() {
    let forbidden = [
        &SOCKETS[..],
        &FILES,
        &["tokio::net", "tokio::fs", "tokio::process"],
    ]
    .concat();
    assert_names_none(
        outside(code_under("session/src"), "session/src/provider"),
        &forbidden,
    );
}

#[test]
fn nothing_depends_on_the_tests() {
    for folder in ["sip", "media", "session", "daemon"] {
        let manifest = fs::read_to_string(workspace().join(folder).join("Cargo.toml")).unwrap();
        assert!(
            !manifest.contains("offhook-tests"),
            "{folder} depends on the tests"
        );
    }
}

#[test]
fn the_crates_that_decide_forbid_unsafe_code() {
    for folder in ["sip", "media", "session"] {
        let root = fs::read_to_string(workspace().join(folder).join("src/lib.rs")).unwrap();
        assert!(root.contains("#![forbid(unsafe_code)]"), "{folder}");
    }
}

#[test]
fn these_checks_see_whole_names_only() {
    assert!(names("use tokio::net;", "tokio"));
    assert!(names("let now = Instant::now();", "Instant::now"));
    assert!(!names("fn operand() {}", "rand"));
    assert!(!names("struct MyUdpSocketLike;", "UdpSocket"));
}

/// One line of code: its file relative to the workspace, its number, and its text without comments.
struct Line {
    file: String,
    number: usize,
    text: String,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every line of code under `folder` that is no test and no comment. A folder that is not there fails:
/// a renamed one must not pass unseen.
fn code_under(folder: &str) -> Vec<Line> {
    let mut files = Vec::new();
    collect_files(&workspace().join(folder), &mut files);
    assert!(!files.is_empty(), "no sources in {folder}");
    files.iter().flat_map(|file| code_of(file)).collect()
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            collect_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn code_of(path: &Path) -> Vec<Line> {
    let file = path
        .strip_prefix(workspace())
        .unwrap()
        .display()
        .to_string();
    let text = fs::read_to_string(path).unwrap();
    // In this project a file's tests stand at its end.
    let before_tests = text
        .lines()
        .enumerate()
        .take_while(|(_, line)| !line.contains("mod tests {"));
    before_tests
        .map(|(index, line)| Line {
            file: file.clone(),
            number: index + 1,
            text: line.split("//").next().unwrap_or_default().to_owned(),
        })
        .collect()
}

/// The lines of files whose names do not begin with `prefix`: a module, as a file or as a folder.
fn outside(code: Vec<Line>, prefix: &str) -> Vec<Line> {
    let is_inside = |file: &str| {
        file.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    };
    code.into_iter()
        .filter(|line| !is_inside(&line.file))
        .collect()
}

/// Whether `text` holds `name`, not as a part of a longer word.
fn names(text: &str, name: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(name).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Fails with every line of `code` that names one of `forbidden`.
#[track_caller]
fn assert_names_none(code: Vec<Line>, forbidden: &[&str]) {
    let mut found = Vec::new();
    for line in &code {
        for name in forbidden.iter().filter(|name| names(&line.text, name)) {
            found.push(format!("{}:{} names {name}", line.file, line.number));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
