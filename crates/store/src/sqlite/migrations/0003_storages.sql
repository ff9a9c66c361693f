CREATE TABLE storages (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL CHECK (kind IN ('volume', 'artifact')),
    name TEXT NOT NULL,
    head TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (user_id, kind, name)
) STRICT;
CREATE INDEX storages_by_user ON storages (user_id, kind, created_at, id);

CREATE TABLE storage_versions (
    storage_id TEXT NOT NULL REFERENCES storages (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    manifest_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    file_count INTEGER NOT NULL,
    message TEXT,
    created_by TEXT NOT NULL CHECK (created_by IN ('user', 'run')),
    created_at INTEGER NOT NULL,
    run_id TEXT,
    salvaged INTEGER NOT NULL CHECK (salvaged IN (0, 1)),
    PRIMARY KEY (storage_id, id)
) STRICT;
CREATE INDEX storage_versions_by_time ON storage_versions (storage_id, created_at, id);

CREATE TABLE uploads (
    id TEXT PRIMARY KEY NOT NULL,
    storage_id TEXT NOT NULL REFERENCES storages (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    committed TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
CREATE INDEX uploads_by_storage ON uploads (storage_id);
