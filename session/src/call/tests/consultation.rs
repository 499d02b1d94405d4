//! Transfers with a second leg: what the driver tells of it goes in, what it is to do comes out.

use std::time::Duration;

use super::*;
use crate::agent_session::{
    AgentInBridge, SecondLegAnswer, TransferMode, TransferOutcome, TransferRequest, TransferStep,
    WarmEnd,
};

const RINGING: StatusCode = StatusCode::RINGING;
const REPLACEMENT: &str = "sip:desk@192.0.2.9?Replaces=c%3Bto-tag%3Da%3Bfrom-tag%3Db";

fn asked(mode: TransferMode) -> (Call, Vec<Output>) {
    asked_with(TransferRequest::by(mode, "sip:desk@example.net"))
}

fn asked_with(request: TransferRequest) -> (Call, Vec<Output>) {
    let mut call = talking();
    call.handle_session(CallRequest::Transfer(Box::new(request)));
    let outputs = drain(&mut call);
    (call, outputs)
}

/// The second leg has answered and is told.
fn told(mode: TransferMode) -> Call {
    let (mut call, _) = asked(mode);
    call.second_leg_called();
    call.second_leg_rings(RINGING);
    call.second_leg_answered();
    assert_eq!(
        steps(&drain(&mut call)),
        [
            TransferStep::Calling,
            TransferStep::Ringing(180),
            TransferStep::Answered,
        ]
    );
    call
}

fn steps(outputs: &[Output]) -> Vec<TransferStep> {
    let told = |output: &Output| match output {
        Output::Tell(CallEvent::Transfer(step)) => Some(*step),
        _ => None,
    };
    outputs.iter().filter_map(told).collect()
}

fn over(outcome: TransferOutcome) -> Vec<TransferStep> {
    vec![TransferStep::Over(outcome)]
}

fn says(call: &mut Call, answer: SecondLegAnswer) -> Vec<Output> {
    call.second_leg_says(answer, Some(REPLACEMENT.to_owned()));
    drain(call)
}

fn news(call: &mut Call, news: ReferralNews) -> Vec<Output> {
    call.handle_sip(Event::Referral {
        id: call.invite().expect("a dialog"),
        referral: offhook_sip::endpoint::ReferralId::default(),
        news,
    });
    drain(call)
}

fn refer(outputs: &[Output]) -> Option<&str> {
    outputs.iter().find_map(|output| match output {
        Output::Sip(_, SipCommand::Refer(refer)) => Some(&*refer.refer_to),
        _ => None,
    })
}

fn ends_second_leg(outputs: &[Output]) -> bool {
    let ends = |output: &Output| matches!(output, Output::EndSecondLeg(_));
    outputs.iter().filter(|output| ends(output)).count() == 1
}

fn goes_on(call: &Call, outputs: &[Output]) -> bool {
    let ends = |output: &Output| {
        matches!(
            output,
            Output::CloseLeg | Output::Sip(_, SipCommand::Bye { .. })
        )
    };
    call.is_up() && !outputs.iter().any(ends)
}

#[test]
fn attended_a_second_leg_is_called_announced_to_and_then_the_far_end_is_sent_into_it() {
    let (_, outputs) = asked(TransferMode::Attended);
    assert!(
        matches!(&outputs[..], [Output::CallSecondLeg(request)] if request.target.expose() == "sip:desk@example.net"),
        "{outputs:?}"
    );
    let mut call = told(TransferMode::Attended);
    let outputs = says(&mut call, SecondLegAnswer::Ready);
    assert_eq!(refer(&outputs), Some(REPLACEMENT));
    let outputs = news(&mut call, ReferralNews::Accepted);
    assert_eq!(steps(&outputs), [TransferStep::Accepted]);
    let outputs = news(&mut call, ReferralNews::Completed(StatusCode::OK));
    assert_eq!(steps(&outputs), over(TransferOutcome::Completed));
    assert!(ends_second_leg(&outputs), "{outputs:?}");
    assert!(matches!(
        outputs.last(),
        Some(Output::Sip(_, SipCommand::Bye { .. }))
    ));
}

