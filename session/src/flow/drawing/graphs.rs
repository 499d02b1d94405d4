//! For tools: Graphviz' dot, and mermaid. Both have a node for each step and one for each kind of end.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Drawing, Node, Target};

const ENTRY: &str = "a call of ours is answered by";

pub(super) fn dot(drawing: &Drawing<'_>) -> String {
    let ids = Ids::of(drawing);
    let mut drawn =
        "digraph flow {\n  rankdir = TB;\n  node [shape = box, style = rounded];\n".to_owned();
    for node in &drawing.nodes {
        let lines: Vec<String> = lines(node).iter().map(|line| dot_text(line)).collect();
        let id = ids.step(node);
        // Writing to a String does not fail.
        let _ = writeln!(drawn, "  {id} [label = \"{}\"];", lines.join("\\n"));
    }
    for (end, id) in &ids.ends {
        let _ = writeln!(
            drawn,
            "  {id} [label = \"{}\", shape = plaintext];",
            dot_text(end)
        );
    }
    for node in &drawing.nodes {
        for arrow in &node.arrows {
            let (from, to) = (ids.step(node), ids.target(&arrow.to));
            let label = dot_text(&arrow.label);
            let _ = writeln!(drawn, "  {from} -> {to} [label = \"{label}\"];");
        }
    }
    if !drawing.entries.is_empty() {
        let _ = writeln!(drawn, "  entry [label = \"{ENTRY}\", shape = plaintext];");
    }
    for entry in &drawing.entries {
        let (to, label) = (ids.target(&entry.to), dot_text(&entry.label));
        let _ = writeln!(drawn, "  entry -> {to} [label = \"{label}\"];");
    }
    drawn.push_str("}\n");
    drawn
}

pub(super) fn mermaid(drawing: &Drawing<'_>) -> String {
    let ids = Ids::of(drawing);
    let mut drawn = "flowchart TD\n".to_owned();
    for node in &drawing.nodes {
        let lines: Vec<String> = lines(node).iter().map(|line| mermaid_text(line)).collect();
        let id = ids.step(node);
        let _ = writeln!(drawn, "  {id}[\"{}\"]", lines.join("<br/>"));
    }
    for (end, id) in &ids.ends {
        let _ = writeln!(drawn, "  {id}([\"{}\"])", mermaid_text(end));
    }
    for node in &drawing.nodes {
        for arrow in &node.arrows {
            let (from, to) = (ids.step(node), ids.target(&arrow.to));
            let label = mermaid_text(&arrow.label);
            let _ = writeln!(drawn, "  {from} -->|\"{label}\"| {to}");
        }
    }
    if !drawing.entries.is_empty() {
        let _ = writeln!(drawn, "  entry([\"{ENTRY}\"])");
    }
    for entry in &drawing.entries {
        let (to, label) = (ids.target(&entry.to), mermaid_text(&entry.label));
        let _ = writeln!(drawn, "  entry -->|\"{label}\"| {to}");
    }
    drawn
}

/// What stands in a step's box.
fn lines(node: &Node<'_>) -> Vec<String> {
    let name = node.name.as_str().to_owned();
    let parts = [Some(name), node.says.clone(), node.does.clone()];
    parts.into_iter().flatten().collect()
}

/// Names of steps are the author's, and no identifiers.
struct Ids<'a> {
    steps: BTreeMap<&'a str, String>,
    ends: BTreeMap<&'a str, String>,
}

impl<'a> Ids<'a> {
    fn of(drawing: &'a Drawing<'_>) -> Self {
        let steps = drawing.nodes.iter().enumerate();
        let steps = steps.map(|(index, node)| (node.name.as_str(), format!("step{index}")));
        let arrows = drawing.nodes.iter().flat_map(|node| &node.arrows);
        let mut ends = BTreeMap::new();
        for arrow in arrows {
            match &arrow.to {
                Target::End(how) if !ends.contains_key(how.as_str()) => {
                    let id = format!("end{}", ends.len());
                    ends.insert(how.as_str(), id);
                }
                Target::End(_) | Target::Step(_) => {}
            }
        }
        Self {
            steps: steps.collect(),
            ends,
        }
    }

    fn step(&self, node: &Node<'_>) -> &str {
        self.steps
            .get(node.name.as_str())
            .map_or("", String::as_str)
    }

    fn target(&self, target: &Target<'_>) -> &str {
        let id = match target {
            Target::Step(name) => self.steps.get(name.as_str()),
            Target::End(how) => self.ends.get(how.as_str()),
        };
        id.map_or("", String::as_str)
    }
}

/// Text within dot's quotes.
fn dot_text(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', " ")
}

/// Text within mermaid's quotes, which takes HTML's entities.
fn mermaid_text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\n', " ")
}
