use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn local() -> LocalMedia {
    LocalMedia {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
        port: 10_000,
        codecs: vec![CodecKind::Opus, CodecKind::Pcmu, CodecKind::Pcma],
        telephone_event: Some(TelephoneEventRates::EachClock),
        ptime_ms: 20,
        srtp: None,
        direction: Direction::SendReceive,
        session_id: 4_711,
        session_version: 1,
    }
}

/// A description with these lines behind the usual head.
fn description(lines: &[&str]) -> SessionDescription {
    let head = [
        "v=0",
        "o=- 1 1 IN IP4 198.51.100.7",
        "s=-",
        "c=IN IP4 198.51.100.7",
        "t=0 0",
    ];
    let text: String = head
        .iter()
        .chain(lines)
        .flat_map(|line| [line, "\r\n"])
        .collect();
    parse(text.as_bytes()).unwrap()
}

fn answered(lines: &[&str]) -> Negotiated {
    answer(&description(lines), &local()).unwrap()
}

fn refusal(lines: &[&str]) -> Unacceptable {
    answer(&description(lines), &local()).unwrap_err()
}

fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

fn number(number: u8) -> crate::codec::PayloadType {
    crate::codec::PayloadType::new(number).unwrap()
}

#[test]
fn a_plain_offer_is_answered_with_one_codec_and_digits() {
    let negotiated = answered(&[
        "m=audio 40000 RTP/AVP 8 0 101",
        "a=rtpmap:101 telephone-event/8000",
    ]);
    assert_eq!(negotiated.codec.kind, CodecKind::Pcmu);
    assert_eq!(
        negotiated.remote,
        Some("198.51.100.7:40000".parse().unwrap())
    );
    assert_eq!(negotiated.direction, Direction::SendReceive);
    assert_eq!(
        text(&negotiated.body),
        "v=0\r\n\
         o=- 4711 1 IN IP4 192.0.2.10\r\n\
         s=-\r\n\
         c=IN IP4 192.0.2.10\r\n\
         t=0 0\r\n\
         m=audio 10000 RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\n\
         a=ptime:20\r\n\
         a=sendrecv\r\n"
    );
}

#[test]
fn our_order_of_preference_decides() {
    let offer = description(&["m=audio 40000 RTP/AVP 8 0 96", "a=rtpmap:96 opus/48000/2"]);
    assert_eq!(
        answer(&offer, &local()).unwrap().codec.kind,
        CodecKind::Opus
    );
    let local = LocalMedia {
        codecs: vec![CodecKind::Pcma, CodecKind::Pcmu],
        ..local()
    };
    assert_eq!(answer(&offer, &local).unwrap().codec.kind, CodecKind::Pcma);
}

#[test]
fn dynamic_numbers_are_the_offerers() {
    let negotiated = answered(&[
        "m=audio 40000 RTP/AVP 97 126 100",
        "a=rtpmap:97 OPUS/48000/2",
        "a=rtpmap:126 telephone-event/48000",
        "a=rtpmap:100 telephone-event/8000",
    ]);
    assert_eq!(negotiated.codec.payload_type_send, number(97));
    assert_eq!(negotiated.codec.payload_type_receive, number(97));
    let event = negotiated.telephone_event.unwrap();
    assert_eq!(
        (event.payload_type_send, event.clock_rate_hz),
        (number(126), 48_000)
    );
    assert!(text(&negotiated.body).contains("m=audio 10000 RTP/AVP 97 126\r\n"));
    assert!(text(&negotiated.body).contains("a=rtpmap:97 opus/48000/2\r\n"));
}

#[test]
fn wound_43_digits_are_found_under_any_number() {
    for event in [96, 100, 102, 127] {
        let negotiated = answered(&[
            &format!("m=audio 40000 RTP/AVP 0 {event}"),
            &format!("a=rtpmap:{event} telephone-event/8000"),
            &format!("a=fmtp:{event} 0-16"),
        ]);
        assert_eq!(
            negotiated.telephone_event.unwrap().payload_type_receive,
            number(event)
        );
    }
}

#[test]
fn digits_take_the_codecs_clock_where_offered_and_another_where_not() {
    let both = [
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:102 telephone-event/48000",
    ];
    let offer = |list: &str, rest: &[&str]| {
        let line = format!("m=audio 40000 RTP/AVP {list}");
        let lines: Vec<&str> = [line.as_str(), "a=rtpmap:96 opus/48000/2"]
            .into_iter()
            .chain(rest.iter().copied())
            .collect();
        answered(&lines).telephone_event.unwrap().clock_rate_hz
    };
    assert_eq!(offer("96 101 102", &both), 48_000);
    assert_eq!(offer("0 101 102", &both), 8_000);
    assert_eq!(offer("96 101", &both), 8_000);
}

