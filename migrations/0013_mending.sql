-- Mending: who has an address that gets nothing any more, on which lists, and who can mend it.

-- As before; and "secretary" is who can mend the address of a row.
create or replace function lists.column_problem(view regclass, parts text[]) returns text
language plpgsql stable as $$
declare
    wanted text;
    kind   text;
    found  record;
begin
    if not lists.has_column(view, 'email') then
        return format('%s has no column email; its columns are: %s', view, lists.columns(view));
    end if;
    foreach wanted in array parts loop
        if not lists.has_column(view, wanted) then
            return format('the address uses {%s}, but %s has no such column; its columns are: %s',
                          wanted, view, lists.columns(view));
        end if;
    end loop;
    for found in
        select attname as name, format_type(atttypid, atttypmod) as type,
               typcategory as category, coalesce(nullif(typbasetype, 0), t.oid) as base
          from pg_attribute join pg_type t on t.oid = atttypid
         where attrelid = view and attnum > 0 and not attisdropped
         order by attnum
    loop
        kind := case when found.name = any (parts)
                       or found.name in ('email', 'name', 'lang', 'person', 'secretary')
                     then 'text'
                     when found.name in ('may_post', 'moderator') then 'boolean' end;
        -- Fixed-width text is padded with blanks, and they would be in the address.
        if kind = 'text' and (found.category <> 'S'
                              or found.name = any (parts) and found.base = 'character'::regtype)
           or kind = 'boolean' and found.base <> 'boolean'::regtype then
            return format('%s is %s and must be %s: write %s::%3$s as %4$s in the view',
                          case when found.name = any (parts) then format('{%s}', found.name)
                               else found.name::text end,
                          found.type, kind, quote_ident(found.name));
        end if;
    end loop;
    return null;
end $$;

-- An expression that reads all columns with a meaning.
create or replace function lists.computed(view regclass, parts text[]) returns text
language sql stable as $$
    select string_agg(format('count(v.%I)', attname), ' + ')
      from pg_attribute
     where attrelid = view and attnum > 0 and not attisdropped
       and (attname in ('email', 'name', 'lang', 'person', 'may_post', 'moderator', 'secretary')
            or attname = any (parts))
$$;

-- As before; and how many rows name a secretary who cannot be written to. Nobody would be
-- told that the letter goes to somebody else.
create or replace function lists.probe_query(d lists.definition) returns text
language sql stable as $$
    select format(
        'select lists.address_problem(q.address) as problem, count(*) as addresses,'
        ' min(q.address) as example, sum(q.people) as people, sum(q.missing) as missing,'
        ' sum(q.unusable) as unusable, sum(q.repeated) as repeated,'
        ' sum(q.unwritable) as unwritable,'
        ' count(*) filter (where q.people > 0 and not q.moderated) as unmoderated,'
        ' min(q.address) filter (where q.people > 0 and not q.moderated) as unmoderated_example,'
        ' sum(q.computed) as computed'
        ' from (select %s as address, count(*) as people,'
        '              count(*) - count(e.email) as missing,'
        '              count(*) filter (where not relais.usable_address(e.email)) as unusable,'
        '              count(e.email) - count(distinct lower(e.email)) as repeated,'
        '              count(*) filter (where not relais.usable_address(nullif(btrim(%s), ''''))) as unwritable,'
        '              coalesce(bool_or(%s), false) as moderated,'
        '              %s as computed'
        '         from %s v cross join lateral (select nullif(btrim(v.email::text), '''') as email) e'
        '         %s) q group by 1',
        lists.address_expression(d),
        lists.column_or_null(d.view, 'secretary', 'text'),
        lists.column_or_null(d.view, 'moderator', 'boolean'),
        lists.computed(d.view, '{}'),
        d.view,
        'group by ' || (select string_agg(format('v.%I', part), ', ') from unnest(d.parts) part))
$$;

