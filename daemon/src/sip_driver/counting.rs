//! What the signalling task counts.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use offhook_media::leg::LegStatistics;
use offhook_media::rtcp::Mos;
use offhook_session::agent_session::{EndReason, SessionReport, TransferOutcome};
use offhook_session::voicemail::FarEnd;
use offhook_sip::endpoint::{EndpointStatistics, Transport};

use super::gate::GateStatistics;
use crate::config::{AgentName, TrunkName};
use crate::telemetry::metrics::{
    ANSWER_SECONDS, CALL_MOS, CALLS_ENDED, CALLS_LIVE, CALLS_REFUSED, MEDIA_DROPPED,
    ROUND_TRIP_SECONDS, RTCP_PACKETS, RTP_LOST, RTP_REFUSED, SIP_BANS, SIP_CONNECTIONS,
    SIP_CONNECTIONS_BEGUN, SIP_CONNECTIONS_ENDED, SIP_CONNECTIONS_REFUSED, SIP_DROPPED,
    SIP_MESSAGES, SIP_RETRANSMISSIONS, SIP_SHED, SIP_TRANSACTIONS, TRANSFERS, TRUNK_UP,
    TURN_SECONDS, TURNS, VOICEMAIL_VERDICTS,
};

/// A connection was accepted, or is being opened.
pub(super) fn connection_begun(transport: Transport, accepted: bool) {
    let opener = if accepted { "them" } else { "us" };
    counter!(SIP_CONNECTIONS_BEGUN, "transport" => transport.as_str(), "opener" => opener)
        .increment(1);
}

/// A connection ended, or could not be had.
pub(super) fn connection_ended(reason: &'static str) {
    counter!(SIP_CONNECTIONS_ENDED, "reason" => reason).increment(1);
}

/// A connection was closed because a limit was reached.
pub(super) fn connection_refused(limit: &'static str) {
    counter!(SIP_CONNECTIONS_REFUSED, "limit" => limit).increment(1);
}

/// How many connections are live.
pub(super) fn connections_live(connections: usize) {
    gauge!(SIP_CONNECTIONS).set(connections as f64);
}

/// A datagram or a connection of somebody who may not speak to us.
pub(super) fn stranger_dropped() {
    counter!(SIP_DROPPED, "reason" => "stranger").increment(1);
}

/// A datagram that the kernel had no room for.
pub(super) fn send_dropped() {
    counter!(SIP_DROPPED, "reason" => "send_buffer").increment(1);
}

/// A datagram handed to the endpoint.
pub(super) fn message_received() {
    counter!(SIP_MESSAGES, "direction" => "in").increment(1);
}

/// A datagram sent.
pub(super) fn message_sent() {
    counter!(SIP_MESSAGES, "direction" => "out").increment(1);
}

/// A call was refused before there was one.
pub(super) fn call_refused(status: u16, reason: &'static str) {
    counter!(CALLS_REFUSED, "status" => status.to_string(), "reason" => reason).increment(1);
}

/// A transfer is over.
pub(super) fn transfer_over(outcome: TransferOutcome) {
    counter!(TRANSFERS, "outcome" => outcome.as_str()).increment(1);
}

/// Whether a trunk answers when it is asked.
pub(super) fn trunk_up(trunk: &TrunkName, up: bool) {
    gauge!(TRUNK_UP, "trunk" => trunk.to_string()).set(f64::from(u8::from(up)));
}

/// How many calls are live.
pub(super) fn calls_live(calls: usize) {
    // Exact far beyond any number of calls.
    gauge!(CALLS_LIVE).set(calls as f64);
}

/// From the INVITE to our 200.
pub(super) fn answered(after: Duration) {
    histogram!(ANSWER_SECONDS).record(after.as_secs_f64());
}

/// It is clear who answered a call of ours.
pub(super) fn answered_by(far_end: FarEnd) {
    counter!(VOICEMAIL_VERDICTS, "verdict" => far_end.as_str()).increment(1);
}

/// A call is over.
pub(super) fn call_ended(trunk: &TrunkName, agent: &AgentName, reason: &EndReason) {
    let (trunk, agent) = (trunk.to_string(), agent.to_string());
    counter!(CALLS_ENDED, "trunk" => trunk, "agent" => agent, "cause" => reason.cause.as_str())
        .increment(1);
}

