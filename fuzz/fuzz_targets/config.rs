//! vm0.yaml, the network policy and the bindings of secrets in it among the rest: what is accepted
//! is accepted again as the JSON that is stored, unless it lacks the bundle that `vm0 compose` adds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vm0_model::config::{AgentConfig, Problem, from_yaml};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok((stored, config)) = from_yaml(text) {
        let (again, same) = match AgentConfig::from_json(&stored) {
            Ok(accepted) => accepted,
            Err(problems) => {
                let lacks_bundle = |problem: &Problem| problem.text.contains("need a bundle");
                assert!(problems.iter().all(lacks_bundle), "{problems:?}");
                return;
            }
        };
        assert_eq!(again, stored);
        assert_eq!(same.network, config.network);
        assert_eq!(same.secrets, config.secrets);
    }
});
