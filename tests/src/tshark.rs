//! Wireshark's reading of a capture: what a stranger's tool makes of a file of ours.

use std::path::Path;
use std::process::Command;

/// What tshark is told besides: every sum is checked, and RTP is known without the SDP that announces it.
const OPTIONS: [&str; 8] = [
    "-n",
    "-o",
    "ip.check_checksum:TRUE",
    "-o",
    "udp.check_checksum:TRUE",
    "--enable-heuristic",
    "rtp_udp",
    "-Tfields",
];

/// The `fields` of every packet in `file` that `filter` (a display filter; all, where it is empty) lets through, one
/// line a packet.
///
/// # Errors
/// When there is no tshark, or it cannot read the file.
pub fn fields(file: &Path, filter: &str, fields: &[&str]) -> Result<Vec<Vec<String>>, String> {
    let mut command = Command::new("tshark");
    command.args(OPTIONS).arg("-r").arg(file);
    command.args(["-Y", filter]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command
        .output()
        .map_err(|error| format!("tshark (package tshark): {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success()
        || said.contains("appears to be damaged")
        || said.contains("cut short")
    {
        return Err(format!("tshark {filter}: {said}"));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let line = |line: &str| line.split('\t').map(str::to_owned).collect();
    Ok(lines.lines().map(line).collect())
}

/// Packets that something is wrong with: what cannot be dissected, and wrong sums.
///
/// # Errors
/// As [`fields`].
pub fn faults(file: &Path) -> Result<Vec<Vec<String>>, String> {
    let filter =
        "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || _ws.short";
    fields(
        file,
        filter,
        &["frame.number", "_ws.col.Protocol", "_ws.col.Info"],
    )
}
