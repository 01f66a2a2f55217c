-- Who may post, what waits for a person, and what we write to people about it.

-- A message, whichever lists it is for: its expansions follow each other by
-- this row, so that a person on two of its lists gets one copy.
create table relais.message (
    fingerprint bytea primary key,
    expansions  integer not null default 1,
    seen_at     timestamptz not null default relais.now()
);

-- Who may not post: an address, or @domain; on one definition or on all.
create table relais.ban (
    author     text not null check (author = lower(author) and position('@' in author) > 0),
    definition text,
    reason     text not null check (btrim(reason) <> ''),
    since      timestamptz not null default relais.now(),
    unique nulls not distinct (author, definition)
);

create function lists.ban(author text, reason text, definition text default null) returns void
language sql as $$
    insert into relais.ban (author, reason, definition) values (lower(author), reason, definition)
        on conflict on constraint ban_author_definition_key do update
       set reason = excluded.reason, since = excluded.since
$$;

create function lists.unban(author text, definition text default null) returns void
language plpgsql as $$
begin
    delete from relais.ban b
     where b.author = lower($1) and b.definition is not distinct from $2;
    if not found then
        raise exception '% is not banned', $1;
    end if;
end $$;

-- The other addresses that a person writes from. A site that keeps them in its
-- member space replaces this view by one on its own tables.
create table relais.known_address (
    person   text not null,                     -- the stable key of the views
    email    text not null check (relais.usable_address(email)),
    added_at timestamptz not null default relais.now()
);
create unique index known_address_once on relais.known_address (lower(email), person);

create view lists.known_addresses as
    select person, email from relais.known_address;

-- What we know of an author who was asked and said yes: as long as it lasts,
-- the same evidence is not asked about again. Something in it must be more than
-- the author's own word: a signature that holds, or the network it came from.
create table relais.proven_author (
    author             text not null check (author = lower(author)),
    signed_by          text not null default '',   -- d= of a DKIM signature that held
    return_path_domain text not null default '',
    network            text not null default '',   -- of the client that our host saw
    until              timestamptz not null,
    primary key (author, signed_by, return_path_domain, network),
    check (signed_by <> '' or network <> '')
);

-- held     waits for *awaits*: the author's confirmation, a moderator, or the
--          release by a worker once all said yes; a crash changes nothing. One
--          that was held under way has deliveries, of which none is claimed
-- stopped  *ended_because*: refused, withdrawn, expired, stopped
alter table relais.posting
    add column awaits text check (awaits in ('confirmation', 'moderation', 'release')),
    add column reasons text[] not null default '{}',     -- closed list: worker/policy/admission.py
    add column approved text[] not null default '{}',    -- reasons that a person has waved through
    add column ended_because text,
    add column held_until timestamptz,                   -- of a release: not before
    add column asked_at timestamptz,                     -- null: whom it awaits has still to be asked
    add column attempts integer not null default 0,      -- begun and not ended: three let it wait an hour
    add column tell boolean not null default false,      -- its author has still to hear how it ended
    add column decided_by text,
    add column size_bytes integer,
    add column lang text,
    add column proof text not null default '',           -- how the author was authenticated
    add column signed_by text not null default '',
    add column return_path_domain text not null default '',
    add column network text not null default '',
    add column resend_doubtful boolean not null default true,
    -- until then nobody need look whether its recipients are still on the list
    add column fresh_until timestamptz not null default now() + interval '12 hours';
-- In two steps: relais.now() is volatile, and would have every template copied.
alter table relais.posting
    alter column fresh_until set default relais.now() + interval '12 hours';
alter table relais.posting add constraint posting_held_awaits
    check (awaits is null or state = 'held');
create index posting_awaits on relais.posting (awaits, held_until) where awaits is not null;
create index posting_to_tell on relais.posting (posting_id) where tell;
create index posting_author on relais.posting (lower(author), accepted_at);
create index posting_list on relais.posting (list_id, accepted_at);
create index posting_stopped on relais.posting (finished_at) where state = 'stopped';
update relais.posting
   set awaits = 'moderation',
       reasons = array[case held_because when 'the list is empty' then 'empty' else 'too_many' end]
 where state = 'held';

-- A decision that somebody is asked for. The token in the mail names the row,
-- so a page knows who decides; the first answer counts.
create table relais.decision (
    decision_id bigint generated always as identity primary key,
    posting_id  bigint not null references relais.posting on delete cascade,
    kind        text not null check (kind in ('confirm', 'moderate')),
    address     text not null,
    asked_at    timestamptz not null,
    expires_at  timestamptz not null,
    answer      text check (answer in ('yes', 'no')),
    answered_at timestamptz,
    source      text,                               -- page, mail, operator
    reason      text,
    check ((answer is null) = (answered_at is null))
);
create index decision_posting on relais.decision (posting_id);
create index decision_asked on relais.decision (lower(address), asked_at);

-- Our own mail to one person. It goes out as a delivery does, with its limits,
-- its mark and its doubt; its bytes are frozen here.
create table relais.notice (
    notice_id  bigint generated always as identity primary key,
    kind       text not null,                       -- closed list: worker/policy/outcome.py
    address    text not null,
    posting_id bigint references relais.posting on delete set null,
    arrival_id bigint references relais.arrival on delete set null,   -- of what is forwarded
    template   bytea not null,
    key_id     text not null,
    made_at    timestamptz not null
);
alter table relais.notice alter column template set storage external;
create index notice_address on relais.notice (lower(address), made_at);
create index notice_posting on relais.notice (posting_id);
create index notice_arrival on relais.notice (arrival_id) where arrival_id is not null;

alter table relais.delivery
    add column notice_id bigint references relais.notice on delete cascade,
    alter column posting_id drop not null,
    alter column person_id drop not null,
    add constraint delivery_of_one check (num_nonnulls(posting_id, notice_id) = 1),
    add constraint delivery_person check (posting_id is null or person_id is not null);
create index delivery_notice on relais.delivery (notice_id) where notice_id is not null;

-- A list's query that fails: since when the arrival waits, and whether its author was told.
alter table relais.arrival
    add column waits_since timestamptz,
    add column told_at timestamptz;

-- What the server says now: `relais mailbox resume` makes it the one we go by.
alter table relais.mailbox add column found_uidvalidity bigint;
comment on column relais.mailbox.halted is
    'UIDVALIDITY changed: nothing is taken until a person has looked (relais mailbox resume).';

grant select, insert, update, delete on relais.message, relais.proven_author, relais.decision,
    relais.notice to relais_worker;
grant select on relais.ban, relais.known_address, lists.known_addresses to relais_worker;
