//! For people, in a terminal: a step with what it says, below it what leads on.

use std::fmt::Write;

use super::{Arrow, Drawing, Node, Target};

/// Labels up to this width are followed by a line to the arrows' column.
const WIDEST_LABEL: usize = 72;

pub(super) fn draw(drawing: &Drawing<'_>) -> String {
    let mut nodes: Vec<String> = drawing.nodes.iter().map(step).collect();
    if !drawing.entries.is_empty() {
        let mut entries = "(a call of ours is answered by)\n".to_owned();
        arrows(&drawing.entries, &mut entries);
        nodes.push(entries);
    }
    nodes.join("\n")
}

fn step(node: &Node<'_>) -> String {
    let mut drawn = String::new();
    // Writing to a String does not fail.
    let _ = match &node.says {
        Some(says) => writeln!(drawn, "{}  {says}", node.name),
        None => writeln!(drawn, "{}", node.name),
    };
    if let Some(does) = &node.does {
        let _ = writeln!(drawn, "│  {does}");
    }
    arrows(&node.arrows, &mut drawn);
    drawn
}

fn arrows(all: &[Arrow<'_>], drawn: &mut String) {
    let widths = all.iter().map(|arrow| arrow.label.chars().count());
    let column = widths.max().unwrap_or(0).min(WIDEST_LABEL);
    for (index, arrow) in all.iter().enumerate() {
        let branch = match index + 1 == all.len() {
            true => '└',
            false => '├',
        };
        let width = arrow.label.chars().count();
        let line = "─".repeat(column.saturating_sub(width));
        let to = match &arrow.to {
            Target::Step(name) => name.as_str(),
            Target::End(how) => &format!("({how})"),
        };
        let _ = writeln!(drawn, "{branch}─ {} {line}──► {to}", arrow.label);
    }
}
