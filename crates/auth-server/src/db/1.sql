-- Times are microseconds since 1970 in UTC, ids are UUIDs as text, documents are JSON as text.

create table users (
    id                       text    not null primary key,
    email                    text    unique,
    -- 1 once its owner proved to receive mail there, or a provider vouched for it; auto-confirmation proves nothing.
    email_proven             integer not null default 0,
    password                 text,
    role                     text    not null,
    app_metadata             text    not null,
    user_metadata            text    not null,
    is_anonymous             integer not null default 0,
    email_confirmed_at       integer,
    invited_at               integer,
    confirmation_sent_at     integer,
    recovery_sent_at         integer,
    new_email                text,
    email_change_sent_at     integer,
    reauthentication_sent_at integer,
    last_sign_in_at          integer,
    banned_until             integer,
    created_at               integer not null,
    updated_at               integer not null
) strict;

-- Who somebody is at a provider: issuer and subject, never an address.
create table identities (
    id              text    not null primary key,
    user_id         text    not null references users (id) on delete cascade,
    provider        text    not null,
    issuer          text    not null,
    subject         text    not null check (subject <> ''),
    data            text    not null,
    email           text,
    last_sign_in_at integer not null,
    created_at      integer not null,
    updated_at      integer not null,
    unique (issuer, subject)
) strict;
create index identities_user on identities (user_id);

-- The refresh token of a session is derived from its id and counter under a key that is not in this file.
create table sessions (
    id           text    not null primary key,
    user_id      text    not null references users (id) on delete cascade,
    counter      integer not null default 0,
    aal          text    not null default 'aal1',
    amr          text    not null,
    created_at   integer not null,
    refreshed_at integer not null
) strict;
create index sessions_user on sessions (user_id);

-- A round trip to a provider or through a mail. `id` is the state; the code is kept as a digest.
create table flows (
    id             text    not null primary key,
    provider       text    not null,
    method         text    not null,
    challenge      text,
    redirect_to    text    not null,
    user_id        text    references users (id) on delete cascade,
    code_digest    text    unique,
    provider_token text,
    created_at     integer not null,
    returned_at    integer,
    code_issued_at integer
) strict;
create index flows_created on flows (created_at);

-- At most one secret of a kind for a user: asking again replaces it.
create table one_time_secrets (
    user_id     text    not null references users (id) on delete cascade,
    kind        text    not null,
    address     text    not null,
    link_digest text    not null unique,
    code_mac    text    not null,
    tries       integer not null default 0,
    flow_id     text    references flows (id) on delete set null,
    created_at  integer not null,
    primary key (user_id, kind)
) strict;
