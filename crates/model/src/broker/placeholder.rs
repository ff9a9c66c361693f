//! What stands for a brokered secret inside the sandbox.

use crate::broker::built_in;

/// What every placeholder has in it.
pub const PLACEHOLDER_MARK: &str = "vm0_enc_";
/// How much of a placeholder is random.
pub const PLACEHOLDER_RANDOM_BYTES: usize = 16;

/// The placeholder of `secret` with this randomness: the prefix that values of that name have,
/// then `vm0_enc_` and 32 hex digits.
pub fn placeholder(secret: &str, random: [u8; PLACEHOLDER_RANDOM_BYTES]) -> String {
    let prefix = built_in::prefix(secret);
    format!("{prefix}{PLACEHOLDER_MARK}{}", hex::encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_looks_like_what_it_stands_for() {
        let hex = "000102030405060708090a0b0c0d0e0f";
        let random = std::array::from_fn(|n| u8::try_from(n).unwrap());
        for (secret, prefix) in [
            ("ANTHROPIC_API_KEY", "sk-ant-api03-"),
            ("ANTHROPIC_AUTH_TOKEN", "sk-ant-"),
            ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-"),
            ("OPENAI_API_KEY", "sk-proj-"),
            ("CODEX_API_KEY", "sk-proj-"),
            ("GEMINI_API_KEY", "AIza"),
            ("GH_TOKEN", "ghp_"),
            ("GITHUB_TOKEN", "ghp_"),
            ("TRACKER_KEY", ""),
        ] {
            assert_eq!(
                placeholder(secret, random),
                format!("{prefix}vm0_enc_{hex}"),
                "{secret}"
            );
        }
    }
}