create or replace function lists.check_definition(definition text)
returns table (severity text, finding text)
language plpgsql as $$
#variable_conflict use_column
declare
    d        lists.definition;
    problem  text;
    role_was text := current_setting('role');
    before   jsonb;
    changed  text;
    people   bigint := 0;
    authors  bigint;
    missing  bigint := 0;
    unusable bigint := 0;
    repeated bigint := 0;
    unwritable bigint := 0;
    q        record;
begin
    select * into strict d from lists.definition def where def.name = check_definition.definition;
    problem := lists.definition_problem(d);
    if problem is not null then
        return query select 'error', problem;
        return;
    end if;
    begin
        perform lists.become_reader();
        before := lists.session_settings();
        for q in execute lists.probe_query(d) loop
            people := people + q.people;
            missing := missing + q.missing;
            unusable := unusable + q.unusable;
            repeated := repeated + q.repeated;
            unwritable := unwritable + q.unwritable;
            if q.problem is not null and q.people > 0 then
                return query select 'warning', lists.counted(q.addresses, coalesce(q.example, 'an address'),
                    'is no address', 'are no addresses') || ': ' || q.problem;
            end if;
            if q.unmoderated > 0 and d.owner is null
               and lists.moderator_wanted_by(d.post, d.moderate, d.authenticate) is not null then
                return query select 'warning', lists.counted(q.unmoderated, q.unmoderated_example,
                    'has no moderator', 'have no moderator');
            end if;
        end loop;
        if d.post_view is not null then
            execute format('select %s from %s v', lists.computed(d.post_view, d.parts), d.post_view) into authors;
        end if;
        select min(now.key) into changed
          from jsonb_each(lists.session_settings()) now
         where now.value is distinct from before->now.key;
        if changed is not null then
            raise exception 'it changes the setting %', changed;
        end if;
        perform set_config('role', role_was, true);
    exception when others then
        return query select 'error', format('its query fails: %s', sqlerrm);
        return;
    end;
    return query
        select f.severity, f.finding from (values
            ('warning', 'rows without an address: ' || missing, missing > 0),
            ('warning', 'rows without a usable address: ' || unusable, unusable > 0),
            ('warning', 'rows whose secretary cannot be written to: ' || unwritable, unwritable > 0),
            ('warning', 'its view has no row' || case when d.parts = '{}' then '' else ', so it has no address' end,
                        people = 0 and d.name <> 'manual'),
            ('warning', 'the view of those who may post has no row, so nobody may', authors = 0),
            ('remark', 'rows that repeat an address of the same list: ' || repeated, repeated > 0)
        ) f(severity, finding, found) where f.found;
end $$;

-- A row of an admin's view whose address is in relais.address_health.
create type relais.bearer as (
    definition text,
    address    text,      -- in lower case
    name       text,
    person     text,
    lang       text,
    list       text,      -- the address of the list, without its domain
    parts      jsonb,
    secretary  text,      -- as the row says; null: it does not, or it is no address
    owner      text       -- of the definition; null: the site's help address
);

-- The rows of one definition's view whose addresses are in one of these states. Asks
-- the admin's query once, and fails if it does.
create function relais.bearers(definition text, states text[]) returns setof relais.bearer
language plpgsql stable as $$
#variable_conflict use_column
declare
    d lists.definition;
