-- Administrative actions. Nothing refers to anything: a line outlives what it is about.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    token_id TEXT,
    address TEXT,
    action TEXT NOT NULL,
    object TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at, seq);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'a line of the audit is never changed');
END;
