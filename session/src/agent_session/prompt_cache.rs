//! Prompts already synthesised, shared between calls.
//!
//! A prompt is kept by text, voice and rate, at the leg's rate, so playing it costs a reference count.
//! Calls that want the same prompt at the same time share one request; when the last of them no longer
//! wants it, the request is dropped. The cache holds a bounded number of bytes and lets go of what was
//! used longest ago.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::resample::to_rate;
use super::sentences;
use crate::provider::{ProviderError, TextToSpeech};

/// Samples at the rate asked for.
type Synthesis = Result<Arc<[i16]>, ProviderError>;

type Request = Shared<BoxFuture<'static, Synthesis>>;

/// Synthesised prompts by text, voice and rate. One serves all calls.
pub struct PromptCache {
    bound_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    text: String,
    voice: String,
    rate_hz: u32,
}

#[derive(Default)]
struct Inner {
    prompts: HashMap<Arc<Key>, Prompt>,
    /// Keys by the moment of their last use, oldest first.
    by_use: BTreeMap<u64, Arc<Key>>,
    uses: u64,
    bytes: usize,
    requests: HashMap<Arc<Key>, WeakShared<BoxFuture<'static, Synthesis>>>,
}

struct Prompt {
    samples: Arc<[i16]>,
    last_use: u64,
}

impl Default for PromptCache {
    /// A cache of 64 MiB: about an hour of speech at 8 kHz.
    fn default() -> Self {
        Self::new(64 << 20)
    }
}

impl fmt::Debug for PromptCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_struct("PromptCache")
            .field("prompts", &inner.prompts.len())
            .field("bytes", &inner.bytes)
            .field("bound_bytes", &self.bound_bytes)
            .finish_non_exhaustive()
    }
}

impl PromptCache {
    /// A cache that holds at most `bound_bytes` of samples; a prompt larger than that is not kept.
    #[must_use]
    pub fn new(bound_bytes: usize) -> Self {
        Self {
            bound_bytes,
            inner: Mutex::default(),
        }
    }

    /// The text in this voice at this rate: from the cache, from a request under way, or from a new
    /// request.
    ///
    /// # Errors
    /// When the voice fails; a failure is shared by those who waited and not kept.
    pub async fn get(
        self: &Arc<Self>,
        voice: &Arc<dyn TextToSpeech>,
        text: &str,
        rate_hz: u32,
    ) -> Result<Arc<[i16]>, ProviderError> {
        let key = Key {
            text: text.to_owned(),
            voice: voice.voice().to_owned(),
            rate_hz,
        };
        let request = {
            let mut inner = self.lock();
            if let Some(samples) = inner.find(&key) {
                return Ok(samples);
            }
            inner.join_or_start(key, voice, self)
        };
        request.await
    }

