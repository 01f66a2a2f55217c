-- What authors are told about their postings: a receipt with a plan, a word when it
-- slips, and how it ended; and what they may still stop.

-- One row per message that goes out, whichever lists it is for: what its author is
-- told is of all its postings together.
--     written_at   null: no receipt so far, or none is due
--     closed_at    null: its end is still to be told, or seen to need no word
-- A crash changes nothing: the notice and the row are written in one transaction.
create table relais.receipt (
    receipt_id  bigint generated always as identity primary key,
    author      text not null,
    lang        text not null,
    accepted_at timestamptz not null,            -- of the first of its postings
    look_at     timestamptz not null,            -- nothing is to be done before
    written_at  timestamptz,
    promised_at timestamptz,                     -- the finish that the receipt named
    report_promised boolean not null default false,
    delayed_at  timestamptz,                     -- the delay notice: one at most
    closed_at   timestamptz,
    attempts    integer not null default 0       -- begun and not ended: three put it off
);
create index receipt_open on relais.receipt (look_at) where closed_at is null;

alter table relais.posting
    add column receipt_id bigint references relais.receipt on delete set null,
    add column owes_receipt boolean not null default false,      -- it has none yet, and shall
    add column answerable boolean not null default true,         -- a person wrote it, to us
    -- What an answer refers to: the Message-ID that its author knows, last.
    add column thread text[] not null default '{}',
    add column author_lang text,                 -- as the views have it; null: the list's
    add column content bytea,                    -- what it says, hashed: a second sending is known by it
    add column repeats bigint references relais.posting on delete set null,   -- sent twice: the first one
    add column paused_by text;                   -- 'author' or an operator, until it is resumed
create index posting_receipt on relais.posting (receipt_id) where receipt_id is not null;
create index posting_owes_receipt on relais.posting (posting_id) where owes_receipt;
create index posting_repeats on relais.posting (repeats) where repeats is not null;

-- An author who wants fewer of our letters: how it ended only if somebody was not
-- reached, no receipts. What was refused or is held they hear of all the same.
create table relais.author_wish (
    author text primary key check (author = lower(author)),
    fewer  boolean not null,
    since  timestamptz not null
);

-- Answers to one author follow each other by the row of their hash, so that no two
-- workers count the day's answers at the same moment.
create table relais.answer_turn (
    bucket integer primary key check (bucket between 0 and 4095),
    turns  bigint not null default 1
);

-- To which addresses a message was refused, hashed: a host that delivers it several
-- times is no reason to answer several times.
alter table relais.message add column refused bytea[] not null default '{}';
create index message_seen on relais.message (seen_at);

-- Why a copy was cancelled, for people: closed list in worker/policy/telling.py.
create function relais.cancelled_because(reply text) returns text
language sql immutable parallel safe as $$
    select case when reply in ('unsubscribed', 'suppressed by an operator') then 'unsubscribed'
                when reply like 'held:%' then 'held'
                when reply like 'refused there%' then 'refused'   -- A provider calls it unwanted.
                when reply = 'purged' then 'expired'              -- It came back after its bytes had gone.
                when reply = 'no longer on the list' or reply is null then 'left'
                else 'stopped' end
$$;

create function relais.has_stopped_copies(posting bigint) returns boolean
language sql stable as $$
    select exists (select from relais.delivery d
                    where d.posting_id = posting and d.state = 'cancelled' and d.reply = 'stopped')
$$;

-- Whether somebody may let a posting go on that is paused, or was stopped: an operator
-- any, its 'author' none that an operator has paused or stopped. It is written so that
-- it is taken into the query, which else would read the template of each row.
create function relais.may_resume(o relais.posting, who text) returns boolean
language sql as $$
    select coalesce((o.state = 'held' and o.awaits is null
                     or o.state = 'stopped' and o.ended_because = 'stopped'
                        and o.template is not null
                        and (o.finish_by is null or o.finish_by > relais.now())
                        and relais.has_stopped_copies(o.posting_id))
                    and (who <> 'author'
                         or coalesce(o.paused_by, 'author') = 'author'
                            and (o.state = 'held' or o.decided_by = 'author')), false)
$$;

alter table lists.definition
    add column receipt text not null default 'auto' check (receipt in ('auto', 'always', 'never')),
    add column notify_delay interval not null default '1 hour' check (notify_delay >= interval '0'),
    -- Above 200 recipients: how long the first copy waits, for its author to stop it.
    add column grace interval not null default '5 minutes' check (grace between interval '0' and interval '1 day'),
    -- Who reads in the closing report which addresses were refused.
    add column report_addresses text not null default 'owner'
        check (report_addresses in ('owner', 'author', 'nobody'));

grant select, insert, update, delete on relais.receipt, relais.author_wish, relais.answer_turn
    to relais_worker;

-- Four options more.
drop function lists.define(regclass, text, text, text, text, text, text, text, text, integer, text,
                           text, text, integer, text, text, text, interval, text, text);
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
    subject_prefix text    default null,
    receipt        text    default 'auto',
    notify_delay   interval default '1 hour',
    grace          interval default '5 minutes',
    report_addresses text  default 'owner'
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
    perform lists.refuse_unless(list, 'receipt', receipt, 'auto', 'always', 'never');
    perform lists.refuse_unless(list, 'report_addresses', report_addresses, 'owner', 'author', 'nobody');
    if coalesce(notify_delay < interval '0', true) then
        perform lists.refuse(list, format('notify_delay must be 0 or more, not %L', notify_delay),
                             'write it as ''1 hour''; who waits longer for the last copy is told');
    end if;
    if coalesce(grace not between interval '0' and interval '1 day', true) then
        perform lists.refuse(list, format('grace must be from 0 to 1 day, not %L', grace),
                             'write it as ''5 minutes''; in that time the author can still stop all copies');
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
            priority, finish_within, form, subject_prefix, merge_fields,
            receipt, notify_delay, grace, report_addresses)
    values (list, view, address, parts, title, why, post, authors, authenticate, moderate, reply_to,
            octets, max_recipients, unsubscribe, footer, lang, notify_above, in_doubt, owner,
            priority, finish_within, form, coalesce(subject_prefix, ''), merged,
            receipt, notify_delay, grace, report_addresses)
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
           receipt = excluded.receipt, notify_delay = excluded.notify_delay,
           grace = excluded.grace, report_addresses = excluded.report_addresses,
           defined_at = excluded.defined_at;
end $$;
