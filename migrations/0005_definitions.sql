-- Definitions complete: all options of a list, what is looked at before it is
-- used, and what an admin expects of it.

alter table lists.definition
    add column why          text,                                      -- the footer's reason
    add column authenticate text not null default 'auth_or_confirm'
        check (authenticate in ('auth_or_confirm', 'auth_only', 'confirm_always', 'moderate')),
    add column moderate     text not null default 'no' check (moderate in ('no', 'strangers', 'all')),
    add column unsubscribe  text not null default 'yes' check (unsubscribe in ('yes', 'contact')),
    add column footer       text,                                      -- one more line below each copy
    add column notify_above integer not null default 25 check (notify_above >= 0),
    add column in_doubt     text not null default 'resend' check (in_doubt in ('resend', 'park')),
    add column owner        text check (relais.usable_address(owner)); -- null: the site's help address

-- The same rule as before, and eight times as fast: a bounded repetition makes
-- PostgreSQL's expressions slow, so the length of a label is a test of its own,
-- for those domains that are longer than a label may be.
create or replace function relais.usable_address(address text) returns boolean
language sql immutable parallel safe as $$
    select length(address) <= 254
       and position('@' in address) <= 65
       and address ~ ('^[A-Za-z0-9!#$%&''*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&''*+/=?^_`{|}~-]+)*'
                      || '@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+'
                      || '[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]$')
       and (length(address) - position('@' in address) <= 63
            or split_part(address, '@', 2) !~ '[^.]{64}')
$$;

-- The queries of lists are tried as the role that will run them.
do $$
begin
    if not (select rolsuper or rolname = 'relais_worker' from pg_roles where rolname = current_user) then
        execute format('grant relais_worker to %I', current_user);
    end if;
exception when insufficient_privilege then
    null;   -- lists.check() says so, and what to do
end $$;

-- Besides our own names: those that a mail system answers to, those that may
-- order a certificate for the domain (CA/Browser Forum, 3.2.2.4.4), and the
-- role addresses of each list.
create or replace function lists.is_reserved(local_part text) returns boolean
language sql immutable as $$
    select local_part in (
               'postmaster', 'abuse', 'hostmaster', 'webmaster', 'admin', 'administrator', 'root',
               'mailer-daemon', 'daemon', 'nobody', 'noreply', 'no-reply', 'bounce', 'bounces',
               'owner', 'request', 'return', 'unsubscribe', 'confirm', 'moderate', 'posting',
               'relais', 'list', 'lists', 'listes')
        or local_part ~ '^(return|unsubscribe|confirm|moderate|posting)-'
        or local_part ~ '-(owner|request|bounces)$'
$$;

-- Why nobody can write to an address; null when somebody can. What follows a
-- plus sign is taken off arriving mail, so no list is called so.
create function lists.address_problem(local_part text) returns text
language sql immutable as $$
    select case when local_part is null then 'a part of it is null'
                when local_part !~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$'
                    then 'lower-case letters, digits, dot, - and _ only'
                when length(local_part) > 64 then 'at most 64 characters'
                when lists.is_reserved(local_part) then 'the name is reserved'
           end
$$;

-- The columns that have a meaning, and the parts of the address: null when all is well.
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
        kind := case when found.name = any (parts) or found.name in ('email', 'name', 'lang', 'person')
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

create function lists.has_moderator(view regclass, owner text) returns boolean
language sql stable as $$
    select owner is not null or lists.has_column(view, 'moderator')
$$;

-- A view in the schema lists, by its name; null when there is none.
create function lists.view_called(view_name text) returns regclass
language plpgsql stable as $$
begin
    return (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.oid = to_regclass(view_name) and n.nspname = 'lists' and c.relkind in ('v', 'm'));
exception when invalid_name then
    return null;
end $$;