    /// Has `text` ready, sentence by sentence as `say` asks for it, so that the first caller does not
    /// wait for the voice.
    ///
    /// # Errors
    /// When the voice fails; what it made before is kept.
    pub async fn warm(
        self: &Arc<Self>,
        voice: &Arc<dyn TextToSpeech>,
        text: &str,
        rate_hz: u32,
    ) -> Result<(), ProviderError> {
        for sentence in sentences::split(text) {
            self.get(voice, &text[sentence], rate_hz).await?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; were it so, the maps are still maps.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finished(&self, key: &Arc<Key>, synthesis: &Synthesis) {
        let mut inner = self.lock();
        inner.requests.remove(key);
        if let Ok(samples) = synthesis {
            inner.keep(Arc::clone(key), Arc::clone(samples), self.bound_bytes);
        }
    }
}

impl Inner {
    fn find(&mut self, key: &Key) -> Option<Arc<[i16]>> {
        let (kept, _) = self.prompts.get_key_value(key)?;
        let kept = Arc::clone(kept);
        let prompt = self.prompts.get_mut(key)?;
        self.uses += 1;
        self.by_use.remove(&prompt.last_use);
        prompt.last_use = self.uses;
        self.by_use.insert(self.uses, kept);
        Some(Arc::clone(&prompt.samples))
    }

    fn join_or_start(
        &mut self,
        key: Key,
        voice: &Arc<dyn TextToSpeech>,
        cache: &Arc<PromptCache>,
    ) -> Request {
        if let Some(request) = self.requests.get(&key).and_then(WeakShared::upgrade) {
            return request;
        }
        // Requests that everybody gave up leave a dead entry; this is the moment to sweep them.
        self.requests
            .retain(|_, request| request.upgrade().is_some());
        let key = Arc::new(key);
        let request = {
            let (key, voice, cache) = (Arc::clone(&key), Arc::clone(voice), Arc::clone(cache));
            async move {
                let audio = voice.synthesise(&key.text).await;
                let synthesis = audio.and_then(|audio| to_rate(audio, key.rate_hz));
                cache.finished(&key, &synthesis);
                synthesis
            }
            .boxed()
            .shared()
        };
        if let Some(weak) = request.downgrade() {
            self.requests.insert(key, weak);
        }
        request
    }

    fn keep(&mut self, key: Arc<Key>, samples: Arc<[i16]>, bound_bytes: usize) {
        let size = size_of_val(&*samples) + key.text.len();
        if size > bound_bytes || self.prompts.contains_key(&key) {
            return;
        }
        while self.bytes + size > bound_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            if let Some(dropped) = self.prompts.remove(&oldest) {
                self.bytes -= size_of_val(&*dropped.samples) + oldest.text.len();
            }
        }
        self.uses += 1;
        self.bytes += size;
        self.by_use.insert(self.uses, Arc::clone(&key));
        self.prompts.insert(
            key,
            Prompt {
                samples,
                last_use: self.uses,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;
    use crate::provider::Audio;

    #[derive(Default)]
    struct SlowVoice {
        requests: AtomicUsize,
        finished: AtomicUsize,
    }

    #[async_trait]
    impl TextToSpeech for SlowVoice {
        fn voice(&self) -> &str {
            "slow"
        }

        async fn synthesise(&self, text: &str) -> Result<Audio, ProviderError> {
            self.requests.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.finished.fetch_add(1, Ordering::Relaxed);
            if text == "fails" {
                return Err(ProviderError::Refused("scripted".into()));
            }
            Ok(Audio {
                sample_rate_hz: 8_000,
                samples: vec![1; 1_000].into(),
            })
        }
    }

    fn voice() -> (Arc<SlowVoice>, Arc<dyn TextToSpeech>) {
        let voice = Arc::new(SlowVoice::default());
        (Arc::clone(&voice), voice)
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_want_the_same_prompt_at_once_share_one_request() {
        let (counter, voice) = voice();
        let cache = Arc::new(PromptCache::default());
        let (one, two) = tokio::join!(
            cache.get(&voice, "hello", 8_000),
            cache.get(&voice, "hello", 8_000)
        );
        assert!(Arc::ptr_eq(
            &one.expect("synthesised"),
            &two.expect("synthesised")
        ));
        let three = cache.get(&voice, "hello", 8_000).await.expect("kept");
        assert_eq!(three.len(), 1_000);
        assert_eq!(counter.requests.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_warmed_text_is_there_sentence_by_sentence_before_anybody_asks() {
        let (counter, voice) = voice();
        let cache = Arc::new(PromptCache::default());
        let text = "We are closed. Please call again.";
        cache.warm(&voice, text, 8_000).await.expect("synthesised");
        assert_eq!(counter.requests.load(Ordering::Relaxed), 2);
        for sentence in ["We are closed.", "Please call again."] {
            cache.get(&voice, sentence, 8_000).await.expect("kept");
        }
        assert_eq!(counter.requests.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_ask_may_give_up_without_harm_to_the_second() {
        let (counter, voice) = voice();
        let cache = Arc::new(PromptCache::default());
        let impatient = tokio::time::timeout(
            Duration::from_millis(500),
            cache.get(&voice, "hello", 8_000),
        );
        let (impatient, patient) = tokio::join!(impatient, cache.get(&voice, "hello", 8_000));
        assert!(impatient.is_err());
        assert!(patient.is_ok());
        assert_eq!(counter.requests.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_nobody_wants_any_more_is_dropped() {
        let (counter, voice) = voice();
        let cache = Arc::new(PromptCache::default());
        let get = cache.get(&voice, "hello", 8_000);
        assert!(
            tokio::time::timeout(Duration::from_millis(500), get)
                .await
                .is_err()
        );
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(counter.finished.load(Ordering::Relaxed), 0);
        assert!(cache.get(&voice, "hello", 8_000).await.is_ok());
        assert_eq!(counter.requests.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept() {
        let (counter, voice) = voice();
        let cache = Arc::new(PromptCache::default());
        assert!(cache.get(&voice, "fails", 8_000).await.is_err());
        assert!(cache.get(&voice, "fails", 8_000).await.is_err());
        assert_eq!(counter.requests.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_cache_lets_go_of_what_was_used_longest_ago() {
        let (counter, voice) = voice();
        let cache = Arc::new(PromptCache::new(4_100));
        for text in ["one", "two", "one", "three", "one"] {
            assert!(cache.get(&voice, text, 8_000).await.is_ok());
        }
        assert_eq!(
            counter.requests.load(Ordering::Relaxed),
            3,
            "one was never let go"
        );
        assert!(cache.get(&voice, "two", 8_000).await.is_ok());
        assert_eq!(counter.requests.load(Ordering::Relaxed), 4, "two was");
        assert!(cache.lock().bytes <= 4_100);
    }
}
