//! Each rule by a call in virtual time: what is heard is told as late as a leg tells it.

use std::time::Duration;

use offhook_media::control::{CallTone, CallToneKind, Confidence};
use proptest::prelude::*;

use super::{Evidence, FarEnd, VoicemailDetector, VoicemailEvent, VoicemailVerdict};

const DEADLINE: Duration = Duration::from_secs(4);
/// Speech is told when it has lasted for so long, and its end when it has been quiet for so long.
const STARTED_AFTER: u64 = 120;
const STOPPED_AFTER: u64 = 250;
const BEEP_AFTER: u64 = 70;

enum Heard {
    Started(u64),
    Stopped(u64),
    Phrases(&'static [&'static str]),
    Tone(CallTone),
}

/// A call, in milliseconds since media was live.
#[derive(Default)]
struct Call {
    heard: Vec<(u64, Heard)>,
    /// What a recogniser answers 100 ms after it is asked: the phrases that were said until then.
    understood: Option<Vec<(u64, &'static str)>>,
}

impl Call {
    fn new() -> Self {
        Self::default()
    }

    fn speech(mut self, from: u64, until: u64) -> Self {
        self.heard
            .push((from + STARTED_AFTER, Heard::Started(from)));
        self.heard
            .push((until + STOPPED_AFTER, Heard::Stopped(until)));
        self
    }

    fn tone(
        mut self,
        kind: CallToneKind,
        confidence: f32,
        from: u64,
        until: u64,
        told: u64,
    ) -> Self {
        let tone = CallTone {
            kind,
            confidence: Confidence::new(confidence),
            at_ms: from,
            duration_ms: until - from,
        };
        self.heard.push((told, Heard::Tone(tone)));
        self
    }

    fn beep(self, from: u64, until: u64) -> Self {
        self.tone(CallToneKind::Beep, 0.9, from, until, until + BEEP_AFTER)
    }

    fn ring(self, from: u64, until: u64) -> Self {
        self.tone(CallToneKind::Ringback, 0.65, from, until, until + 500)
    }

    /// With a recogniser, which understands nothing but what is [`Self::said`].
    fn recognised(mut self) -> Self {
        self.understood.get_or_insert_default();
        self
    }

    /// A phrase that is over at `until`, for a recogniser.
    fn said(mut self, until: u64, phrase: &'static str) -> Self {
        self.understood
            .get_or_insert_default()
            .push((until, phrase));
        self
    }

    fn told(mut self, at: u64, phrases: &'static [&'static str]) -> Self {
        self.heard.push((at, Heard::Phrases(phrases)));
        self
    }

    /// All that the detector says in a minute, with when.
    fn events(mut self) -> Vec<(u64, VoicemailEvent)> {
        self.heard.sort_by_key(|(at, _)| *at);
        let mut waiting = self.heard.into_iter().peekable();
        let mut answers: Vec<(u64, Vec<&str>)> = Vec::new();
        let mut detector = VoicemailDetector::new(DEADLINE);
        let mut events = Vec::new();
        for now in (0..60_000).step_by(10) {
            while let Some((_, heard)) = waiting.next_if(|(at, _)| *at <= now) {
                match heard {
                    Heard::Started(at) => detector.handle_speech_started(ms(at)),
                    Heard::Stopped(at) => detector.handle_speech_stopped(ms(at)),
                    Heard::Phrases(phrases) => detector.handle_phrases(phrases, ms(now)),
                    Heard::Tone(tone) => detector.handle_tone(tone, ms(now)),
                }
            }
            while let Some(index) = answers.iter().position(|(at, _)| *at <= now) {
                let (_, phrases) = answers.remove(index);
                detector.handle_phrases(&phrases, ms(now));
            }
            let mut turns = 0;
            while detector.poll_timeout().is_some_and(|at| at <= ms(now)) {
                detector.handle_timeout(ms(now));
                turns += 1;
                assert!(turns < 10, "it asks for the same time again and again");
            }
            while let Some(event) = detector.poll_event() {
                if event == VoicemailEvent::Spot
                    && let Some(understood) = &self.understood
                {
                    let heard = understood.iter().filter(|(until, _)| *until <= now);
                    answers.push((now + 100, heard.map(|(_, phrase)| *phrase).collect()));
                }
                events.push((now, event));
            }
        }
        events
    }

