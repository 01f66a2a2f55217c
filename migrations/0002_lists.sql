-- Lists are views: lists.define gives a view its addresses and its rules.

-- RFC 5321, section 4.1.2: what we write into RCPT TO. Quoted local parts,
-- address literals and non-ASCII are refused; worker/mail/address.py has the
-- same rule, and one test holds both to one table.
create function relais.usable_address(address text) returns boolean
language sql immutable parallel safe as $$
    select length(address) <= 254
       and position('@' in address) <= 65
       and address ~ ('^[A-Za-z0-9!#$%&''*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&''*+/=?^_`{|}~-]+)*'
                      || '@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+'
                      || '[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]$')
$$;

create table lists.definition (
    name           text primary key,           -- the view's name without its schema
    view           regclass not null unique,
    address        text not null unique,       -- {role}.{committee}
    parts          text[] not null,            -- {role,committee}, in the order of the address
    title          text not null,
    post           text not null check (post in ('members', 'anyone', 'moderators', 'nobody', 'view')),
    post_view      regclass check ((post = 'view') = (post_view is not null)),
    reply_to       text not null check (reply_to in ('author', 'list')),
    max_size       bigint not null check (max_size > 0),
    max_recipients integer not null check (max_recipients > 0),
    lang           text not null check (lang in ('fr', 'en')),
    defined_at     timestamptz not null default clock_timestamp()
);

create function lists.has_column(view regclass, column_name text) returns boolean
language sql stable as $$
    select exists (select from pg_attribute
                    where attrelid = view and attname = column_name
                      and attnum > 0 and not attisdropped)
$$;

create function lists.columns(view regclass) returns text
language sql stable as $$
    select string_agg(attname, ', ' order by attnum)
      from pg_attribute where attrelid = view and attnum > 0 and not attisdropped
$$;

-- What is wrong with a definition's columns; null when nothing is.
create function lists.column_problem(view regclass, parts text[]) returns text
language plpgsql stable as $$
declare
    part text;
    kind text;
begin
    if not lists.has_column(view, 'email') then
        return format('%s has no column email; its columns are: %s', view, lists.columns(view));
    end if;
    foreach part in array parts loop
        select format_type(atttypid, atttypmod) into kind from pg_attribute
         where attrelid = view and attname = part and attnum > 0 and not attisdropped;
        if kind is null then
            return format('the address uses {%s}, but %s has no such column; its columns are: %s',
                          part, view, lists.columns(view));
        end if;
        if kind !~ '^(text|character varying)' then
            return format('{%s} is %s and must be text: write %I::text as %I in the view',
                          part, kind, part, part);
        end if;
    end loop;
    return null;
end $$;

create function lists.is_reserved(local_part text) returns boolean
language sql immutable as $$
    select local_part in ('postmaster', 'abuse', 'mailer-daemon', 'hostmaster', 'webmaster',
                          'return', 'unsubscribe', 'confirm', 'moderate', 'bounces', 'noreply')
        or local_part ~ '^(return|unsubscribe|confirm|moderate)-'
$$;

create function lists.define(
    view           regclass,
    address        text,
    title          text,
    post           text    default 'members',
    reply_to       text    default 'author',
    max_size       text    default '5 MB',
    max_recipients integer default 2000,
    lang           text    default 'fr'
) returns void
language plpgsql as $$
#variable_conflict use_variable
declare
    view_name  text;
    view_kind  "char";
    found      text[];
    problem    text;
    authors    regclass;
begin
    select c.relname, c.relkind into view_name, view_kind
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = view and n.nspname = 'lists';
    if view_name is null or view_kind not in ('v', 'm') then
        raise exception 'list %: a list is a view in the schema lists', view
            using hint = 'create view lists.my_list as select email, ... from ...';
    end if;
    select coalesce(array_agg(m[1]), '{}') into found
      from regexp_matches(address, '\{([a-z_][a-z0-9_]*)\}', 'g') m;
    if regexp_replace(address, '\{[a-z_][a-z0-9_]*\}', 'x', 'g') !~ '^[a-z0-9_+-]+(\.[a-z0-9_+-]+)*$' then
        raise exception 'list %: address ''%'' cannot be a local part', view_name, address
            using hint = 'use a-z, 0-9, dot, - and _ with {column} between, as in {role}.{committee}';
    end if;
    if address ~ '\}\{' then
        raise exception 'list %: in ''%'' two parts touch, so an address could be split in two ways',
            view_name, address using hint = 'put a dot between them';
    end if;
    if lists.is_reserved(address) then
        raise exception 'list %: the address ''%'' is reserved', view_name, address;
    end if;
    problem := lists.column_problem(view, found);
    if problem is not null then
        raise exception 'list %: %', view_name, problem;
    end if;
    if post not in ('members', 'anyone', 'moderators', 'nobody') then
        authors := to_regclass(post);
        if authors is null then
            raise exception 'list %: post must be members, anyone, moderators, nobody or a view, not ''%''',
                view_name, post;
        end if;
        problem := lists.column_problem(authors, found);
        if problem is not null then
            raise exception 'list %: the view of authors: %', view_name, problem;
        end if;
        post := 'view';
    end if;
    if post = 'moderators' and not lists.has_column(view, 'moderator') then
        raise exception 'list %: post => ''moderators'' needs a column moderator in the view', view_name;
    end if;
    if reply_to not in ('author', 'list') then
        raise exception 'list %: reply_to must be author or list, not ''%''', view_name, reply_to;
    end if;
    if lang not in ('fr', 'en') then
        raise exception 'list %: lang must be fr or en, not ''%''', view_name, lang;
    end if;
    if max_recipients < 1 then
        raise exception 'list %: max_recipients must be 1 or more, not %', view_name, max_recipients;
    end if;
    execute format('grant select on %s to relais_worker', view);
    if authors is not null then
        execute format('grant select on %s to relais_worker', authors);
    end if;
    insert into lists.definition as d
           (name, view, address, parts, title, post, post_view, reply_to, max_size, max_recipients, lang)
    values (view_name, view, address, found, title, post, authors, reply_to,
            pg_size_bytes(max_size), max_recipients, lang)
        on conflict on constraint definition_pkey do update
       set view = excluded.view, address = excluded.address, parts = excluded.parts,
           title = excluded.title, post = excluded.post, post_view = excluded.post_view,
           reply_to = excluded.reply_to, max_size = excluded.max_size,
           max_recipients = excluded.max_recipients, lang = excluded.lang,
           defined_at = excluded.defined_at;
