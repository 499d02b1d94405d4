//! How much of a conversation a model is given.

use super::ChatItem;

/// What of a long conversation a model is given. What does not fit is left out from the oldest on, never a tool's output
/// without its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPolicy {
    /// The caller's newest turns that are kept, each with what follows it (default 40).
    pub keep_recent_turns: usize,
    /// The most tokens of all items together, estimated by their length (default 8,000).
    pub token_budget: usize,
    /// Whether the model is first asked to sum up what no longer fits (default no). Where it cannot, that is left out.
    pub summarise: bool,
}

impl Default for WindowPolicy {
    fn default() -> Self {
        Self {
            keep_recent_turns: 40,
            token_budget: 8_000,
            summarise: false,
        }
    }
}

impl WindowPolicy {
    /// How many of the oldest of `items` do not fit. The newest turn always does.
    #[must_use]
    pub fn left_out(&self, items: &[ChatItem]) -> usize {
        let turn_starts: Vec<usize> = starts_of_turns(items);
        let Some(newest) = turn_starts.last().copied() else {
            return self.first_that_fits(items, items.len());
        };
        let oldest_turn = turn_starts
            .len()
            .saturating_sub(self.keep_recent_turns.max(1));
        let by_turns = if oldest_turn == 0 {
            0
        } else {
            turn_starts[oldest_turn]
        };
        let by_tokens = self.first_that_fits(items, newest);
        whole_from(items, by_turns.max(by_tokens), newest)
    }

    /// The first item from which all fit into the budget, at most `last`.
    fn first_that_fits(&self, items: &[ChatItem], last: usize) -> usize {
        let mut tokens = 0;
        for (at, item) in items.iter().enumerate().rev() {
            tokens += item.tokens();
            if tokens > self.token_budget {
                return (at + 1).min(last);
            }
        }
        0
    }
}

/// Where the caller's turns begin.
fn starts_of_turns(items: &[ChatItem]) -> Vec<usize> {
    let is_turn = |item: &ChatItem| matches!(item, ChatItem::User(_));
    (0..items.len())
        .filter(|at| is_turn(&items[*at]) && (*at == 0 || !is_turn(&items[at - 1])))
        .collect()
}

/// `at`, or behind the last tool output whose call would be left out. Outputs of the `newest` turn stay, and then their
/// calls do, too.
fn whole_from(items: &[ChatItem], at: usize, newest: usize) -> usize {
    let mut from = at;
    while let Some((output, _)) = torn(&items[..newest], from) {
        from = output + 1;
    }
    while let Some((_, call)) = torn(items, from) {
        from = call;
    }
    from
}

/// The last output from `from` on whose call is before that, and the call. Ids are a model's, who may use one again.
fn torn(items: &[ChatItem], from: usize) -> Option<(usize, usize)> {
    let call_of = |output: usize, wanted: &str| {
        items[..output]
            .iter()
            .rposition(|item| matches!(item, ChatItem::ToolCall(call) if call.id == wanted))
    };
    let outputs = (from..items.len()).rev().filter_map(|at| match &items[at] {
        ChatItem::ToolOutput { id, .. } => Some((at, call_of(at, id)?)),
        ChatItem::System(_)
        | ChatItem::User(_)
        | ChatItem::Assistant { .. }
        | ChatItem::ToolCall(_)
        | ChatItem::HandOff { .. }
        | ChatItem::Summary(_) => None,
    });
    outputs.into_iter().find(|(_, call)| *call < from)
}

#[cfg(test)]
mod tests {
    use super::super::ToolCall;
    use super::*;
    use crate::pii::Pii;

    fn user(text: &str) -> ChatItem {
        ChatItem::User(Pii::new(text.to_owned()))
    }

    fn agent(text: &str) -> ChatItem {
        ChatItem::Assistant {
            text: Pii::new(text.to_owned()),
            interrupted: false,
        }
    }

    fn policy(keep_recent_turns: usize, token_budget: usize) -> WindowPolicy {
        WindowPolicy {
            keep_recent_turns,
            token_budget,
            summarise: false,
        }
    }

    #[test]
    fn the_newest_turns_are_kept_with_what_follows_them() {
        let items = [user("a"), agent("A"), user("b"), agent("B"), user("c")];
        assert_eq!(policy(2, 1_000).left_out(&items), 2);
        assert_eq!(policy(1, 1_000).left_out(&items), 4);
        assert_eq!(policy(3, 1_000).left_out(&items), 0);
    }

    #[test]
    fn the_budget_leaves_out_from_the_oldest_on_but_never_the_newest_turn() {
        // Each is five tokens.
        let items = [user("a"), agent("A"), user("b"), agent("B")];
        assert_eq!(policy(9, 15).left_out(&items), 1);
        assert_eq!(policy(9, 20).left_out(&items), 0);
        assert_eq!(policy(9, 1).left_out(&items), 2);
    }

    fn call(id: &str) -> ChatItem {
        ChatItem::ToolCall(ToolCall {
            id: id.into(),
            name: "hours".into(),
            arguments: Pii::new("{}".into()),
        })
    }

    fn output(id: &str) -> ChatItem {
        ChatItem::ToolOutput {
            id: id.into(),
            output: Pii::new("9 to 5".into()),
            is_error: false,
        }
    }

    #[test]
    fn a_tools_output_is_never_kept_without_its_call() {
        let items = [user("a"), call("1"), output("1"), user("b")];
        // The budget would keep the output and what follows it.
        assert_eq!(policy(9, 12).left_out(&items), 3);

        // Side by side: the budget would keep the second call and both outputs.
        let items = [
            user("a"),
            call("1"),
            call("2"),
            output("1"),
            output("2"),
            user("b"),
        ];
        assert_eq!(policy(9, 25).left_out(&items), 5);
        assert_eq!(policy(9, 100).left_out(&items), 0);
        // A tool that speaks before it is done.
        let items = [user("a"), call("1"), agent("..."), output("1"), user("b")];
        assert_eq!(policy(9, 20).left_out(&items), 4);
    }

    #[test]
    fn the_call_of_an_output_that_came_within_the_newest_turn_is_kept() {
        let items = [
            user("a"),
            call("1"),
            output("1"),
            call("1"),
            user("b"),
            output("1"),
        ];
        assert_eq!(policy(9, 1).left_out(&items), 3);
        assert_eq!(policy(1, 1_000).left_out(&items), 3);
    }

    #[test]
    fn a_conversation_without_a_turn_of_the_callers_fits_by_its_tokens() {
        let items = [agent("hello"), agent("still there?")];
        assert_eq!(policy(1, 1_000).left_out(&items), 0);
        assert_eq!(policy(1, 8).left_out(&items), 1);
        assert_eq!(policy(1, 0).left_out(&[]), 0);
    }
}
