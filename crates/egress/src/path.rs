//! Path patterns of rules.

use percent_encoding::percent_decode_str;

/// The path that patterns are compared with: percent-decoded, without `.` and `..` segments.
pub(crate) fn normal(path: &str) -> Vec<u8> {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_in_dots = false;
    for segment in decoded
        .strip_prefix(b"/")
        .unwrap_or(&decoded)
        .split(|&byte| byte == b'/')
    {
        ends_in_dots = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    if ends_in_dots {
        segments.push(b"");
    }
    let mut normal = vec![b'/'];
    normal.extend(segments.join(&b'/'));
    normal
}

/// Whether `pattern` covers the whole of `path`: `*` is anything within one segment, `**` is
/// anything. Takes time proportional to the product of the lengths, whatever the pattern.
pub(crate) fn matches(pattern: &str, path: &[u8]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    let mut rest = pattern.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match (first, after.strip_prefix(b"*")) {
            (b'*', Some(after_two)) => {
                rest = after_two;
                spread(&mut reached, |_| true, path);
            }
            (b'*', None) => {
                rest = after;
                spread(&mut reached, |byte| byte != b'/', path);
            }
            _ => {
                rest = after;
                for at in (0..path.len()).rev() {
                    reached[at + 1] = reached[at] && path[at] == first;
                }
                reached[0] = false;
            }
        }
    }
    reached[path.len()]
}

fn spread(reached: &mut [bool], passes: impl Fn(u8) -> bool, path: &[u8]) {
    for (at, &byte) in path.iter().enumerate() {
        reached[at + 1] |= reached[at] && passes(byte);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_decoded_and_dot_free() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b/", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/..%2fb", "/b"),
            ("/a/b/..", "/a/"),
            ("/../../x", "/x"),
            ("/%41%zz", "/A%zz"),
        ] {
            assert_eq!(normal(path), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn stars_match_within_a_segment_and_double_stars_anything() {
        for (pattern, path, expected) in [
            ("/repos/*", "/repos/a", true),
            ("/repos/*", "/repos/a/b", false),
            ("/repos/**", "/repos/a/b", true),
            ("/repos/**", "/repos", false),
            ("/repos/*/pulls", "/repos/a/pulls", true),
            ("/repos/*/pulls", "/repos/a/b/pulls", false),
            ("/**/pulls", "/repos/a/b/pulls", true),
            ("/a*c", "/abc", true),
            ("/", "/", true),
            ("/a", "/ab", false),
            ("/**", "/", true),
        ] {
            assert_eq!(
                matches(pattern, path.as_bytes()),
                expected,
                "{pattern} {path}"
            );
        }
    }

    proptest! {
        #[test]
        fn normal_paths_hold_no_dot_segments(path in "(/|\\.|%2e|%2f|a|%){0,24}") {
            let normal = normal(&path);
            prop_assert_eq!(normal[0], b'/');
            prop_assert!(!normal.split(|&byte| byte == b'/').any(|part| matches!(part, b"." | b"..")));
        }

        #[test]
        fn a_path_without_stars_matches_itself_only(a in "/[a-c/]{0,6}", b in "/[a-c/]{0,6}") {
            prop_assert_eq!(matches(&a, b.as_bytes()), a == b);
        }
    }
}
