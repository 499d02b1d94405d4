//! Admission in virtual time.

use std::time::Duration;

use super::*;

fn limits() -> AdmissionLimits {
    AdmissionLimits {
        calls: 1_000,
        calls_per_second: 1_000,
        outbound_calls: None,
        reserve: 0,
        outbound_calls_per_minute: 1_000,
        trunks: HashMap::new(),
    }
}

fn admission(limits: AdmissionLimits) -> (Admission, Instant) {
    let now = Instant::now();
    (Admission::new(limits, now), now)
}

/// With limits for the trunk `t`.
fn of_trunk(trunk: TrunkLimits) -> (Admission, Instant) {
    admission(AdmissionLimits {
        trunks: HashMap::from([("t".to_owned(), trunk)]),
        ..limits()
    })
}

#[test]
fn a_call_past_the_cap_is_refused_until_one_ends() {
    let (mut admission, now) = admission(AdmissionLimits {
        calls: 2,
        ..limits()
    });
    admission.admit_inbound("t", now).unwrap();
    admission.admit_inbound("t", now).unwrap();
    let third = admission.admit_inbound("t", now);
    assert_eq!(third, Err(Refusal::CallsAtCap));
    admission.release(Direction::Inbound, "t");
    assert!(admission.admit_inbound("t", now).is_ok());
    assert_eq!(admission.calls(), 2);
}

#[test]
fn neither_direction_takes_the_last_places_that_are_kept_for_the_other() {
    for (first, other) in [
        (Direction::Inbound, Direction::Outbound),
        (Direction::Outbound, Direction::Inbound),
    ] {
        let (mut admission, now) = admission(AdmissionLimits {
            calls: 10,
            reserve: 2,
            ..limits()
        });
        let mut admit = |direction| match direction {
            Direction::Inbound => admission.admit_inbound("t", now),
            Direction::Outbound => admission.admit_outbound("t", "1", now),
        };
        assert!((0..8).all(|_| admit(first).is_ok()));
        assert_eq!(admit(first), Err(Refusal::CallsAtCap));
        assert!((0..2).all(|_| admit(other).is_ok()));
        assert_eq!(admit(other), Err(Refusal::CallsAtCap));
    }
}

#[test]
fn calls_faster_than_the_rate_are_refused_and_the_bucket_fills_again() {
    let (mut admission, now) = admission(AdmissionLimits {
        calls_per_second: 10,
        ..limits()
    });
    assert!((0..10).all(|_| admission.admit_inbound("t", now).is_ok()));
    let too_fast = admission.admit_inbound("t", now + Duration::from_millis(99));
    assert_eq!(too_fast, Err(Refusal::RateAtCap));
    assert!(
        admission
            .admit_inbound("t", now + Duration::from_millis(100))
            .is_ok()
    );
    // Calls out have a rate of their own.
    assert!(admission.admit_outbound("t", "1", now).is_ok());
}

#[test]
fn calls_out_are_limited_by_the_minute() {
    let (mut admission, now) = admission(AdmissionLimits {
        outbound_calls_per_minute: 2,
        ..limits()
    });
    assert!((0..2).all(|_| admission.admit_outbound("t", "1", now).is_ok()));
    let third = admission.admit_outbound("t", "1", now + Duration::from_secs(29));
    assert_eq!(third, Err(Refusal::RateAtCap));
    assert!(
        admission
            .admit_outbound("t", "1", now + Duration::from_secs(30))
            .is_ok()
    );
}

/// How many calls each way there is room for, inbound first.
fn room(outbound_calls: Option<u32>) -> [usize; 2] {
    let (mut admission, now) = admission(AdmissionLimits {
        calls: 100,
        outbound_calls,
        ..limits()
    });
    let inbound = std::iter::from_fn(|| admission.admit_inbound("t", now).ok()).count();
    let outbound = std::iter::from_fn(|| admission.admit_outbound("t", "1", now).ok()).count();
    [inbound, outbound]
}