#[test]
fn attended_a_second_leg_that_is_over_before_the_outcome_was_replaced() {
    let mut call = told(TransferMode::Attended);
    says(&mut call, SecondLegAnswer::Ready);
    news(&mut call, ReferralNews::Accepted);
    call.second_leg_over(&EndCause::FarEndHungUp.into());
    assert!(drain(&mut call).is_empty());
    let outputs = news(&mut call, ReferralNews::Completed(StatusCode::OK));
    assert_eq!(steps(&outputs), over(TransferOutcome::Completed));
}

#[test]
fn attended_a_far_end_that_is_not_sent_is_the_agents_again_and_the_second_leg_ends() {
    let busy = StatusCode::BUSY_HERE;
    for (told_of, outcome) in [
        (ReferralNews::Refused(busy), TransferOutcome::Rejected(486)),
        (ReferralNews::Failed(busy), TransferOutcome::Rejected(486)),
        (ReferralNews::TimedOut, TransferOutcome::TimedOut),
    ] {
        let mut call = told(TransferMode::Attended);
        says(&mut call, SecondLegAnswer::Ready);
        let outputs = news(&mut call, told_of);
        assert_eq!(steps(&outputs), over(outcome));
        assert!(ends_second_leg(&outputs) && goes_on(&call, &outputs));
        // Nothing is left of it: another one can begin.
        call.handle_session(CallRequest::Transfer(Box::new(TransferRequest::to(
            "sip:a@b",
        ))));
        assert_eq!(refer(&drain(&mut call)), Some("sip:a@b"));
    }
}

#[test]
fn attended_a_refer_that_cannot_be_sent_is_impossible() {
    let mut call = told(TransferMode::Attended);
    says(&mut call, SecondLegAnswer::Ready);
    call.refer_not_sent();
    let outputs = drain(&mut call);
    assert_eq!(steps(&outputs), over(TransferOutcome::Impossible));
    assert!(ends_second_leg(&outputs) && goes_on(&call, &outputs));
}

#[test]
fn attended_where_a_trunk_takes_no_replaces_nobody_is_sent() {
    let mut call = told(TransferMode::Attended);
    call.second_leg_says(SecondLegAnswer::Ready, None);
    let outputs = drain(&mut call);
    assert_eq!(steps(&outputs), over(TransferOutcome::Rejected(480)));
    assert!(ends_second_leg(&outputs));
}

#[test]
fn attended_a_far_end_that_hangs_up_after_it_accepted_goes_where_it_was_sent_and_somebody_waits_there()
 {
    let mut call = told(TransferMode::Attended);
    says(&mut call, SecondLegAnswer::Ready);
    news(&mut call, ReferralNews::Accepted);
    end(&mut call, DialogEnd::RemoteBye);
    let outputs = drain(&mut call);
    assert_eq!(steps(&outputs), over(TransferOutcome::Completed));
    let ends = |output: &Output| matches!(output, Output::EndSecondLeg(_));
    assert!(!outputs.iter().any(ends), "{outputs:?}");

    // One that did not accept is gone, and nobody comes.
    let mut call = told(TransferMode::Attended);
    says(&mut call, SecondLegAnswer::Ready);
    end(&mut call, DialogEnd::RemoteBye);
    let outputs = drain(&mut call);
    assert_eq!(steps(&outputs), over(TransferOutcome::TimedOut));
    assert!(ends_second_leg(&outputs));
}

#[test]
fn bridge_the_calls_are_joined_when_the_second_leg_is_ready() {
    let mut request = TransferRequest::by(TransferMode::Bridge, "tel:+15550100");
    request.second_leg.agent = AgentInBridge::Stays;
    let (mut call, _) = asked_with(request);
    call.second_leg_answered();
    drain(&mut call);
    let outputs = says(&mut call, SecondLegAnswer::Ready);
    assert!(matches!(
        outputs[..],
        [Output::JoinSecondLeg(AgentInBridge::Stays)]
    ));
    call.second_leg_joined(true);
    let outputs = drain(&mut call);
    assert_eq!(steps(&outputs), over(TransferOutcome::Bridged));
    assert!(goes_on(&call, &outputs));
}

