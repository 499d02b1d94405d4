//! What a language model is told of a conversation: the chat context, and the window of it that fits.
//!
//! The session owns one context. It holds what the caller **heard**: what an agent was cut short in is cut at the last
//! word that was sent, and marked.

mod window;

pub use window::WindowPolicy;

use crate::pii::Pii;

/// One thing that happened, as a model is told of it.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatItem {
    /// Something the model is told by us, for the rest of the conversation.
    System(Pii<String>),
    /// What the caller said or pressed.
    User(Pii<String>),
    /// What the caller heard of the agent.
    Assistant {
        /// The words.
        text: Pii<String>,
        /// Whether more was meant to be said.
        interrupted: bool,
    },
    /// A tool that the model called.
    ToolCall(ToolCall),
    /// What became of that.
    ToolOutput {
        /// The call's [`ToolCall::id`].
        id: String,
        /// What the tool said.
        output: Pii<String>,
        /// Whether the tool failed, or could not be called.
        is_error: bool,
    },
    /// Another agent talks from here on.
    HandOff {
        /// What it is called.
        to: String,
    },
    /// What a model made of items that the window left out, in their place.
    Summary(Pii<String>),
}

/// A tool call of a model's.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// Names the call within its answer, so that the output finds it.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// What it is given, as the model wrote it: JSON, an object, where the model keeps to the schema.
    pub arguments: Pii<String>,
}

impl ChatItem {
    /// The tokens that it is about, by its length: four letters a token, and four for being an item.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.length().div_ceil(4) + 4
    }

    /// The length of what it says in octets.
    fn length(&self) -> usize {
        match self {
            Self::System(text) | Self::User(text) | Self::Summary(text) => text.expose().len(),
            Self::Assistant { text, .. } => text.expose().len(),
            Self::ToolCall(call) => call.name.len() + call.arguments.expose().len(),
            Self::ToolOutput { output, .. } => output.expose().len(),
            Self::HandOff { to } => to.len(),
        }
    }
}

/// Names a place in a context that is filled later, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// A conversation, oldest first.
#[derive(Clone, Debug, Default)]
pub struct ChatContext {
    items: Vec<(u64, ChatItem)>,
    next: u64,
    dropped: u64,
    /// The length of all items in octets.
    length: usize,
}

impl ChatContext {
    /// Items kept; in a conversation of more the oldest are dropped and counted.
    pub const BOUND: usize = 2_000;
    /// Their length together in octets, of the same kind: some hundred windows of the default size would fit. The newest
    /// item is kept however long it is.
    pub const LONGEST: usize = 4 * 1_024 * 1_024;

    /// The items, oldest first.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = &ChatItem> {
        self.items.iter().map(|(_, item)| item)
    }

    /// A copy of the items.
    #[must_use]
    pub fn to_vec(&self) -> Vec<ChatItem> {
        self.items().cloned().collect()
    }

    /// How many of the oldest were dropped to keep the bound.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Adds an item.
    pub fn push(&mut self, item: ChatItem) {
        let place = self.reserve();
        self.fill(place, item);
    }

    /// A place behind all that was added or reserved before.
    pub(crate) fn reserve(&mut self) -> Place {
        self.next += 1;
        Place(self.next)
    }

    /// Puts an item into its place. Speech is known when it was heard, long after what came behind it was added.
    pub(crate) fn fill(&mut self, place: Place, item: ChatItem) {
        let at = self.items.partition_point(|(known, _)| *known <= place.0);
        self.items.insert(at, (place.0, item));
        self.length += self.items[at].1.length();
        while self.items.len() > 1
            && (self.items.len() > Self::BOUND || self.length > Self::LONGEST)
        {
            self.length -= self.items.remove(0).1.length();
            self.dropped += 1;
        }
    }

    /// Puts a summary in the place of the first `count` items.
    pub(crate) fn summarise(&mut self, count: usize, summary: String) {
        let count = count.min(self.items.len());
        let Some((place, _)) = count.checked_sub(1).map(|last| &self.items[last]) else {
            return;
        };
        let place = *place;
        let summed_up = self.items.drain(..count);
        self.length -= summed_up.map(|(_, item)| item.length()).sum::<usize>();
        let summary = ChatItem::Summary(Pii::new(summary));
        self.length += summary.length();
        self.items.insert(0, (place, summary));
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> ChatItem {
        ChatItem::User(Pii::new(text.to_owned()))
    }

    fn heard(text: &str) -> ChatItem {
        ChatItem::Assistant {
            text: Pii::new(text.to_owned()),
            interrupted: true,
        }
    }

    #[test]
    fn what_is_heard_late_stands_where_it_was_begun_to_be_said() {
        let mut context = ChatContext::default();
        context.push(user("hello"));
        let place = context.reserve();
        context.push(user("wait"));
        context.fill(place, heard("I can"));
        assert_eq!(
            context.to_vec(),
            [user("hello"), heard("I can"), user("wait")]
        );
    }

    #[test]
    fn a_place_that_is_never_filled_leaves_nothing() {
        let mut context = ChatContext::default();
        context.reserve();
        context.push(user("hello"));
        assert_eq!(context.to_vec(), [user("hello")]);
    }

    #[test]
    fn the_oldest_items_go_when_there_are_too_many_and_are_counted() {
        let mut context = ChatContext::default();
        for n in 0..=ChatContext::BOUND {
            context.push(user(&n.to_string()));
        }
        assert_eq!(context.items().count(), ChatContext::BOUND);
        assert_eq!(context.items().next(), Some(&user("1")));
        assert_eq!(context.dropped(), 1);
    }

    #[test]
    fn the_oldest_items_go_when_all_are_too_long_and_a_long_one_stays_alone() {
        let mut context = ChatContext::default();
        let half = "a".repeat(ChatContext::LONGEST / 2);
        for text in ["first", &half, &half] {
            context.push(user(text));
        }
        assert_eq!(context.dropped(), 1);
        context.summarise(2, "short".into());
        context.push(user(&half));
        assert_eq!((context.items().count(), context.dropped()), (2, 1));
        context.push(user(&"b".repeat(2 * ChatContext::LONGEST)));
        assert_eq!((context.items().count(), context.dropped()), (1, 3));
        context.clear();
        for _ in 0..2 {
            context.push(user(&half));
        }
        assert_eq!((context.items().count(), context.dropped()), (2, 3));
    }

    #[test]
    fn a_summary_takes_the_place_of_the_items_it_is_of() {
        let mut context = ChatContext::default();
        for text in ["one", "two", "three"] {
            context.push(user(text));
        }
        context.summarise(2, "counted".into());
        let summary = ChatItem::Summary(Pii::new("counted".into()));
        assert_eq!(context.to_vec(), [summary, user("three")]);
        context.summarise(0, "nothing".into());
        assert_eq!(context.items().count(), 2);
    }
}
