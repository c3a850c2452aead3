-- A live record has an owner, a sealed record and a label; the mark of one that has ended has none of them; that of one
-- that was replaced keeps the record.
CREATE TABLE sessions (
    id           INTEGER PRIMARY KEY,
    key          BLOB NOT NULL UNIQUE,
    until        INTEGER NOT NULL,            -- milliseconds since 1970
    ended        TEXT,                        -- the reason
    owner        BLOB,
    version      INTEGER NOT NULL DEFAULT 1,
    sealed       BLOB,
    label        BLOB,
    seen         INTEGER NOT NULL,            -- seconds since 1970
    fence        INTEGER NOT NULL DEFAULT 0,  -- the greatest that was given
    leased_until INTEGER,                     -- milliseconds since 1970
    CHECK ((ended IS NULL) = (owner IS NOT NULL AND sealed IS NOT NULL AND label IS NOT NULL))
) STRICT;
CREATE INDEX sessions_by_owner ON sessions (owner) WHERE owner IS NOT NULL;
CREATE INDEX sessions_by_until ON sessions (until);

-- Numbers are never given twice, so a reader who stopped at one misses none.
CREATE TABLE revocations (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    until  INTEGER NOT NULL,                  -- milliseconds since 1970
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX revocations_by_until ON revocations (until);
