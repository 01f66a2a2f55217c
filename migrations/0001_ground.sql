-- Schemas, the clock, and the role the worker runs as.
--
-- relais is ours; lists is the admin's: views, and lists.define. The worker
-- reads lists.* and nothing of the member data behind it: views run with the
-- rights of their owner, which is the role that migrates.

create schema if not exists relais;   -- the migrations' own book is already in it
create schema lists;

do $$
begin
    create role relais_worker login;
exception
    when duplicate_object then null;
    when insufficient_privilege then
        raise exception 'the role relais_worker does not exist and may not be created'
            using hint = 'as a superuser: create role relais_worker login;';
end $$;

grant usage on schema relais, lists to relais_worker;
grant select on relais.migration to relais_worker;
alter default privileges in schema lists grant select on tables to relais_worker;

-- Time is an argument, in SQL too: statements ask relais.now(), never now().
-- Only simulations and the demo's fast mode ever set the clock; its owner is
-- the migrating role, so no worker can.
create table relais.clock (
    only_row boolean primary key default true check (only_row),
    rate     double precision not null default 1 check (rate > 0),
    origin   timestamptz,             -- what the clock showed ...
    since    timestamptz,             -- ... at this time of the server
    check ((origin is null) = (since is null))
);
insert into relais.clock default values;
grant select on relais.clock to relais_worker;

create function relais.now() returns timestamptz
language sql volatile as $$
    select coalesce(c.origin + (clock_timestamp() - c.since) * c.rate, clock_timestamp())
      from relais.clock c
$$;

create function relais.seconds_until(moment timestamptz) returns double precision
language sql volatile as $$
    select extract(epoch from moment - relais.now())::double precision / c.rate
      from relais.clock c
$$;
comment on function relais.seconds_until(timestamptz) is
    'How long a process sleeps until then, in seconds of its own; negative when past.';
