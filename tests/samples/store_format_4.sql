-- A store of format 4: as format 3, with a client, dependencies, a batch, an upload and a copy. Never edit it:
-- it is what old daemons left on disk.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE attempts (
    seq INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    backend TEXT,
    backend_url TEXT,
    prompt_id TEXT,
    client_id TEXT,
    intent_at INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    completed_at INTEGER NOT NULL,
    error_code TEXT,
    error_message TEXT,
    error_node_id TEXT,
    error_node_type TEXT,
    error_node_errors TEXT,
    error_traceback TEXT, late INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;
INSERT INTO "attempts" VALUES(1,1,1,'one','http://h:1','11111111-0000-4000-8000-000000000001','21111111-0000-4000-8000-000000000001',1700000000000006,1700000000000007,1700000000000011,1700000000000021,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO "attempts" VALUES(2,1,6,'two','http://h:2','22222222-0000-4000-8000-000000000001','23222222-0000-4000-8000-000000000001',1700000000000102,0,0,1700000000000149,'workflow_invalid','no such model',NULL,NULL,NULL,NULL,0);
INSERT INTO "attempts" VALUES(3,1,5,'two','http://h:2','44444444-0000-4000-8000-000000000001','24444444-0000-4000-8000-000000000001',1700000000000302,1700000000000302,1700000000000302,1700000000000303,'job_timeout','it took too long',NULL,NULL,NULL,NULL,1);
CREATE TABLE backends (name TEXT PRIMARY KEY, url TEXT, weight INTEGER NOT NULL,
    max_in_flight INTEGER NOT NULL, labels TEXT, removed INTEGER NOT NULL, admin INTEGER NOT NULL)
    WITHOUT ROWID;
INSERT INTO "backends" VALUES('three','http://u:p@h:3',2,4,'["gpu=4090"]',0,1);
CREATE TABLE batches (    id TEXT PRIMARY KEY,    made_at INTEGER NOT NULL,    total INTEGER NOT NULL,    told INTEGER NOT NULL,    hook_url TEXT,    hook_events INTEGER NOT NULL,    hook_secret TEXT,    text TEXT NOT NULL,    extra_data TEXT) WITHOUT ROWID;
INSERT INTO "batches" VALUES('0199cccc-0000-7000-8000-000000000001',1700000000000001,1,1,NULL,0,NULL,'{"1":{"inputs":{}}}',NULL);
CREATE TABLE deliveries (    n INTEGER PRIMARY KEY,    id TEXT NOT NULL UNIQUE,    job_id TEXT NOT NULL,    type TEXT NOT NULL,    url TEXT NOT NULL,    host TEXT NOT NULL,    secret TEXT,    configured INTEGER NOT NULL,    state INTEGER NOT NULL,    tries INTEGER NOT NULL,    last_status INTEGER NOT NULL,    last_error TEXT,    made_at INTEGER NOT NULL,    next_at INTEGER NOT NULL,    body TEXT NOT NULL);
INSERT INTO "deliveries" VALUES(1,'0199cccc-0000-7000-8000-000000000001','0199bbbb-0000-7000-8000-000000000001','job:completed','https://h/x','h:443',NULL,1,1,2,500,'the receiver answered 500',1700000000000001,1700000000000002,'{}');
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    completed_at INTEGER NOT NULL,
    backend TEXT,
    prompt_id TEXT,
    attempts INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    cut_off INTEGER NOT NULL,
    nodes_total INTEGER NOT NULL,
    profiled INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    partial INTEGER NOT NULL,
    workflow_hash TEXT NOT NULL,
    error_code TEXT,
    error_message TEXT,
    error_node_id TEXT,
    error_node_type TEXT,
    metadata TEXT,
    node_errors TEXT,
    outputs TEXT,
    error_node_errors TEXT,
    error_traceback TEXT
, waiting_since INTEGER NOT NULL DEFAULT 0, budget_since INTEGER NOT NULL DEFAULT 0,
    free_attempts INTEGER NOT NULL DEFAULT 0, oom INTEGER NOT NULL DEFAULT 0,
    left_dead INTEGER NOT NULL DEFAULT 0, retry_delay_ms INTEGER NOT NULL DEFAULT 1000,
    queue_timeout_ms INTEGER NOT NULL DEFAULT 0, start_timeout_ms INTEGER NOT NULL DEFAULT 60000,
    node_timeout_ms INTEGER NOT NULL DEFAULT 0, job_timeout_ms INTEGER NOT NULL DEFAULT 0,
    retry_on INTEGER NOT NULL DEFAULT 15, cost_key TEXT, executed INTEGER NOT NULL DEFAULT -1, trace TEXT, hook_url TEXT, hook_events INTEGER NOT NULL DEFAULT 0, hook_secret TEXT, client TEXT, batch_id TEXT, not_before INTEGER NOT NULL DEFAULT 0, auto_seeds TEXT, after_jobs TEXT, spec TEXT, overrides TEXT, placement TEXT, attachments TEXT, keep INTEGER NOT NULL DEFAULT 0, stamped_end_ms INTEGER NOT NULL DEFAULT 0);
INSERT INTO "jobs" VALUES(1,'0199bbbb-0000-7000-8000-000000000001',2,5,1700000000000001,1700000000000011,1700000000000021,'one','11111111-0000-4000-8000-000000000001',1,7,0,1,1,0,0,'aaaa',NULL,NULL,NULL,NULL,'{"who":"me"}',NULL,'{"9":{"images":[]}}',NULL,NULL,1700000000000001,1700000000000001,0,0,0,250,11,12,13,14,3,'aaaa',3,'0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331','https://h/x',3,'whsec_eA==','ann','0199cccc-0000-7000-8000-000000000001',0,NULL,NULL,NULL,NULL,'{"backend":"one"}',NULL,1,1700000000009);
INSERT INTO "jobs" VALUES(2,'0199bbbb-0000-7000-8000-000000000002',0,-3,1700000000000101,0,0,NULL,NULL,1,3,0,4,0,0,0,'bbbb',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1700000000000150,1700000000000101,1,0,0,1000,0,60000,0,0,15,NULL,-1,NULL,NULL,0,NULL,NULL,NULL,1700000000000900,NULL,'["0199bbbb-0000-7000-8000-000000000001"]','{"labels":["gpu"]}',NULL,NULL,NULL,0,0);
INSERT INTO "jobs" VALUES(3,'0199bbbb-0000-7000-8000-000000000003',3,0,1700000000000301,1700000000000302,1700000000000303,'two','44444444-0000-4000-8000-000000000001',1,1,0,1,0,0,0,'dddd','job_timeout','it took too long',NULL,NULL,NULL,NULL,NULL,NULL,NULL,1700000000000301,1700000000000301,0,0,1,1000,0,60000,0,500,15,NULL,-1,NULL,NULL,0,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
CREATE TABLE kept (    seq INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,    job_id TEXT NOT NULL,    ended_at INTEGER NOT NULL,    files TEXT NOT NULL);
INSERT INTO "kept" VALUES(1,'0199bbbb-0000-7000-8000-000000000001',1700000000000009,'[]');
CREATE TABLE keys (key TEXT PRIMARY KEY, digest TEXT NOT NULL, job_id TEXT NOT NULL,
    status INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "keys" VALUES('/order-1','d1','0199bbbb-0000-7000-8000-000000000001',202,1700000000000001);
CREATE TABLE measurements (    n INTEGER PRIMARY KEY,    data BLOB NOT NULL);
INSERT INTO "measurements" VALUES(1,X'00');
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE profiles (
    seq INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (seq, number)
);
INSERT INTO "profiles" VALUES(1,1,'{"attempt":1}');
CREATE TABLE rollup_keys (    kind INTEGER NOT NULL,    key TEXT NOT NULL,    last INTEGER NOT NULL,    PRIMARY KEY (kind, key)) WITHOUT ROWID;
INSERT INTO "rollup_keys" VALUES(1,'aaaa',1700000000000001);
CREATE TABLE rollups (    kind INTEGER NOT NULL,    key TEXT NOT NULL,    start INTEGER NOT NULL,    span INTEGER NOT NULL,    label TEXT,    data BLOB NOT NULL,    PRIMARY KEY (kind, key, start, span)) WITHOUT ROWID;
INSERT INTO "rollups" VALUES(1,'aaaa',472222,1,NULL,X'0102');
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "settings" VALUES('queue.paused','true');
CREATE TABLE strays (prompt_id TEXT PRIMARY KEY, client_id TEXT, backend TEXT, backend_url TEXT,
    seq INTEGER NOT NULL, number INTEGER NOT NULL, since INTEGER NOT NULL,
    holds_slot INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "strays" VALUES('55555555-0000-4000-8000-000000000001','25555555-0000-4000-8000-000000000001','two','http://h:2',3,1,1700000000000304,1);
CREATE TABLE uploads (    sha256 TEXT PRIMARY KEY,    size INTEGER NOT NULL,    used_at INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "uploads" VALUES('aa',5,1700000000000001);
CREATE TABLE workflows (
    seq INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
    text TEXT NOT NULL,
    extra_data TEXT
);
INSERT INTO "workflows" VALUES(1,'{"1":{"inputs":{}}}','{"x":1}');
INSERT INTO "workflows" VALUES(2,'{"2":{"inputs":{}}}',NULL);
INSERT INTO "workflows" VALUES(3,'{"4":{"inputs":{}}}',NULL);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_end ON jobs (completed_at) WHERE state >= 2;
CREATE INDEX keys_by_age ON keys (at);
CREATE INDEX jobs_by_cost ON jobs (cost_key, completed_at)    WHERE state = 2 AND profiled AND executed > 0;
CREATE INDEX rollups_by_age ON rollups (span, start);
CREATE INDEX rollup_keys_by_age ON rollup_keys (kind, last);
CREATE INDEX deliveries_due ON deliveries (host, next_at) WHERE state < 2;
CREATE INDEX deliveries_dead ON deliveries (next_at) WHERE state >= 2;
CREATE INDEX jobs_by_batch ON jobs (batch_id, state) WHERE batch_id IS NOT NULL;
CREATE TRIGGER batches_end AFTER DELETE ON jobs WHEN old.batch_id IS NOT NULL BEGIN     DELETE FROM batches WHERE id = old.batch_id AND NOT EXISTS (        SELECT 1 FROM jobs WHERE batch_id = old.batch_id);END;
PRAGMA user_version = 4;
COMMIT;
