-- A store of format 1 (the first release): jobs in several states, with attempts and profiles.
-- Never edit it: it is what old daemons left on disk.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
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
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_end ON jobs (completed_at) WHERE state >= 2;
CREATE TABLE workflows (
    seq INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
    text TEXT NOT NULL,
    extra_data TEXT
);
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
    error_traceback TEXT,
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;
CREATE TABLE profiles (
    seq INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (seq, number)
);
INSERT INTO meta VALUES ('probe', x'00');
-- Completed in its second attempt.
INSERT INTO jobs VALUES (1, '0199aaaa-0000-7000-8000-000000000001', 2, 5, 1700000000000001,
    1700000000000011, 1700000000000021, 'one', '11111111-0000-4000-8000-000000000002', 2, 7, 0, 1, 1,
    0, 0, 'aaaa', NULL, NULL, NULL, NULL, '{"who":"me"}', NULL, '{"9":{"images":[]}}', NULL, NULL);
INSERT INTO workflows VALUES (1, '{"1":{"inputs":{}}}', '{"x":1}');
INSERT INTO attempts VALUES (1, 1, 4, 'two', 'http://h:2', '11111111-0000-4000-8000-000000000001',
    '21111111-0000-4000-8000-000000000001', 1700000000000002, 1700000000000003, 1700000000000004,
    1700000000000005, 'lost', 'the backend lost it', NULL, NULL, NULL, NULL);
INSERT INTO attempts VALUES (1, 2, 1, 'one', 'http://h:1', '11111111-0000-4000-8000-000000000002',
    '21111111-0000-4000-8000-000000000002', 1700000000000006, 1700000000000007, 1700000000000011,
    1700000000000021, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO profiles VALUES (1, 1, '{"attempt":1}');
INSERT INTO profiles VALUES (1, 2, '{"attempt":2}');
-- Queued.
INSERT INTO jobs VALUES (2, '0199aaaa-0000-7000-8000-000000000002', 0, -3, 1700000000000101, 0, 0,
    NULL, NULL, 0, 3, 0, 4, 0, 0, 0, 'bbbb', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO workflows VALUES (2, '{"2":{"inputs":{}}}', NULL);
-- Running, after a restart had cut one attempt off.
INSERT INTO jobs VALUES (3, '0199aaaa-0000-7000-8000-000000000003', 1, 0, 1700000000000201, 0, 0,
    'one', '33333333-0000-4000-8000-000000000002', 2, 1, 1, 2, 1, 1, 0, 'cccc', NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL);
INSERT INTO workflows VALUES (3, '{"3":{"inputs":{}}}', NULL);
INSERT INTO attempts VALUES (3, 1, 4, 'one', 'http://h:1', '33333333-0000-4000-8000-000000000001',
    '23333333-0000-4000-8000-000000000001', 1700000000000202, 0, 0, 1700000000000203, 'lost', 'cut off',
    NULL, NULL, NULL, NULL);
INSERT INTO attempts VALUES (3, 2, 0, 'one', 'http://h:1', '33333333-0000-4000-8000-000000000002',
    '23333333-0000-4000-8000-000000000002', 1700000000000204, 1700000000000205, 0, 0, NULL, NULL, NULL,
    NULL, NULL, NULL);
-- Failed.
INSERT INTO jobs VALUES (4, '0199aaaa-0000-7000-8000-000000000004', 3, 0, 1700000000000301,
    1700000000000302, 1700000000000303, 'two', '44444444-0000-4000-8000-000000000001', 1, 3, 0, 1, 1, 0,
    1, 'dddd', 'node_failed', 'it broke', '3', 'KSampler', NULL, '{"4":{}}', NULL, '{}', '["a"]');
INSERT INTO workflows VALUES (4, '{"4":{"inputs":{}}}', NULL);
INSERT INTO attempts VALUES (4, 1, 2, 'two', 'http://h:2', '44444444-0000-4000-8000-000000000001',
    '24444444-0000-4000-8000-000000000001', 1700000000000302, 1700000000000302, 1700000000000302,
    1700000000000303, 'node_failed', 'it broke', '3', 'KSampler', '{}', '["a"]');
PRAGMA user_version = 1;
COMMIT;
