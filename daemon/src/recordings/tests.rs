//! Recordings and messages, by the files that are left.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use offhook_media::control::RecordMode;
use offhook_media::recorder::RecorderTap;

use super::*;

const RATE_HZ: u32 = 8_000;

/// A folder of one test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("offhook-recordings-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("clean up");
    }
}

/// A recording that nobody but the test advances, and its leg's end.
fn begun(path: PathBuf) -> (Option<Open>, RecorderTap) {
    let (producer, ring) = rtrb::RingBuffer::new(2 * RATE_HZ as usize * RING_SECONDS);
    let open = begin(Recording {
        call: CallId::new("0123456789abcdef"),
        path,
        kind: Kind::Call,
        sample_rate_hz: RATE_HZ,
        ring,
    });
    (open, RecorderTap::new(producer, RecordMode::Both))
}

fn record(tap: &mut RecorderTap, frames: usize) {
    for _ in 0..frames {
        tap.record(Some(&[7; 80]), Some(&[-7; 80]), 80);
    }
}

fn readable_ms(path: &Path) -> u32 {
    hound::WavReader::open(path).expect("readable").duration() / (RATE_HZ / 1_000)
}

#[test]
fn a_recording_is_whole_after_its_leg_is_gone() {
    let folder = Folder::new("whole");
    let recordings = Recordings::start(folder.0.clone()).expect("start");
    let call = CallId::new("0123456789abcdef");
    let ring = recordings.begin(&call, RATE_HZ).expect("room");
    let mut tap = RecorderTap::new(ring, RecordMode::Both);
    for index in 0..50_i16 {
        tap.record(Some(&[index; 80]), Some(&[-index; 80]), 80);
    }
    drop(tap);
    let deadline = Instant::now() + Duration::from_secs(10);
    let path = recordings.path_of(&call);
    let samples = loop {
        assert!(Instant::now() < deadline, "the file was not finished");
        let reader = hound::WavReader::open(&path)
            .ok()
            .filter(|reader| reader.duration() == 4_000);
        if let Some(mut reader) = reader {
            break reader
                .samples::<i16>()
                .collect::<Result<Vec<_>, _>>()
                .expect("samples");
        }
        std::thread::yield_now();
    };
    assert_eq!(samples[160 * 7..160 * 7 + 2], [7, -7]);
}

#[test]
fn a_message_is_a_file_of_its_own_and_is_told_to_be_whole_and_discarded_when_nothing_is_in_it() {
    let folder = Folder::new("message");
    let recordings = Recordings::start(folder.0.clone()).expect("start");
    let call = CallId::new("0123456789abcdef");
    let mut new = Messages::begin(&recordings, &call, "order", RATE_HZ).expect("room");
    for sample in 0..4_000_i16 {
        new.ring.push(sample).expect("room");
    }
    drop(new.ring);
    let length = new.written.blocking_recv().expect("a whole file");
    assert_eq!(length, Duration::from_millis(500));
    assert_eq!(new.file, folder.0.join("0123456789abcdef-order.wav"));
    let mut reader = hound::WavReader::open(&new.file).expect("readable");
    assert_eq!(reader.spec().channels, 1);
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    assert_eq!(samples, (0..4_000).collect::<Vec<i16>>());
    recordings.discard(&new.file);
    recordings.finish();
    assert!(!new.file.exists());
}

#[test]
fn a_message_that_cannot_be_written_is_not_told_to_be_whole() {
    let folder = Folder::new("no-message");
    std::fs::write(folder.0.join("file"), "").expect("a file");
    let recordings = Recordings::start(folder.0.join("file")).expect("start");
    let new = Messages::begin(&recordings, &CallId::new("c"), "order", RATE_HZ);
    let new = new.expect("room");
    assert!(new.written.blocking_recv().is_err());
    recordings.finish();
}

#[test]
fn what_is_recorded_is_its_owners_alone_and_nothing_is_written_over() {
    let folder = Folder::new("private");
    let path = folder.0.join("made/call.wav");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let (open, _tap) = begun(path.clone());
    assert!(open.is_some());
    assert_eq!(
        (mode(&path), mode(path.parent().expect("a folder"))),
        (0o600, 0o700)
    );
    let (again, tap) = begun(path);
    assert!(again.is_none() && tap.is_abandoned());
}

#[test]
fn what_can_be_read_is_a_second_and_a_ring_behind_at_most_at_any_moment() {
    let folder = Folder::new("behind");
    let path = folder.0.join("call.wav");
    let (mut open, mut tap) = begun(path.clone());
    for round in 1..=40 {
        // Just before the writer comes round a ring holds a period's worth.
        record(&mut tap, 20);
        let behind_ms = round * 200 - readable_ms(&path);
        assert!(behind_ms <= 1_200, "{behind_ms} ms are lost by a crash");
        open = open.and_then(advance);
    }
    assert!(open.is_some());
}

#[test]
fn a_recording_whose_file_is_removed_ends_and_gives_its_ring_up() {
    let folder = Folder::new("removed");
    let path = folder.0.join("call.wav");
    let (open, mut tap) = begun(path.clone());
    record(&mut tap, 20);
    let open = open.and_then(advance);
    assert!(open.is_some() && !tap.is_abandoned());
    std::fs::remove_file(&path).expect("removed");
    record(&mut tap, 20);
    assert!(open.and_then(advance).is_none() && tap.is_abandoned());
}

#[test]
fn a_recording_that_somebody_moves_elsewhere_goes_on_there() {
    let folder = Folder::new("moved");
    let (path, elsewhere) = (folder.0.join("call.wav"), folder.0.join("kept.wav"));
    let (mut open, mut tap) = begun(path.clone());
    std::fs::rename(&path, &elsewhere).expect("moved");
    record(&mut tap, 20);
    open = open.and_then(advance);
    drop(tap);
    assert!(open.is_some_and(|open| advance(open).is_none()));
    assert_eq!(readable_ms(&elsewhere), 200);
}

#[test]
fn a_full_disk_begins_no_recording() {
    let folder = Folder::new("full");
    let path = folder.0.join("call.wav");
    std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
    let (open, tap) = begun(path);
    assert!(open.is_none() && tap.is_abandoned());
}