#[test]
fn digits_are_left_out_when_not_wanted_or_not_offered() {
    assert_eq!(answered(&["m=audio 40000 RTP/AVP 0"]).telephone_event, None);
    let local = LocalMedia {
        telephone_event: None,
        ..local()
    };
    let offer = description(&[
        "m=audio 40000 RTP/AVP 0 101",
        "a=rtpmap:101 telephone-event/8000",
    ]);
    let negotiated = answer(&offer, &local).unwrap();
    assert_eq!(negotiated.telephone_event, None);
    assert!(!text(&negotiated.body).contains("101"));
}

#[test]
fn wound_18_a_static_number_mapped_to_something_else_is_not_used() {
    let lines = ["m=audio 40000 RTP/AVP 0 8", "a=rtpmap:0 G722/8000"];
    assert_eq!(answered(&lines).codec.kind, CodecKind::Pcma);
    let alone = ["m=audio 40000 RTP/AVP 0", "a=rtpmap:0 G722/8000"];
    assert_eq!(refusal(&alone), Unacceptable::MediaFormat);
}

#[test]
fn a_number_that_is_mapped_but_not_listed_is_not_used() {
    let lines = [
        "m=audio 40000 RTP/AVP 8",
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:0 PCMU/8000",
    ];
    assert_eq!(answered(&lines).codec.kind, CodecKind::Pcma);
}

#[test]
fn wound_20_a_port_count_is_read_and_every_section_answered_in_its_place() {
    let negotiated = answered(&[
        "m=image 5000 udptl t38",
        "m=audio 40314/2 RTP/AVP 0",
        "m=video 40316 RTP/AVP 96",
        "a=rtpmap:96 H264/90000",
        "m=audio 40400 RTP/AVP 8",
    ]);
    assert_eq!(negotiated.remote.unwrap().port(), 40_314);
    let body = text(&negotiated.body);
    let sections: Vec<&str> = body.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        sections,
        [
            "m=image 0 udptl t38",
            "m=audio 10000 RTP/AVP 0",
            "m=video 0 RTP/AVP 96",
            "m=audio 0 RTP/AVP 8"
        ]
    );
}

#[test]
fn a_disabled_audio_section_is_passed_over() {
    let negotiated = answered(&["m=audio 0 RTP/AVP 0", "m=audio 40000 RTP/AVP 8"]);
    assert_eq!(negotiated.codec.kind, CodecKind::Pcma);
    assert_eq!(refusal(&["m=audio 0 RTP/AVP 0"]), Unacceptable::MediaType);
    assert_eq!(
        refusal(&["m=image 5000 udptl t38"]),
        Unacceptable::MediaType
    );
    assert_eq!(refusal(&[]), Unacceptable::MediaType);
}

#[test]
fn encrypted_only_is_refused_and_plain_beside_it_taken() {
    let secure = "m=audio 40000 RTP/SAVP 0";
    assert_eq!(refusal(&[secure]), Unacceptable::Transport);
    assert_eq!(
        refusal(&["m=audio 9 UDP/TLS/RTP/SAVPF 0"]),
        Unacceptable::Transport
    );
    let negotiated = answered(&[secure, "m=audio 40002 RTP/AVP 0"]);
    assert_eq!(negotiated.remote.unwrap().port(), 40_002);
    let feedback = answered(&["m=audio 40000 RTP/AVPF 0"]);
    assert!(text(&feedback.body).contains("m=audio 10000 RTP/AVPF 0\r\n"));
}

#[test]
fn a_refusal_names_its_warning() {
    let refused = refusal(&["m=audio 40000 RTP/AVP 18 4", "a=rtpmap:18 G729/8000"]);
    assert_eq!(refused, Unacceptable::MediaFormat);
    assert_eq!(
        (refused.warning_code(), refused.to_string().as_str()),
        (305, "Incompatible media format")
    );
}

#[test]
fn wound_21_packet_times_are_honoured_and_capped() {
    let ptime = |codec: &str, lines: &[&str]| {
        let line = format!("m=audio 40000 RTP/AVP {codec}");
        let all: Vec<&str> = [line.as_str(), "a=rtpmap:96 opus/48000/2"]
            .into_iter()
            .chain(lines.iter().copied())
            .collect();
        answered(&all).codec.ptime_ms
    };
    assert_eq!(ptime("0", &["a=ptime:30"]), 30);
    assert_eq!(ptime("0", &["a=ptime:20", "a=maxptime:10"]), 10);
    assert_eq!(ptime("0", &["a=maxptime:150"]), 20);
    assert_eq!(ptime("0", &["a=ptime:240"]), 60);
    assert_eq!(ptime("0", &["a=ptime:25"]), 20);
    assert_eq!(ptime("0", &["a=ptime:5"]), 10);
    assert_eq!(ptime("0", &["a=ptime:0"]), 20);
    assert_eq!(ptime("0", &["a=ptime: 30.0 "]), 30);
    assert_eq!(ptime("0", &["a=ptime:soon"]), 20);
    assert_eq!(ptime("96", &["a=ptime:30"]), 20);
    assert_eq!(ptime("96", &["a=ptime:60"]), 60);
    for ms in [10, 20, 30, 40, 50, 60] {
        let line = format!("a=ptime:{ms}");
        assert_eq!(ptime("0", &[&line]), ms);
        let line = format!("a=maxptime:{ms}");
        assert_eq!(ptime("0", &[&line]), ms.min(20));
        assert_eq!(ptime("0", &["a=ptime:60", &line]), ms);
    }
    assert!(
        text(&answered(&["m=audio 1 RTP/AVP 0", "a=ptime:30"]).body).contains("a=ptime:30\r\n")
    );
}

