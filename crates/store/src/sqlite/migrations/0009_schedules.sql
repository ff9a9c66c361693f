-- What starts runs at certain times. `next_at` is null when it is off.
CREATE TABLE schedules (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    agent_name TEXT NOT NULL,
    timezone TEXT NOT NULL,
    request TEXT NOT NULL,
    next_at INTEGER,
    last_due_at INTEGER,
    last_run_id TEXT,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX schedules_by_user ON schedules (user_id, created_at, id);
CREATE INDEX schedules_by_agent ON schedules (agent_id);
CREATE INDEX schedules_by_next ON schedules (next_at, id) WHERE next_at IS NOT NULL;
