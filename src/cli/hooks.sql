-- Tells supabase-bff when a session is deleted and when a user is banned or deleted, whoever does it.
-- Run this in the project's database as the role postgres (the SQL editor does). It may be run again at any time.
--
-- Needs pg_net, pgcrypto and the Vault, which every Supabase project has. The secret that signs rests in the Vault.
-- Put it there once; it is an entry of BFF_HOOKS_SECRETS, beginning with v1,whsec_ :
--
--   select vault.create_secret('<the entry>', 'supabase_bff_hooks');
--
-- To change it, add the new entry to BFF_HOOKS_SECRETS and restart every node, then run
--
--   select vault.update_secret(id, '<the new entry>') from vault.secrets where name = 'supabase_bff_hooks';
--
-- and take the old entry out. What became of the calls: select * from net._http_response order by created desc;

begin;

do $$
begin
  if to_regprocedure('net.http_post(text, jsonb, jsonb, jsonb, integer)') is null then
    create extension if not exists pg_net;
  end if;
  if to_regprocedure('extensions.hmac(bytea, bytea, text)') is null then
    create extension if not exists pgcrypto with schema extensions;
  end if;
end
$$;

create schema if not exists supabase_bff;
revoke all on schema supabase_bff from public;

-- Signs a message (Standard Webhooks) and hands it to pg_net, which sends it once the transaction is committed.
-- A fault here is a warning: it must never keep anybody from signing out, or a user from being deleted.
create or replace function supabase_bff.tell(message jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  secret text;
  id text := 'msg_' || replace(gen_random_uuid()::text, '-', '');
  at text := floor(extract(epoch from clock_timestamp()))::bigint::text;
  signature text;
begin
  select decrypted_secret into secret from vault.decrypted_secrets where name = 'supabase_bff_hooks';
  if secret is null then
    raise warning 'supabase_bff: the Vault has no secret supabase_bff_hooks, so nobody is told';
    return;
  end if;
  -- pg_net sends the text of the jsonb value, in UTF-8: these are the bytes to sign.
  signature := encode(
    extensions.hmac(
      convert_to(id || '.' || at || '.' || message::text, 'UTF8'),
      decode(regexp_replace(secret, '^(v1,)?whsec_', ''), 'base64'),
      'sha256'
    ),
    'base64'
  );
  perform net.http_post(
    url := {url},
    body := message,
    headers := jsonb_build_object(
      'Content-Type', 'application/json',
      'webhook-id', id,
      'webhook-timestamp', at,
      'webhook-signature', 'v1,' || signature
    ),
    timeout_milliseconds := 5000
  );
exception when others then
  raise warning 'supabase_bff: nobody is told: %', sqlerrm;
end
$$;

create or replace function supabase_bff.session_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform supabase_bff.tell(
    jsonb_build_object('type', 'session.deleted', 'user_id', old.user_id, 'session_id', old.id)
  );
  return null;
end
$$;

-- A ban that lies in the future, or a deletion that keeps the row.
create or replace function supabase_bff.user_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.deleted_at is not null and old.deleted_at is null then
    perform supabase_bff.tell(jsonb_build_object('type', 'user.deleted', 'user_id', new.id));
  elsif new.banned_until is distinct from old.banned_until and new.banned_until > clock_timestamp() then
    perform supabase_bff.tell(jsonb_build_object('type', 'user.banned', 'user_id', new.id));
  end if;
  return null;
end
$$;

create or replace function supabase_bff.user_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform supabase_bff.tell(jsonb_build_object('type', 'user.deleted', 'user_id', old.id));
  return null;
end
$$;

revoke all on all functions in schema supabase_bff from public;

create or replace trigger supabase_bff_session_deleted after delete on auth.sessions
  for each row execute function supabase_bff.session_deleted();
create or replace trigger supabase_bff_user_changed after update of banned_until, deleted_at on auth.users
  for each row execute function supabase_bff.user_changed();
create or replace trigger supabase_bff_user_deleted after delete on auth.users
  for each row execute function supabase_bff.user_deleted();

commit;