#[test]
fn wound_25_hold_is_answered_with_its_counterpart() {
    for (theirs, ours) in [
        ("sendrecv", Direction::SendReceive),
        ("sendonly", Direction::ReceiveOnly),
        ("recvonly", Direction::SendOnly),
        ("inactive", Direction::Inactive),
    ] {
        let stated = answered(&["m=audio 40000 RTP/AVP 0", &format!("a={theirs}")]);
        assert_eq!(stated.direction, ours);
        assert!(text(&stated.body).contains(&format!("a={ours}\r\n")));
        let for_session = answered(&[&format!("a={theirs}"), "m=audio 40000 RTP/AVP 0"]);
        assert_eq!(for_session.direction, ours);
    }
    let own = answered(&["a=inactive", "m=audio 40000 RTP/AVP 0", "a=sendrecv"]);
    assert_eq!(own.direction, Direction::SendReceive);
}

#[test]
fn wound_26_hold_by_the_unspecified_address_stops_our_sending() {
    let held = answered(&["m=audio 40000 RTP/AVP 0", "c=IN IP4 0.0.0.0"]);
    assert_eq!(
        (held.remote, held.direction),
        (None, Direction::ReceiveOnly)
    );
    let both = answered(&["m=audio 40000 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=inactive"]);
    assert_eq!((both.remote, both.direction), (None, Direction::Inactive));
}

#[test]
fn our_own_hold_shows_in_the_answer() {
    let local = LocalMedia {
        direction: Direction::SendOnly,
        ..local()
    };
    let offer = description(&["m=audio 40000 RTP/AVP 0"]);
    assert_eq!(
        answer(&offer, &local).unwrap().direction,
        Direction::SendOnly
    );
    let held = description(&["m=audio 40000 RTP/AVP 0", "a=sendonly"]);
    assert_eq!(
        answer(&held, &local).unwrap().direction,
        Direction::Inactive
    );
}

