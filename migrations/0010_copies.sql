-- Copies in the reader's language, with merge fields, in the form that the list asks for.

alter table relais.delivery
    add column lang   text,        -- of its recipient; null: the posting's
    add column fields text[]       -- its merge fields, in the order of lists.definition.merge_fields
                      check (array_position(fields, null) is null);

alter table lists.definition
    add column form           text not null default 'discussion'
                              check (form in ('discussion', 'announcement', 'anonymous')),
    add column subject_prefix text not null default '',
    add column merge_fields   text[] not null default '{}',   -- columns of the view that its words name
    drop constraint definition_reply_to_check,
    add constraint definition_reply_to_check
        check (reply_to in ('author', 'list', 'owner') and (form, reply_to) <> ('anonymous', 'author'));

create function lists.column_names(view regclass) returns text[]
language sql stable as $$
    select array_agg(attname::text order by attnum)
      from pg_attribute where attrelid = view and attnum > 0 and not attisdropped
$$;

-- Placeholders in words of a list that are no parts of its address: each once, in order.
create function lists.merged_columns(words text[], parts text[]) returns text[]
language sql immutable as $$
    select coalesce(array_agg(q.name order by q.at), '{}')
      from (select m[1] as name, min(n) as at
              from regexp_matches(array_to_string(words, ' '), '\{([A-Za-z_]\w*)\}', 'g')
                   with ordinality found(m, n)
             where m[1] <> all (parts) group by 1) q
$$;

