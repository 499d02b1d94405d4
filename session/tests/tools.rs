//! The tools that come with every session, called by a scripted language model in virtual time.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_session::agent_directory::{AgentCard, AgentDirectory};
use offhook_session::agent_session::{Outcome, ReplyOptions};
use offhook_session::provider::{ProviderError, WebhookMethod, WebhookRequest, Webhooks};
use offhook_session::tool::{
    AskAgent, CollectDigits, HangUp, PlayAudio, SendDtmf, Tool, ToolSpec, TransferCall, WebhookTool,
};
use offhook_session::webhook::WebhookUrl;
use serde_json::{Value, json};
use support::model::*;
use support::{Act, Call, config};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn hang_up_ends_the_call_when_the_goodbye_was_heard() {
    let model = Model::following(&[&[Says("Goodbye."), Calls("hang_up", "{}")]]);
    let mut call = call(&model, vec![Arc::new(HangUp::new())]).await;
    let outcome = call.session.reply(ReplyOptions::default()).wait().await;
    assert_eq!(outcome, Outcome::Completed);
    let request = call.requests.recv().await.expect("a request");
    assert!(
        format!("{request:?}").contains("AgentHungUp"),
        "{request:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn transfer_call_knows_its_destinations_and_no_others() {
    let destinations = [(
        "sales".to_owned(),
        offhook_session::agent_session::TransferRequest::to("tel:+4930123"),
    )];
    let transfer = TransferCall::new(destinations.into());
    assert!(
        transfer
            .spec()
            .read_arguments(r#"{"destination": "sales"}"#)
            .is_ok()
    );
    let elsewhere = transfer
        .spec()
        .read_arguments(r#"{"destination": "tel:+1900666"}"#);
    assert!(elsewhere.is_err());
    let model = Model::following(&[
        &[Calls("transfer_call", r#"{"destination": "sales"}"#)],
        &[Says("It did not work.")],
    ]);
    let mut call = call(&model, vec![Arc::new(transfer)]).await;
    let reply = call.session.reply(ReplyOptions::default());
    let request = call.requests.recv().await.expect("a request");
    assert!(
        format!("{request:?}").starts_with("Transfer"),
        "{request:?}"
    );
    let refused = offhook_session::agent_session::TransferStep::Over(
        offhook_session::agent_session::TransferOutcome::Rejected(603),
    );
    let refused = offhook_session::agent_session::CallEvent::Transfer(refused);
    call.call_events.send(refused).await.unwrap();
    assert_eq!(reply.wait().await, Outcome::Completed);
    let (told, is_error) = model.outputs().remove(0);
    assert!(is_error && told.contains("603"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn send_dtmf_presses_and_names_what_is_no_key() {
    let model = Model::following(&[
        &[
            Calls("send_dtmf", r#"{"keys": "1w2"}"#),
            Calls("send_dtmf", r#"{"keys": "1x"}"#),
        ],
        &[Says("Pressed.")],
    ]);
    let call = call(&model, vec![Arc::new(SendDtmf::new())]).await;
    let outcome = call.session.reply(ReplyOptions::default()).wait().await;
    assert_eq!(outcome, Outcome::Completed);
    let outputs = model.outputs();
    assert_eq!(outputs[0], ("pressed".to_owned(), false));
    assert!(
        outputs[1].1 && outputs[1].0.contains("character 2"),
        "{outputs:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn collect_digits_asks_and_gives_them_but_sensitive_ones_are_kept_from_the_model() {
    for (sensitive, told) in [(false, "42"), (true, "2 digits, which are kept from you")] {
        let model = Model::following(&[
            &[Calls(
                "collect_digits",
                r#"{"prompt": "Two digits please.", "max": 2}"#,
            )],
            &[Says("Thanks.")],
        ]);
        let options = offhook_session::agent_session::CollectOptions {
            sensitive,
            ..Default::default()
        };
        let agent = Answers {
            tools: vec![Arc::new(CollectDigits::new(options))],
            ..Answers::default()
        };
        let script = [Act::Presses(1_500, '4'), Act::Presses(1_800, '2')];
        let call = Call::start(config(), Arc::new(agent), with(&model), &script).await;
        let outcome = call.session.reply(ReplyOptions::default()).wait().await;
        assert_eq!(outcome, Outcome::Completed);
        assert_eq!(model.outputs(), [(told.to_owned(), false)]);
    }
}

#[tokio::test(start_paused = true)]
async fn ask_agent_gives_what_the_other_answered_or_why_it_did_not() {
    let directory = AgentDirectory::default();
    let card = |id: &str| AgentCard {
        id: id.into(),
        name: "Stock".into(),
        domain: "parts".into(),
        capabilities: ["count".to_owned()].into(),
    };
    let mut stock = directory.register(card("stock")).expect("new");
    let _mute = directory.register(card("mute")).expect("new");
    tokio::spawn(async move {
        while let Some(request) = stock.next().await {
            assert_eq!(request.from, "desk");
            stock.answer(request.id, "three left");
        }
    });
    let model = Model::following(&[
        &[
            Calls("ask_agent", r#"{"agent": "stock", "question": "Bolts?"}"#),
            Calls("ask_agent", r#"{"agent": "mute", "question": "Hello?"}"#),
            Calls("ask_agent", r#"{"agent": "nobody", "question": "Hello?"}"#),
        ],
        &[Says("Three.")],
    ]);
    let tool = AskAgent::new(directory, "desk");
    assert!(
        tool.spec()
            .description()
            .contains("stock: Stock, about parts, can count")
    );
    assert_eq!(
        replied(&model, vec![Arc::new(tool)]).await,
        Outcome::Completed
    );
    let outputs = model.outputs();
    assert_eq!(outputs[0], ("three left".to_owned(), false));
    assert!(
        outputs[1].1 && outputs[1].0.contains("within 30s"),
        "{outputs:?}"
    );
    assert!(
        outputs[2].1 && outputs[2].0.contains("schema"),
        "{outputs:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn play_audio_plays_to_the_end_before_the_model_goes_on() {
    let model = Model::following(&[
        &[Calls("play_audio", r#"{"recording": "jingle"}"#)],
        &[Says("Nice.")],
    ]);
    let audio = offhook_session::provider::Audio {
        sample_rate_hz: 8_000,
        samples: vec![500; 16_000].into(),
    };
    let jingle = Arc::new(offhook_session::agent::AudioByRate::new(audio));
    let play = PlayAudio::new([("jingle".to_owned(), jingle)].into());
    let begun = Instant::now();
    assert_eq!(
        replied(&model, vec![Arc::new(play)]).await,
        Outcome::Completed
    );
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(model.outputs(), [("played".to_owned(), false)]);
}

/// Answers every request with its URL.
#[derive(Default)]
struct Warehouse(Mutex<Vec<WebhookRequest>>);

#[async_trait]
impl Webhooks for Warehouse {
    async fn ask(&self, request: WebhookRequest) -> Result<Vec<u8>, ProviderError> {
        let url = request.url.expose().clone();
        self.0.lock().unwrap().push(request);
        match url.contains("gone") {
            true => Err(ProviderError::Refused("status 404".to_owned())),
            false => Ok(url.into_bytes()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_a_tool_whose_url_a_model_cannot_bend() {
    let model = Model::following(&[
        &[
            Calls("stock", r#"{"item": "a/../b?c", "count": 2}"#),
            Calls("stock", r#"{"item": "gone"}"#),
        ],
        &[Says("Two are left.")],
    ]);
    let parameters = json!({
        "type": "object",
        "properties": { "item": { "type": "string" }, "count": { "type": "integer" } },
        "required": ["item"],
        "additionalProperties": false,
    });
    let spec = ToolSpec::new("stock", "How many are left.", parameters).unwrap();
    let warehouse = Arc::new(Warehouse::default());
    let url = WebhookUrl::parse("https://stock.example/{item}?n={count}&call={call_id}").unwrap();
    let tool = WebhookTool::new(spec, Arc::clone(&warehouse) as _, url)
        .with_method(WebhookMethod::Put)
        .with_deadline(Duration::from_secs(2));
    assert_eq!(
        replied(&model, vec![Arc::new(tool)]).await,
        Outcome::Completed
    );
    let outputs = model.outputs();
    let answer = "https://stock.example/a%2F..%2Fb%3Fc?n=2&call=scripted".to_owned();
    assert_eq!(outputs[0], (answer, false));
    assert!(
        outputs[1].1 && outputs[1].0.contains("status 404"),
        "{outputs:?}"
    );
    let asked = warehouse.0.lock().unwrap();
    let body: Value = serde_json::from_str(asked[0].body.as_ref().unwrap().expose()).unwrap();
    let arguments = json!({ "item": "a/../b?c", "count": 2 });
    assert_eq!(
        body,
        json!({ "call": { "id": "scripted" }, "arguments": arguments })
    );
    assert_eq!(asked[0].deadline, Duration::from_secs(2));
}
