-- Refresh tokens in the form of older projects: a row each, kept as a digest (AUTH_REFRESH_TOKENS=legacy). The counter
-- of the newest is the counter of its session; `parent` is the counter of the one in whose place it was given out.
create table refresh_tokens (
    digest     text    not null primary key,
    session_id text    not null references sessions (id) on delete cascade,
    counter    integer not null,
    parent     integer,
    revoked    integer not null default 0,
    changed_at integer not null,
    unique (session_id, counter)
) strict;
