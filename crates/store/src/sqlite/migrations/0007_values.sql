-- Stored values for templates. A secret is sealed with a key that the database does not hold.
CREATE TABLE secrets (
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT;
CREATE INDEX secrets_by_user ON secrets (user_id, created_at, name);

CREATE TABLE variables (
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT;
CREATE INDEX variables_by_user ON variables (user_id, created_at, name);
