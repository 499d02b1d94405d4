//! What a flow asks of the configuration around it.

use std::fs;

use super::{Folder, assert_mistake, read};
use crate::config::MachinePolicy;

/// A configuration with this flow, and these tables beside it.
fn with_flow(folder: &Folder, steps: &str, more: &str) -> String {
    let file = folder.0.join("flow.toml");
    fs::write(&file, steps).unwrap();
    format!("[agent.desk]\nkind = \"flow\"\nflow = {file:?}\n{more}")
}

#[test]
fn a_flow_hands_over_to_agents_of_the_configuration_and_to_no_others() {
    let folder = Folder::new("hand-over");
    let over =
        |name: &str| format!("start = \"a\"\n[step.a]\nsay = \"Hm.\"\nhand_over = \"{name}\"\n");
    let echo = "[agent.echo]\nkind = \"echo\"\n";
    for name in ["echo", "desk"] {
        let known = with_flow(&folder, &over(name), echo);
        read(&known).unwrap_or_else(|found| panic!("{found}"));
    }
    let unknown = with_flow(&folder, &over("ecko"), echo);
    assert_mistake(
        &unknown,
        "flow.toml: step.a.hand_over: there is no agent \"ecko\"",
    );
}

#[test]
fn a_flow_that_records_messages_needs_a_folder_for_them_and_keeps_audio() {
    let folder = Folder::new("messages");
    let steps = "start = \"a\"\n[step.a]\nsay = \"Your message?\"\nrecord = {}\nthen = \"b\"\n\
         [step.b]\nhangup = true\n";
    assert_mistake(&with_flow(&folder, steps, ""), "needs records.recordings");
    let kept = with_flow(&folder, steps, "[records]\nrecordings = \"kept\"\n");
    let (config, _) = read(&kept).unwrap_or_else(|found| panic!("{found}"));
    let desk = config.agents.values().next().expect("an agent");
    assert!(desk.keeps_audio() && !desk.record);
}

#[test]
fn a_flow_that_decides_about_machines_is_asked_unless_its_table_says_otherwise() {
    let folder = Folder::new("answerers");
    let steps = "start = \"a\"\n[voicemail]\non_machine = \"b\"\n[step.a]\nsay = \"Yes?\"\nyes = \"b\"\n\
         [step.b]\nsay = \"Call back.\"\nhangup = true\n";
    let voicemail = |table: &str| {
        let toml = with_flow(&folder, steps, table);
        let (config, _) = read(&toml).unwrap_or_else(|found| panic!("{found}"));
        let desk = config.agents.into_values().next().expect("an agent");
        desk.voicemail
            .map(|voicemail| (voicemail.enabled, voicemail.policy))
    };
    assert_eq!(voicemail(""), Some((true, MachinePolicy::Callback)));
    let slow = "voicemail = { max_decision_s = 6, enabled = false }\n";
    assert_eq!(voicemail(slow), Some((false, MachinePolicy::Callback)));
    let hangup = "voicemail = { policy = \"hangup\" }\n";
    assert_eq!(voicemail(hangup), Some((true, MachinePolicy::Hangup)));
}