#[test]
fn the_sections_own_address_counts_and_bad_ones_are_refused() {
    let own = answered(&["m=audio 40000 RTP/AVP 0", "c=IN IP4 203.0.113.9/127"]);
    assert_eq!(own.remote, Some("203.0.113.9:40000".parse().unwrap()));
    let with = |connection| refusal(&["m=audio 40000 RTP/AVP 0", connection]);
    assert_eq!(
        with("c=IN IP4 media.example.com"),
        Unacceptable::AddressFormat
    );
    assert_eq!(with("c=IN IP6 2001:db8::1"), Unacceptable::NetworkProtocol);
    assert_eq!(with("c=IN IP4 224.2.1.1/127"), Unacceptable::Multicast);
    assert_eq!(with("c=IN IP4 255.255.255.255"), Unacceptable::Multicast);
    let none = parse(b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\nm=audio 4 RTP/AVP 0\r\n");
    assert_eq!(
        answer(&none.unwrap(), &local()),
        Err(Unacceptable::AddressFormat)
    );
}

#[test]
fn over_ipv6_both_sides_speak_ipv6() {
    let local = LocalMedia {
        address: "2001:db8::10".parse().unwrap(),
        ..local()
    };
    let offer = description(&["m=audio 40000 RTP/AVP 0", "c=IN IP6 2001:db8::7"]);
    let negotiated = answer(&offer, &local).unwrap();
    assert_eq!(
        negotiated.remote,
        Some("[2001:db8::7]:40000".parse().unwrap())
    );
    assert!(text(&negotiated.body).contains("\r\nc=IN IP6 2001:db8::10\r\n"));
    let held = description(&["m=audio 40000 RTP/AVP 0", "c=IN IP6 ::"]);
    assert_eq!(answer(&held, &local).unwrap().remote, None);
}

#[test]
fn wound_17_a_second_answer_to_one_offer_replaces_the_first() {
    let mut ours = LocalDescription::new(local());
    let offer = ours.offer();
    let early = description(&["m=audio 40000 RTP/AVP 8", "a=sendonly"]);
    let last = description(&["m=audio 40002 RTP/AVP 0"]);
    assert_eq!(
        ours.accept_answer(&offer, &early).unwrap().codec.kind,
        CodecKind::Pcma
    );
    let negotiated = ours.accept_answer(&offer, &last).unwrap();
    assert_eq!(negotiated.codec.kind, CodecKind::Pcmu);
    assert_eq!(negotiated.remote.unwrap().port(), 40_002);
}

#[test]
fn the_answer_repeats_the_offers_times() {
    let offer = parse(
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=3034423619 3042462419\r\n\
          m=audio 4000 RTP/AVP 0\r\n",
    );
    let negotiated = answer(&offer.unwrap(), &local()).unwrap();
    assert!(text(&negotiated.body).contains("t=3034423619 3042462419\r\n"));
}

#[test]
fn control_connections_and_unknown_attributes_are_ignored_politely() {
    let negotiated = answered(&[
        "m=audio 40000 RTP/AVP 0",
        "b=AS:64",
        "a=rtcp:40001 IN IP4 198.51.100.7",
        "a=rtcp-mux",
        "a=crypto:1 UNKNOWN_SUITE inline:abc",
        "a=candidate:1 1 UDP 2130706431 198.51.100.7 40000 typ host",
        "a=x-whatever",
    ]);
    assert_eq!(negotiated.codec.kind, CodecKind::Pcmu);
    assert!(!text(&negotiated.body).contains("rtcp:"));
}

#[test]
fn opus_is_encoded_as_the_far_end_wants_it() {
    let opus = |parameters: &str| {
        let fmtp = format!("a=fmtp:96 {parameters}");
        answered(&["m=audio 4 RTP/AVP 96", "a=rtpmap:96 opus/48000/2", &fmtp])
            .codec
            .opus
    };
    assert_eq!(
        opus("minptime=10; useinbandfec=1"),
        crate::codec::OpusSettings::default()
    );
    assert!(!opus("minptime=10").fec);
    assert_eq!(
        opus("useinbandfec=1;maxaveragebitrate=16000").bitrate,
        16_000
    );
    assert_eq!(opus("maxaveragebitrate=0").bitrate, 6_000);
    assert_eq!(opus("maxaveragebitrate=510000").bitrate, 28_000);
    assert!(!opus("usedtx=0").dtx && opus("usedtx=1").dtx);
    assert_eq!(opus("maxplaybackrate=8000").playback_rate_hz, 8_000);
    assert_eq!(opus("stereo=1;maxplaybackrate=1").playback_rate_hz, 8_000);
    assert_eq!(opus("maxplaybackrate=much").playback_rate_hz, 48_000);
}

#[test]
fn g722_is_known_by_its_number_and_by_its_name_with_the_odd_clock() {
    let local = LocalMedia {
        codecs: vec![CodecKind::G722, CodecKind::Pcmu],
        ..local()
    };
    let answered = |lines: &[&str]| answer(&description(lines), &local).unwrap();
    for lines in [
        &["m=audio 40000 RTP/AVP 0 9"][..],
        &["m=audio 40000 RTP/AVP 0 9", "a=rtpmap:9 G722/8000"],
        &["m=audio 40000 RTP/AVP 0 97", "a=rtpmap:97 g722/8000/1"],
    ] {
        let negotiated = answered(lines);
        assert_eq!(negotiated.codec.kind, CodecKind::G722, "{lines:?}");
        assert_eq!(negotiated.codec.timestamp_step(), 160);
        assert_eq!(negotiated.codec.samples_per_frame(), 320);
        assert!(text(&negotiated.body).contains(" G722/8000\r\n"));
    }
    // A clock that tells the truth is another format.
    let honest = ["m=audio 40000 RTP/AVP 0 97", "a=rtpmap:97 G722/16000"];
    assert_eq!(answered(&honest).codec.kind, CodecKind::Pcmu);
    let ours = offer(&local);
    assert!(text(&ours.body).contains("m=audio 10000 RTP/AVP 9 0 101\r\n"));
    assert!(text(&ours.body).contains("a=rtpmap:9 G722/8000\r\n"));
}

#[test]
fn l16_is_mapped_at_either_rate_and_never_by_its_static_numbers() {
    let local = LocalMedia {
        codecs: vec![CodecKind::L16Wideband, CodecKind::L16Narrowband],
        ..local()
    };
    let answered = |lines: &[&str]| answer(&description(lines), &local);
    let wide = [
        "m=audio 4 RTP/AVP 96 97",
        "a=rtpmap:96 L16/8000",
        "a=rtpmap:97 L16/16000/1",
    ];
    let codec = answered(&wide).unwrap().codec;
    assert_eq!(
        (codec.kind, codec.timestamp_step()),
        (CodecKind::L16Wideband, 320)
    );
    let narrow = answered(&wide[..2]).unwrap().codec;
    assert_eq!(narrow.kind, CodecKind::L16Narrowband);
    for other in ["L16/44100", "L16/16000/2"] {
        let rtpmap = format!("a=rtpmap:96 {other}");
        assert!(
            answered(&["m=audio 4 RTP/AVP 96 10 11", &rtpmap]).is_err(),
            "{other}"
        );
    }
    let body = text(&offer(&local).body);
    assert!(
        body.contains("m=audio 10000 RTP/AVP 112 113 109 101\r\n")
            || body.contains("m=audio 10000 RTP/AVP 112 113 101 109\r\n"),
        "{body}"
    );
}

#[test]
fn our_offer_lists_everything_and_its_answer_is_read() {
    let offer = offer(&local());
    assert_eq!(
        text(&offer.body)
            .lines()
            .find(|line| line.starts_with("m=")),
        Some("m=audio 10000 RTP/AVP 111 0 8 101 110")
    );
    let answer = description(&[
        "m=audio 40000 RTP/AVP 0 101",
        "a=rtpmap:101 telephone-event/8000",
        "a=ptime:40",
        "a=recvonly",
    ]);
    let negotiated = accept_answer(&offer, &answer).unwrap();
    assert_eq!(
        (negotiated.codec.kind, negotiated.codec.ptime_ms),
        (CodecKind::Pcmu, 40)
    );
    assert_eq!(
        negotiated.telephone_event.unwrap().payload_type_receive,
        number(101)
    );
    assert_eq!(negotiated.direction, Direction::SendOnly);
    assert!(negotiated.body.is_empty());
}

#[test]
fn wound_22_an_answer_may_renumber_and_each_side_sends_the_others_number() {
    let offer = offer(&local());
    let answer = description(&[
        "m=audio 40000 RTP/AVP 122 97",
        "a=rtpmap:122 opus/48000/2",
        "a=rtpmap:97 telephone-event/48000",
    ]);
    let negotiated = accept_answer(&offer, &answer).unwrap();
    assert_eq!(negotiated.codec.payload_type_send, number(122));
    assert_eq!(negotiated.codec.payload_type_receive, number(111));
    let event = negotiated.telephone_event.unwrap();
    assert_eq!(
        (event.payload_type_send, event.payload_type_receive),
        (number(97), number(110))
    );
}

#[test]
fn an_answer_may_leave_out_what_our_numbers_mean() {
    let negotiated = accept_answer(
        &offer(&local()),
        &description(&["m=audio 40000 RTP/AVP 111 101"]),
    )
    .unwrap();
    assert_eq!(negotiated.codec.kind, CodecKind::Opus);
    assert_eq!(negotiated.telephone_event.unwrap().clock_rate_hz, 8_000);
}

#[test]
fn an_answer_that_refuses_or_invents_is_unacceptable() {
    let refused =
        |lines: &[&str]| accept_answer(&offer(&local()), &description(lines)).unwrap_err();
    assert_eq!(refused(&["m=audio 0 RTP/AVP 0"]), Unacceptable::MediaType);
    assert_eq!(refused(&[]), Unacceptable::MediaType);
    assert_eq!(
        refused(&["m=audio 4 RTP/AVP 18"]),
        Unacceptable::MediaFormat
    );
    assert_eq!(refused(&["m=audio 4 RTP/SAVP 0"]), Unacceptable::Transport);
    assert_eq!(
        refused(&["m=audio 4 RTP/AVP 0", "a=rtpmap:0 G722/8000"]),
        Unacceptable::MediaFormat
    );
}

fn version(body: &[u8]) -> u64 {
    parse(body).unwrap().session.origin.sess_version
}

#[test]
fn wound_29_the_version_rises_only_with_a_change() {
    let mut ours = LocalDescription::new(local());
    let offer = description(&["m=audio 40000 RTP/AVP 0"]);
    let hold = description(&["m=audio 40000 RTP/AVP 0", "a=sendonly"]);
    assert_eq!(version(&ours.answer(&offer).unwrap().body), 1);
    assert_eq!(version(&ours.answer(&offer).unwrap().body), 1);
    assert_eq!(version(&ours.answer(&hold).unwrap().body), 2);
    assert_eq!(version(&ours.answer(&hold).unwrap().body), 2);
    assert_eq!(version(&ours.answer(&offer).unwrap().body), 3);
    let refused = description(&["m=audio 40000 RTP/AVP 18"]);
    assert!(ours.answer(&refused).is_err());
    assert_eq!(version(&ours.answer(&offer).unwrap().body), 3);
}

/// Zoiper and MicroSIP answer two rates as if they were one.
#[test]
fn wound_23_digits_are_offered_with_the_first_codecs_clock_alone_where_so_wanted() {
    let lines = |telephone_event| {
        let offer = offer(&LocalMedia {
            telephone_event,
            ..local()
        });
        let body = text(&offer.body);
        let lines = body.lines().filter(|line| line.contains("telephone-event"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(Some(TelephoneEventRates::EachClock)),
        [
            "a=rtpmap:101 telephone-event/8000",
            "a=rtpmap:110 telephone-event/48000"
        ]
    );
    assert_eq!(
        lines(Some(TelephoneEventRates::FirstCodec)),
        ["a=rtpmap:110 telephone-event/48000"]
    );
    assert_eq!(lines(None), Vec::<String>::new());
}

#[test]
fn a_later_offer_of_ours_keeps_the_sections_and_the_numbers_of_the_dialog() {
    let mut ours = LocalDescription::new(local());
    ours.answer(&description(&[
        "m=video 5000 RTP/AVP 99",
        "m=audio 40000 RTP/AVP 96 111",
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:111 telephone-event/48000",
    ]))
    .unwrap();
    let offer = ours.offer();
    assert_eq!(version(&offer.body), 2);
    let body = text(&offer.body);
    let sections: Vec<&str> = body.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        sections,
        [
            "m=video 0 RTP/AVP 99",
            "m=audio 10000 RTP/AVP 96 0 8 101 111"
        ]
    );
    assert_eq!(ours.offer(), offer);
    let answer = description(&["m=video 0 RTP/AVP 99", "m=audio 40000 RTP/AVP 0"]);
    assert_eq!(
        ours.accept_answer(&offer, &answer).unwrap().codec.kind,
        CodecKind::Pcmu
    );
}

#[test]
fn wound_15_an_offer_of_ours_after_their_hold_is_a_full_and_fresh_one() {
    let mut ours = LocalDescription::new(local());
    ours.answer(&description(&["m=audio 40000 RTP/AVP 0", "a=sendonly"]))
        .unwrap();
    let body = text(&ours.offer().body);
    assert!(
        body.contains("m=audio 10000 RTP/AVP 111 0 8 101 110\r\n"),
        "{body}"
    );
    assert!(body.contains("a=sendrecv\r\n"), "{body}");
}

#[test]
fn wound_24_a_later_offer_without_the_codec_in_use_is_renegotiated_or_refused() {
    let mut ours = LocalDescription::new(local());
    let first = ours
        .answer(&description(&["m=audio 40000 RTP/AVP 0 8"]))
        .unwrap();
    assert_eq!(first.codec.kind, CodecKind::Pcmu);
    let second = ours
        .answer(&description(&["m=audio 40000 RTP/AVP 8"]))
        .unwrap();
    assert_eq!(
        (second.codec.kind, version(&second.body)),
        (CodecKind::Pcma, 2)
    );
    let refused = ours.answer(&description(&["m=audio 40000 RTP/AVP 18"]));
    assert_eq!(refused.unwrap_err().warning_code(), 305);
}

#[test]
fn our_hold_is_an_offer_with_a_new_version() {
    let mut ours = LocalDescription::new(local());
    let first = ours.offer();
    ours.local_mut().direction = Direction::SendOnly;
    let hold = ours.offer();
    assert_eq!((version(&first.body), version(&hold.body)), (1, 2));
    assert!(text(&hold.body).contains("a=sendonly\r\n"));
}

#[test]
fn wound_19_the_description_is_found_in_any_multipart() {
    let sdp = b"v=0\r\n";
    let isup: &[u8] = b"preamble\r\n--b1\r\nContent-Type: application/isup; version=x\r\n\r\n\x01\x10--b\r\n\
        --b1  \r\nContent-Disposition: session\r\ncontent-type:\r\n Application/SDP\r\n\r\nv=0\r\n\r\n--b1--\r\nend";
    assert_eq!(
        find_in_body("multipart/mixed;boundary=b1", isup),
        Some(&sdp[..])
    );
    assert_eq!(
        find_in_body("Multipart/Related; x=y; Boundary=\"b1\"", isup),
        Some(&sdp[..])
    );
    assert_eq!(
        find_in_body("application/sdp;charset=utf-8", sdp),
        Some(&sdp[..])
    );
    assert_eq!(find_in_body("APPLICATION/SDP", sdp), Some(&sdp[..]));
    assert_eq!(find_in_body("application/isup", sdp), None);
    assert_eq!(find_in_body("multipart/mixed", isup), None);
    assert_eq!(find_in_body("multipart/mixed;boundary=other", isup), None);
    let nested: &[u8] = b"--a\nContent-Type: multipart/alternative; boundary=b\n\n\
        --b\nc: application/sdp\n\nv=0\n--b--\n--a--\n";
    assert_eq!(
        find_in_body("multipart/mixed;boundary=a", nested),
        Some(&b"v=0"[..])
    );
}

#[test]
fn a_description_too_large_or_with_too_many_sections_is_refused() {
    let large = vec![b'a'; MAXIMUM_BYTES + 1];
    assert_eq!(parse(&large), Err(SdpError::TooLarge(MAXIMUM_BYTES + 1)));
    let many = format!("v=0\r\n{}", "m=audio 1 RTP/AVP 0\r\n".repeat(40));
    assert_eq!(parse(many.as_bytes()), Err(SdpError::TooManyMedia(40)));
    assert!(matches!(parse(b"GET / HTTP/1.1"), Err(SdpError::Syntax(_))));
}

#[test]
fn oddities_in_lines_we_do_not_read_are_no_reason_to_refuse() {
    for odd in [
        "s=B\u{fc}ro",
        "o=- 1 99999999999999999999999 IN IP4 1.2.3.4",
        "b=AS:64.5",
        "i=one\r\ni=two",
        "z=now",
    ] {
        let mut bytes = format!("v=0\r\n{odd}\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n").into_bytes();
        bytes.extend(b"m=audio  40000   RTP/AVP 0  8 \r\n\r\n\r\n");
        // The first as Latin-1 would have it.
        bytes.retain(|byte| *byte != 0xC3);
        let negotiated = answer(&parse(&bytes).unwrap(), &local()).unwrap();
        assert_eq!(negotiated.remote.unwrap().port(), 40_000, "{odd}");
    }
}

#[test]
fn offers_of_real_clients_are_answered() {
    let sipp = "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n\
        t=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
    let softphone = "v=0\r\no=- 3909 2041 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        a=tool:softphone 1.0\r\nm=audio 16480 RTP/AVP 96 0 8 101\r\nb=AS:125\r\n\
        a=rtpmap:96 opus/48000/2\r\na=fmtp:96 stereo=1;sprop-stereo=1;useinbandfec=1\r\n\
        a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=rtcp:16481\r\na=rtcp-mux\r\na=sendrecv\r\na=label:1\r\n\
        a=ssrc:3390 cname:sip:a@b\r\na=ptime:20\r\nm=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n";
    for (offer, kind) in [(sipp, CodecKind::Pcmu), (softphone, CodecKind::Opus)] {
        let negotiated = answer(&parse(offer.as_bytes()).unwrap(), &local()).unwrap();
        assert_eq!(negotiated.codec.kind, kind);
    }
}

#[test]
fn rtcp_shares_a_port_where_both_say_so() {
    let shared = answered(&["m=audio 40000 RTP/AVP 0", "a=rtcp-mux", "a=rtcp:40001"]);
    assert_eq!(shared.rtcp, RtcpPath::Multiplexed);
    assert!(text(&shared.body).ends_with("a=sendrecv\r\na=rtcp-mux\r\n"));
    let apart = answered(&["m=audio 40000 RTP/AVP 0"]);
    assert_eq!(apart.rtcp, RtcpPath::Apart { port: 40_001 });
    assert!(!text(&apart.body).contains("rtcp"));
    // Another section's wish is not ours.
    let other = answered(&[
        "m=audio 40000 RTP/AVP 0",
        "m=video 1 RTP/AVP 99",
        "a=rtcp-mux",
    ]);
    assert_eq!(other.rtcp, RtcpPath::Apart { port: 40_001 });
}

#[test]
fn a_port_for_rtcp_that_is_named_is_used() {
    for (line, port) in [
        ("a=rtcp:53020", 53_020),
        ("a=rtcp:53020 IN IP4 198.51.100.99", 53_020),
        ("a=rtcp:0", 40_001),
        ("a=rtcp:many", 40_001),
        ("a=rtcp", 40_001),
    ] {
        let negotiated = answered(&["m=audio 40000 RTP/AVP 0", line]);
        assert_eq!(negotiated.rtcp, RtcpPath::Apart { port }, "{line}");
    }
    let last = answered(&["m=audio 65535 RTP/AVP 0"]);
    assert_eq!(last.rtcp, RtcpPath::Apart { port: 65_535 });
}

#[test]
fn we_offer_to_share_a_port_and_take_an_answer_that_does_not() {
    let ours = offer(&local());
    assert!(text(&ours.body).contains("a=rtcp-mux\r\n"));
    let with = |line| {
        let answer = description(&["m=audio 40000 RTP/AVP 0", line]);
        accept_answer(&ours, &answer).unwrap().rtcp
    };
    assert_eq!(with("a=rtcp-mux"), RtcpPath::Multiplexed);
    assert_eq!(with("a=sendrecv"), RtcpPath::Apart { port: 40_001 });
}

/// Lines of real descriptions, to be shuffled and bent.
const LINES: &[&str] = &[
    "v=0",
    "o=- 1 1 IN IP4 198.51.100.7",
    "s=-",
    "c=IN IP4 198.51.100.7",
    "c=IN IP4 0.0.0.0",
    "c=IN IP6 ::",
    "t=0 0",
    "m=audio 40000 RTP/AVP 0 8 96 101",
    "m=audio 40314/2 RTP/AVP 96",
    "m=video 1 RTP/AVP 99",
    "a=rtpmap:96 opus/48000/2",
    "a=rtpmap:101 telephone-event/8000",
    "a=rtpmap:96",
    "a=rtpmap:300 PCMU/0",
    "a=rtpmap:101 telephone-event/0",
    "a=ptime:20",
    "a=maxptime:99999999999",
    "a=sendonly",
    "a=inactive",
    "a=rtcp-mux",
    "a=rtcp:40001 IN IP4 198.51.100.7",
    "b=AS:64",
];

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        if let Ok(description) = parse(&bytes) {
            let _ = answer(&description, &local());
        }
        let _ = find_in_body("multipart/mixed;boundary=a", &bytes);
    }

    #[test]
    fn any_mixture_of_lines_is_survived_and_what_we_answer_can_be_read(
        picks in prop::collection::vec((0..LINES.len(), any::<u8>(), 0_usize..40, any::<bool>()), 0..30),
    ) {
        let mut bytes = b"v=0\r\n".to_vec();
        for (pick, junk, place, bend) in picks {
            let mut line = LINES[pick].as_bytes().to_vec();
            if bend && place < line.len() {
                line[place] = junk;
            }
            bytes.extend(line);
            bytes.extend(b"\r\n");
        }
        let Ok(description) = parse(&bytes) else { return Ok(()) };
        let mut ours = LocalDescription::new(local());
        if let Ok(negotiated) = ours.answer(&description) {
            let again = parse(&negotiated.body).unwrap();
            prop_assert_eq!(again.session.medias.len(), description.session.medias.len());
            let repeated = ours.answer(&description).unwrap();
            prop_assert_eq!(repeated, negotiated);
            let _ = ours.offer();
        }
        let _ = accept_answer(&offer(&local()), &description);
    }

    #[test]
    fn what_we_offer_we_can_answer(reversed in any::<bool>(), telephone_event in any::<bool>()) {
        let mut codecs = CodecKind::ALL.to_vec();
        if reversed {
            codecs.reverse();
        }
        let offer = offer(&LocalMedia { codecs, telephone_event: telephone_event.then_some(TelephoneEventRates::EachClock), ..local() });
        let negotiated = answer(&parse(&offer.body).unwrap(), &local()).unwrap();
        let accepted = accept_answer(&offer, &parse(&negotiated.body).unwrap()).unwrap();
        prop_assert_eq!(accepted.codec, negotiated.codec);
        prop_assert_eq!(accepted.telephone_event, negotiated.telephone_event);
    }

    #[test]
    fn any_multipart_is_survived(
        content_type in ".{0,60}",
        parts in prop::collection::vec("(--a|--a--|\r\n|\n|c: application/sdp|Content-Type: multipart/x;boundary=a|.{0,10}){0,8}", 0..5),
    ) {
        let body = parts.concat();
        let _ = find_in_body(&content_type, body.as_bytes());
        let _ = find_in_body("multipart/mixed;boundary=\"a\"", body.as_bytes());
    }
}

