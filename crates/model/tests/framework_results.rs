//! What the events of each framework say about a run.

use proptest::prelude::*;
use serde_json::{Value, json};
use vm0_model::framework::{AgentResult, ResultReader, all, find};
use vm0_model::wire::runner::TokenTotal;

fn read(framework: &str, events: &[Value]) -> AgentResult {
    let mut reader = ResultReader::new(find(framework).expect("a known framework"));
    events.iter().for_each(|event| reader.event(event));
    reader.finish()
}

fn tokens(result: &AgentResult) -> Option<(Option<u64>, Option<u64>, Option<f64>)> {
    result
        .usage
        .as_ref()
        .map(|usage| (usage.input_tokens, usage.output_tokens, usage.cost_usd))
}

const S: &str = "0199c1a2-aa11-7000-8000-000000000001";

#[test]
fn claude_code_counts_cached_tokens() {
    let result = read(
        "claude-code",
        &[
            json!({"type":"system","subtype":"hook","session_id":"other"}),
            json!({"type":"system","subtype":"init","session_id":S,"cwd":"/w","model":"m"}),
            json!({"type":"assistant","message":{"content":[{"type":"text","text":"I"}]}}),
            json!({"type":"result","subtype":"success","is_error":false,"result":"Done.","session_id":S,
            "total_cost_usd":0.25,"usage":{"input_tokens":10,"cache_creation_input_tokens":200,
            "cache_read_input_tokens":3000,"output_tokens":7}}),
        ],
    );
    assert_eq!(result.session_id.as_deref(), Some(S));
    assert_eq!(result.output.as_deref(), Some("Done."));
    assert_eq!(tokens(&result), Some((Some(3210), Some(7), Some(0.25))));
    assert_eq!(result.failure, None);
    assert_eq!(result.token_total, None);
}

#[test]
fn answers_of_the_model_are_counted_while_the_agent_runs() {
    let progress = |framework: &str, events: &[Value]| {
        let mut reader = ResultReader::new(find(framework).expect("a known framework"));
        events.iter().for_each(|event| reader.event(event));
        reader.progress()
    };
    let answer = |id: &str| json!({"type":"assistant","message":{"id":id,"content":[]}});
    let events = [
        answer("a"),
        answer("b"),
        answer("a"),
        answer("b"),
        json!({"type":"user"}),
    ];
    let claude = progress("claude-code", &events);
    assert_eq!((claude.turns, claude.usage), (2, None));
    let step = json!({"type":"step_finish","part":{"cost":0.5,"tokens":{"input":7,"output":2}}});
    let opencode = progress("opencode", &[step.clone(), step]);
    let usage = opencode.usage.expect("it said some");
    assert_eq!((opencode.turns, usage.input_tokens), (2, Some(14)));
    assert_eq!(progress("codex", &events).turns, 0);
}

#[test]
fn a_claude_code_error_result_is_a_failure() {
    let error = json!({"type":"result","is_error":true,"result":"Invalid API key"});
    assert_eq!(
        read("claude-code", &[error]).failure,
        Some(Some("Invalid API key".to_owned()))
    );
    let without_text = json!({"type":"result","subtype":"error_max_turns","is_error":true});
    let result = read("claude-code", &[without_text]);
    assert_eq!(
        (result.failure, result.output, result.usage),
        (Some(None), None, None)
    );
}

fn codex_events() -> [Value; 6] {
    [
        json!({"type":"thread.started","thread_id":S}),
        json!({"type":"turn.started"}),
        json!({"type":"error","message":"reconnecting 1/5"}),
        json!({"type":"item.completed","item":{"id":"0","type":"agent_message","text":"First"}}),
        json!({"type":"item.completed","item":{"id":"1","type":"command_execution","aggregated_output":"x"}}),
        json!({"type":"turn.completed","usage":{"input_tokens":900,"cached_input_tokens":500,"output_tokens":60}}),
    ]
}

#[test]
fn codex_counts_the_whole_thread() {
    let new = read("codex", &codex_events());
    assert_eq!(new.session_id.as_deref(), Some(S));
    assert_eq!(new.output.as_deref(), Some("First"));
    assert_eq!(new.failure, None);
    assert_eq!(tokens(&new), Some((Some(900), Some(60), None)));
    assert_eq!(
        new.token_total,
        Some(TokenTotal {
            input_tokens: 900,
            output_tokens: 60
        })
    );

    let before = TokenTotal {
        input_tokens: 600,
        output_tokens: 50,
    };
    let mut resumed = ResultReader::new(find("codex").unwrap()).resuming(Some(before));
    codex_events().iter().for_each(|event| resumed.event(event));
    let resumed = resumed.finish();
    assert_eq!(tokens(&resumed), Some((Some(300), Some(10), None)));
    assert_eq!(resumed.token_total, new.token_total);
}

#[test]
fn a_failed_codex_turn_is_a_failure() {
    let failed = json!({"type":"turn.failed","error":{"message":"quota exceeded"}});
    assert_eq!(
        read("codex", &[failed]).failure,
        Some(Some("quota exceeded".to_owned()))
    );
}

#[test]
fn gemini_joins_what_it_said_after_its_last_tool() {
    let result = read(
        "gemini-cli",
        &[
            json!({"type":"init","session_id":S,"model":"g"}),
            json!({"type":"message","role":"user","content":"hi"}),
            json!({"type":"message","role":"assistant","content":"Let me look.","delta":true}),
            json!({"type":"tool_use","tool_name":"ls","tool_id":"1"}),
            json!({"type":"tool_result","tool_id":"1","status":"success"}),
            json!({"type":"message","role":"assistant","content":"There are ","delta":true}),
            json!({"type":"message","role":"assistant","content":"two files.","delta":true}),
            json!({"type":"result","status":"success","stats":{"total_tokens":30,"input_tokens":20,"output_tokens":10}}),
        ],
    );
    assert_eq!(result.session_id.as_deref(), Some(S));
    assert_eq!(result.output.as_deref(), Some("There are two files."));
    assert_eq!(tokens(&result), Some((Some(20), Some(10), None)));
    assert_eq!(result.failure, None);
    let error = json!({"type":"result","status":"error","error":{"type":"E","message":"no quota"}});
    assert_eq!(
        read("gemini-cli", &[error]).failure,
        Some(Some("no quota".to_owned()))
    );
}