#[test]
fn bridge_calls_that_cannot_be_joined_are_a_failure() {
    let mut call = told(TransferMode::Bridge);
    says(&mut call, SecondLegAnswer::Ready);
    call.second_leg_joined(false);
    let outputs = drain(&mut call);
    // They were called: it is not as if nothing had been tried.
    assert_eq!(steps(&outputs), over(TransferOutcome::Rejected(480)));
    assert!(ends_second_leg(&outputs) && goes_on(&call, &outputs));
}

#[test]
fn bridge_in_place_of_a_transfer_that_the_far_end_refuses() {
    for mode in [TransferMode::Blind, TransferMode::Attended] {
        let request = TransferRequest {
            bridge_if_refused: true,
            ..TransferRequest::by(mode, "sip:desk@example.net")
        };
        let (mut call, outputs) = asked_with(request);
        let forbidden = ReferralNews::Refused(StatusCode::FORBIDDEN);
        if mode == TransferMode::Blind {
            assert_eq!(refer(&outputs), Some("sip:desk@example.net"));
            let outputs = news(&mut call, forbidden);
            assert!(steps(&outputs).is_empty(), "it is not over: {outputs:?}");
            assert!(matches!(outputs[..], [Output::CallSecondLeg(_)]));
            call.second_leg_answered();
            drain(&mut call);
            let outputs = says(&mut call, SecondLegAnswer::Ready);
            assert!(matches!(outputs[..], [Output::JoinSecondLeg(_)]));
        } else {
            call.second_leg_answered();
            drain(&mut call);
            says(&mut call, SecondLegAnswer::Ready);
            let outputs = news(&mut call, forbidden);
            assert!(
                matches!(outputs[..], [Output::JoinSecondLeg(_)]),
                "{outputs:?}"
            );
        }
        call.second_leg_joined(true);
        let outputs = drain(&mut call);
        assert_eq!(steps(&outputs), over(TransferOutcome::Bridged));
    }
}

#[test]
fn a_transfer_that_the_target_refuses_is_not_tried_by_a_bridge_as_well() {
    let request = TransferRequest {
        bridge_if_refused: true,
        ..TransferRequest::to("sip:desk@example.net")
    };
    let (mut call, _) = asked_with(request);
    let outputs = news(&mut call, ReferralNews::Failed(StatusCode::BUSY_HERE));
    assert_eq!(steps(&outputs), over(TransferOutcome::Rejected(486)));
}

#[test]
fn warm_who_accepts_is_joined_or_the_far_end_sent_to_them() {
    let mut call = told(TransferMode::Warm(WarmEnd::Bridge));
    let outputs = says(&mut call, SecondLegAnswer::Accepted);
    assert!(matches!(outputs[..], [Output::JoinSecondLeg(_)]));
    let mut call = told(TransferMode::Warm(WarmEnd::Attended));
    let outputs = says(&mut call, SecondLegAnswer::Accepted);
    assert_eq!(refer(&outputs), Some(REPLACEMENT));
}

#[test]
fn warm_who_declines_a_machine_and_who_hangs_up_leave_the_far_end_with_the_agent() {
    for (answer, outcome) in [
        (Some(SecondLegAnswer::Declined), TransferOutcome::Declined),
        (Some(SecondLegAnswer::Machine), TransferOutcome::Machine),
        (None, TransferOutcome::Declined),
    ] {
        let mut call = told(TransferMode::Warm(WarmEnd::Bridge));
        let outputs = match answer {
            Some(answer) => says(&mut call, answer),
            None => {
                call.second_leg_over(&EndCause::FarEndHungUp.into());
                drain(&mut call)
            }
        };
        assert_eq!(steps(&outputs), over(outcome));
        assert_eq!(ends_second_leg(&outputs), answer.is_some());
        assert!(goes_on(&call, &outputs));
        // What it says late is nothing any more.
        assert!(says(&mut call, SecondLegAnswer::Accepted).is_empty());
    }
}