fn protected(seed: u8, required: bool, offered: bool) -> LocalMedia {
    let random = std::array::from_fn(|line| [seed ^ line as u8; RANDOM_BYTES]);
    LocalMedia {
        srtp: Some(LocalSrtp::new(required, offered, &random)),
        codecs: vec![CodecKind::Pcmu],
        ..local()
    }
}

#[test]
fn wound_52_two_sides_agree_on_keys_over_savp_and_stay_with_them() {
    let mut caller = LocalDescription::new(protected(1, false, true));
    let mut callee = LocalDescription::new(protected(2, false, false));
    let offer = caller.offer();
    assert!(text(&offer.body).contains("m=audio 10000 RTP/SAVP 0 101\r\n"));
    assert_eq!(text(&offer.body).matches("a=crypto:").count(), 4);
    let answered = callee.answer(&parse(&offer.body).unwrap()).unwrap();
    assert_eq!(
        text(&answered.body)
            .matches("a=crypto:1 AES_CM_128_HMAC_SHA1_80 ")
            .count(),
        1
    );
    let settled = caller
        .accept_answer(&offer, &parse(&answered.body).unwrap())
        .unwrap();
    let (ours, theirs) = (
        settled.srtp.clone().unwrap(),
        answered.srtp.clone().unwrap(),
    );
    assert_eq!((&ours.ours, &ours.theirs), (&theirs.theirs, &theirs.ours));

    // Whoever offers next offers the same keys, and an unchanged description keeps its version.
    let again = callee.offer();
    assert!(text(&again.body).contains("RTP/SAVP"));
    let answered = caller.answer(&parse(&again.body).unwrap()).unwrap();
    let settled = callee
        .accept_answer(&again, &parse(&answered.body).unwrap())
        .unwrap();
    assert_eq!(settled.srtp.unwrap(), theirs);
}

