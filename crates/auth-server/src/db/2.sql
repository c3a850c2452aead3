-- Second factors. The secret is sealed under a key that is not in this file; `last_step` is the newest step of 30 s
-- whose code was accepted, and no older one is accepted any more.
create table factors (
    id                 text    not null primary key,
    user_id            text    not null references users (id) on delete cascade,
    friendly_name      text    not null,
    secret             text    not null,
    verified           integer not null default 0,
    last_step          integer not null default 0,
    wrong_tries        integer not null default 0,
    tried_at           integer,
    last_challenged_at integer,
    created_at         integer not null,
    updated_at         integer not null
) strict;
create index factors_user on factors (user_id);

create table challenges (
    id         text    not null primary key,
    factor_id  text    not null references factors (id) on delete cascade,
    used       integer not null default 0,
    created_at integer not null
) strict;
create index challenges_factor on challenges (factor_id, created_at);

-- The factor that raised a session to aal2.
alter table sessions add column factor_id text references factors (id) on delete set null;

-- Whose account a round trip to a provider shall be linked to.
alter table flows add column linking text references users (id) on delete cascade;

-- 1 once one half of a change of address was proved and the other is awaited.
alter table users add column email_change_half integer not null default 0;

-- When an administrator deleted the person and kept the row, without anything that says who it was.
alter table users add column deleted_at integer;