#[test]
fn a_second_leg_that_is_refused_or_does_not_answer_is_a_typed_failure() {
    for (reason, outcome) in [
        (
            EndReason::with_status(EndCause::Rejected, 486),
            TransferOutcome::Rejected(486),
        ),
        (
            EndReason::new(EndCause::NotAnswered),
            TransferOutcome::TimedOut,
        ),
        (
            EndReason::with_status(EndCause::NotAnswered, 408),
            TransferOutcome::TimedOut,
        ),
        (
            EndReason::with_status(EndCause::SignallingLost, 502),
            TransferOutcome::Rejected(502),
        ),
        (
            EndReason::new(EndCause::OperatorHungUp),
            TransferOutcome::Rejected(480),
        ),
    ] {
        let (mut call, _) = asked(TransferMode::Bridge);
        call.second_leg_over(&reason);
        let outputs = drain(&mut call);
        assert_eq!(steps(&outputs), over(outcome), "{reason}");
        assert!(goes_on(&call, &outputs));
    }
    let (mut call, _) = asked(TransferMode::Bridge);
    call.second_leg_not_called(TransferOutcome::NotAdmitted);
    assert_eq!(steps(&drain(&mut call)), over(TransferOutcome::NotAdmitted));
}

#[test]
fn a_second_leg_that_a_fault_ends_is_not_taken_for_one_that_declined() {
    let mut call = told(TransferMode::Bridge);
    call.second_leg_over(&EndCause::Fault.into());
    let outputs = drain(&mut call);
    assert_eq!(steps(&outputs), over(TransferOutcome::Rejected(480)));
}

#[test]
fn a_call_that_ends_meanwhile_takes_its_second_leg_with_it() {
    for mode in [TransferMode::Attended, TransferMode::Bridge] {
        let mut call = told(mode);
        end(&mut call, DialogEnd::RemoteBye);
        assert!(ends_second_leg(&drain(&mut call)));
        let mut call = told(mode);
        call.hang_up(EndCause::OperatorHungUp.into());
        assert!(ends_second_leg(&drain(&mut call)));
    }
}

#[test]
fn one_transfer_at_a_time_and_no_successor_meanwhile() {
    let mut call = told(TransferMode::Bridge);
    for request in [
        TransferRequest::to("sip:a@b"),
        TransferRequest::by(TransferMode::Attended, "sip:a@b"),
    ] {
        call.handle_session(CallRequest::Transfer(Box::new(request)));
        let outputs = drain(&mut call);
        assert_eq!(steps(&outputs), over(TransferOutcome::Impossible));
    }
    call.handle_sip(Event::Referred {
        id: call.invite().expect("a dialog"),
        refer_to: offhook_sip::message::Uri::parse("sip:c@d").expect("a URI"),
        replaces: None,
        request: request("REFER", ""),
    });
    assert!(matches!(
        drain(&mut call)[..],
        [Output::Sip(_, SipCommand::RejectRefer(_))]
    ));
    // The first is still open.
    let outputs = says(&mut call, SecondLegAnswer::Ready);
    assert!(matches!(outputs[..], [Output::JoinSecondLeg(_)]));
}

#[test]
fn who_asks_for_a_second_transfer_alone_hears_that_it_is_impossible() {
    // An operator's beside the agent's, of which the session would take it that its own is over.
    let mut call = told(TransferMode::Warm(WarmEnd::Bridge));
    transferring(&mut call);
    assert!(matches!(
        drain(&mut call)[..],
        [Output::Transfer(TransferProgress::Impossible)]
    ));
    let outputs = says(&mut call, SecondLegAnswer::Accepted);
    assert!(matches!(outputs[..], [Output::JoinSecondLeg(_)]));

    // The agent's beside an operator's, who would take it that theirs is.
    for mode in [TransferMode::Blind, TransferMode::Bridge] {
        let mut call = talking();
        transferring(&mut call);
        drain(&mut call);
        let request = TransferRequest::by(mode, "sip:a@example.net");
        call.handle_session(CallRequest::Transfer(Box::new(request)));
        let outputs = drain(&mut call);
        assert_eq!(steps(&outputs), over(TransferOutcome::Impossible));
        assert_eq!(outputs.len(), 1, "{outputs:?}");
    }
}

