//! The names that people choose: agents, storages, volume keys, variables, users.

/// Whether `text` names a volume or an artifact: `^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$` (API 1.3).
pub fn is_storage_name(text: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    is_dashed(text, 1, edge)
}

/// Whether `text` names an agent, in any case: 3–64 letters, digits and `-`, the first and the
/// last not a `-` (agents 1.2). Names are stored and compared in lower case.
pub fn is_agent_name(text: &str) -> bool {
    is_dashed(text, 3, |byte| byte.is_ascii_alphanumeric())
}

/// Whether `text` names a variable or a secret: `^[A-Za-z_][A-Za-z0-9_]*$`.
pub fn is_variable_name(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `text` names a stored secret or variable: `^[A-Z][A-Z0-9_]{0,254}$` (API 11).
pub fn is_stored_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.as_bytes()[0].is_ascii_uppercase()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether `text` is a key below `volumes`: `^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`.
pub fn is_volume_key(text: &str) -> bool {
    starts_alphanumeric(text, b"_-")
}

/// Whether `text` names a skill: `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`.
pub fn is_skill_name(text: &str) -> bool {
    starts_alphanumeric(text, b"._-")
}

/// Whether `text` names a user: `^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`.
pub fn is_user_name(text: &str) -> bool {
    starts_alphanumeric(text, b"._@-")
}

fn starts_alphanumeric(text: &str, also: &[u8]) -> bool {
    (1..=64).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
}

fn is_dashed(text: &str, min: usize, edge: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    (min..=64).contains(&bytes.len())
        && edge(bytes[0])
        && edge(bytes[bytes.len() - 1])
        && bytes.iter().all(|&byte| edge(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn storage_names_are_lower_case_and_do_not_begin_or_end_with_a_dash() {
        let longest = "a".repeat(64);
        for good in ["a", "0", "a-b", "input-data", longest.as_str()] {
            assert!(is_storage_name(good), "{good}");
        }
        let too_long = "a".repeat(65);
        for bad in [
            "",
            "-",
            "a-",
            "-a",
            "A",
            "a_b",
            "a.b",
            "é",
            "a\n",
            too_long.as_str(),
        ] {
            assert!(!is_storage_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn agent_names_have_at_least_three_characters() {
        for good in ["abc", "My-Agent", "a-1"] {
            assert!(is_agent_name(good), "{good}");
        }
        for bad in ["", "a", "ab", "ab-", "-ab", "a b", "a_b", "äbc"] {
            assert!(!is_agent_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn stored_names_are_upper_case_and_have_at_most_255_characters() {
        let longest = "A".repeat(255);
        for good in ["A", "API_KEY", "A_", "A1", longest.as_str()] {
            assert!(is_stored_name(good), "{good}");
        }
        let too_long = "A".repeat(256);
        for bad in [
            "",
            "_A",
            "1A",
            "a",
            "Ab",
            "A-B",
            "A B",
            "A\n",
            "É",
            too_long.as_str(),
        ] {
            assert!(!is_stored_name(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn names_of_the_pattern_are_accepted(
            storage in "[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?",
            agent in "[A-Za-z0-9][A-Za-z0-9-]{1,62}[A-Za-z0-9]",
            variable in "[A-Za-z_][A-Za-z0-9_]*",
            stored in "[A-Z][A-Z0-9_]{0,254}",
            key in "[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
            user in "[A-Za-z0-9][A-Za-z0-9._@-]{0,63}",
        ) {
            prop_assert!(is_storage_name(&storage));
            prop_assert!(is_agent_name(&agent));
            prop_assert!(is_agent_name(&agent.to_ascii_lowercase()));
            prop_assert!(is_variable_name(&variable));
            prop_assert!(is_stored_name(&stored));
            prop_assert!(is_variable_name(&stored), "a template can name it");
            prop_assert!(is_volume_key(&key));
            prop_assert!(is_user_name(&user));
        }

        #[test]
        fn no_name_can_leave_its_folder_or_its_line(text in "\\PC*|.*[/\\\\\n\0].*") {
            let accepted = is_storage_name(&text) || is_agent_name(&text) || is_volume_key(&text)
                || is_variable_name(&text) || is_stored_name(&text) || is_user_name(&text) || is_skill_name(&text);
            if accepted {
                prop_assert!(!text.contains(['/', '\\', '\n', '\0']));
                prop_assert!(text != "." && text != "..");
            }
        }
    }
}
