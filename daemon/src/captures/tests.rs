//! Captures without sockets: messages and datagrams by hand.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

const HEARD: Way = Way {
    sent: false,
    rtcp_socket: false,
};

fn call(name: &str) -> CallId {
    CallId::new(name)
}

#[tokio::test]
async fn a_call_is_saved_while_it_is_up_with_its_signalling_and_its_audio() {
    let captures = Captures::new(None);
    let since = Instant::now();
    let id = call("a");
    assert_eq!(captures.save(&id).await, None);
    let began = captures.begin(&id, since, false).unwrap();
    let mut tap = captures
        .tap(&id, began, address(4_000), address(4_001))
        .unwrap();
    captures.message(&id, began, since, (address(1), address(2)), b"INVITE");
    for _ in 0..50 {
        tap.note(HEARD, &[0x80; 172], address(5_000), Instant::now());
    }
    let saved = captures.save(&id).await.unwrap();
    assert_eq!((saved.packets, saved.dropped), (51, 0));
    assert_eq!(saved.file.len(), 24 + 51 * (16 + 28) + 6 + 50 * 172);
    assert_eq!(captures.save(&call("other")).await, None);
    captures.finish();
    assert_eq!(captures.save(&id).await, None);
}

#[test]
fn a_capture_by_configuration_is_a_file_for_its_owner_alone() {
    let folder = std::env::temp_dir().join(format!("offhook-captures-{}", std::process::id()));
    let captures = Captures::new(Some(folder.clone()));
    let since = Instant::now();
    for (name, to_file) in [("written", true), ("kept", false)] {
        let began = captures.begin(&call(name), since, to_file).unwrap();
        captures.message(&call(name), began, since, (address(1), address(2)), b"BYE");
        captures.end(&call(name), LINGER);
    }
    captures.finish();
    let written = std::fs::metadata(folder.join("written.pcap")).unwrap();
    assert_eq!(written.len(), 24 + 16 + 28 + 3);
    assert_eq!(written.permissions().mode() & 0o777, 0o600);
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(!folder.join("kept.pcap").exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_call_that_is_over_is_kept_for_a_while_and_the_oldest_make_room() {
    let mut keeper = Keeper::new(None);
    let now = Instant::now();
    for n in 0..FINISHED + 3 {
        let call = call(&n.to_string());
        keeper.take(Work::Begin {
            call: call.clone(),
            began: Duration::ZERO,
            to_file: false,
        });
        keeper.take(Work::End(call.clone(), LINGER));
        keeper.round(now);
        assert!(
            keeper.live.contains_key(&call),
            "it lingers for who repeats"
        );
        keeper.round(Instant::now() + LINGER);
        assert!(keeper.live.is_empty());
    }
    assert_eq!(keeper.finished.len(), FINISHED);
    assert_eq!(keeper.save(&call("2")), None);
    assert!(keeper.save(&call("3")).is_some());
    keeper.round(Instant::now() + LINGER + KEPT_FOR);
    assert!(keeper.finished.is_empty());
}

#[test]
fn a_leg_that_goes_leaves_nothing_behind_and_another_one_follows_it() {
    let mut keeper = Keeper::new(None);
    keeper.take(Work::Begin {
        call: call("a"),
        began: Duration::ZERO,
        to_file: false,
    });
    let began = Instant::now();
    for _ in 0..2 {
        let (mut tap, reader) = tap::tap(began, address(1), address(2));
        keeper.take(Work::Media(call("a"), reader));
        tap.note(HEARD, b"last words", address(3), began);
        drop(tap);
        keeper.round(began);
        assert_eq!(keeper.live[&call("a")].taps.len(), 0);
    }
    assert_eq!(keeper.save(&call("a")).map(|saved| saved.packets), Some(2));
}

#[test]
fn what_is_stopped_is_whole_at_once_and_what_begins_again_is_another_capture() {
    let mut keeper = Keeper::new(None);
    let began = Instant::now();
    let begin = || Work::Begin {
        call: call("a"),
        began: Duration::ZERO,
        to_file: false,
    };
    keeper.take(begin());
    let (mut tap, reader) = tap::tap(began, address(1), address(2));
    keeper.take(Work::Media(call("a"), reader));
    tap.note(HEARD, b"before", address(3), began);
    keeper.take(Work::End(call("a"), Duration::ZERO));
    tap.note(HEARD, b"too late", address(3), began);
    assert_eq!(keeper.save(&call("a")).map(|saved| saved.packets), Some(1));
    keeper.round(began);
    assert_eq!(keeper.released.len(), 1, "its media thread still has it");
    drop(tap);
    keeper.round(began);
    assert_eq!(keeper.released.len(), 0);
    keeper.take(begin());
    assert_eq!(keeper.save(&call("a")).map(|saved| saved.packets), Some(0));
}