create function lists.refuse(list text, problem text, hint text default '') returns void
language plpgsql as $$
begin
    if hint = '' then
        raise exception 'list %: %', list, problem;
    end if;
    raise exception 'list %: %', list, problem using hint = hint;
end $$;

create function lists.refuse_unless(list text, option text, value text, variadic allowed text[])
returns void
language plpgsql as $$
begin
    if not coalesce(value = any (allowed), false) then
        perform lists.refuse(list, format('%s must be %s or %s, not %L', option,
            array_to_string(trim_array(allowed, 1), ', '), allowed[cardinality(allowed)], value));
    end if;
end $$;

-- One line of text for people, or null; its placeholders are parts of the address.
create function lists.line_of(list text, option text, value text, longest integer, parts text[])
returns text
language plpgsql as $$
declare
    line    text := nullif(btrim(value), '');
    unknown text;
begin
    if length(line) > longest then
        perform lists.refuse(list, format('%s has %s characters, and may have %s',
                                          option, length(line), longest));
    end if;
    -- Line ends and other control characters, also Unicode's, and what turns the writing.
    if line ~ '[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]' then
        perform lists.refuse(list, format('%s must be one line without control characters', option));
    end if;
    select m[1] into unknown from regexp_matches(line, '\{([A-Za-z_]\w*)\}', 'g') m
     where m[1] <> all (parts) limit 1;
    if unknown is not null then
        perform lists.refuse(list,
            format('the %s uses {%s}, which is no part of the address', option, unknown),
            case when parts = '{}' then 'the address has no parts'
                 else 'its parts are: {' || array_to_string(parts, '}, {') || '}' end);
    end if;
    return line;
end $$;

-- Octets; null for what is no size, or none that a list may have.
create function lists.size_of(size text) returns bigint
language plpgsql immutable as $$
declare
    octets bigint;
begin
    octets := pg_size_bytes(size);
    return case when octets between pg_size_bytes('10 kB') and pg_size_bytes('50 MB') then octets end;
exception when data_exception then
    return null;
end $$;

drop function lists.define(regclass, text, text, text, text, text, integer, text);

create function lists.define(
    view           regclass,
    address        text,
    title          text,
    why            text    default null,
    post           text    default 'members',
    authenticate   text    default 'auth_or_confirm',
    moderate       text    default 'no',
    reply_to       text    default 'author',
    max_size       text    default '5 MB',
    max_recipients integer default 2000,
    unsubscribe    text    default 'yes',
    footer         text    default null,
    lang           text    default 'fr',
    notify_above   integer default 25,
    in_doubt       text    default 'resend',
    owner          text    default null
) returns void
language plpgsql as $$
#variable_conflict use_variable
declare
    list    text;
    parts   text[];
    authors regclass;
    octets  bigint := lists.size_of(max_size);
    wants   text;
    problem text;
