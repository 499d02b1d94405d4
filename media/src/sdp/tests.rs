use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn local() -> LocalMedia {
    LocalMedia {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
        port: 10_000,
        codecs: vec![CodecKind::Opus, CodecKind::Pcmu, CodecKind::Pcma],
        telephone_event: true,
        ptime_ms: 20,
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
        telephone_event: false,
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
    assert!(!text(&negotiated.body).contains("rtcp"));
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
        let offer = offer(&LocalMedia { codecs, telephone_event, ..local() });
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
