//! An incremental parser of `text/event-stream`, as the HTML standard defines it.

use std::mem;

/// An event may hold this many bytes: an agent event of 1 MiB with room for its envelope.
const EVENT_MAX_BYTES: usize = 8 << 20;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// Its own `id`, if it has one.
    pub id: Option<String>,
    /// Its `event`, empty if it has none.
    pub name: String,
    /// Its `data` lines, joined by line feeds.
    pub data: String,
}

/// The stream is not an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event is longer than any that our server sends.
    #[error("an event of the stream is longer than {EVENT_MAX_BYTES} bytes")]
    TooLong,
    /// A line is not text.
    #[error("a line of the stream is not UTF-8")]
    NotText,
}

/// Turns the bytes of a stream into events, however the bytes are cut.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    after_carriage_return: bool,
    started: bool,
    event: SseEvent,
    has_data: bool,
}

impl SseParser {
    /// Takes the next bytes and gives the events that they complete.
    ///
    /// # Errors
    /// [`SseError`]; the stream is of no use after it.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, SseError> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if mem::take(&mut self.after_carriage_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r');
            let (part, ending) = match end {
                Some(end) => (&rest[..end], Some(rest[end])),
                None => (rest, None),
            };
            self.line.extend_from_slice(part);
            if self.line.len() + self.event.data.len() > EVENT_MAX_BYTES {
                return Err(SseError::TooLong);
            }
            let Some(ending) = ending else { break };
            self.after_carriage_return = ending == b'\r';
            rest = &rest[part.len() + 1..];
            events.extend(self.end_line()?);
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Result<Option<SseEvent>, SseError> {
        let line = mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| SseError::NotText)?;
        let first = !mem::replace(&mut self.started, true);
        let line = if first {
            line.strip_prefix('\u{feff}').unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            let event = mem::take(&mut self.event);
            return Ok(mem::take(&mut self.has_data).then_some(event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = SseParser::default();
        pieces
            .iter()
            .flat_map(|piece| parser.push(piece).unwrap())
            .collect()
    }

    #[test]
    fn an_event_has_its_id_its_name_and_its_data() {
        let events =
            parse(&[b"id: 7\nevent: output\ndata: {\"a\":1}\n\nevent: heartbeat\ndata: {}\n\n"]);
        assert_eq!(
            events[0],
            SseEvent {
                id: Some("7".into()),
                name: "output".into(),
                data: "{\"a\":1}".into()
            }
        );
        assert_eq!(
            events[1],
            SseEvent {
                id: None,
                name: "heartbeat".into(),
                data: "{}".into()
            }
        );
    }

    #[test]
    fn comments_and_unfinished_events_give_nothing() {
        assert_eq!(parse(&[b": hello\n\nevent: x\n\ndata: cut"]), []);
    }

    #[test]
    fn lines_of_data_are_joined() {
        let events = parse(&["\u{feff}data: a\r\ndata:b\rdata\n\n".as_bytes()]);
        assert_eq!(events[0].data, "a\nb\n");
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = SseParser::default();
        let piece = vec![b'x'; 1 << 20];
        let result = (0..9).try_for_each(|_| parser.push(&piece).map(drop));
        assert_eq!(result, Err(SseError::TooLong));
    }

    fn event() -> impl Strategy<Value = SseEvent> {
        (
            prop::option::of("[0-9a-z]{1,5}"),
            "[a-z]{0,8}",
            "[^\r\n\0]{0,20}(\n[^\r\n\0]{0,20}){0,2}",
        )
            .prop_map(|(id, name, data)| SseEvent { id, name, data })
    }

    fn encode(event: &SseEvent, ending: &str) -> String {
        let mut text = String::new();
        if let Some(id) = &event.id {
            text += &format!("id: {id}{ending}");
        }
        if !event.name.is_empty() {
            text += &format!("event: {}{ending}", event.name);
        }
        for line in event.data.split('\n') {
            text += &format!("data: {line}{ending}");
        }
        text + ending
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_how_the_bytes_are_cut(
            events in prop::collection::vec(event(), 0..6),
            ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(1usize..9, 1..40),
        ) {
            let text: String = events.iter().map(|event| encode(event, ending)).collect();
            let mut parser = SseParser::default();
            let mut parsed = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                parsed.extend(parser.push(piece).unwrap());
                rest = after;
            }
            prop_assert_eq!(parsed, events);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut parser = SseParser::default();
            for piece in pieces {
                if parser.push(&piece).is_err() {
                    break;
                }
            }
        }
    }
}
