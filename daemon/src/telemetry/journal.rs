//! The systemd journal as a `tracing` layer.
//!
//! Fields of an event and of the spans around it arrive as native journal fields, upper-cased:
//! `call_id` as `CALL_ID`, so that `journalctl CALL_ID=…` finds everything about one call. An inner
//! span's field hides an outer one's of the same name, and the event's hides both.
//!
//! The journal's own protocol is spoken by `systemd_journal_logger`, which is a backend of the `log`
//! crate; so an event is carried as a `log::Record` with key-values. It is taken apart on the thread
//! that logs and sent by the log's thread.

use std::fmt::{self, Write};
use std::sync::Arc;

use log::kv::{self, ToKey, ToValue};
use log::{Level, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::log_queue::{LogQueue, Sink};

/// The name under which the journal keeps this program's entries.
const IDENTIFIER: &str = "offhook";

/// The journal, if standard error is connected to it and it can be reached.
pub(super) fn connect() -> Option<Journal<JournalLog>> {
    if !connected_to_journal() {
        return None;
    }
    let journal = JournalLog::empty()
        .ok()?
        .with_syslog_identifier(IDENTIFIER.to_owned());
    Some(Journal(journal))
}

/// Writes entries to a backend of the `log` crate.
pub(super) struct Journal<L>(L);

impl<L: log::Log + 'static> Sink<Entry> for Journal<L> {
    fn write(&mut self, entry: Entry) {
        entry.with_record(|record| self.0.log(record));
    }

    fn write_dropped(&mut self, count: u64) {
        Entry {
            level: Level::Warn,
            target: module_path!(),
            module: Some(module_path!()),
            file: None,
            line: None,
            message: format!(
                "{count} log entries were dropped: they came faster than the journal took them"
            ),
            fields: Fields::default(),
        }
        .with_record(|record| self.0.log(record));
    }
}

/// One event, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    level: Level,
    target: &'static str,
    module: Option<&'static str>,
    file: Option<&'static str>,
    line: Option<u32>,
    message: String,
    fields: Fields,
}

impl Entry {
    fn with_record(&self, send: impl FnOnce(&Record<'_>)) {
        send(
            &Record::builder()
                .level(self.level)
                .target(self.target)
                .module_path_static(self.module)
                .file_static(self.file)
                .line(self.line)
                .key_values(&self.fields)
                .args(format_args!("{}", self.message))
                .build(),
        );
    }
}

/// Names and values; each name once.
#[derive(Clone, Debug, Default)]
struct Fields(Vec<(&'static str, Arc<str>)>);

impl Fields {
    fn set(&mut self, name: &'static str, value: Arc<str>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }
}

impl kv::Source for Fields {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn kv::VisitSource<'kvs>) -> Result<(), kv::Error> {
        for (name, value) in &self.0 {
            visitor.visit_pair(name.to_key(), value.as_ref().to_value())?;
        }
        Ok(())
    }
}

/// Collects the fields of a span or an event; the message apart, for it has a field of its own.
#[derive(Default)]
struct FieldVisitor {
    message: String,
    fields: Fields,
}

impl Visit for FieldVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.set(name, value.into()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => {
                self.message.clear();
                // A String takes everything.
                let _ = write!(self.message, "{value:?}");
            }
            name => self.fields.set(name, format!("{value:?}").into()),
        }
    }
}

/// The layer: spans keep their fields, events become entries in the queue.
pub(super) struct JournalLayer {
    queue: LogQueue<Entry>,
}

impl JournalLayer {
    pub(super) const fn new(queue: LogQueue<Entry>) -> Self {
        Self { queue }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JournalLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut visitor = FieldVisitor::default();
        attributes.record(&mut visitor);
        span.extensions_mut().insert(visitor.fields);
    }

    fn on_record(&self, id: &Id, values: &tracing::span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut visitor = FieldVisitor::default();
        values.record(&mut visitor);
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            for (name, value) in visitor.fields.0 {
                fields.set(name, value);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            if let Some(outer) = span.extensions().get::<Fields>() {
                for (name, value) in &outer.0 {
                    fields.set(name, Arc::clone(value));
                }
            }
        }
        let mut visitor = FieldVisitor {
            message: String::new(),
            fields,
        };
        event.record(&mut visitor);
        let metadata = event.metadata();
        self.queue.push(Entry {
            level: level(*metadata.level()),
            target: metadata.target(),
            module: metadata.module_path(),
            file: metadata.file(),
            line: metadata.line(),
            message: visitor.message,
            fields: visitor.fields,
        });
    }
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::time::Duration;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    type Pairs = BTreeMap<String, String>;

    /// A backend that keeps what it is given.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<(Level, String, Pairs)>>>);

    #[derive(Default)]
    struct PairVisitor(Pairs);

    impl<'kvs> kv::VisitSource<'kvs> for PairVisitor {
        fn visit_pair(
            &mut self,
            key: kv::Key<'kvs>,
            value: kv::Value<'kvs>,
        ) -> Result<(), kv::Error> {
            let before = self.0.insert(key.to_string(), value.to_string());
            assert_eq!(before, None, "{key} came twice");
            Ok(())
        }
    }

    impl log::Log for Kept {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            let mut pairs = PairVisitor::default();
            record.key_values().visit(&mut pairs).unwrap();
            self.0
                .lock()
                .unwrap()
                .push((record.level(), record.args().to_string(), pairs.0));
        }

        fn flush(&self) {}
    }

    fn journalled(events: impl FnOnce()) -> Vec<(Level, String, Pairs)> {
        let kept = Kept::default();
        let (queue, thread) = LogQueue::start(64, Journal(kept.clone())).unwrap();
        let subscriber = tracing_subscriber::registry().with(JournalLayer::new(queue));
        tracing::subscriber::with_default(subscriber, events);
        thread.flush(Duration::from_secs(10));
        kept.0.lock().unwrap().clone()
    }

    #[test]
    fn fields_of_the_event_and_of_every_span_around_it_reach_the_journal() {
        let entries = journalled(|| {
            let call = tracing::info_span!(
                "call",
                call_id = "c-1",
                trunk = "carrier",
                agent = tracing::field::Empty
            );
            let _in_call = call.enter();
            call.record("agent", "echo");
            tracing::warn!(sip_status = 503_u16, "refused: {}", "full");
        });
        let [(level, message, fields)] = entries.as_slice() else {
            panic!("{entries:?}")
        };
        assert_eq!((*level, message.as_str()), (Level::Warn, "refused: full"));
        let expected = [
            ("agent", "echo"),
            ("call_id", "c-1"),
            ("sip_status", "503"),
            ("trunk", "carrier"),
        ];
        assert_eq!(
            *fields,
            expected
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        );
    }

    #[test]
    fn an_inner_field_hides_an_outer_one_of_its_name() {
        let entries = journalled(|| {
            let _outer = tracing::info_span!("thread", call_id = "none", agent = "outer").entered();
            let _inner = tracing::info_span!("call", call_id = "c-2").entered();
            tracing::info!(agent = "own", "answered");
        });
        let (_, _, fields) = &entries[0];
        assert_eq!(
            (fields["call_id"].as_str(), fields["agent"].as_str()),
            ("c-2", "own")
        );
    }
}
