//! The ways out of a step, with what takes a caller there.

use super::{Branch, Next, Step, StepName};

/// A way out.
#[derive(Clone, Debug)]
pub(super) struct Exit<'a> {
    /// The key that names where it leads, within the step.
    pub(super) key: String,
    /// What takes a caller there.
    pub(super) by: By<'a>,
    /// Where it leads.
    pub(super) to: &'a StepName,
}

/// What takes a caller out of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By<'a> {
    /// Nothing more than that everything was said.
    AtOnce,
    /// What the caller says or presses.
    Branch(&'a Branch),
    /// Digits were collected.
    Collected,
    /// A message was left.
    Recorded,
    /// A webhook answered, and chose nothing.
    Answered,
    /// A webhook chose this.
    Chosen,
    /// What the step tries came to nothing.
    Failed,
    /// The caller was silent through every re-prompt.
    Silence,
    /// Nothing was understood through every re-prompt.
    NoMatch,
}

impl By<'_> {
    /// Whether it is taken without the caller's doing anything: what is tried may fail at once.
    pub(super) fn itself(self) -> bool {
        match self {
            Self::AtOnce | Self::Answered | Self::Chosen | Self::Failed => true,
            Self::Branch(_) | Self::Collected | Self::Recorded | Self::Silence | Self::NoMatch => {
                false
            }
        }
    }
}

impl Step {
    /// Every way out that the file names, in the order in which it is tried.
    pub(super) fn exits(&self) -> Vec<Exit<'_>> {
        let exit = |key: &str, by, to| Exit {
            key: key.to_owned(),
            by,
            to,
        };
        let failed = |failed| exit("failed", By::Failed, failed);
        let mut exits = match &self.next {
            Next::Then(then) => vec![exit("then", By::AtOnce, then)],
            Next::Choose(branches) => branches.iter().map(branch).collect(),
            Next::Collect(collection) => vec![exit("then", By::Collected, &collection.then)],
            Next::Transfer { failed: to, .. } => to.iter().map(failed).collect(),
            Next::Record(message) => {
                let then = exit("then", By::Recorded, &message.then);
                let to = message.failed.iter().map(failed);
                [then].into_iter().chain(to).collect()
            }
            Next::Ask(webhook) => {
                let chosen =
                    webhook.goto.iter().enumerate().map(|(index, step)| {
                        exit(&format!("webhook.goto[{index}]"), By::Chosen, step)
                    });
                let then = exit("then", By::Answered, &webhook.then);
                let to = webhook.failed.iter().map(failed);
                chosen.chain([then]).chain(to).collect()
            }
            Next::HandOver(_) | Next::HangUp => Vec::new(),
        };
        let silence = self.on_silence.iter();
        exits.extend(silence.map(|step| exit("on_silence", By::Silence, step)));
        let no_match = self.on_no_match.iter();
        exits.extend(no_match.map(|step| exit("on_no_match", By::NoMatch, step)));
        exits
    }

    /// What takes a caller out of it that says goodbye and hangs up where the file names no step.
    pub(super) fn unnamed_exits(&self) -> Vec<By<'_>> {
        match &self.next {
            Next::Choose(_) | Next::Collect(_) => vec![By::Silence, By::NoMatch],
            Next::Record(_) => vec![By::Failed, By::Silence],
            Next::Transfer { .. } | Next::Ask(_) => vec![By::Failed],
            Next::Then(_) | Next::HandOver(_) | Next::HangUp => Vec::new(),
        }
    }

    /// Whether it waits for what the caller says or does.
    pub(super) fn waits(&self) -> bool {
        match &self.next {
            Next::Choose(_) | Next::Collect(_) | Next::Record(_) => true,
            Next::Then(_)
            | Next::Transfer { .. }
            | Next::Ask(_)
            | Next::HandOver(_)
            | Next::HangUp => false,
        }
    }
}

/// `yes = "step"` is its own key; an item of `expect` has it in `then`.
fn branch(branch: &Branch) -> Exit<'_> {
    let within = branch.key.rsplit('.').next().unwrap_or(&branch.key);
    let key = if within.ends_with(']') {
        format!("{within}.then")
    } else {
        within.to_owned()
    };
    Exit {
        key,
        by: By::Branch(branch),
        to: &branch.then,
    }
}
