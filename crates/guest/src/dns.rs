//! The few words of DNS (RFC 1035) that the resolver inside a sandbox speaks: it reads one
//! question and answers with one address or with nothing.
//!
//! *Invariant:* pure; hostile bytes in, at most [`MAX_REPLY`] bytes out, never more than
//! [`MAX_AMPLIFICATION`] bytes longer than the query.

use std::net::Ipv4Addr;

/// The longest query that is read.
pub const MAX_QUERY: usize = 512;
/// The longest reply.
pub const MAX_REPLY: usize = MAX_QUERY + MAX_AMPLIFICATION;
/// What an answer adds to the question.
pub const MAX_AMPLIFICATION: usize = 16;
/// The longest name in its usual form, without the final dot.
pub const MAX_NAME: usize = 253;

const HEADER: usize = 12;
const MAX_LABEL: usize = 63;
const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_ANY: u16 = 255;
/// The flags of a reply: an answer by a resolver that would ask others.
const REPLY: u16 = 0x8080;
const RECURSION_DESIRED: u16 = 0x0100;
const OPCODE: u16 = 0x7800;
/// The answer's name is the question's, which starts after the header.
const POINTER_TO_QUESTION: u16 = 0xc000 | HEADER as u16;

/// How a query was answered, on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// With what there is, possibly nothing.
    NoError = 0,
    /// It cannot be read.
    FormatError = 1,
    /// There is no such name.
    NoSuchName = 3,
    /// It is not a plain query.
    NotImplemented = 4,
    /// It is about another class than the internet's.
    Refused = 5,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The IPv4 address of a name, in lower case without the final dot.
    Address(String),
    /// Something that gets a reply without an answer.
    Other(Code),
}

/// A query that deserves a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    id: u16,
    flags: u16,
    /// The question as it was sent; empty if it cannot be read.
    echo: &'a [u8],
    /// What is asked.
    pub question: Question,
}

impl<'a> Query<'a> {
    /// Reads a query; `None` for what must not be replied to.
    #[must_use]
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let header = packet.first_chunk::<HEADER>()?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (id, flags) = (word(0), word(2));
        if flags & 0x8000 != 0 {
            return None;
        }
        let bare = |code| Self {
            id,
            flags,
            echo: &[],
            question: Question::Other(code),
        };
        if packet.len() > MAX_QUERY {
            return Some(bare(Code::FormatError));
        }
        if flags & OPCODE != 0 {
            return Some(bare(Code::NotImplemented));
        }
        // One question; what follows it (EDNS options) is not of interest.
        let plain = word(4) == 1 && word(6) == 0 && word(8) == 0;
        let question = plain.then(|| read_question(&packet[HEADER..])).flatten();
        let Some((question, length)) = question else {
            return Some(bare(Code::FormatError));
        };
        Some(Self {
            id,
            flags,
            echo: &packet[HEADER..HEADER + length],
            question,
        })
    }

    /// The reply, with an address if there is one.
    #[must_use]
    pub fn reply(&self, code: Code, address: Option<Ipv4Addr>, ttl_seconds: u32) -> Vec<u8> {
        let flags = REPLY | (self.flags & (OPCODE | RECURSION_DESIRED)) | code as u16;
        let counts = [
            u16::from(!self.echo.is_empty()),
            u16::from(address.is_some()),
            0,
            0,
        ];
        let mut reply = Vec::with_capacity(HEADER + self.echo.len() + MAX_AMPLIFICATION);
        for word in [self.id, flags].into_iter().chain(counts) {
            reply.extend_from_slice(&word.to_be_bytes());
        }
        reply.extend_from_slice(self.echo);
        if let Some(address) = address {
            for word in [POINTER_TO_QUESTION, TYPE_A, CLASS_IN] {
                reply.extend_from_slice(&word.to_be_bytes());
            }
            reply.extend_from_slice(&ttl_seconds.to_be_bytes());
            reply.extend_from_slice(&4u16.to_be_bytes());
            reply.extend_from_slice(&address.octets());
        }
        reply
    }
}

