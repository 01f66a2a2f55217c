-- What is kept of people: bytes go first, traces later, and of whoever asks to be
-- erased a hash stays of what they have left.

-- The rows stay: fingerprints know duplicates, and tokens name lists and people.
alter table relais.posting
    alter column template drop not null,                      -- null: purged, or erased
    add column has_traces boolean not null default true;      -- its deliveries, and who wrote it
alter table relais.notice alter column template drop not null;
alter table relais.arrival alter column raw drop not null;

-- What may be purged, by age; what was purged is in none of these.
create index posting_bytes on relais.posting (finished_at)
    where template is not null and finished_at is not null;
create index posting_traces on relais.posting (finished_at)
    where has_traces and finished_at is not null;
create index posting_arrival on relais.posting (arrival_id) where arrival_id is not null;
create index arrival_bytes on relais.arrival (kind, arrived_at)
    where raw is not null and state = 'settled';
create index notice_bytes on relais.notice (made_at) where template is not null;
create index notice_made on relais.notice (made_at);

-- What became of deliveries whose rows were purged.
create table relais.posting_figure (
    posting_id bigint not null references relais.posting on delete cascade,
    state      relais.delivery_state not null,
    deliveries integer not null,
    primary key (posting_id, state)
);
grant select, insert, update, delete on relais.posting_figure to relais_worker;

-- The site's own salt: a copy of the hashes alone tells of no address that can be guessed.
create table relais.salt (
    only_row boolean primary key default true check (only_row),
    salt     bytea not null
);
insert into relais.salt (salt) values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
grant select on relais.salt to relais_worker;

-- The salt is an argument, so that a statement over a million rows reads it once.
create function relais.salted(value text, salt bytea) returns text
language sql stable parallel safe as $$
    select encode(sha256(salt || convert_to(value, 'UTF8')), 'hex')
$$;

-- Whoever was erased has the key 'erased:<hash of their key>:<number>', and their
-- opt-outs and bans 'erased:<hash of the address>' for an address.
alter table relais.ban drop constraint ban_author_check;
alter table relais.ban add constraint ban_author_check
    check (author = lower(author) and (position('@' in author) > 0 or author like 'erased:%'));
create index person_erased on relais.person (person_id) where key like 'erased:%';
