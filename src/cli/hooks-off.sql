-- Takes away what `supabase-bff sql` has installed; run it as the role that installed it. The tables of auth belong to
-- another role, so their triggers go with the functions that they call.

begin;
drop schema if exists supabase_bff cascade;
delete from vault.secrets where name = 'supabase_bff_hooks';
commit;