/// The question at the start of `bytes` and its length; `None` if it cannot be read.
fn read_question(bytes: &[u8]) -> Option<(Question, usize)> {
    let mut name = Some(String::new());
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        // A longer length is a pointer, which a question has nothing to point to.
        if length > MAX_LABEL {
            return None;
        }
        let label = bytes.get(at..at + length)?;
        at += length;
        // A name and its final dot take one byte more on the wire than MAX_NAME and that dot.
        if at > MAX_NAME + 1 {
            return None;
        }
        name = name.and_then(|name| appended(name, label));
    }
    let (kind, class) = (bytes.get(at..at + 2)?, bytes.get(at + 2..at + 4)?);
    let kind = u16::from_be_bytes([kind[0], kind[1]]);
    let class = u16::from_be_bytes([class[0], class[1]]);
    let question = match (class, kind, name) {
        (CLASS_IN, TYPE_A | TYPE_ANY, Some(name)) if !name.is_empty() => Question::Address(name),
        (CLASS_IN, _, Some(_)) => Question::Other(Code::NoError),
        (CLASS_IN, _, None) => Question::Other(Code::NoSuchName),
        _ => Question::Other(Code::Refused),
    };
    Some((question, at + 4))
}

/// A name with one more label; `None` if no host can be called that.
fn appended(mut name: String, label: &[u8]) -> Option<String> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !label.iter().all(allowed) {
        return None;
    }
    if !name.is_empty() {
        name.push('.');
    }
    name.extend(
        label
            .iter()
            .map(|byte| char::from(byte.to_ascii_lowercase())),
    );
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(name: &str, kind: u16, class: u16) -> Vec<u8> {
        let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            packet.push(u8::try_from(label.len()).unwrap());
            packet.extend_from_slice(label.as_bytes());
        }
        packet.push(0);
        packet.extend_from_slice(&kind.to_be_bytes());
        packet.extend_from_slice(&class.to_be_bytes());
        packet
    }

    fn question(packet: &[u8]) -> Question {
        Query::parse(packet).unwrap().question
    }

    #[test]
    fn a_question_for_an_address_is_answered_with_its_own_spelling() {
        let packet = query("Example.COM", 1, 1);
        let query = Query::parse(&packet).unwrap();
        assert_eq!(query.question, Question::Address("example.com".into()));
        let reply = query.reply(Code::NoError, Some(Ipv4Addr::new(198, 18, 1, 2)), 60);
        assert_eq!(reply[..4], [0x12, 0x34, 0x81, 0x80]);
        assert_eq!(reply[4..12], [0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(reply[12..packet.len()], packet[12..]);
        let answer = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 1, 2];
        assert_eq!(reply[packet.len()..], answer);
    }

    #[test]
    fn other_questions_get_no_answer() {
        for (packet, code) in [
            (query("a.example", 28, 1), Code::NoError),
            (query("a.example", 65, 1), Code::NoError),
            (query("", 1, 1), Code::NoError),
            (query("a.example", 1, 3), Code::Refused),
            (query("a b.example", 1, 1), Code::NoSuchName),
            (query("a.example", 1, 1)[..20].to_vec(), Code::FormatError),
        ] {
            assert_eq!(question(&packet), Question::Other(code), "{packet:?}");
        }
        let mut update = query("a.example", 1, 1);
        update[2] |= 5 << 3;
        assert_eq!(question(&update), Question::Other(Code::NotImplemented));
        let mut pointer = query("a.example", 1, 1);
        pointer[12] = 0xc0;
        assert_eq!(question(&pointer), Question::Other(Code::FormatError));
    }

    #[test]
    fn answers_and_fragments_are_not_replied_to() {
        let mut answer = query("a.example", 1, 1);
        answer[2] |= 0x80;
        assert_eq!(Query::parse(&answer), None);
        assert_eq!(Query::parse(&answer[..11]), None);
    }

    #[test]
    fn a_name_is_as_long_as_the_rules_allow_and_no_longer() {
        let label = "x".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "x".repeat(61));
        assert_eq!(longest.len(), MAX_NAME);
        let packet = query(&longest, 1, 1);
        assert_eq!(question(&packet), Question::Address(longest.clone()));
        let longer = query(&format!("{longest}x"), 1, 1);
        assert_eq!(question(&longer), Question::Other(Code::FormatError));
    }

    proptest! {
        #[test]
        fn whatever_is_sent_the_reply_is_small_and_no_query(
            packet in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            if let Some(query) = Query::parse(&packet) {
                if let Question::Address(name) = &query.question {
                    prop_assert!((1..=MAX_NAME).contains(&name.len()));
                }
                let reply = query.reply(Code::NoError, Some(Ipv4Addr::LOCALHOST), 1);
                prop_assert!(reply.len() <= packet.len() + MAX_AMPLIFICATION);
                prop_assert_eq!(Query::parse(&reply), None);
            }
        }

        #[test]
        fn every_host_name_is_read_back(name in r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){0,2}") {
            prop_assert_eq!(question(&query(&name, 1, 1)), Question::Address(name));
        }
    }
}