begin
    select relname into list from pg_class where oid = lists.view_called(view::text);
    if list is null then
        perform lists.refuse(coalesce(view::text, 'null'), 'a list is a view in the schema lists',
                             'create view lists.my_list as select email, ... from ...');
    end if;

    select coalesce(array_agg(m[1]), '{}') into parts
      from regexp_matches(address, '\{([a-z_][a-z0-9_]*)\}', 'g') m;
    problem := regexp_replace(coalesce(address, ''), '\{[a-z_][a-z0-9_]*\}', 'x', 'g');
    if problem !~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$' or length(problem) > 64 then
        perform lists.refuse(list, format('address %L cannot be a local part', address),
            'use a-z, 0-9, dot, - and _ with {column} between, as in {role}.{committee}; at most 64 characters');
    end if;
    if address ~ '\}\{' then
        perform lists.refuse(list,
            format('in %L two parts touch, so an address could be split in two ways', address),
            'put a dot between them');
    end if;
    if lists.is_reserved(address) then
        perform lists.refuse(list, format('the address %L is reserved', address),
            'see lists.is_reserved: names that a mail system, or each list, answers to itself');
    end if;
    problem := lists.column_problem(view, parts);
    if problem is not null then
        perform lists.refuse(list, problem);
    end if;

    title := lists.line_of(list, 'title', title, 200, parts);
    if title is null then
        perform lists.refuse(list, 'title must say what the list is called',
                             'people read it in the footer and in From: Jean Dupont via TITLE');
    end if;
    why := lists.line_of(list, 'why', why, 200, parts);
    footer := lists.line_of(list, 'footer', footer, 300, parts);

    authors := lists.view_called(post);
    if authors is null then
        if to_regclass(case when post ~ '^\w+\.\w+$' then post end) is not null then
            perform lists.refuse(list, format('post names %s, and authors are a view in the schema lists', post),
                format('create view lists.%s_authors as select email from %s', list, post));
        end if;
        perform lists.refuse_unless(list, 'post', post, 'members', 'anyone', 'moderators', 'nobody', 'a view');
    else
        problem := lists.column_problem(authors, parts);
        if problem is not null then
            perform lists.refuse(list, 'the view of authors: ' || problem);
        end if;
        post := 'view';
    end if;
    perform lists.refuse_unless(list, 'authenticate', authenticate,
                                'auth_or_confirm', 'auth_only', 'confirm_always', 'moderate');
    perform lists.refuse_unless(list, 'moderate', moderate, 'no', 'strangers', 'all');
    perform lists.refuse_unless(list, 'reply_to', reply_to, 'author', 'list');
    perform lists.refuse_unless(list, 'unsubscribe', unsubscribe, 'yes', 'contact');
    perform lists.refuse_unless(list, 'lang', lang, 'fr', 'en');
    perform lists.refuse_unless(list, 'in_doubt', in_doubt, 'resend', 'park');
    if octets is null then
        perform lists.refuse(list, format('max_size must be a size from 10 kB to 50 MB, not %L', max_size),
                             'write it as ''500 kB'' or ''5 MB''');
    end if;
    if coalesce(max_recipients, 0) < 1 then
        perform lists.refuse(list, format('max_recipients must be 1 or more, not %L', max_recipients));
    end if;
    if coalesce(notify_above, -1) < 0 then
        perform lists.refuse(list, format('notify_above must be 0 or more, not %L', notify_above));
    end if;
    if not relais.usable_address(owner) then
        perform lists.refuse(list, format('owner must be an e-mail address, not %L', owner),
                             'the person behind the -owner address; leave it out for the site''s help address');
    end if;
    wants := lists.moderator_wanted_by(post, moderate, authenticate);
    if wants is not null and not lists.has_moderator(view, owner) then
        perform lists.refuse(list, wants || ' needs somebody who moderates',
            format('add a boolean column moderator to %s, or write owner => ''somebody@example.org''', view));
    end if;

    select d.name into problem from lists.definition d where d.view = view and d.name <> list;
    if problem is not null then
        perform lists.refuse(list, format('its view was renamed: the list is called %s, and opt-outs hang on that', problem),
            format('alter view lists.%I rename to %I; or, to begin anew: select lists.drop(''lists.%2$s'');', list, problem));
    end if;
    select d.name into problem from lists.definition d where d.address = address and d.name <> list;
    if problem is not null then
        perform lists.refuse(list, format('the list %s has the address %L already', problem, address),
            format('give one of them another address, or first: select lists.drop(''lists.%s'');', problem));
    end if;

    execute format('grant select on %s to relais_worker', view);
    if authors is not null then
        execute format('grant select on %s to relais_worker', authors);
    end if;
    insert into lists.definition as d
           (name, view, address, parts, title, why, post, post_view, authenticate, moderate, reply_to,
            max_size, max_recipients, unsubscribe, footer, lang, notify_above, in_doubt, owner)
    values (list, view, address, parts, title, why, post, authors, authenticate, moderate, reply_to,
            octets, max_recipients, unsubscribe, footer, lang, notify_above, in_doubt, owner)
        on conflict on constraint definition_pkey do update
       set view = excluded.view, address = excluded.address, parts = excluded.parts,
           title = excluded.title, why = excluded.why,
           post = excluded.post, post_view = excluded.post_view,
           authenticate = excluded.authenticate, moderate = excluded.moderate,
           reply_to = excluded.reply_to, max_size = excluded.max_size,
           max_recipients = excluded.max_recipients, unsubscribe = excluded.unsubscribe,
           footer = excluded.footer, lang = excluded.lang, notify_above = excluded.notify_above,
           in_doubt = excluded.in_doubt, owner = excluded.owner, defined_at = excluded.defined_at;
