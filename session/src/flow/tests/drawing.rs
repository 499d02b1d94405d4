//! Drawings of flows, against files that are looked at by people (`tests/drawings`).

use super::*;

/// Every kind of step, and a name that is no identifier.
const EVERYTHING: &str = include_str!("drawings/everything.toml");

#[track_caller]
fn assert_drawn(flow: &str, style: DrawStyle, expected: &str) {
    let drawn = Flow::parse(flow).unwrap().draw(style);
    assert!(drawn == expected, "drawn is now:\n{drawn}");
}

#[test]
fn the_desks_are_drawn_for_a_terminal() {
    let front = include_str!("drawings/front-desk.txt");
    assert_drawn(FRONT_DESK, DrawStyle::Text, front);
    let night = include_str!("drawings/night-desk.txt");
    assert_drawn(NIGHT_DESK, DrawStyle::Text, night);
}

#[test]
fn every_kind_of_step_is_drawn_in_every_style() {
    let styles = [
        (DrawStyle::Text, include_str!("drawings/everything.txt")),
        (DrawStyle::Dot, include_str!("drawings/everything.dot")),
        (DrawStyle::Mermaid, include_str!("drawings/everything.mmd")),
    ];
    for (style, expected) in styles {
        assert_drawn(EVERYTHING, style, expected);
    }
}
