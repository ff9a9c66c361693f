//! What programs in a sandbox may ask the resolver there.

#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use vm0_guest::dns::{Code, MAX_AMPLIFICATION, MAX_NAME, MAX_REPLY, Query, Question};

fuzz_target!(|data: &[u8]| {
    let Some(query) = Query::parse(data) else {
        return;
    };
    if let Question::Address(name) = &query.question {
        assert!((1..=MAX_NAME).contains(&name.len()));
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        assert!(name.bytes().all(allowed));
        assert!(name.split('.').all(|label| (1..=63).contains(&label.len())));
    }
    let reply = query.reply(Code::NoError, Some(Ipv4Addr::LOCALHOST), u32::MAX);
    assert!(reply.len() <= MAX_REPLY.min(data.len() + MAX_AMPLIFICATION));
    assert_eq!(Query::parse(&reply), None, "a reply is not a query");
});
