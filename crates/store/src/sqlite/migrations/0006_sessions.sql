CREATE TABLE checkpoints (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    run_id TEXT NOT NULL REFERENCES runs (id),
    session_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    variables TEXT NOT NULL,
    secret_names TEXT NOT NULL,
    artifact_name TEXT,
    artifact_version TEXT,
    volume_versions TEXT NOT NULL,
    volumes_given TEXT NOT NULL,
    framework TEXT NOT NULL,
    agent_session_id TEXT NOT NULL,
    history TEXT,
    working_dir TEXT NOT NULL,
    token_total TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX checkpoints_by_run ON checkpoints (run_id);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    agent_id TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    artifact_name TEXT,
    last_run_id TEXT NOT NULL REFERENCES runs (id),
    last_checkpoint_id TEXT NOT NULL REFERENCES checkpoints (id),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_by_agent ON sessions (user_id, agent_id, created_at, id);