#[test]
fn opencode_sums_its_steps() {
    let step = json!({"type":"step_finish","sessionID":"ses_1","part":{"cost":0.5,
        "tokens":{"input":10,"output":5,"reasoning":2,"cache":{"read":100,"write":1}}}});
    let result = read(
        "opencode",
        &[
            json!({"type":"step_start","sessionID":"ses_1","part":{}}),
            json!({"type":"text","sessionID":"ses_1","part":{"text":"one"}}),
            step.clone(),
            json!({"type":"text","sessionID":"ses_1","part":{"text":"two"}}),
            step,
        ],
    );
    assert_eq!(result.session_id.as_deref(), Some("ses_1"));
    assert_eq!(result.output.as_deref(), Some("two"));
    assert_eq!(tokens(&result), Some((Some(222), Some(14), Some(1.0))));
    let named = json!({"type":"error","error":{"name":"ProviderAuthError"}});
    let with_message =
        json!({"type":"error","error":{"name":"APIError","data":{"message":"bad key"}}});
    assert_eq!(
        read("opencode", &[with_message.clone(), named.clone()]).failure,
        Some(Some("ProviderAuthError".to_owned()))
    );
    assert_eq!(
        read("opencode", &[named, with_message]).failure,
        Some(Some("bad key".to_owned()))
    );
}

#[test]
fn a_failed_script_has_no_text_of_its_own() {
    let result = read(
        "shell",
        &[
            json!({"type":"system","subtype":"init","session_id":S,"cwd":"/w","model":"shell","tools":["Bash"]}),
            json!({"type":"output","session_id":S,"stream":"stdout","text":"out"}),
            json!({"type":"result","subtype":"error_during_execution","session_id":S,"is_error":true,
            "duration_ms":12,"num_turns":1,"result":"out","total_cost_usd":0,
            "usage":{"input_tokens":0,"output_tokens":0}}),
        ],
    );
    assert_eq!(result.session_id.as_deref(), Some(S));
    assert_eq!(result.output.as_deref(), Some("out"));
    assert_eq!(tokens(&result), Some((Some(0), Some(0), Some(0.0))));
    assert_eq!(result.failure, Some(None));
}

#[test]
fn a_custom_agent_may_say_nothing_but_lines() {
    let out = |stream: &str, text: &str| json!({"type":"output","stream":stream,"text":text});
    let result = read(
        "custom",
        &[out("stdout", "a"), out("stderr", "x"), out("stdout", "b")],
    );
    assert_eq!(result.output.as_deref(), Some("a\nb"));
    assert_eq!(
        (result.usage, result.session_id, result.failure),
        (None, None, None)
    );
}

#[test]
fn the_last_result_of_a_custom_agent_decides() {
    let result = read(
        "custom",
        &[
            json!({"type":"note","thread_id":"t1"}),
            json!({"type":"result","is_error":true,"result":"no"}),
            json!({"type":"result","result":"yes","usage":{"input_tokens":3},"total_cost_usd":0.5}),
        ],
    );
    assert_eq!(result.session_id.as_deref(), Some("t1"));
    assert_eq!(result.output.as_deref(), Some("yes"));
    assert_eq!(result.failure, None);
    assert_eq!(tokens(&result), Some((Some(3), None, Some(0.5))));
}

#[test]
fn a_session_id_that_could_be_a_path_or_an_option_is_ignored() {
    let bad = json!({"type":"x","session_id":"../../etc/passwd"});
    let good = json!({"type":"x","session_id":"ok"});
    assert_eq!(
        read("custom", &[bad, good]).session_id.as_deref(),
        Some("ok")
    );
}

#[test]
fn the_final_text_is_bounded() {
    let event = json!({"type":"output","stream":"stdout","text":"é".repeat(400_000)});
    let events = vec![event; 4];
    let output = read("custom", &events).output.unwrap();
    assert!(output.len() <= vm0_model::limits::OUTPUT_MAX_BYTES);
    assert!(output.len() > vm0_model::limits::OUTPUT_MAX_BYTES - 4);
}

fn event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "result",
            "system",
            "init",
            "assistant",
            "message",
            "error",
            "agent_message",
            "text",
            "turn.completed",
            "item.completed",
            "step_finish",
            "thread.started",
            "tool_result",
        ])
        .prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "type",
        "subtype",
        "session_id",
        "thread_id",
        "sessionID",
        "result",
        "is_error",
        "usage",
        "input_tokens",
        "output_tokens",
        "total_cost_usd",
        "item",
        "text",
        "part",
        "tokens",
        "cost",
        "error",
        "message",
        "data",
        "name",
        "role",
        "content",
        "stats",
        "status",
    ]);
    leaf.prop_recursive(4, 32, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..8).prop_map(|map| {
                Value::Object(
                    map.into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_events_make_the_reader_panic(events in prop::collection::vec(event(), 0..12)) {
        for spec in all() {
            let mut reader = ResultReader::new(spec);
            events.iter().for_each(|event| reader.event(event));
            let result = reader.finish();
            if let Some(usage) = result.usage {
                prop_assert!(usage.cost_usd.is_none_or(|cost| cost.is_finite() && cost >= 0.0));
            }
        }
    }
}