end $$;

-- The option that cannot work without a moderator; null when none is given.
create function lists.moderator_wanted_by(post text, moderate text, authenticate text) returns text
language sql immutable as $$
    select case when moderate <> 'no' then format('moderate => %L', moderate)
                when post = 'moderators' then 'post => ''moderators'''
                when authenticate = 'moderate' then 'authenticate => ''moderate''' end
$$;

-- By name, for the view may be gone already.
drop function lists.drop(regclass);
create function lists.drop(view text) returns void
language plpgsql as $$
begin
    delete from lists.definition d where d.name = regexp_replace($1, '^lists\.', '');
    if not found then
        raise exception 'list %: is not defined, so it cannot be dropped', $1;
    end if;
end $$;

create function lists.address_expression(d lists.definition) returns text
language sql stable as $$
    select format('%L::text', (regexp_split_to_array(d.address, '\{\w+\}'))[1])
        || coalesce(string_agg(format(' || v.%I || %L', part, literals[n + 1]), '' order by n), '')
      from unnest(d.parts) with ordinality u(part, n),
           regexp_split_to_array(d.address, '\{\w+\}') literals
$$;

-- As before, but an address with a null part is null.
create or replace function lists.directory_query(d lists.definition) returns text
language sql stable as $$
    select format('select %L::text, %s, jsonb_build_object(%s), count(*) from %s v %s having count(*) > 0',
                  d.name, lists.address_expression(d),
                  (select string_agg(format('%L, v.%I', part, part), ', ') from unnest(d.parts) part),
                  d.view,
                  'group by ' || (select string_agg(format('v.%I', part), ', ') from unnest(d.parts) part))
$$;

-- From here to the end of the subtransaction: the worker's rights, and nothing
-- is written. PostgreSQL takes no "read write" once it is read only, so the
-- query cannot undo it; the end of the subtransaction does.
create function lists.become_reader() returns void
language plpgsql as $$
begin
    begin
        perform set_config('role', 'relais_worker', true);
    exception when insufficient_privilege then
        null;   -- lists.check_together() says so
    end;
    perform set_config('transaction_read_only', 'on', true);
end $$;

create function lists.session_settings() returns jsonb
language sql stable as $$
    select coalesce(jsonb_object_agg(name, setting), '{}') from pg_settings where source = 'session'
$$;

-- An expression that reads all columns with a meaning.
create function lists.computed(view regclass, parts text[]) returns text
language sql stable as $$
    select string_agg(format('count(v.%I)', attname), ' + ')
      from pg_attribute
     where attrelid = view and attnum > 0 and not attisdropped
       and (attname in ('email', 'name', 'lang', 'person', 'may_post', 'moderator')
            or attname = any (parts))
$$;

