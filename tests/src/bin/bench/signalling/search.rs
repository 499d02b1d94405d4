//! The highest rate with none failed.

use offhook_tests::load::signalling::{PhaseReport, SignallingReport};

use super::peer::{CAP, Peer, PeerKind};
use super::{HOLD, Options, above, row, row_head};

/// Where the doubling begins.
const FIRST: u64 = 500;
/// Steps between the highest rate that went well and the lowest that did not.
const BISECTIONS: usize = 3;
/// INVITEs that leave later than this make it another load than the one asked for.
const LATE_MS: f64 = 100.0;

/// Doubles the rate until a step does not go well, then looks in between. Each step has a fresh program. `None` when
/// not even the first went well.
pub(super) fn highest_rate(
    kind: PeerKind,
    options: &Options,
) -> Result<Option<(u64, PhaseReport)>, String> {
    println!("{}", row_head());
    let mut highest: Option<(u64, PhaseReport)> = None;
    let mut try_rate = |rate: u64| -> Result<bool, String> {
        let mut peer = match Peer::start(kind, above(rate)) {
            Ok(peer) => peer,
            // Others may have the ports that so many calls want.
            Err(why) if rate > FIRST => {
                println!("{:<9} {rate:>7} left out: {why}", kind.name());
                return Ok(false);
            }
            Err(why) => return Err(why),
        };
        let report = peer.take(&[options.step(rate)], HOLD)?;
        println!("{}", row(kind.name(), &report));
        let went_well = went_well(&report);
        if went_well {
            highest = Some((rate, report.phases[0].clone()));
        }
        Ok(went_well)
    };
    let mut good = 0;
    let mut rate = FIRST;
    let mut bad = loop {
        if !try_rate(rate)? {
            break rate;
        }
        good = rate;
        if rate == CAP {
            return Ok(highest);
        }
        rate = (rate * 2).min(CAP);
    };
    for _ in 0..BISECTIONS {
        let between = good.midpoint(bad) / 50 * 50;
        if between <= good || between >= bad {
            break;
        }
        if try_rate(between)? {
            good = between;
        } else {
            bad = between;
        }
    }
    Ok(highest)
}

/// None failed or was refused; no more than one request in a thousand had to be sent again, since a program that is
/// behind by a second only fails later; and the load was what was asked for.
fn went_well(report: &SignallingReport) -> bool {
    let is_whole = |phase: &PhaseReport| {
        phase.completed == phase.calls && phase.repeated_requests <= phase.calls / 1_000
    };
    report.phases.iter().all(is_whole) && report.late.percentile_ms(0.99) < LATE_MS
}