    fn asked_at(self) -> Vec<u64> {
        let events = self.events().into_iter();
        events
            .filter(|(_, event)| *event == VoicemailEvent::Spot)
            .map(|(at, _)| at)
            .collect()
    }

    /// The verdict, which there is always one of.
    fn verdict(self) -> VoicemailVerdict {
        let (verdict, _) = self.outcome();
        verdict
    }

    /// The verdict, and when a message may begin and whether there was a beep.
    fn outcome(self) -> (VoicemailVerdict, Option<(u64, bool)>) {
        let (mut verdicts, mut messages) = (Vec::new(), Vec::new());
        for (now, event) in self.events() {
            match event {
                VoicemailEvent::Spot => assert!(verdicts.is_empty(), "asks after the verdict"),
                VoicemailEvent::Verdict(verdict) => {
                    assert_eq!(verdict.at, ms(now), "{verdict:?}");
                    verdicts.push(verdict);
                }
                VoicemailEvent::MessageMayBegin { beeped } => messages.push((now, beeped)),
            }
        }
        let [verdict] = &verdicts[..] else {
            panic!("{verdicts:?}")
        };
        assert!(messages.len() <= 1, "{messages:?}");
        if !verdict.far_end.is_voicemail() {
            assert_eq!(messages, []);
        }
        (verdict.clone(), messages.first().copied())
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn at(verdict: &VoicemailVerdict) -> u64 {
    verdict.at.as_millis() as u64
}

#[test]
fn a_quick_hello_is_a_person_within_a_second_of_its_end() {
    for call in [Call::new(), Call::new().recognised()] {
        let verdict = call.speech(400, 900).verdict();
        assert_eq!(verdict.far_end, FarEnd::Human);
        assert!(
            (900 + 900..=900 + 1_000).contains(&at(&verdict)),
            "{verdict:?}"
        );
        let expected = Evidence::Cadence {
            voiced: ms(500),
            pieces: 1,
        };
        assert!(verdict.evidence.contains(&expected), "{verdict:?}");
    }
}

#[test]
fn a_person_who_says_more_is_one_at_most_a_second_after_the_end() {
    for until in [2_000, 2_600, 2_900] {
        let verdict = Call::new().speech(300, until).verdict();
        assert_eq!(verdict.far_end, FarEnd::Human, "{until}");
        assert!(
            (until + 800..=until + 1_000).contains(&at(&verdict)),
            "{verdict:?}"
        );
    }
}

#[test]
fn a_greeting_with_a_pause_at_2_3_s_does_not_look_like_a_person() {
    let greeting = || Call::new().speech(200, 2_300).speech(3_100, 9_000);
    let verdict = greeting().verdict();
    assert_eq!(verdict.far_end, FarEnd::MachineGreeting, "{verdict:?}");
    let understood = greeting().said(1_300, "you have reached").verdict();
    assert_eq!(understood.far_end, FarEnd::MachineGreeting);
    assert!(at(&understood) < 2_000, "{understood:?}");
}

#[test]
fn words_decide_at_once_whatever_the_length() {
    let cases = [
        ("leave a message", FarEnd::MachineGreeting),
        ("reason for calling", FarEnd::CallScreening),
        ("press one", FarEnd::Ivr),
    ];
    for (phrase, far_end) in cases {
        let verdict = Call::new().speech(200, 5_000).said(1_300, phrase).verdict();
        assert_eq!(verdict.far_end, far_end);
        assert!(at(&verdict) <= 1_300 + 750, "{verdict:?}");
        assert!(verdict.evidence.contains(&Evidence::Phrase(phrase)));
    }
}

#[test]
fn a_receptionist_who_talks_until_the_deadline_is_a_person_by_her_words_alone() {
    let greeting = || Call::new().speech(300, 4_800);
    let verdict = greeting().said(3_000, "how can i help").verdict();
    assert_eq!(verdict.far_end, FarEnd::Human, "{verdict:?}");
    assert_eq!(verdict.at, DEADLINE);
    assert_eq!(greeting().verdict().far_end, FarEnd::MachineGreeting);
}

#[test]
fn a_question_that_was_understood_needs_less_quiet_behind_it() {
    let greeting = || Call::new().speech(300, 2_600);
    let (with, without) = (
        greeting().said(2_500, "how can i help").verdict(),
        greeting().recognised().verdict(),
    );
    assert_eq!([with.far_end, without.far_end], [FarEnd::Human; 2]);
    assert!(at(&with) + 300 <= at(&without), "{with:?} {without:?}");
}

#[test]
fn a_machine_that_names_itself_and_pauses_is_waited_for() {
    let call = Call::new().speech(300, 1_200).speech(1_850, 6_000);
    assert_eq!(call.verdict().far_end, FarEnd::MachineGreeting);
}

#[test]
fn a_far_end_that_is_mute_is_silence_at_the_deadline() {
    let verdict = Call::new().verdict();
    assert_eq!((verdict.far_end, verdict.at), (FarEnd::Silence, DEADLINE));
    assert_eq!(verdict.evidence, [Evidence::Deadline]);
}

#[test]
fn every_call_has_a_verdict_at_the_deadline_at_the_latest() {
    for from in (0..4_000).step_by(130) {
        for length in (130..6_000).step_by(310) {
            let call = Call::new().speech(from, from + length);
            let again = Call::new()
                .recognised()
                .speech(from, from + length)
                .speech(from + length + 400, 9_000);
            for verdict in [call.verdict(), again.verdict()] {
                assert!(verdict.at <= DEADLINE, "{from} {length}: {verdict:?}");
            }
        }
    }
}

#[test]
fn who_speaks_only_just_before_the_deadline_is_not_taken_for_a_machine() {
    let verdict = Call::new().speech(3_300, 4_500).verdict();
    assert_eq!((verdict.far_end, verdict.at), (FarEnd::Unknown, DEADLINE));
}

#[test]
fn a_beep_after_a_short_greeting_is_a_machine_that_records() {
    let (verdict, message) = Call::new().speech(300, 1_400).beep(1_600, 2_000).outcome();
    assert_eq!(verdict.far_end, FarEnd::MachineBeep);
    let (begins, beeped) = message.expect("a message may begin");
    assert!(beeped && (2_250..=2_300).contains(&begins), "{begins}");
}

#[test]
fn a_beep_before_anybody_spoke_decides_nothing_until_the_deadline() {
    let person = Call::new().beep(200, 600).speech(1_000, 1_600);
    assert_eq!(person.verdict().far_end, FarEnd::Human);
    let (verdict, message) = Call::new().beep(200, 600).outcome();
    assert_eq!(
        (verdict.far_end, verdict.at),
        (FarEnd::MachineBeep, DEADLINE)
    );
    assert!(!message.expect("a message may begin").1);
}

#[test]
fn a_tone_that_is_too_short_or_too_long_or_spoken_after_is_no_beep() {
    let greeting = || Call::new().speech(300, 1_000);
    for call in [
        greeting().beep(1_200, 1_310),
        greeting().beep(1_200, 2_710),
        greeting().beep(1_200, 1_500).speech(1_600, 2_000),
    ] {
        let verdict = call.verdict();
        assert_eq!(verdict.far_end, FarEnd::Human, "{verdict:?}");
    }
}

#[test]
fn a_message_begins_within_300_ms_of_the_beep_that_ends_the_greeting() {
    let greeting = Call::new().said(1_200, "you have reached");
    let (verdict, message) = greeting.speech(300, 8_000).beep(8_600, 9_100).outcome();
    assert_eq!(verdict.far_end, FarEnd::MachineGreeting);
    let (begins, beeped) = message.expect("a message may begin");
    assert!(beeped && (9_350..=9_400).contains(&begins), "{begins}");
}

#[test]
fn without_a_beep_a_message_begins_a_second_and_a_half_after_the_greeting() {
    let greeting = Call::new().said(1_200, "you have reached");
    let (_, message) = greeting.speech(300, 5_000).speech(6_300, 8_000).outcome();
    assert_eq!(message, Some((9_500, false)));
}

#[test]
fn a_greeting_that_never_ends_is_spoken_over_after_40_s() {
    let greeting = Call::new().said(1_200, "you have reached");
    let (verdict, message) = greeting.speech(300, 55_000).outcome();
    assert_eq!(message, Some((at(&verdict) + 40_000, false)));
}

#[test]
fn a_telephone_that_rings_after_the_answer_has_not_been_answered() {
    let person = Call::new().ring(0, 2_000).speech(4_500, 5_100).verdict();
    assert_eq!(person.far_end, FarEnd::Human);
    assert!(at(&person) <= 6_100, "{person:?}");
    let machine = Call::new().ring(0, 2_000).speech(4_500, 12_000).verdict();
    assert_eq!(machine.far_end, FarEnd::MachineGreeting);
    assert_eq!(machine.at, ms(4_500) + DEADLINE);
}

#[test]
fn a_telephone_that_only_rings_gets_a_verdict_too() {
    let verdict = Call::new().ring(0, 2_000).verdict();
    assert_eq!(verdict.far_end, FarEnd::Unknown);
    assert!(verdict.at < ms(15_000), "{verdict:?}");
}

#[test]
fn a_fax_machine_and_a_network_that_says_nobody_is_there_are_known_by_their_tones() {
    for (kind, far_end) in [
        (CallToneKind::FaxAnswer, FarEnd::Fax),
        (CallToneKind::FaxCalling, FarEnd::Fax),
        (CallToneKind::SpecialInformation, FarEnd::MachineGreeting),
        (CallToneKind::Busy, FarEnd::MachineGreeting),
        (CallToneKind::Congestion, FarEnd::MachineGreeting),
    ] {
        let verdict = Call::new().tone(kind, 0.9, 200, 1_000, 1_050).verdict();
        assert_eq!((verdict.far_end, verdict.at), (far_end, ms(1_050)));
        assert!(matches!(verdict.evidence[..], [Evidence::Tone(tone)] if tone.kind == kind));
    }
    let unsure = Call::new().tone(CallToneKind::Busy, 0.5, 200, 700, 1_750);
    let verdict = unsure.verdict();
    assert_eq!(verdict.far_end, FarEnd::MachineGreeting);
    assert_eq!(
        verdict.at, DEADLINE,
        "it may still have become something else"
    );
}

#[test]
fn it_asks_for_words_at_each_pause_and_now_and_then_in_between() {
    let asked = Call::new().recognised().speech(200, 3_200).asked_at();
    assert_eq!(asked.first(), Some(&1_400));
    assert!((3..=6).contains(&asked.len()), "{asked:?}");
    let hello = Call::new().recognised().speech(200, 800).asked_at();
    assert_eq!(hello, [0; 0], "no phrase is that short");
    let name = Call::new().recognised().speech(200, 1_050).asked_at();
    assert_eq!(name, [1_300]);
}

#[test]
fn a_recogniser_that_does_not_answer_delays_nothing() {
    let verdict = Call::new().speech(300, 800).verdict();
    assert!(at(&verdict) <= 800 + 1_000, "{verdict:?}");
    let late = Call::new()
        .speech(300, 800)
        .told(3_000, &["leave a message"]);
    assert_eq!(late.verdict().far_end, FarEnd::Human);
}

#[test]
fn people_behind_who_answered_do_not_keep_their_verdict_back() {
    let mut detector = VoicemailDetector::new(DEADLINE);
    detector.handle_speech_started(ms(0));
    let loud = |at: u64| {
        if (600..1_200).contains(&at) {
            4_000
        } else {
            400
        }
    };
    let mut verdict = None;
    for at in (100..4_000).step_by(100) {
        let heard = [loud(at - 100); 800];
        detector.handle_audio(&heard, 8_000, ms(at));
        if detector.poll_timeout().is_some_and(|due| due <= ms(at)) {
            detector.handle_timeout(ms(at));
        }
        while let Some(event) = detector.poll_event() {
            if let VoicemailEvent::Verdict(told) = event {
                verdict = Some(told);
            }
        }
    }
    let verdict = verdict.expect("a verdict");
    assert_eq!(verdict.far_end, FarEnd::Human);
    assert!(at(&verdict) <= 1_200 + 1_100, "{verdict:?}");
}

#[test]
fn a_beep_that_still_sounds_is_waited_for_though_speech_is_long_over() {
    let mut detector = VoicemailDetector::new(DEADLINE);
    let loud = |at: u64| match at {
        300..5_000 => 4_000,
        6_000..7_500 => 3_000,
        _ => 0,
    };
    let mut messages = Vec::new();
    for at in (100..12_000).step_by(100) {
        detector.handle_audio(&[loud(at - 100); 800], 8_000, ms(at));
        match at {
            500 => detector.handle_speech_started(ms(300)),
            5_300 => detector.handle_speech_stopped(ms(5_000)),
            7_600 => {
                let tone = CallTone {
                    kind: CallToneKind::Beep,
                    confidence: Confidence::new(0.9),
                    at_ms: 6_025,
                    duration_ms: 1_475,
                };
                detector.handle_tone(tone, ms(7_575));
            }
            _ => {}
        }
        while detector.poll_timeout().is_some_and(|due| due <= ms(at)) {
            detector.handle_timeout(ms(at));
        }
        while let Some(event) = detector.poll_event() {
            if let VoicemailEvent::MessageMayBegin { beeped } = event {
                messages.push((at, beeped));
            }
        }
    }
    assert_eq!(messages, [(7_800, true)]);
}

proptest! {
    #[test]
    fn whatever_it_is_told_there_is_one_verdict_and_at_most_one_message(
        told in proptest::collection::vec((0_u64..400, 0_u8..9, any::<u16>()), 0..80)
    ) {
        let kinds = [
            CallToneKind::Beep,
            CallToneKind::SpecialInformation,
            CallToneKind::Ringback,
            CallToneKind::Busy,
            CallToneKind::Congestion,
            CallToneKind::FaxCalling,
            CallToneKind::FaxAnswer,
        ];
        let phrases = super::phrases();
        let mut detector = VoicemailDetector::new(DEADLINE);
        let (mut now, mut verdicts, mut messages) = (0, 0, 0);
        let end = std::iter::repeat_n((400, 9, 0), 300);
        for (later, what, value) in told.into_iter().chain(end) {
            now += later;
            let value = usize::from(value);
            match what {
                0 | 1 => detector.handle_speech_started(ms(now.saturating_sub(120))),
                2 | 3 => detector.handle_speech_stopped(ms(now.saturating_sub(250))),
                4 => detector.handle_phrases(&[phrases[value % phrases.len()]], ms(now)),
                5 | 6 => {
                    let tone = CallTone {
                        kind: kinds[value % kinds.len()],
                        confidence: Confidence::new(value as f32 / 65_536.0),
                        at_ms: now.saturating_sub(value as u64 / 20),
                        duration_ms: value as u64 / 20,
                    };
                    detector.handle_tone(tone, ms(now));
                }
                7 => detector.handle_audio(&[(value / 2) as i16; 800], 8_000, ms(now)),
                _ => {}
            }
            let mut turns = 0;
            while detector.poll_timeout().is_some_and(|due| due <= ms(now)) {
                detector.handle_timeout(ms(now));
                turns += 1;
                prop_assert!(turns < 10, "it asks for the same time again and again");
            }
            while let Some(event) = detector.poll_event() {
                match event {
                    VoicemailEvent::Spot => {}
                    VoicemailEvent::Verdict(_) => verdicts += 1,
                    VoicemailEvent::MessageMayBegin { .. } => messages += 1,
                }
            }
        }
        prop_assert_eq!(verdicts, 1);
        prop_assert!(messages <= 1);
    }
}
