-- What changes with the state of a run. Its big texts and its counters are apart, because a row is
-- written as a whole.
CREATE TABLE runs (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    status TEXT NOT NULL CHECK (
        status IN ('pending', 'running', 'completed', 'failed', 'timeout', 'cancelled')
    ),
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    completed_at INTEGER,
    agent_id TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    timeout_seconds INTEGER NOT NULL,
    session_id TEXT,
    checkpoint_id TEXT,
    resumed_checkpoint TEXT,
    artifact_storage TEXT,
    artifact_name TEXT,
    artifact_wanted TEXT,
    artifact_shown TEXT,
    artifact_base TEXT,
    artifact_saved TEXT,
    artifact_salvaged TEXT,
    volume_versions TEXT,
    sandbox TEXT,
    sandbox_ready_ms INTEGER,
    exit_code INTEGER,
    usage TEXT,
    error TEXT,
    output TEXT
) STRICT;
CREATE INDEX runs_by_user ON runs (user_id, created_at, id);
CREATE INDEX runs_by_status ON runs (user_id, status, created_at, id);
CREATE INDEX runs_by_agent ON runs (user_id, agent_id, created_at, id);
CREATE INDEX runs_by_agent_status ON runs (user_id, agent_id, status, created_at, id);
CREATE INDEX runs_queue ON runs (created_at, id) WHERE status = 'pending';
CREATE UNIQUE INDEX runs_active_on_session ON runs (session_id)
    WHERE status IN ('pending', 'running');

CREATE TABLE run_inputs (
    run_id TEXT PRIMARY KEY NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    prompt TEXT NOT NULL,
    variables TEXT NOT NULL,
    secret_names TEXT NOT NULL,
    volumes TEXT NOT NULL
) STRICT;

-- Sealed values wait here until the run is claimed or cancelled.
CREATE TABLE run_sealed (
    run_id TEXT PRIMARY KEY NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;

-- The lease (epoch 0 before the first claim, no expiry once the run ended) and what is recorded.
CREATE TABLE run_progress (
    run_id TEXT PRIMARY KEY NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    epoch INTEGER NOT NULL,
    runner TEXT,
    expires_at INTEGER,
    event_count INTEGER NOT NULL,
    log_count INTEGER NOT NULL,
    metric_count INTEGER NOT NULL
) STRICT;
CREATE INDEX run_progress_by_expiry ON run_progress (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE run_keys (
    user_id TEXT NOT NULL REFERENCES users (id),
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT;
CREATE INDEX run_keys_by_run ON run_keys (run_id);
