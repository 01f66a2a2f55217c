-- What came in, what goes out, and who gets nothing. worker/DESIGN.md has the
-- state tables; each table here says what its rows mean after a crash.

create table relais.worker (
    worker_id   text primary key,
    host        text not null,
    pid         integer not null,
    started_at  timestamptz not null default clock_timestamp(),
    alive_until timestamptz not null          -- on the server's own clock: a lease is no mail time
);
comment on table relais.worker is
    'A process and its lease: what it claimed is free again once alive_until has passed.';

-- One holder of a duty at a time (fetching, sweeping). Two at once are harmless.
create table relais.leader (
    duty        text primary key,
    worker_id   text not null,
    until       timestamptz not null
);

create table relais.mailbox (
    account     text not null,
    folder      text not null,
    uidvalidity bigint not null,
    halted      boolean not null default false,
    seen_at     timestamptz not null default clock_timestamp(),
    primary key (account, folder)
);
comment on column relais.mailbox.halted is
    'UIDVALIDITY changed: nothing is taken until a person has looked (relais quarantine, runbook).';

-- How often a message was being fetched when the process died.
create table relais.fetch_attempt (
    account     text not null,
    folder      text not null,
    uidvalidity bigint not null,
    uid         bigint not null,
    attempts    integer not null default 1,
    primary key (account, folder, uidvalidity, uid)
);

-- received  stored, nobody has looked            claimed again when the lease ends
-- sorted    a return, for the return handler     the same
-- settled   outcome says what became of it       unchanged
create table relais.arrival (
    arrival_id    bigint generated always as identity primary key,
    account       text not null,
    folder        text not null,
    uidvalidity   bigint not null,
    uid           bigint not null,
    raw           bytea not null,
    sha256        bytea not null,
    size_bytes    integer not null,
    internal_date timestamptz,
    arrived_at    timestamptz not null,
    state         text not null default 'received' check (state in ('received', 'sorted', 'settled')),
    kind          text check (kind in ('posting', 'report', 'complaint', 'automatic', 'request', 'unknown')),
    outcome       text,                         -- closed list: worker/policy/admission.py
    reason        text,
    due_at        timestamptz not null,
    attempts      integer not null default 0,   -- begun and not ended: three put it in quarantine
    worker_id     text,
    filed_in      text,                         -- the IMAP folder where it lies now
    filed_uid     bigint,                       -- its UID there (COPYUID), where the server told
    wanted_in     text,                         -- the folder where it belongs; the fetcher moves it
    unique (account, folder, uidvalidity, uid)
);
create index arrival_waiting on relais.arrival (state, due_at) where state <> 'settled';
create index arrival_to_file on relais.arrival (arrival_id)
    where wanted_in is not null and wanted_in is distinct from filed_in;

-- One address of one definition, from the first message to it.
create table relais.list (
    list_id    integer generated always as identity primary key,
    definition text not null,
    parts      jsonb not null,
    address    text not null,                   -- these two as they were last; display only
    title      text not null default '',
    unique (definition, parts)
);

-- A human by the stable key of the views, else by address. Tokens name people
-- by this number, so that a link works after its delivery has been purged.
create table relais.person (
    person_id bigint generated always as identity primary key,
    key       text not null unique              -- 'person:<key of the view>' or 'address:<lower case>'
);

-- open     has deliveries that may leave         unchanged
-- held     waits for a person, no deliveries     unchanged
-- stopped  a person ended it                     unchanged
-- finished each delivery is final                unchanged
create table relais.posting (
    posting_id   bigint generated always as identity primary key,
    list_id      integer not null references relais.list,
    arrival_id   bigint references relais.arrival on delete set null,
    fingerprint  bytea not null,
    state        text not null default 'open' check (state in ('open', 'held', 'stopped', 'finished')),
    held_because text,
    author       text not null,
    subject      text not null default '',
    message_id   text,
    accepted_at  timestamptz not null,
    finished_at  timestamptz,
    template     bytea not null,                -- every byte of the copies but the slots
    key_id       text not null,                 -- which secret signs the tokens in its copies
    listed       integer not null default 0,    -- rows of the view
    recipients   integer not null default 0,    -- deliveries made of them
    suppressed   integer not null default 0,
    unusable     integer not null default 0,
    duplicates   integer not null default 0,
    unique (list_id, fingerprint)
);
create index posting_fingerprint on relais.posting (fingerprint);
create index posting_open on relais.posting (posting_id) where state in ('open', 'held');
-- A template never compresses well and is read whole.
alter table relais.posting alter column template set storage external;
alter table relais.arrival alter column raw set storage external;

create type relais.delivery_state as enum (
    'queued', 'claimed', 'dotting', 'in_doubt', 'deferred',
    'handed_over', 'bounced', 'refused', 'cancelled', 'expired');

create table relais.delivery (
    delivery_id bigint generated always as identity primary key,
    posting_id  bigint not null references relais.posting,
    person_id   bigint not null references relais.person,
    address     text not null,
    provider    text not null,
    state       relais.delivery_state not null default 'queued',
    due_at      timestamptz not null,
    account     text,
    worker_id   text,                           -- who holds the claim: the fence of the mark
    attempts    integer not null default 0,
    tried_since timestamptz,
    resends     integer not null default 0,
    marked_at   timestamptz,                    -- the mark before the dot
    settled_at  timestamptz,
    code        integer,                        -- of the last reply
    reply       text,                           -- the last reply, or the report's diagnostic
    status      text                            -- RFC 3463, from a report
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
create unique index delivery_once on relais.delivery (posting_id, lower(address));
-- The queue: finished rows are in none of these, so a claim costs the same after years.
create index delivery_due on relais.delivery (provider, due_at, delivery_id)
    where state in ('queued', 'deferred');
create index delivery_live on relais.delivery (posting_id)
    where state in ('queued', 'claimed', 'dotting', 'in_doubt', 'deferred');
create index delivery_in_hand on relais.delivery (worker_id, state)
    where state in ('claimed', 'dotting', 'in_doubt');
create index delivery_person on relais.delivery (person_id);

create type relais.suppression_reason as enum ('unsubscribed', 'complained', 'bounced', 'operator');

-- Who gets nothing. A person's opt-out survives a change of address; the
-- address is kept as well, for people who share one.
create table relais.suppression (
    suppression_id bigint generated always as identity primary key,
    list_id        integer references relais.list,      -- null: all lists
    person_id      bigint references relais.person,
    address        text check (address = lower(address)),
    reason         relais.suppression_reason not null,
    source         text not null,                       -- page, one-click, mail, operator ...
    since          timestamptz not null,
    check (person_id is not null or address is not null),
    unique nulls not distinct (list_id, person_id, address)
);
create index suppression_person on relais.suppression (person_id);
create index suppression_address on relais.suppression (address);

grant select, insert, update, delete on relais.worker, relais.leader, relais.mailbox,
    relais.fetch_attempt, relais.arrival, relais.list, relais.person, relais.posting,
    relais.delivery, relais.suppression to relais_worker;
