-- Programs that ask to sign in (RFC 8628). Neither code is stored, only what it hashes to.
CREATE TABLE device_codes (
    hash TEXT PRIMARY KEY NOT NULL,
    user_code_hash TEXT NOT NULL UNIQUE,
    client TEXT,
    address TEXT,
    status TEXT NOT NULL,
    user_id TEXT REFERENCES users (id),
    polled_at INTEGER,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK ((status = 'pending') = (user_id IS NULL))
) STRICT;
CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);

-- One-time links. That of nobody is for the first user, who is made with it.
CREATE TABLE sign_in_links (
    hash TEXT PRIMARY KEY NOT NULL,
    user_id TEXT REFERENCES users (id),
    used_at INTEGER,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_in_links_by_user ON sign_in_links (user_id, created_at);
CREATE INDEX sign_in_links_by_expiry ON sign_in_links (expires_at);

-- Users signed in on the server's pages. A session that began with a token ends with it.
CREATE TABLE page_sessions (
    hash TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    token_id TEXT REFERENCES tokens (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX page_sessions_by_user ON page_sessions (user_id, created_at);
CREATE INDEX page_sessions_by_token ON page_sessions (token_id);
CREATE INDEX page_sessions_by_expiry ON page_sessions (expires_at);
