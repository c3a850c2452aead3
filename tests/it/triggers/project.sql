-- What a Supabase project has and a bare PostgreSQL has not, as far as the triggers touch it. The roles have the rights
-- that they have there: postgres is no superuser and does not own the tables of auth.
create role postgres login;
create role supabase_auth_admin login;
grant create on database template1 to postgres;

create schema extensions;
grant usage on schema extensions to public;
create extension pgcrypto with schema extensions;

create schema auth authorization supabase_auth_admin;
set role supabase_auth_admin;
create table auth.users (
  id uuid primary key, last_sign_in_at timestamptz, banned_until timestamptz, deleted_at timestamptz
);
create table auth.sessions (
  id uuid primary key, user_id uuid not null references auth.users on delete cascade, refreshed_at timestamptz
);
grant usage on schema auth to postgres;
grant all on all tables in schema auth to postgres;
reset role;

create schema vault;
create table vault.secrets (id uuid primary key default gen_random_uuid(), name text unique, secret text);
create view vault.decrypted_secrets as select id, name, secret as decrypted_secret from vault.secrets;
create function vault.create_secret(new_secret text, new_name text) returns uuid language sql security definer as
  $$ insert into vault.secrets (name, secret) values (new_name, new_secret) returning id $$;
grant usage on schema vault to postgres;
grant select, delete on all tables in schema vault to postgres;

-- pg_net without the network: the signature and the bytes are its own, the sending is the story's.
create schema net;
create table net.recorded (url text, headers jsonb, body bytea, timeout_milliseconds int);
create function net.http_post(
  url text,
  body jsonb default '{}',
  params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}',
  timeout_milliseconds int default 1000
) returns bigint language plpgsql as $$
begin
  if headers ->> 'Content-Type' is distinct from 'application/json' then
    raise exception 'Content-Type header must be "application/json"';
  end if;
  insert into net.recorded values (url, headers, convert_to(body::text, 'UTF8'), timeout_milliseconds);
  return 1;
end
$$;
grant usage on schema net to postgres;
grant insert on net.recorded to postgres;
