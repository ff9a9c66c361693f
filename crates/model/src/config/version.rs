//! The stored form of a configuration and the identity of an agent version (API 9.3).

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::id::AgentVersionId;

/// The configuration as it is stored: as written, the agent's name in lower case.
pub fn stored_config(config: &Value) -> Value {
    let mut stored = config.clone();
    if let Some(Value::Object(agents)) = stored.get_mut("agents") {
        let lower = std::mem::take(agents)
            .into_iter()
            .map(|(name, agent)| (name.to_ascii_lowercase(), agent))
            .collect::<Map<_, _>>();
        *agents = lower;
    }
    stored
}

/// The configuration in the form of RFC 8785.
pub fn canonical_json(config: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(config).expect("a JSON value has a canonical form")
}

/// The id of the version with this configuration.
pub fn agent_version_id(config: &Value) -> AgentVersionId {
    let canonical = canonical_json(&stored_config(config));
    AgentVersionId::from_digest(Sha256::digest(canonical).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IMAGE: &str = "e188e6b85ab9084c035d2c7c1cf60ad5702a5ca98250ecbfbf83ff79757af84d";

    #[test]
    fn the_vectors_of_the_specification_hold() {
        let vectors = [
            (
                r#"{"version":"1.0","agents":{"my-agent":{"framework":"claude-code"}}}"#,
                "30508a40c34b8bf3276c8d8419937d4a95fb3b542fde294224cc79b5d9271e35",
            ),
            (
                r#"{"version":"1.0","agents":{"my-agent":{"framework":"claude-code","description":"My agent description"}}}"#,
                "4beb66dc3b7b3d4772dcad6e37e0aa78a72810e1376626c430a4e4b8c6b6b43f",
            ),
            (
                r#"{"version":"1.0","agents":{"my-agent":{"framework":"claude-code","image":"ubuntu","working_dir":"/home"}}}"#,
                IMAGE,
            ),
            (
                r#"{"agents":{"My-Agent":{"working_dir":"/home","image":"ubuntu","framework":"claude-code"}},"version":"1.0"}"#,
                IMAGE,
            ),
            (
                r#"{"version":"1.0","agents":{"demo":{"environment":{"A":"é","B":"${{ vars.B }}"},"framework":"claude-code","volumes":["data:/data"],"working_dir":"/workspace"}},"volumes":{"data":{"name":"input-data","version":"latest"}}}"#,
                "37902b9dcda67b2ad47c2fd01ee5c32c08d2b6c1f553d0e83512120853c29073",
            ),
            (
                r#"{"version":"1.0","agents":{"my-agent":{"framework":"claude-code","environment":{"DEBUG":"${{ vars.DEBUG }}","API_KEY":"${{ secrets.API_KEY }}"},"volumes":["input-data:/home/user/data"]}},"volumes":{"input-data":{"name":"input-data","version":"latest","optional":true}}}"#,
                "a76ae6c1350fb56720e831712b781aecd5f00678cb4a7d04aac59f2bffa0adf1",
            ),
            (
                r#"{"version":"1.0","agents":{"my-agent":{"framework":"claude-code","environment":{"Q":"say \"hi\"\n\u001f\u007f/\u2028"}}}}"#,
                "880d389d6b9843fef32289ac51ea98b7c02d7831ee9cf799b2faad27cfba9aa8",
            ),
        ];
        for (text, expected) in vectors {
            let config: Value = serde_json::from_str(text).unwrap();
            assert_eq!(agent_version_id(&config).to_string(), expected, "{text}");
            let stored = stored_config(&config);
            assert_eq!(agent_version_id(&stored).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn only_the_name_of_the_agent_is_lowered() {
        let config: Value =
            serde_json::from_str(r#"{"agents":{"ABC":{"environment":{"Key":"V"}}},"Version":"X"}"#)
                .unwrap();
        assert_eq!(
            stored_config(&config).to_string(),
            r#"{"agents":{"abc":{"environment":{"Key":"V"}}},"Version":"X"}"#
        );
    }

    #[test]
    fn keys_are_sorted_by_utf16_code_units() {
        let config: Value =
            serde_json::from_str(r#"{"\uff5e":1,"\ud83d\ude00":2,"10":3,"9":4,"b":1.0}"#).unwrap();
        let canonical = String::from_utf8(canonical_json(&config)).unwrap();
        assert_eq!(
            canonical,
            "{\"10\":3,\"9\":4,\"b\":1,\"\u{1f600}\":2,\"\u{ff5e}\":1}"
        );
    }

    proptest! {
        #[test]
        fn the_order_of_keys_makes_no_new_version(
            mut environment in prop::collection::vec(("[A-Z]{1,4}", "\\PC{0,5}"), 0..6),
        ) {
            environment.sort();
            environment.dedup_by(|a, b| a.0 == b.0);
            let config = |pairs: Vec<(String, String)>| {
                let environment: Map<_, _> =
                    pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
                serde_json::json!({"agents": {"abc": {"environment": environment}}})
            };
            let forwards = config(environment.clone());
            environment.reverse();
            prop_assert_eq!(agent_version_id(&forwards), agent_version_id(&config(environment)));
        }
    }
}
