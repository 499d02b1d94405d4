//! Agents' fixed texts, synthesised before the first caller wants them.

use std::collections::BTreeSet;
use std::sync::Arc;

use offhook_session::agent_session::{PromptCache, Providers};
use offhook_session::provider::{ProviderError, TextToSpeech};

use crate::config::{AgentKind, Config, Voicemail};

/// Has the fixed texts of every agent synthesised, one after the other, so that they never hold up a call
/// by more than one of them. A voice that is not there is named now, not by the first caller.
pub(crate) async fn warm_prompts(config: Arc<Config>, providers: Providers) {
    let Some(voice) = &providers.voice else {
        return;
    };
    let codecs = config.media.codecs.iter();
    let rates: BTreeSet<u32> = codecs.map(|codec| codec.sample_rate_hz()).collect();
    for (name, agent) in &config.agents {
        let mut texts: Vec<&str> = agent.spoken_consent().into_iter().collect();
        let voicemail = agent.voicemail.as_ref();
        texts.extend(voicemail.and_then(Voicemail::spoken_message));
        match &agent.kind {
            AgentKind::Flow { flow, .. } => texts.extend(flow.fixed_texts()),
            AgentKind::Echo { .. } | AgentKind::Play { .. } => {}
        }
        if texts.is_empty() {
            continue;
        }
        let warming = Warming::of(&texts, &rates, voice, &providers.prompts).await;
        match warming.first_failure {
            Some(error) => tracing::warn!(
                agent = %name,
                texts = warming.texts,
                failed = warming.failed,
                %error,
                "texts of the agent cannot be spoken at present"
            ),
            None => tracing::debug!(agent = %name, "the agent's fixed texts are ready"),
        }
    }
}

/// What became of one agent's texts.
#[derive(Debug, Default)]
struct Warming {
    texts: usize,
    failed: usize,
    /// Why the first of those failed; most likely the others did for the same reason.
    first_failure: Option<ProviderError>,
}

impl Warming {
    /// Makes each text at each rate; one that fails is missed by its own callers only.
    async fn of(
        texts: &[&str],
        rates: &BTreeSet<u32>,
        voice: &Arc<dyn TextToSpeech>,
        prompts: &Arc<PromptCache>,
    ) -> Self {
        let mut warming = Self {
            texts: texts.len(),
            ..Self::default()
        };
        for text in texts {
            if let Err(error) = warm(text, rates, voice, prompts).await {
                warming.failed += 1;
                warming.first_failure.get_or_insert(error);
            }
        }
        warming
    }
}

async fn warm(
    text: &str,
    rates: &BTreeSet<u32>,
    voice: &Arc<dyn TextToSpeech>,
    prompts: &Arc<PromptCache>,
) -> Result<(), ProviderError> {
    for rate_hz in rates {
        prompts.warm(voice, text, *rate_hz).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use offhook_session::provider::Audio;

    use super::*;

    /// Cannot say what begins with "No", and keeps what it was asked for.
    #[derive(Default)]
    struct Voice(Mutex<Vec<String>>);

    #[async_trait]
    impl TextToSpeech for Voice {
        fn voice(&self) -> &str {
            "scripted"
        }

        async fn synthesise(&self, text: &str) -> Result<Audio, ProviderError> {
            self.0.lock().unwrap().push(text.to_owned());
            if text.starts_with("No") {
                return Err(ProviderError::Refused(text.to_owned()));
            }
            Ok(Audio {
                sample_rate_hz: 8_000,
                samples: vec![0; 80].into(),
            })
        }
    }

    #[tokio::test]
    async fn a_text_that_fails_costs_the_others_nothing_and_is_counted() {
        let kept = Arc::new(Voice::default());
        let voice: Arc<dyn TextToSpeech> = kept.clone();
        let texts = ["Hello.", "No one.", "No two.", "Goodbye."];
        let warming = Warming::of(&texts, &[8_000].into(), &voice, &Arc::default()).await;
        assert_eq!((warming.texts, warming.failed), (4, 2));
        assert_eq!(
            warming.first_failure,
            Some(ProviderError::Refused("No one.".to_owned()))
        );
        assert_eq!(*kept.0.lock().unwrap(), texts);
    }
}