end $$;

create function lists.drop(view regclass) returns void
language plpgsql as $$
begin
    delete from lists.definition d where d.view = $1;
    if not found then
        raise exception 'list %: is not defined, so it cannot be dropped', $1;
    end if;
end $$;

-- The rows of one address: optional columns that the view lacks are null.
-- The parts are data; only the names of columns are put into the statement.
create function lists.recipients(view regclass, parts jsonb)
returns table (email text, name text, lang text, person text, may_post boolean, moderator boolean)
language plpgsql stable as $$
begin
    return query execute (
        select format('select v.email::text, %s, %s, %s, %s, %s from %s v where true%s',
                      lists.column_or_null(view, 'name', 'text'),
                      lists.column_or_null(view, 'lang', 'text'),
                      lists.column_or_null(view, 'person', 'text'),
                      lists.column_or_null(view, 'may_post', 'boolean'),
                      lists.column_or_null(view, 'moderator', 'boolean'),
                      view,
                      coalesce((select string_agg(format(' and v.%I = $1->>%L', key, key), '')
                                  from jsonb_object_keys(parts) key), ''))
    ) using parts;
end $$;

create function lists.column_or_null(view regclass, column_name text, type_name text) returns text
language sql stable as $$
    select case when lists.has_column(view, column_name)
                then format('v.%I::%s', column_name, type_name)
                else format('null::%s', type_name) end
$$;

-- Every address that exists now, with the number of its rows.
create function lists.directory()
returns table (definition text, address text, parts jsonb, rows bigint)
language plpgsql stable as $$
declare
    d lists.definition;
begin
    for d in
        select * from lists.definition def
         where exists (select from pg_class where oid = def.view)
         order by def.name
    loop
        return query execute lists.directory_query(d);
    end loop;
end $$;

create function lists.directory_query(d lists.definition) returns text
language sql stable as $$
    select format(
        'select %L::text, %s, jsonb_build_object(%s), count(*) from %s v %s having count(*) > 0',
        d.name,
        coalesce((select format('format(%L, %s)',
                                regexp_replace(replace(d.address, '%', '%%'), '\{\w+\}', '%s', 'g'),
                                string_agg(format('v.%I', part), ', ' order by n))
                    from unnest(d.parts) with ordinality u(part, n) having count(*) > 0),
                 quote_literal(d.address) || '::text'),
        coalesce((select string_agg(format('%L, v.%I', part, part), ', ') from unnest(d.parts) part), ''),
        d.view,
        coalesce('group by ' || (select string_agg(format('v.%I', part), ', ') from unnest(d.parts) part), ''))
$$;

-- Everything that can be wrong with the definitions together. Each row is one
-- finding; an error makes `relais migrate` roll back, a warning is shown.
create function lists.check()
returns table (definition text, severity text, finding text)
language plpgsql stable as $$
declare
    d       lists.definition;
    problem text;
    n       bigint;
begin
    for d in select * from lists.definition order by name loop
        problem := case when not exists (select from pg_class where oid = d.view)
                        then 'its view has been dropped: select lists.drop(...) first'
                        else lists.column_problem(d.view, d.parts) end;
        if problem is not null then
            return query select d.name, 'error', problem;
            continue;
        end if;
        begin
            execute format('select count(*) from %s v where not coalesce(relais.usable_address(btrim(v.email::text)), false)',
                           d.view) into n;
            if n > 0 then
                return query select d.name, 'warning', format('rows without a usable address: %s', n);
            end if;
            return query execute format(
                'select %L::text, ''warning''::text, format(''%%s is no address: lower-case letters, digits, dot, - and _ only'', coalesce(q.address, ''a null part'')) '
                'from (%s) q(definition, address, parts, rows) '
                'where q.address is null or q.address !~ ''^[a-z0-9_+-]+(\.[a-z0-9_+-]+)*$'' '
                'or length(q.address) > 64 or lists.is_reserved(q.address) limit 20',
                d.name, lists.directory_query(d));
        exception when others then
            return query select d.name, 'error', format('its query fails: %s', sqlerrm);
        end;
    end loop;
    return query
        select min(q.definition), 'error',
               format('%s is also an address of %s', q.address, max(q.definition))
          from (select dir.definition, dir.address, cardinality(def.parts) as placeholders
                  from lists.directory() dir join lists.definition def on def.name = dir.definition) q
         group by q.address, q.placeholders having count(distinct q.definition) > 1;
end $$;

-- Hand-kept lists: insert into lists.manual (list, email, name) values (...).
create table relais.manual_member (
    list  text not null check (list ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$' and not lists.is_reserved(list)),
    email text not null check (relais.usable_address(email)),
    name  text,
    added_at timestamptz not null default clock_timestamp()
);
create unique index manual_member_once on relais.manual_member (list, lower(email));

create view lists.manual as
    select list, email, name from relais.manual_member;

select lists.define(view => 'lists.manual', address => '{list}', title => '{list}');

grant select on all tables in schema lists to relais_worker;
grant insert, delete on lists.manual to relais_worker;
