-- How addresses fare, over all lists: what came back, and who is written to no more.
--
--     state     means                                               gets copies
--     (no row)  alive                                               yes
--     suspect   it failed for good once, clearly: asked again       yes
--     held      it failed for good on two days, or for weeks        no
--     trial     held for 90 days, and now tried once more           yes
--
-- The key is the address: whoever changes it in the member file starts clean.
-- A crash changes nothing: the state follows from the failures, and is written with them.
create table relais.address_health (
    address    text primary key check (address = lower(address)),
    state      text not null check (state in ('suspect', 'held', 'trial')),
    since      timestamptz not null,
    due_at     timestamptz,                 -- when it is asked, or tried, again
    reason     text not null,               -- worker/mail/reason.py
    status     text not null,               -- RFC 3463, or ''
    evidence   text not null,               -- the words of the system that refused it
    asked_at   timestamptz,                 -- when a suspect was written to once more
    tried_at   timestamptz                  -- when the last trial began
);
create index address_health_due on relais.address_health (due_at) where due_at is not null;

-- One row per copy that came back because of its address; what blames us is not here.
create table relais.address_failure (
    failure_id  bigint generated always as identity primary key,
    address     text not null check (address = lower(address)),
    delivery_id bigint not null unique,     -- no reference: traces of deliveries are purged
    posting_id  bigint,                     -- null: a notice
    provider    text not null,
    failed_at   timestamptz not null,
    is_permanent boolean not null,
    reason      text not null,
    status      text not null,
    evidence    text not null,
    words       bytea not null,             -- hash of the evidence without numbers and addresses
    is_excused  boolean not null default false,  -- a burst: the posting or the provider is to blame
    person_id   bigint,                     -- by whom its other copies are found; null: a notice
    is_over     boolean not null default false,  -- a later copy has arrived
    look_at     timestamptz                 -- when to see whether a later copy has arrived
);
create index address_failure_address on relais.address_failure (address, failed_at);
create index address_failure_words on relais.address_failure (posting_id, provider, words);
create index address_failure_age on relais.address_failure (failed_at);
create index address_failure_evidence on relais.address_failure (failed_at) where evidence <> '';
create index address_failure_look on relais.address_failure (look_at) where not is_over;

-- How many copies of one posting one provider has sent back with the same words.
create table relais.burst (
    posting_id bigint not null,
    provider   text not null,
    words      bytea not null,
    failures   integer not null,
    left_there integer not null default 0,       -- copies that left for there, as last counted; at least
    began_at   timestamptz not null,
    is_excused boolean not null default false,   -- what comes now is excused at once
    is_settled boolean not null default false,   -- and so is what came before
    primary key (posting_id, provider, words)
);
create index burst_age on relais.burst (began_at);
create index burst_failures on relais.burst (failures) where not is_excused;
create index burst_unsettled on relais.burst (posting_id) where is_excused and not is_settled;

grant select, insert, update, delete on relais.address_health, relais.address_failure, relais.burst
    to relais_worker;

alter table relais.posting
    add column held integer not null default 0;   -- rows whose address is held