#[test]
fn a_refer_that_a_hang_up_ends_calls_nobody_instead() {
    let request = TransferRequest {
        bridge_if_refused: true,
        ..TransferRequest::to("sip:desk@example.net")
    };
    let (mut call, _) = asked_with(request);
    call.hang_up(EndCause::OperatorHungUp.into());
    drain(&mut call);
    // What is pending when a BYE comes is answered with 487.
    let outputs = news(
        &mut call,
        ReferralNews::Refused(StatusCode::REQUEST_TERMINATED),
    );
    assert_eq!(steps(&outputs), over(TransferOutcome::Rejected(487)));
    let calls = |output: &Output| matches!(output, Output::CallSecondLeg(_));
    assert!(!outputs.iter().any(calls), "{outputs:?}");
}

#[test]
fn nobody_is_called_while_a_successor_is_nor_the_other_way_round() {
    let referred = |call: &mut Call| {
        call.handle_sip(Event::Referred {
            id: call.invite().expect("a dialog"),
            refer_to: offhook_sip::message::Uri::parse("sip:c@192.0.2.9").expect("a URI"),
            replaces: None,
            request: request("REFER", ""),
        });
        drain(call)
    };
    let mut call = talking();
    assert!(matches!(referred(&mut call)[..], [Output::Succeed(_)]));
    let request = TransferRequest::by(TransferMode::Bridge, "sip:a@example.net");
    call.handle_session(CallRequest::Transfer(Box::new(request)));
    let outputs = drain(&mut call);
    assert_eq!(steps(&outputs), over(TransferOutcome::Impossible));

    let mut call = talking();
    transferring(&mut call);
    drain(&mut call);
    assert!(matches!(
        referred(&mut call)[..],
        [Output::Sip(_, SipCommand::RejectRefer(_))]
    ));
}

#[test]
fn attended_a_far_end_that_will_tell_nothing_is_waited_for_where_it_was_sent() {
    let mut call = told(TransferMode::Attended);
    says(&mut call, SecondLegAnswer::Ready);
    let outputs = news(&mut call, ReferralNews::AcceptedWithoutNews);
    assert_eq!(steps(&outputs), over(TransferOutcome::Completed));
    assert!(!ends_second_leg(&outputs), "{outputs:?}");
}

#[test]
fn a_far_end_that_is_replaced_while_it_is_sent_elsewhere_leaves_another_to_the_agent() {
    let mut call = told(TransferMode::Attended);
    says(&mut call, SecondLegAnswer::Ready);
    news(&mut call, ReferralNews::Accepted);
    call.replaced_by(first_invite(), &request("INVITE", &offer("0", "")));
    let outputs = drain(&mut call);
    assert_eq!(steps(&outputs), over(TransferOutcome::TimedOut));
    // The one before may still be on its way there.
    assert!(!ends_second_leg(&outputs) && call.is_up(), "{outputs:?}");
}

#[test]
fn nobody_is_called_for_a_target_that_is_no_address() {
    let (call, outputs) = asked_with(TransferRequest {
        timeout: Duration::from_secs(1),
        ..TransferRequest::by(TransferMode::Bridge, "5550100")
    });
    assert_eq!(steps(&outputs), over(TransferOutcome::Impossible));
    assert!(goes_on(&call, &outputs));
}

/// A small generator, so that a seed means the same for ever (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// A call, its second leg as the driver sees it, and what was told.
struct Scene {
    call: Call,
    dice: Dice,
    /// Whether a second leg is called, or up.
    second: bool,
    /// Whether the calls were joined.
    joined: bool,
    asked: usize,
    over: usize,
    outcomes: Vec<TransferOutcome>,
}

impl Scene {
    fn drain(&mut self, seed: u64) {
        while let Some(output) = self.call.poll_output() {
            match output {
                Output::CallSecondLeg(_) => {
                    assert!(!self.second, "seed {seed}: two second legs");
                    self.second = self.dice.below(8) > 0;
                    match self.second {
                        true => self.call.second_leg_called(),
                        false => self
                            .call
                            .second_leg_not_called(TransferOutcome::NotAdmitted),
                    }
                }
                Output::EndSecondLeg(_) => self.second = false,
                Output::JoinSecondLeg(_) => {
                    assert!(self.second, "seed {seed}: joined to nobody");
                    self.joined = self.dice.below(4) > 0;
                    self.call.second_leg_joined(self.joined);
                }
                Output::Tell(CallEvent::Transfer(TransferStep::Over(outcome))) => {
                    self.over += 1;
                    self.outcomes.push(outcome);
                }
                _ => {}
            }
        }
        assert!(self.over <= self.asked, "seed {seed}: {:?}", self.outcomes);
    }