/// A leg is closed: what it lost is added to the totals, and a recording with holes is named.
pub(super) fn leg_closed(statistics: &LegStatistics) {
    counter!(RTP_LOST).increment(statistics.receiver.lost);
    for (what, lost) in [
        ("recording_samples", statistics.recorder_lost_samples),
        ("listener_samples", statistics.listener_dropped_samples),
        ("leg_events", statistics.events_lost),
        ("digits_out", statistics.unsent_digits),
    ] {
        if lost > 0 {
            counter!(MEDIA_DROPPED, "what" => what).increment(lost);
        }
    }
    counter!(RTP_REFUSED, "reason" => "elsewhere").increment(statistics.from_elsewhere);
    counter!(RTP_REFUSED, "reason" => "unproven").increment(statistics.unproven);
    counter!(RTP_REFUSED, "reason" => "malformed").increment(statistics.receiver.refused);
    quality(statistics);
    if statistics.recorder_lost_samples > 0 {
        tracing::warn!(
            samples = statistics.recorder_lost_samples,
            "a recording has holes: the writer was too slow"
        );
    }
}

/// How a call sounded that is over. One without audio sounded of nothing.
fn quality(statistics: &LegStatistics) {
    let LegStatistics {
        receiver,
        rtcp,
        quality,
        ..
    } = statistics;
    counter!(RTCP_PACKETS, "direction" => "in").increment(rtcp.received);
    counter!(RTCP_PACKETS, "direction" => "out").increment(rtcp.sent);
    for (direction, mos) in [("in", quality.heard), ("out", quality.sent)] {
        if let Some(mos) = mos {
            histogram!(CALL_MOS, "direction" => direction).record(mos.score());
        }
    }
    if let Some(round_trip) = rtcp.round_trip {
        histogram!(ROUND_TRIP_SECONDS).record(round_trip.as_secs_f64());
    }
    tracing::info!(
        mos_in = quality.heard.map(Mos::score),
        mos_out = quality.sent.map(Mos::score),
        round_trip_ms = rtcp.round_trip.map(|time| time.as_millis() as u64),
        packets_in = receiver.received,
        lost_in = receiver.lost,
        lost_out = rtcp.on_us.map(|report| report.lost),
        rtcp_in = rtcp.received,
        rtcp_heard_ms_ago = rtcp.last_heard.map(|at| at.elapsed().as_millis() as u64),
        goodbye = rtcp.goodbye,
        "audio ended"
    );
}

/// A conversation is over: its turns, and how long the caller waited for each answer.
pub(super) fn conversation_ended(agent: &AgentName, report: &SessionReport) {
    let SessionReport {
        metrics, e2e_ms, ..
    } = report;
    for waited_ms in e2e_ms {
        histogram!(TURN_SECONDS, "agent" => agent.to_string()).record(*waited_ms as f64 / 1_000.0);
    }
    for (what, count) in [
        ("answered", metrics.answered_turns),
        ("interrupted", metrics.interrupted_turns),
    ] {
        counter!(TURNS, "agent" => agent.to_string(), "what" => what).increment(count);
    }
    tracing::info!(
        turns = metrics.user_turns,
        answered = metrics.answered_turns,
        interrupted = metrics.interrupted_turns,
        user_speech_ms = metrics.user_speech_ms,
        agent_speech_ms = metrics.agent_speech_ms,
        e2e_mean_ms = metrics.e2e_sum_ms.checked_div(metrics.answered_turns),
        e2e_max_ms = (metrics.answered_turns > 0).then_some(metrics.e2e_max_ms),
        tools = metrics.tools_called,
        errors = metrics.errors,
        "conversation ended"
    );
}

/// What the gate counted so far.
pub(super) fn gate(statistics: &GateStatistics) {
    for (reason, dropped) in [
        ("stranger", statistics.strangers),
        ("forbidden", statistics.forbidden),
        ("banned", statistics.banned),
        ("rate", statistics.over_rate),
    ] {
        counter!(SIP_DROPPED, "reason" => reason).absolute(dropped);
    }
    counter!(SIP_SHED).absolute(statistics.shed);
    counter!(SIP_BANS).absolute(statistics.bans);
}

/// What the endpoint counted so far.
pub(super) fn endpoint(statistics: &EndpointStatistics) {
    for (reason, dropped) in [
        ("malformed", statistics.parse_errors),
        ("overloaded", statistics.overloaded),
        ("backlog", statistics.backlog_drops),
        ("stray_response", statistics.stray_responses),
        ("stray_ack", statistics.stray_acks),
    ] {
        counter!(SIP_DROPPED, "reason" => reason).absolute(dropped);
    }
    counter!(SIP_RETRANSMISSIONS, "direction" => "in")
        .absolute(statistics.retransmissions_received);
    counter!(SIP_RETRANSMISSIONS, "direction" => "out").absolute(statistics.retransmissions_sent);
    gauge!(SIP_TRANSACTIONS).set(statistics.transactions as f64);
}
