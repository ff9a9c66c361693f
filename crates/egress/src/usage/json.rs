//! Finds scalars at known places of a JSON text that comes in pieces.
//!
//! Nothing is kept but the keys that lead to the present place and one short token, so a text may
//! be of any size. What is no JSON gives nonsense, never more: whoever asks takes only numbers and
//! names at places that mean something.

/// Deeper values are skipped: everything of interest lies above.
const DEPTH_MAX: usize = 5;
/// Longer keys, texts and numbers are skipped, in bytes.
const TOKEN_MAX_BYTES: usize = 128;

/// A step of the way to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// An item of a list.
    Item,
    /// A key without meaning here.
    Other,
    CacheCreation,
    CacheCreationInputTokens,
    CacheReadInputTokens,
    CachedContentTokenCount,
    CachedTokens,
    CandidatesTokenCount,
    CompletionTokens,
    Ephemeral1hInputTokens,
    InputTokens,
    Message,
    Model,
    Object,
    OutputTokens,
    PromptTokenCount,
    PromptTokens,
    Response,
    ThoughtsTokenCount,
    TokensDetails,
    ToolUsePromptTokenCount,
    Type,
    Usage,
    UsageMetadata,
}

/// A value that is no container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar<'t> {
    /// A short text without escapes.
    Text(&'t [u8]),
    /// A number, `true`, `false` or `null`, as written.
    Literal(&'t [u8]),
}

/// Where in a token the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Structure,
    Text,
    /// Behind a backslash in a text.
    Escape,
    Literal,
}

/// A JSON text that is being read.
#[derive(Debug)]
pub(super) struct Scanner {
    /// Open containers.
    open: usize,
    /// The place in each of the outer containers.
    path: [Key; DEPTH_MAX],
    /// Whether a text would be a key.
    before_key: bool,
    within: Within,
    token: Vec<u8>,
    /// Whether `token` is all of it.
    whole: bool,
}

impl Key {
    fn of(name: &[u8]) -> Self {
        match name {
            b"cache_creation" => Self::CacheCreation,
            b"cache_creation_input_tokens" => Self::CacheCreationInputTokens,
            b"cache_read_input_tokens" => Self::CacheReadInputTokens,
            b"cachedContentTokenCount" => Self::CachedContentTokenCount,
            b"cached_tokens" => Self::CachedTokens,
            b"candidatesTokenCount" => Self::CandidatesTokenCount,
            b"completion_tokens" => Self::CompletionTokens,
            b"ephemeral_1h_input_tokens" => Self::Ephemeral1hInputTokens,
            b"input_tokens" => Self::InputTokens,
            b"input_tokens_details" | b"prompt_tokens_details" => Self::TokensDetails,
            b"message" => Self::Message,
            b"model" | b"modelVersion" => Self::Model,
            b"object" => Self::Object,
            b"output_tokens" => Self::OutputTokens,
            b"promptTokenCount" => Self::PromptTokenCount,
            b"prompt_tokens" => Self::PromptTokens,
            b"response" => Self::Response,
            b"thoughtsTokenCount" => Self::ThoughtsTokenCount,
            b"toolUsePromptTokenCount" => Self::ToolUsePromptTokenCount,
            b"type" => Self::Type,
            b"usage" => Self::Usage,
            b"usageMetadata" => Self::UsageMetadata,
            _ => Self::Other,
        }
    }

    /// Whether a text here is worth keeping.
    fn has_text(self) -> bool {
        matches!(self, Self::Model | Self::Object | Self::Type)
    }
}

impl Scanner {
    /// At the beginning of a text.
    pub(super) fn new() -> Self {
        Self {
            open: 0,
            path: [Key::Other; DEPTH_MAX],
            before_key: false,
            within: Within::Structure,
            token: Vec::new(),
            whole: true,
        }
    }

    /// Begins another text.
    pub(super) fn restart(&mut self) {
        self.open = 0;
        self.before_key = false;
        self.within = Within::Structure;
    }

    /// What it keeps on the heap.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.token.capacity()
    }

    /// Reads on, and tells of each scalar that ends in `bytes` with the way to it.
    pub(super) fn feed(&mut self, mut bytes: &[u8], found: &mut impl FnMut(&[Key], Scalar<'_>)) {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = match self.within {
                Within::Structure => {
                    self.structure(byte);
                    rest
                }
                Within::Text => self.text(bytes, found),
                Within::Escape => {
                    self.within = Within::Text;
                    rest
                }
                Within::Literal => self.literal(bytes, found),
            };
        }
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'{' => self.enter(Key::Other),
            b'[' => self.enter(Key::Item),
            b'}' | b']' => {
                self.open = self.open.saturating_sub(1);
                self.before_key = false;
            }
            b',' => self.before_key = self.here().is_some_and(|key| key != Key::Item),
            b':' => self.before_key = false,
            b'"' => self.begin(Within::Text),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => {
                self.begin(Within::Literal);
                self.token.push(byte);
            }
        }
    }

    fn enter(&mut self, first: Key) {
        if let Some(place) = self.path.get_mut(self.open) {
            *place = first;
        }
        self.open = self.open.saturating_add(1);
        self.before_key = first != Key::Item && self.open <= DEPTH_MAX;
    }

    fn begin(&mut self, within: Within) {
        self.within = within;
        self.token.clear();
        self.whole = true;
    }

    /// The place in the innermost container, unless it lies too deep.
    fn here(&self) -> Option<Key> {
        self.path.get(self.open.checked_sub(1)?).copied()
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.whole &= self.token.len() + bytes.len() <= TOKEN_MAX_BYTES;
        if self.whole {
            self.token.extend_from_slice(bytes);
        }
    }

    fn text<'b>(
        &mut self,
        bytes: &'b [u8],
        found: &mut impl FnMut(&[Key], Scalar<'_>),
    ) -> &'b [u8] {
        let end = bytes
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\'))
            .unwrap_or(bytes.len());
        let (text, rest) = bytes.split_at(end);
        if self.before_key || self.here().is_some_and(Key::has_text) {
            self.keep(text);
        }
        let Some((end, rest)) = rest.split_first() else {
            return rest;
        };
        if *end == b'\\' {
            // No key and no name of interest has one.
            self.whole = false;
            self.within = Within::Escape;
            return rest;
        }
        self.within = Within::Structure;
        let key = if self.whole {
            Key::of(&self.token)
        } else {
            Key::Other
        };
        match self
            .open
            .checked_sub(1)
            .and_then(|at| self.path.get_mut(at))
        {
            Some(place) if self.before_key => *place = key,
            Some(place) if self.whole && place.has_text() => {
                found(&self.path[..self.open], Scalar::Text(&self.token));
            }
            _ => {}
        }
        rest
    }

    fn literal<'b>(
        &mut self,
        bytes: &'b [u8],
        found: &mut impl FnMut(&[Key], Scalar<'_>),
    ) -> &'b [u8] {
        let ends = |byte: &u8| {
            matches!(
                byte,
                b',' | b':' | b'[' | b']' | b'{' | b'}' | b'"' | b' ' | b'\t' | b'\r' | b'\n'
            )
        };
        let end = bytes.iter().position(ends).unwrap_or(bytes.len());
        let (literal, rest) = bytes.split_at(end);
        self.keep(literal);
        if !rest.is_empty() {
            self.within = Within::Structure;
            if self.whole && self.here().is_some() {
                found(&self.path[..self.open], Scalar::Literal(&self.token));
            }
        }
        rest
    }
}