begin
    select * into strict d from lists.definition def where def.name = bearers.definition;
    return query execute format(
        'select distinct %L::text, q.address, q.name, q.person, q.lang, q.list, q.parts,'
        '       case when relais.usable_address(q.secretary) then lower(q.secretary) end, %L::text'
        '  from (select lower(btrim(v.email::text)) as address, nullif(btrim(%s), '''') as name,'
        '               %s as person, %s as lang, %s as list,'
        '               jsonb_build_object(%s) as parts, btrim(%s) as secretary'
        '          from %s v) q'
        '  join relais.address_health h on h.address = q.address and h.state = any ($1)'
        ' where lists.address_problem(q.list) is null',
        d.name, lower(d.owner),
        lists.column_or_null(d.view, 'name', 'text'),
        lists.column_or_null(d.view, 'person', 'text'),
        lists.column_or_null(d.view, 'lang', 'text'),
        lists.address_expression(d),
        (select string_agg(format('%L, v.%I', part, part), ', ') from unnest(d.parts) part),
        lists.column_or_null(d.view, 'secretary', 'text'),
        d.view) using states;
end $$;

-- All of them. A query that fails costs its own rows: it has one row with the problem, and
-- nothing else. Run as the worker would; a caller sets a statement_timeout, which counts for
-- all queries together. relais itself asks them one by one, for a time limit on each.
create function relais.all_bearers(states text[]) returns table (bearer relais.bearer, problem text)
language plpgsql as $$
declare
    list     text;
    found    relais.bearer[];
    failure  text;
    role_was text := current_setting('role');
begin
    for list in select d.name from lists.definition d order by d.name loop
        failure := null;
        begin
            perform lists.become_reader();
            found := array(select b from relais.bearers(list, states) b);
            perform set_config('role', role_was, true);
        exception when others then
            failure := sqlerrm;
        end;
        if failure is null then
            return query select b, null::text from unnest(found) b;
        else
            return query select row(list, null, null, null, null, null, null, null, null)::relais.bearer,
                                failure;
        end if;
    end loop;
end $$;

-- One row per held address that is still in the view of some list, as things are now. Who
-- shares an address, and who can mend it, are told with commas between; no secretary is the
-- site's help address. What a row of any list says of its secretary goes before the owners
-- of lists (worker/policy/mending.py has the same rule, and one test holds both to it).
create view relais.v_dead_addresses as
select h.address, b.name, b.person, b.lang, b.lists, h.reason, h.status, h.evidence, h.since,
       (select count(*)::integer from relais.address_failure f
         where f.address = h.address and not f.is_excused and not f.is_over) as failures,
       h.due_at as retry_at, b.secretary
  from (select (bearer).address as address,
               string_agg(distinct (bearer).name, ', ') as name,
               string_agg(distinct (bearer).person, ', ') as person,
               mode() within group (order by (bearer).lang) as lang,
               array_agg(distinct (bearer).list) as lists,
               coalesce(string_agg(distinct (bearer).secretary, ', '),
                        string_agg(distinct (bearer).owner, ', ')) as secretary
          from relais.all_bearers('{held}') where problem is null group by 1) b
  join relais.address_health h on h.address = b.address and h.state = 'held';

-- The lists whose queries fail, so that v_dead_addresses lacks their rows.
create view relais.v_dead_addresses_unknown as
select (bearer).definition, problem from relais.all_bearers('{held}') where problem is not null;

-- Weekly letters to secretaries. A week is known by its Monday, in the site's time zone.
-- The row is written with the letter, by the statement that decides who writes it.
create table relais.secretary_letter (
    secretary text primary key check (secretary = lower(secretary)),
    monday    date not null,                 -- the last one for which this was looked at
    written   date                           -- the one of the last letter
);

-- Which held addresses a secretary has been told of.
create table relais.secretary_told (
    secretary  text not null,
    address    text not null,
    held_since timestamptz not null,         -- held anew, it is news again
    monday     date not null,                -- of the last letter with it
    primary key (secretary, address)
);
create index secretary_told_address on relais.secretary_told (address);

-- The week for which all letters are written; lost with a crash, it is gone through again.
create table relais.secretary_week (
    only_row boolean primary key default true check (only_row),
    monday   date not null
);

grant select, insert, update, delete on relais.secretary_letter, relais.secretary_told,
    relais.secretary_week to relais_worker;
grant select on relais.v_dead_addresses, relais.v_dead_addresses_unknown to relais_worker;