-- Who is on a list, with what its copies tell of each. As in lists.recipients,
-- only names of columns are put into the statement.
create function lists.roll(view regclass, parts jsonb, merge_fields text[])
returns table (email text, person text, lang text, fields text[])
language plpgsql stable as $$
begin
    return query execute (
        select format('select v.email::text, %s, %s, %s from %s v where true%s',
                      lists.column_or_null(view, 'person', 'text'),
                      lists.column_or_null(view, 'lang', 'text'),
                      -- What the view does not know of somebody is empty.
                      coalesce((select 'array[' || string_agg(format('coalesce(%s, '''')',
                                                                     lists.column_or_null(view, field, 'text')),
                                                              ', ' order by n) || ']'
                                  from unnest(merge_fields) with ordinality u(field, n)), 'null::text[]'),
                      view,
                      coalesce((select string_agg(format(' and v.%I = $1->>%L', key, key), '')
                                  from jsonb_object_keys(parts) key), ''))
    ) using parts;
end $$;

drop function lists.line_of(text, text, text, integer, text[]);
-- One line of text for people, or null; its placeholders are columns of the view, or of its
-- address alone.
create function lists.line_of(list text, option text, value text, longest integer, allowed text[],
                              kind text default 'part of the address')
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
     where m[1] <> all (allowed) limit 1;
    if unknown is not null then
        perform lists.refuse(list,
            format('the %s uses {%s}, which is no %s', option, unknown, kind),
            case when allowed = '{}' then 'the address has no parts'
                 else format('its %ss are: {%s}', split_part(kind, ' ', 1), array_to_string(allowed, '}, {')) end);
    end if;
    return line;
end $$;

-- What can be seen without running a query.
create or replace function lists.definition_problem(d lists.definition) returns text
language sql stable as $$
    select case
        when not exists (select from pg_class where oid = d.view)
            then format('its view has been dropped: first select lists.drop(''lists.%s'');', d.name)
        when lists.column_problem(d.view, d.parts) is not null
            then lists.column_problem(d.view, d.parts)
        when not d.merge_fields <@ lists.column_names(d.view)
            then format('its words use {%s}, which %s has no more; its columns are: %s',
                        array_to_string(array(select unnest(d.merge_fields) except select unnest(lists.column_names(d.view))), '}, {'),
                        d.view, lists.columns(d.view))
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

-- One function with all options: the one that 0007 wrapped is gone.
drop function lists.define(regclass, text, text, text, text, text, text, text, text, integer, text,
                           text, text, integer, text, text, text, interval);
drop function relais.define_list(regclass, text, text, text, text, text, text, text, text, integer, text,
                                 text, text, integer, text, text);
create function lists.define(
    view           regclass,
    address        text,
    title          text,
    why            text    default null,
    post           text    default 'members',
    authenticate   text    default 'auth_or_confirm',
    moderate       text    default 'no',
    reply_to       text    default null,
    max_size       text    default '5 MB',
    max_recipients integer default 2000,
    unsubscribe    text    default 'yes',
    footer         text    default null,
    lang           text    default 'fr',
    notify_above   integer default 25,
    in_doubt       text    default 'resend',
    owner          text    default null,
    priority       text    default 'normal',
    finish_within  interval default null,
    form           text    default 'discussion',
    subject_prefix text    default null
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
    merged  text[];
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
    why := lists.line_of(list, 'why', why, 200, lists.column_names(view), 'column of the view');
    footer := lists.line_of(list, 'footer', footer, 300, lists.column_names(view), 'column of the view');
    subject_prefix := lists.line_of(list, 'subject_prefix', subject_prefix, 40, parts);
    if subject_prefix ~* '^(re|ré|rép|aw|sv|antw|fwd?|tr) ?:' then
        perform lists.refuse(list, format('subject_prefix %L would make a reply of each message', subject_prefix),
                             'write a tag, as in ''[Board]'' or ''[{part}]''');
    end if;

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
    perform lists.refuse_unless(list, 'form', form, 'discussion', 'announcement', 'anonymous');
    reply_to := coalesce(reply_to, case form when 'anonymous' then 'list' else 'author' end);
    perform lists.refuse_unless(list, 'reply_to', reply_to, 'author', 'list', 'owner');
    if form = 'anonymous' and reply_to = 'author' then
        perform lists.refuse(list, 'a reply to its author would tell who wrote an anonymous posting',
                             'write reply_to => ''list'', or ''owner'' for the person behind the list');
    end if;
    perform lists.refuse_unless(list, 'unsubscribe', unsubscribe, 'yes', 'contact');
    perform lists.refuse_unless(list, 'lang', lang, 'fr', 'en');
    perform lists.refuse_unless(list, 'in_doubt', in_doubt, 'resend', 'park');
    perform lists.refuse_unless(list, 'priority', priority, 'low', 'normal', 'high');
    if finish_within < interval '1 hour' then
        perform lists.refuse(list, format('finish_within must be an hour or more, not %L', finish_within),
                             'write it as ''3 days''; what has not left by then is cancelled');
    end if;
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
    merged := lists.merged_columns(array[why, footer], parts);
    if form = 'announcement' and lists.has_column(view, 'name') and 'name' <> all (merged) then
        merged := merged || 'name'::text;   -- for To: "Jean Dupont" <...>
    end if;
    insert into lists.definition as d
           (name, view, address, parts, title, why, post, post_view, authenticate, moderate, reply_to,
            max_size, max_recipients, unsubscribe, footer, lang, notify_above, in_doubt, owner,
            priority, finish_within, form, subject_prefix, merge_fields)
    values (list, view, address, parts, title, why, post, authors, authenticate, moderate, reply_to,
            octets, max_recipients, unsubscribe, footer, lang, notify_above, in_doubt, owner,
            priority, finish_within, form, coalesce(subject_prefix, ''), merged)
        on conflict on constraint definition_pkey do update
       set view = excluded.view, address = excluded.address, parts = excluded.parts,
           title = excluded.title, why = excluded.why,
           post = excluded.post, post_view = excluded.post_view,
           authenticate = excluded.authenticate, moderate = excluded.moderate,
           reply_to = excluded.reply_to, max_size = excluded.max_size,
           max_recipients = excluded.max_recipients, unsubscribe = excluded.unsubscribe,
           footer = excluded.footer, lang = excluded.lang, notify_above = excluded.notify_above,
           in_doubt = excluded.in_doubt, owner = excluded.owner,
           priority = excluded.priority, finish_within = excluded.finish_within, form = excluded.form,
           subject_prefix = excluded.subject_prefix, merge_fields = excluded.merge_fields,
           defined_at = excluded.defined_at;
end $$;