    fn ask(&mut self) {
        let modes = [
            TransferMode::Blind,
            TransferMode::Attended,
            TransferMode::Bridge,
            WARM,
            TransferMode::Warm(WarmEnd::Attended),
        ];
        let request = TransferRequest {
            bridge_if_refused: self.dice.below(2) == 0,
            wait: self.dice.below(4) > 0,
            ..TransferRequest::by(modes[self.dice.below(5) as usize], "sip:desk@example.net")
        };
        self.asked += 1;
        self.call
            .handle_session(CallRequest::Transfer(Box::new(request)));
    }

    fn step(&mut self) {
        let status = [StatusCode::BUSY_HERE, StatusCode::FORBIDDEN][self.dice.below(2) as usize];
        match self.dice.below(14) {
            0 => self.ask(),
            1 if self.second => self.call.second_leg_rings(RINGING),
            2 if self.second => self.call.second_leg_answered(),
            3 | 4 if self.second => {
                let answers = [
                    SecondLegAnswer::Ready,
                    SecondLegAnswer::Accepted,
                    SecondLegAnswer::Declined,
                    SecondLegAnswer::Machine,
                ];
                let replacement = (self.dice.below(4) > 0).then(|| REPLACEMENT.to_owned());
                let answer = answers[self.dice.below(4) as usize];
                self.call.second_leg_says(answer, replacement);
            }
            5 if self.second && self.dice.below(3) == 0 => {
                self.second = false;
                self.call.second_leg_over(&EndCause::FarEndHungUp.into());
            }
            6 => self.news(ReferralNews::Accepted),
            7 => self.news(ReferralNews::Progress(RINGING)),
            8 => self.news(ReferralNews::Refused(status)),
            9 => self.news(ReferralNews::Failed(status)),
            10 => self.news(ReferralNews::TimedOut),
            11 if self.dice.below(4) == 0 => self.news(ReferralNews::Completed(StatusCode::OK)),
            12 if self.dice.below(12) == 0 => self.call.hang_up(EndCause::AgentHungUp.into()),
            _ => {}
        }
    }

    fn news(&mut self, news: ReferralNews) {
        let Some(id) = self.call.invite() else {
            return;
        };
        let referral = offhook_sip::endpoint::ReferralId::default();
        self.call.handle_sip(Event::Referral { id, referral, news });
    }
}

const WARM: TransferMode = TransferMode::Warm(WarmEnd::Bridge);

#[test]
fn whatever_comes_in_whatever_order_each_transfer_is_over_once_and_no_second_leg_is_forgotten() {
    let mut seen = std::collections::BTreeMap::new();
    for seed in 1..=2_000u64 {
        let mut scene = Scene {
            call: talking(),
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            second: false,
            joined: false,
            asked: 0,
            over: 0,
            outcomes: Vec::new(),
        };
        for _ in 0..40 {
            scene.step();
            scene.drain(seed);
            if !scene.call.is_up() || scene.joined {
                break;
            }
        }
        if !scene.joined {
            end(&mut scene.call, DialogEnd::RemoteBye);
            scene.drain(seed);
            // One that a far end went to, as it said, is let go by its own session.
            let went = scene.outcomes.last() == Some(&TransferOutcome::Completed);
            assert!(!scene.second || went, "seed {seed}: {:?}", scene.outcomes);
        }
        assert_eq!(scene.over, scene.asked, "seed {seed}: {:?}", scene.outcomes);
        for outcome in scene.outcomes {
            *seen.entry(outcome.as_str()).or_insert(0) += 1;
        }
    }
    // It goes everywhere.
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(seen.values().all(|times| *times >= 20), "{seen:?}");
}