#[test]
fn what_has_to_be_protected_is_refused_in_the_clear_both_ways() {
    let required = protected(1, true, true);
    let refused = |lines: &[&str]| answer(&description(lines), &required).unwrap_err();
    assert_eq!(refused(&["m=audio 4 RTP/AVP 0"]), Unacceptable::InTheClear);
    assert_eq!(refused(&["m=audio 4 RTP/SAVP 0"]), Unacceptable::Transport);
    assert_eq!(Unacceptable::InTheClear.warning_code(), 302);

    // Optional or not: what was offered protected is not answered in the clear.
    for local in [required, protected(1, false, true)] {
        let refused =
            accept_answer(&offer(&local), &description(&["m=audio 4 RTP/AVP 0"])).unwrap_err();
        assert_eq!(refused, Unacceptable::InTheClear);
    }
}

#[test]
fn where_srtp_may_be_the_offerer_chooses() {
    let optional = protected(1, false, false);
    assert!(text(&offer(&optional).body).contains("RTP/AVP"));
    assert!(!text(&offer(&optional).body).contains("crypto"));
    let plain = answer(&description(&["m=audio 4 RTP/AVP 0"]), &optional).unwrap();
    assert_eq!(plain.srtp, None);
    let key = format!("a=crypto:7 AEAD_AES_128_GCM inline:{}", "A".repeat(38));
    let lines = ["m=audio 4 RTP/SAVPF 0", &key];
    let protected = answer(&description(&lines), &optional).unwrap();
    assert!(protected.srtp.is_some());
    assert!(text(&protected.body).contains("a=crypto:7 AEAD_AES_128_GCM inline:"));
}
