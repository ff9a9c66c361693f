//! What one model request consumed, by the shape of its answer, whatever its path.
//!
//! | API | where |
//! |---|---|
//! | Anthropic Messages | `usage`; in a stream `message.usage` of `message_start`, then `usage` of `message_delta`, which counts from the beginning |
//! | OpenAI Responses | `usage`; in a stream `response.usage` of the event that completes it |
//! | OpenAI Chat Completions | `usage`; in a stream that of the last chunk |
//! | Gemini | `usageMetadata`, below `response` too; in a stream or a list that of each chunk, which counts from the beginning |
//!
//! Numbers only grow while an answer comes in, so the largest one seen is the one that counts, and
//! an answer that breaks off counts with what it had said.
//!
//! Not counted: what an answer does not say (a Chat Completions stream without
//! `stream_options.include_usage` is a request without tokens), compressed answers, WebSockets,
//! and results of batches.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use vm0_model::limits;
use vm0_model::price::Tokens;

use super::events::{EventLines, Piece};
use super::json::{Key, Scalar, Scanner};

/// What one model request consumed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestUsage {
    /// The model that answered.
    pub(crate) model: Option<String>,
    /// Its tokens by their price.
    pub(crate) tokens: Tokens,
}

/// Reads what a request consumed from its answer as it passes.
#[derive(Debug)]
pub(crate) struct UsageReader {
    framing: Framing,
    scanner: Scanner,
    seen: Seen,
}

#[derive(Debug)]
enum Framing {
    Json,
    Events(EventLines),
}

/// The largest numbers seen.
#[derive(Debug, Default)]
struct Seen {
    model: Option<String>,
    /// Whether it is an answer of a model at all.
    is_answer: bool,
    input: u64,
    cache_creation: u64,
    cache_creation_1h: u64,
    cache_read: u64,
    cached: u64,
    prompt: u64,
    tool_prompt: u64,
    output: u64,
    thoughts: u64,
}

impl UsageReader {
    /// A reader for an answer with these headers; none if it can say nothing of usage.
    pub(crate) fn for_answer(headers: &HeaderMap) -> Option<Self> {
        let encoded = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if encoded {
            return None;
        }
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = kind.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        let framing = match essence.as_str() {
            "text/event-stream" => Framing::Events(EventLines::new()),
            "application/json" => Framing::Json,
            other if other.ends_with("+json") => Framing::Json,
            _ => return None,
        };
        Some(Self {
            framing,
            scanner: Scanner::new(),
            seen: Seen::default(),
        })
    }

    /// Reads on. Whether something new was seen.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> bool {
        let Self {
            framing,
            scanner,
            seen,
        } = self;
        let mut new = false;
        let mut found = |path: &[Key], scalar: Scalar<'_>| new |= seen.take(path, scalar);
        match framing {
            Framing::Json => scanner.feed(bytes, &mut found),
            Framing::Events(lines) => lines.feed(bytes, &mut |piece| match piece {
                Piece::Data(data) => scanner.feed(data, &mut found),
                Piece::End => scanner.restart(),
            }),
        }
        new
    }

    /// What it keeps on the heap.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.scanner.memory_bytes() + self.seen.model.as_ref().map_or(0, String::capacity)
    }

    /// What it consumed so far; none unless it is an answer of a model.
    pub(crate) fn usage(&self) -> Option<RequestUsage> {
        self.seen.is_answer.then(|| RequestUsage {
            model: self.seen.model.clone(),
            tokens: self.seen.tokens(),
        })
    }
}

impl Seen {
    fn take(&mut self, path: &[Key], scalar: Scalar<'_>) -> bool {
        let path = path.strip_prefix(&[Key::Item]).unwrap_or(path);
        let path = match path {
            [Key::Message | Key::Response, inner @ ..] => inner,
            path => path,
        };
        match (path, scalar) {
            ([Key::Model], Scalar::Text(name)) => self.take_model(name),
            ([Key::Object], Scalar::Text(kind)) => {
                self.answer(kind.starts_with(b"chat.completion"))
            }
            ([Key::Type], Scalar::Text(kind)) => self.answer(kind.starts_with(b"response.")),
            (_, Scalar::Literal(number)) => self.take_count(path, number),
            _ => false,
        }
    }

    fn take_model(&mut self, name: &[u8]) -> bool {
        let new = self.model.is_none() && !name.is_empty();
        if new {
            self.model = std::str::from_utf8(name).ok().map(str::to_owned);
        }
        new
    }

    fn answer(&mut self, is: bool) -> bool {
        let new = is && !self.is_answer;
        self.is_answer |= is;
        new
    }

    fn take_count(&mut self, path: &[Key], number: &[u8]) -> bool {
        let place = match path {
            [Key::Usage, Key::InputTokens] => &mut self.input,
            [Key::Usage, Key::CacheCreationInputTokens] => &mut self.cache_creation,
            [Key::Usage, Key::CacheCreation, Key::Ephemeral1hInputTokens] => {
                &mut self.cache_creation_1h
            }
            [Key::Usage, Key::CacheReadInputTokens] => &mut self.cache_read,
            [Key::Usage, Key::TokensDetails, Key::CachedTokens]
            | [Key::UsageMetadata, Key::CachedContentTokenCount] => &mut self.cached,
            [Key::Usage, Key::PromptTokens] | [Key::UsageMetadata, Key::PromptTokenCount] => {
                &mut self.prompt
            }
            [Key::UsageMetadata, Key::ToolUsePromptTokenCount] => &mut self.tool_prompt,
            [Key::Usage, Key::OutputTokens | Key::CompletionTokens]
            | [Key::UsageMetadata, Key::CandidatesTokenCount] => &mut self.output,
            [Key::UsageMetadata, Key::ThoughtsTokenCount] => &mut self.thoughts,
            _ => return false,
        };
        let number = std::str::from_utf8(number).unwrap_or_default().parse();
        let Some(number) = number
            .ok()
            .filter(|&number: &u64| number <= limits::MODEL_TOKENS_MAX)
        else {
            return false;
        };
        let larger = number > *place;
        *place = number.max(*place);
        self.answer(true) || larger
    }

    /// The Messages API counts cached input apart, the others within the input.
    fn tokens(&self) -> Tokens {
        let whole = if self.prompt > 0 {
            self.prompt + self.tool_prompt
        } else {
            self.input + self.cache_creation + self.cache_read
        };
        let cache_read = self.cached.max(self.cache_read).min(whole);
        let cache_write = self.cache_creation.min(whole - cache_read);
        let cache_write_1h = self.cache_creation_1h.min(cache_write);
        Tokens {
            input: whole - cache_read - cache_write,
            cache_read,
            cache_write: cache_write - cache_write_1h,
            cache_write_1h,
            output: self.output + self.thoughts,
        }
    }
}
