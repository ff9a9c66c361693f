PRAGMA foreign_keys = OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'users','2026-11-24 01:08:40',1,X'B0C83C631F2036E333E9A50464ED1EAE923FBC2F614B23A7F33B2AC6CD39849268BD6EB036AD40CCD189361CBCF570F2',434046);
INSERT INTO "_sqlx_migrations" VALUES(2,'agents','2026-11-24 01:08:40',1,X'9BE99D35D886BAE35361F8AAD2B03D54FE75D347DD11E6C97378E1B2FC949F4FF535F8A4C6743CDA1AD629BD0962A71B',567124);
INSERT INTO "_sqlx_migrations" VALUES(3,'storages','2026-11-24 01:08:40',1,X'20EE8D7E8C00F91DF8DA5D1F084238E7ACA9DBE2E05A733E882DC90F76A4F2330E865FE0AED9CF58B1B7D61E1FC79FF0',753312);
INSERT INTO "_sqlx_migrations" VALUES(4,'runs','2026-11-24 01:08:40',1,X'AE6B0379701903746B6F81D240D9059B563DC5BAEE1085DA7CEDFB9D232E8CF342E1C8565F6D7BDA42A620F6AD72C945',751869);
INSERT INTO "_sqlx_migrations" VALUES(5,'events','2026-11-24 01:08:40',1,X'E35C251C1B3695AC9844C4F3E75317AE4CF33126EED14B9163A97862118273BA72D549F974B5A45860C7BC9C58566493',678029);
INSERT INTO "_sqlx_migrations" VALUES(6,'sessions','2026-11-24 01:08:40',1,X'314A800AD2500D67B6E36399589071E777AA82640CD3597D8581F6303DACB24C2A68F167349C4CE53CBA855D0764AF40',546444);
INSERT INTO "_sqlx_migrations" VALUES(7,'values','2026-11-24 17:00:00',1,X'ED8996B9A40FE15B4BB2760A5894FDA8BC6DDE702F96D2F2C4CFD6AF2CB53F9786FD63D0C56658C8B27403D67D02B930',512345);
INSERT INTO "_sqlx_migrations" VALUES(8,'sign in','2026-11-24 20:00:00',1,X'B7EAC973940C1A8EBD0266AE13D3E810F87D99601D606614BAB8DB10BB45773E9C7B14F44FB1291160AD5CE5BA98E1A6',498765);
INSERT INTO "_sqlx_migrations" VALUES(9,'schedules','2026-11-24 20:00:00',1,X'A81C7672E4C9EFBD403237CE53DF905B38A07816BD854520025AEDDBB52158889EA088487FEC4EA9EFDFE5D70246A069',100000);
INSERT INTO "_sqlx_migrations" VALUES(10,'run networks','2026-11-24 23:30:00',1,X'0A55FE18185787CE26DD58D5626AE509408C4365519418D6C9AAFBB3E7175EB10547CCEAC6DFE138C341DCB030F12F77',100000);
CREATE TABLE agent_versions (
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    number INTEGER NOT NULL,
    config TEXT NOT NULL,
    message TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (agent_id, id),
    UNIQUE (agent_id, number)
) STRICT;
INSERT INTO "agent_versions" VALUES('01a20b19-0da5-77a2-8504-b23a42f85e8c','0101010101010101010101010101010101010101010101010101010101010101',1,'{"config":1}','message 1','maria',1800000000001000);
CREATE TABLE agents (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    description TEXT,
    head TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (user_id, name)
) STRICT;
INSERT INTO "agents" VALUES('01a20b19-0da5-77a2-8504-b23a42f85e8c','01a20b19-0da5-77a2-8504-b2398cf512e2','my-agent','configuration 1','0101010101010101010101010101010101010101010101010101010101010101',1800000000001000,1800000000001000);
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
INSERT INTO "checkpoints" VALUES('01a20b19-0daf-759e-a44a-2f6ee8485fcb','01a20b19-0da5-77a2-8504-b2398cf512e2','01a20b19-0da9-75a5-9ae4-cb3ee524da79','01a20b19-0daf-759e-a44a-2f6f2afa56d4','01a20b19-0da5-77a2-8504-b23a42f85e8c','my-agent','0101010101010101010101010101010101010101010101010101010101010101','{"A":"1"}','["KEY"]','out','0707070707070707070707070707070707070707070707070707070707070707','{"input":"0101010101010101010101010101010101010101010101010101010101010101"}','{"input":"latest"}','claude-code','conversation-1',NULL,'/home/user/workspace','{"input_tokens":3,"output_tokens":4}',1800000000009000);
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
INSERT INTO "device_codes" VALUES('device-1','user-1','vm0/0.1.0','127.0.0.1','pending',NULL,NULL,1800000900000000,1800000000000000);
INSERT INTO "device_codes" VALUES('device-2','user-2',NULL,NULL,'approved','01a20b19-0da5-77a2-8504-b2398cf512e2',1800000000001000,1800000900000000,1800000000000000);
CREATE TABLE events (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT;
INSERT INTO "events" VALUES('01a20b19-0da9-75a5-9ae4-cb3ee524da79',1,1,1800000000000000,'assistant','{"type":"assistant","n":0,"sequenceNumber":1}');
INSERT INTO "events" VALUES('01a20b19-0da9-75a5-9ae4-cb3ee524da79',2,2,1800000000001000,'assistant','{"type":"assistant","n":1,"sequenceNumber":2}');
CREATE TABLE logs (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    arrival INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('system', 'network')),
    level TEXT NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error')),
    message TEXT NOT NULL,
    metadata TEXT
) STRICT;
CREATE TABLE metrics (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    cpu_percent REAL NOT NULL,
    memory_used_bytes INTEGER NOT NULL,
    memory_total_bytes INTEGER NOT NULL,
    disk_used_bytes INTEGER NOT NULL,
    disk_total_bytes INTEGER NOT NULL,
    network_rx_bytes INTEGER NOT NULL,
    network_tx_bytes INTEGER NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE page_sessions (
    hash TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    token_id TEXT REFERENCES tokens (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO "page_sessions" VALUES('session-1','01a20b19-0da5-77a2-8504-b2398cf512e2','01a20b19-0da7-72ae-b8c0-c8027554fd66',1800604800000000,1800000000000000);
CREATE TABLE run_inputs (
    run_id TEXT PRIMARY KEY NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    prompt TEXT NOT NULL,
    variables TEXT NOT NULL,
    secret_names TEXT NOT NULL,
    volumes TEXT NOT NULL
) STRICT;
INSERT INTO "run_inputs" VALUES('01a20b19-0da9-75a5-9ae4-cb3ee524da79','Hello','{"A":"1"}','["KEY"]','[{"key":"input","path":"/data","name":"data","storage_id":"01a20b19-0da7-72ae-b8c0-c8033a48e608","wanted":"latest","given":"latest","optional":false}]');
CREATE TABLE run_keys (
    user_id TEXT NOT NULL REFERENCES users (id),
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT;
INSERT INTO "run_keys" VALUES('01a20b19-0da5-77a2-8504-b2398cf512e2','key','digest','01a20b19-0da9-75a5-9ae4-cb3ee524da79',1800000000005000);
CREATE TABLE run_networks (
    run_id TEXT PRIMARY KEY NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    policy TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
INSERT INTO "run_networks" VALUES('01a20b19-0da9-75a5-9ae4-cb3ee524da79',2,'{"mode":"allowlist","inspect":false,"rules":[]}',1800000000006000);
CREATE TABLE run_progress (
    run_id TEXT PRIMARY KEY NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    epoch INTEGER NOT NULL,
    runner TEXT,
    expires_at INTEGER,
    event_count INTEGER NOT NULL,
    log_count INTEGER NOT NULL,
    metric_count INTEGER NOT NULL
) STRICT;
INSERT INTO "run_progress" VALUES('01a20b19-0da9-75a5-9ae4-cb3ee524da79',1,'runner',NULL,2,0,0);
CREATE TABLE run_sealed (
    run_id TEXT PRIMARY KEY NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;
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
INSERT INTO "runs" VALUES('01a20b19-0da9-75a5-9ae4-cb3ee524da79','01a20b19-0da5-77a2-8504-b2398cf512e2','completed',1800000000005000,1800000000006000,1800000000009000,'01a20b19-0da5-77a2-8504-b23a42f85e8c','my-agent','0101010101010101010101010101010101010101010101010101010101010101',7200,'01a20b19-0daf-759e-a44a-2f6f2afa56d4','01a20b19-0daf-759e-a44a-2f6ee8485fcb',NULL,'01a20b19-0da9-75a5-9ae4-cb3d45903d68','out','latest',NULL,NULL,'0707070707070707070707070707070707070707070707070707070707070707',NULL,'{"input":"0101010101010101010101010101010101010101010101010101010101010101"}','gvisor',NULL,0,'{"input_tokens":1,"output_tokens":null,"cost_usd":0.5}',NULL,'done');
CREATE TABLE secrets (
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT;
INSERT INTO "secrets" VALUES('01a20b19-0da5-77a2-8504-b2398cf512e2','API_KEY',1800000000002000,1800000000003000,X'0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728');
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
INSERT INTO "sessions" VALUES('01a20b19-0daf-759e-a44a-2f6f2afa56d4','01a20b19-0da5-77a2-8504-b2398cf512e2','01a20b19-0da5-77a2-8504-b23a42f85e8c','my-agent','out','01a20b19-0da9-75a5-9ae4-cb3ee524da79','01a20b19-0daf-759e-a44a-2f6ee8485fcb',1800000000009000,1800000000009000);
CREATE TABLE sign_in_links (
    hash TEXT PRIMARY KEY NOT NULL,
    user_id TEXT REFERENCES users (id),
    used_at INTEGER,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO "sign_in_links" VALUES('link-1',NULL,1800000000005000,1800086400000000,1800000000000000);
INSERT INTO "sign_in_links" VALUES('link-2','01a20b19-0da5-77a2-8504-b2398cf512e2',NULL,1800000600000000,1800000000000000);
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
INSERT INTO "storage_versions" VALUES('01a20b19-0da7-72ae-b8c0-c8033a48e608','0101010101010101010101010101010101010101010101010101010101010101','0101010101010101010101010101010101010101010101010101010101010101',1,1,'commit at 1','user',1800000000001000,NULL,0);
INSERT INTO "storage_versions" VALUES('01a20b19-0da9-75a5-9ae4-cb3d45903d68','0707070707070707070707070707070707070707070707070707070707070707','0707070707070707070707070707070707070707070707070707070707070707',10,1,'Checkpoint from run 01a20b19-0da9-75a5-9ae4-cb3ee524da79','run',1800000000009000,'01a20b19-0da9-75a5-9ae4-cb3ee524da79',0);
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
INSERT INTO "storages" VALUES('01a20b19-0da7-72ae-b8c0-c8033a48e608','01a20b19-0da5-77a2-8504-b2398cf512e2','volume','data','0101010101010101010101010101010101010101010101010101010101010101',1800000000000000,1800000000001000);
INSERT INTO "storages" VALUES('01a20b19-0da9-75a5-9ae4-cb3d45903d68','01a20b19-0da5-77a2-8504-b2398cf512e2','artifact','out','0707070707070707070707070707070707070707070707070707070707070707',1800000000005000,1800000000009000);
CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT REFERENCES users (id),
    runner TEXT,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    created_at INTEGER NOT NULL,
    CHECK ((user_id IS NULL) <> (runner IS NULL))
) STRICT;
INSERT INTO "tokens" VALUES('01a20b19-0da7-72ae-b8c0-c8027554fd66','01a20b19-0da5-77a2-8504-b2398cf512e2',NULL,'laptop','hash-1','vm0_live_1234567...',1800000000009000,NULL,1800000000001000);
CREATE TABLE uploads (
    id TEXT PRIMARY KEY NOT NULL,
    storage_id TEXT NOT NULL REFERENCES storages (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    committed TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO "users" VALUES('01a20b19-0da5-77a2-8504-b2398cf512e2','maria',1800000000000000);
CREATE TABLE variables (
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT;
INSERT INTO "variables" VALUES('01a20b19-0da5-77a2-8504-b2398cf512e2','REGION',1800000000004000,1800000000004000,'eu-west');
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
INSERT INTO "schedules" VALUES('01a20b19-0da5-77a2-8504-b2398cf51301','01a20b19-0da5-77a2-8504-b2398cf512e2','01a20b19-0da5-77a2-8504-b23a42f85e8c','my-agent','Europe/Berlin','{"cron":"0 9 * * 1-5","timezone":"Europe/Berlin","agent":"my-agent","prompt":"Sum it up"}',1800000001005000,1800000000005000,NULL,'The server did not run',1800000000005000,1800000000005000);
CREATE INDEX tokens_by_user ON tokens (user_id, created_at, id);
CREATE INDEX agents_by_user ON agents (user_id, created_at, id);
CREATE INDEX storages_by_user ON storages (user_id, kind, created_at, id);
CREATE INDEX storage_versions_by_time ON storage_versions (storage_id, created_at, id);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
CREATE INDEX uploads_by_storage ON uploads (storage_id);
CREATE INDEX runs_by_user ON runs (user_id, created_at, id);
CREATE INDEX runs_by_status ON runs (user_id, status, created_at, id);
CREATE INDEX runs_by_agent ON runs (user_id, agent_id, created_at, id);
CREATE INDEX runs_by_agent_status ON runs (user_id, agent_id, status, created_at, id);
CREATE INDEX runs_queue ON runs (created_at, id) WHERE status = 'pending';
CREATE UNIQUE INDEX runs_active_on_session ON runs (session_id)
    WHERE status IN ('pending', 'running');
CREATE INDEX run_progress_by_expiry ON run_progress (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX run_keys_by_run ON run_keys (run_id);
CREATE INDEX events_by_time ON events (run_id, timestamp, arrival);
CREATE INDEX logs_by_time ON logs (run_id, kind, level, timestamp, arrival);
CREATE INDEX checkpoints_by_run ON checkpoints (run_id);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_by_agent ON sessions (user_id, agent_id, created_at, id);
CREATE INDEX secrets_by_user ON secrets (user_id, created_at, name);
CREATE INDEX variables_by_user ON variables (user_id, created_at, name);
CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);
CREATE INDEX sign_in_links_by_user ON sign_in_links (user_id, created_at);
CREATE INDEX sign_in_links_by_expiry ON sign_in_links (expires_at);
CREATE INDEX page_sessions_by_user ON page_sessions (user_id, created_at);
CREATE INDEX page_sessions_by_token ON page_sessions (token_id);
CREATE INDEX page_sessions_by_expiry ON page_sessions (expires_at);
CREATE INDEX schedules_by_user ON schedules (user_id, created_at, id);
CREATE INDEX schedules_by_agent ON schedules (agent_id);
CREATE INDEX schedules_by_next ON schedules (next_at, id) WHERE next_at IS NOT NULL;
COMMIT;
