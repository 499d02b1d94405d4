//! Where utterances began and ended within the packet being filled.

use crate::control::Epoch;

/// Something a listener would notice on a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The utterance's first sample is in this packet.
    Started(Epoch),
    /// The utterance's last sample is in this packet.
    Ended {
        /// Which utterance.
        epoch: Epoch,
        /// How many samples it had.
        played: u64,
    },
}

impl Mark {
    fn epoch(self) -> Epoch {
        match self {
            Mark::Started(epoch) | Mark::Ended { epoch, .. } => epoch,
        }
    }
}

/// One bus's marks of one packet. At most one utterance ends in a packet (a next one that would end in
/// the same packet waits for the following one, so two never complete together), hence at most two
/// begin.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    list: [Option<Mark>; 3],
}

impl Marks {
    pub(crate) fn push(&mut self, mark: Mark) {
        let free = self.list.iter_mut().find(|slot| slot.is_none());
        *free.expect("one end and two starts are all a packet can hold") = Some(mark);
    }

    /// Whether an utterance may still end in this packet.
    pub(crate) fn may_end(&self) -> bool {
        !self
            .list
            .iter()
            .flatten()
            .any(|mark| matches!(mark, Mark::Ended { .. }))
    }

    /// Takes back the marks of flushed utterances; the end among them is returned, for that utterance
    /// is now reported as cut.
    pub(crate) fn withdraw(&mut self, through: Epoch) -> Option<(Epoch, u64)> {
        let mut ended = None;
        for slot in &mut self.list {
            let Some(mark) = *slot else { continue };
            if mark.epoch() > through {
                continue;
            }
            if let Mark::Ended { epoch, played } = mark {
                ended = Some((epoch, played));
            }
            *slot = None;
        }
        ended
    }

    pub(crate) fn drain(&mut self, mut report: impl FnMut(Mark)) {
        if self.list[0].is_none() && self.list[1].is_none() && self.list[2].is_none() {
            return;
        }
        for mark in self.list.iter_mut().filter_map(Option::take) {
            report(mark);
        }
    }
}
