-- The network policy of a run, once it took the place of that of the configuration.
CREATE TABLE run_networks (
    run_id TEXT PRIMARY KEY NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    policy TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