-- Every address of a definition, with what is wrong with its rows. All columns
-- that mean something are read, for a column that nobody reads is never computed.
create function lists.probe_query(d lists.definition) returns text
language sql stable as $$
    select format(
        'select lists.address_problem(q.address) as problem, count(*) as addresses,'
        ' min(q.address) as example, sum(q.people) as people, sum(q.missing) as missing,'
        ' sum(q.unusable) as unusable, sum(q.repeated) as repeated,'
        ' count(*) filter (where q.people > 0 and not q.moderated) as unmoderated,'
        ' min(q.address) filter (where q.people > 0 and not q.moderated) as unmoderated_example,'
        ' sum(q.computed) as computed'
        ' from (select %s as address, count(*) as people,'
        '              count(*) - count(e.email) as missing,'
        '              count(*) filter (where not relais.usable_address(e.email)) as unusable,'
        '              count(e.email) - count(distinct lower(e.email)) as repeated,'
        '              coalesce(bool_or(%s), false) as moderated,'
        '              %s as computed'
        '         from %s v cross join lateral (select nullif(btrim(v.email::text), '''') as email) e'
        '         %s) q group by 1',
        lists.address_expression(d),
        lists.column_or_null(d.view, 'moderator', 'boolean'),
        lists.computed(d.view, '{}'),
        d.view,
        'group by ' || (select string_agg(format('v.%I', part), ', ') from unnest(d.parts) part))
$$;

-- What can be seen without running a query.
create function lists.definition_problem(d lists.definition) returns text
language sql stable as $$
    select case
        when not exists (select from pg_class where oid = d.view)
            then format('its view has been dropped: first select lists.drop(''lists.%s'');', d.name)
        when lists.column_problem(d.view, d.parts) is not null
            then lists.column_problem(d.view, d.parts)
        when not has_table_privilege('relais_worker', d.view, 'select')
            then format('the worker may not read it: grant select on %s to relais_worker;', d.view)
        when d.post_view is not null and not exists (select from pg_class where oid = d.post_view)
            then 'the view of those who may post has been dropped: define the list again'
        when d.post_view is not null and lists.column_problem(d.post_view, d.parts) is not null
            then 'the view of those who may post: ' || lists.column_problem(d.post_view, d.parts)
        when d.post_view is not null and not has_table_privilege('relais_worker', d.post_view, 'select')
            then format('the worker may not read it: grant select on %s to relais_worker;', d.post_view)
        when not lists.has_moderator(d.view, d.owner)
            then lists.moderator_wanted_by(d.post, d.moderate, d.authenticate)
                 || format(' needs somebody who moderates: add a boolean column moderator to %s, or an owner', d.view)
    end
$$;

-- What is wrong with one definition, its query having been run as the worker
-- would. Only a query that is cancelled makes it fail; so a caller sets a
-- statement_timeout, which counts for this whole statement.
create function lists.check_definition(definition text)
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
            ('warning', 'its view has no row' || case when d.parts = '{}' then '' else ', so it has no address' end,
                        people = 0 and d.name <> 'manual'),
            ('warning', 'the view of those who may post has no row, so nobody may', authors = 0),
            ('remark', 'rows that repeat an address of the same list: ' || repeated, repeated > 0)
        ) f(severity, finding, found) where f.found;
end $$;

create function lists.counted(number bigint, example text, one text, many text) returns text
language sql immutable as $$
    select case when number = 1 then format('%s %s', example, one)
                else format('%s and %s more %s', example, number - 1, many) end
$$;

-- The addresses of one definition that somebody can write to, also that of an
-- empty list without parts. Run as the worker would; fails if its query does.
create function lists.directory_of(definition text)
returns table (address text, people bigint)
language plpgsql as $$
#variable_conflict use_column
declare
    d        lists.definition;
    role_was text := current_setting('role');
begin
    select * into strict d from lists.definition def where def.name = directory_of.definition;
    begin
        perform lists.become_reader();
        return query execute format(
            'select q.address, q.people from (%s) q(definition, address, parts, people)'
            ' where lists.address_problem(q.address) is null', lists.directory_query(d));
        if not found and d.parts = '{}' then
            return query select d.address, 0::bigint;
        end if;
        perform set_config('role', role_was, true);
    exception when others then
        raise;   -- the block is here for its subtransaction
    end;
end $$;

-- What is wrong with the definitions beside each other. Parallel arrays: the
-- addresses that exist, and whose they are.
create function lists.check_together(definitions text[], addresses text[])
returns table (definition text, severity text, finding text)
language plpgsql as $$
#variable_conflict use_column
begin
    begin
        perform set_config('role', 'relais_worker', true);
        raise exception 'undone' using errcode = 'RL001';
    exception
        when sqlstate 'RL001' then null;
        when insufficient_privilege then
            return query select null, 'warning',
                format('the queries were tried with the rights of %I, not of the worker; as a superuser: '
                       'grant relais_worker to %1$I;', current_user);
    end;
    return query
        with given as (
            select u.address, d.name, cardinality(d.parts) as parts,
                   -- the first of those as exact as it is, and of those that are more exact
                   first_value(d.name) over (partition by u.address, cardinality(d.parts) order by d.name) as rival,
                   first_value(d.name) over (partition by u.address order by cardinality(d.parts), d.name) as winner,
                   min(cardinality(d.parts)) over (partition by u.address) as winner_parts,
                   row_number() over (partition by u.address, d.name) as nth
              from unnest(definitions, addresses) u(name, address)
              join lists.definition d using (name)
        )
        select rival, 'error',
               lists.counted(count(*), min(address), 'is also an address of ', 'are also addresses of ') || name
          from given where name <> rival and nth = 1
         group by name, rival
        union all
        select name, 'error',
               lists.counted(count(distinct address), min(address), 'is given twice', 'are given twice')
               || ', for a part has in it what stands between the parts'
          from given where nth > 1
         group by name
        union all
        select name, 'warning',
               lists.counted(count(distinct address), min(address), 'means', 'mean')
               || format(' the list %s, which is more exact', winner)
          from given where parts > winner_parts
         group by name, winner
         order by 1, 2;
end $$;

-- Everything that can be wrong with the definitions. Each row is one finding:
-- an error makes `relais migrate` roll back, a warning or a remark is shown.
-- relais itself calls the parts of this one by one, for a time limit on each.
create or replace function lists.check()
returns table (definition text, severity text, finding text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
    list        text;
    found       record;
    sound       boolean;
    definitions text[] := '{}';
    addresses   text[] := '{}';
    more        text[];
begin
    for list in select d.name from lists.definition d order by d.name loop
        sound := true;
        for found in select * from lists.check_definition(list) loop
            sound := sound and found.severity <> 'error';
            return query select list, found.severity, found.finding;
        end loop;
        if sound then
            select array_agg(a.address) into more from lists.directory_of(list) a;
            addresses := addresses || more;
            definitions := definitions || array_fill(list, array[coalesce(cardinality(more), 0)]);
        end if;
    end loop;
    return query select * from lists.check_together(definitions, addresses);
end $$;

-- What an admin counts on; looked at when a migration ends, and by relais lists --check.
create table lists.expectation (
    address text primary key,
    people  int4range not null check (not isempty(people)),
    since   timestamptz not null default clock_timestamp()
);
grant select on lists.expectation to relais_worker;

-- select lists.expect('comite_directeur.comite', people => int4range(5, 40));
-- The upper bound is not in the range, as with all of PostgreSQL's; null forgets.
create function lists.expect(address text, people int4range) returns void
language plpgsql as $$
#variable_conflict use_variable
begin
    address := lower(btrim(address));
    if lists.address_problem(address) is not null then
        raise exception '% is no address of a list: %', coalesce(address, 'null'), lists.address_problem(address)
            using hint = 'write what stands before the @';
    end if;
    if isempty(people) then
        raise exception '%: nobody can be within an empty range', address
            using hint = 'int4range(5, 40) is 5 to 39';
    end if;
    delete from lists.expectation e where e.address = address;
    if people is not null then
        insert into lists.expectation (address, people) values (address, people);
    elsif not found then
        raise exception 'nothing was expected of %', address;
    end if;
end $$;