#[test]
fn neither_direction_takes_the_places_set_aside_for_the_other() {
    assert_eq!(room(Some(30)), [70, 30]);
    assert_eq!(room(Some(0)), [100, 0]);
    assert_eq!(room(None), [100, 0], "one pot, and callers came first");
    let (mut admission, now) = admission(AdmissionLimits {
        calls: 100,
        outbound_calls: Some(30),
        ..limits()
    });
    let outbound = std::iter::from_fn(|| admission.admit_outbound("t", "1", now).ok()).count();
    assert_eq!(outbound, 30);
    assert!(admission.admit_inbound("t", now).is_ok());
}

#[test]
fn a_trunk_has_no_more_calls_than_its_own_cap_whichever_way() {
    let (mut admission, now) = of_trunk(TrunkLimits {
        calls: Some(2),
        ..TrunkLimits::default()
    });
    admission.admit_inbound("t", now).unwrap();
    admission.admit_outbound("t", "1", now).unwrap();
    let third = admission.admit_inbound("t", now);
    assert_eq!(third, Err(Refusal::TrunkAtCap));
    assert!(admission.admit_inbound("another", now).is_ok());
    admission.release(Direction::Inbound, "t");
    assert!(admission.admit_outbound("t", "1", now).is_ok());
}

#[test]
fn toll_fraud_by_one_trunk_is_stopped_by_its_prefixes_and_its_rate() {
    let (mut admission, now) = of_trunk(TrunkLimits {
        calls_per_minute: Some(3),
        allowed_prefixes: Some(vec!["+49".to_owned()]),
        ..TrunkLimits::default()
    });
    // Refused numbers use up nothing.
    for _ in 0..10 {
        let dear = admission.admit_outbound("t", "+252 99 123", now);
        assert_eq!(dear, Err(Refusal::NumberNotAllowed));
    }
    assert!((0..3).all(|_| admission.admit_outbound("t", "+4930123", now).is_ok()));
    let fourth = admission.admit_outbound("t", "+4930123", now);
    assert_eq!(fourth, Err(Refusal::TrunkRateAtCap));
}

#[test]
fn what_is_sent_on_counts_against_the_trunks_rate_and_takes_no_place() {
    let (mut admission, now) = of_trunk(TrunkLimits {
        calls: Some(1),
        calls_per_minute: Some(3),
        ..TrunkLimits::default()
    });
    admission.admit_outbound("t", "+4930", now).expect("a call");
    for _ in 0..2 {
        admission.admit_onward("t", "+4930", now).expect("sent on");
    }
    assert_eq!(
        admission.admit_onward("t", "+4930", now),
        Err(Refusal::TrunkRateAtCap)
    );
}

#[test]
fn what_a_trunk_may_not_have_is_left_to_the_others() {
    let (mut admission, now) = admission(AdmissionLimits {
        calls_per_second: 2,
        trunks: HashMap::from([(
            "t".to_owned(),
            TrunkLimits {
                calls: Some(0),
                ..TrunkLimits::default()
            },
        )]),
        ..limits()
    });
    assert!((0..10).all(|_| admission.admit_inbound("t", now).is_err()));
    assert!((0..2).all(|_| admission.admit_inbound("another", now).is_ok()));
}

#[test]
fn draining_and_pressure_refuse_whatever_room_there_is() {
    let (mut admission, now) = admission(limits());
    admission.set_pressed(true);
    assert_eq!(admission.admit_inbound("t", now), Err(Refusal::Pressure));
    assert_eq!(
        admission.admit_outbound("t", "1", now),
        Err(Refusal::Pressure)
    );
    admission.set_pressed(false);
    assert!(admission.admit_inbound("t", now).is_ok());
    admission.drain();
    assert_eq!(admission.admit_inbound("t", now), Err(Refusal::Draining));
}
