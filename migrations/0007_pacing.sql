-- Pacing: spacing between copies, a reserve for small postings, turns between
-- postings, and what feedback makes of a provider for a while.

-- A copy that left, or may have left.
create type relais.mark as (at timestamptz, account text, provider text);

-- What a notice or a posting of at most 30 recipients is made of goes first, as
-- far as the reserve of a limit reaches (worker/policy/turns.py).
alter table relais.delivery
    add column small         boolean not null default false,
    add column claims        integer not null default 0, -- which claim of it this is: the fence of the mark
    add column claimed_at    timestamptz,
    add column earlier_marks relais.mark[],              -- of attempts before this one
    add column failed_at     timestamptz,                -- when it was refused or bounced, whatever followed
    add column returned      integer not null default 0, -- refused for rate or policy, and queued again
    add column verdict       text;                       -- what a rule read in the last reply
alter table relais.posting
    add column weight     integer not null default 2 check (weight > 0),
    add column finish_by  timestamptz,                   -- what waits then is cancelled
    add column not_before timestamptz;                   -- nothing of it is claimed until then
alter table lists.definition
    add column priority      text not null default 'normal' check (priority in ('low', 'normal', 'high')),
    add column finish_within interval check (finish_within >= interval '1 hour');

update relais.delivery d set small = true
 where d.state in ('queued', 'claimed', 'dotting', 'in_doubt', 'deferred')
   and (d.notice_id is not null
        or exists (select from relais.posting o where o.posting_id = d.posting_id and o.recipients <= 30));

-- The queue is read posting by posting: what is queued is due, and what has to
-- wait is deferred until its time has come.
-- By due_at first, though all of a posting is due at once: for an order by
-- delivery_id alone the planner would rather read the table from its beginning.
create index delivery_queued on relais.delivery (posting_id, provider, due_at, delivery_id)
    where state = 'queued';
create index delivery_notices on relais.delivery (provider, due_at, delivery_id)
    where state = 'queued' and notice_id is not null;
create index delivery_deferred on relais.delivery (due_at) where state = 'deferred';
drop index relais.delivery_due;
-- By settled_at: an index whose condition a claim fulfils as well is one that the
-- planner takes for it before it has counted the rows.
drop index relais.delivery_live;
create index delivery_live on relais.delivery (posting_id) where settled_at is null;
-- Whoever looks for the marks of a period reads its end of the table only.
create index delivery_marked on relais.delivery using brin (marked_at) with (autosummarize = on);
create index delivery_marked_before on relais.delivery (delivery_id) where earlier_marks is not null;
create index posting_finish_by on relais.posting (finish_by)
    where finish_by is not null and state in ('open', 'held');

-- Who has had how many turns: a posting at a provider. The least goes next.
create table relais.turn (
    provider   text not null references relais.provider,
    posting_id bigint not null references relais.posting on delete cascade,
    passed     double precision not null default 0,      -- taken, divided by its weight
    primary key (provider, posting_id)
);
create index turn_posting on relais.turn (posting_id);
insert into relais.turn (provider, posting_id)
select distinct d.provider, d.posting_id from relais.delivery d
 where d.posting_id is not null
   and d.state in ('queued', 'claimed', 'dotting', 'in_doubt', 'deferred');

-- A mark belongs to one attempt: who is queued again keeps it among the earlier
-- ones, with whom it was submitted by and to, for both may change.
create function relais.keep_mark() returns trigger
language plpgsql as $$
begin
    new.earlier_marks := new.earlier_marks || row(old.marked_at, old.account, old.provider)::relais.mark;
    new.marked_at := null;
    return new;
end $$;
create trigger keep_mark before update on relais.delivery
    for each row when (new.state in ('queued', 'deferred') and old.marked_at is not null)
    execute function relais.keep_mark();

create view relais.v_marks as
select d.delivery_id, d.marked_at as at, d.account, d.provider, d.small
  from relais.delivery d where d.marked_at is not null
 union all
select d.delivery_id, m.at, m.account, m.provider, d.small
  from relais.delivery d, unnest(d.earlier_marks) m where d.earlier_marks is not null;

-- A bin is a two-thousandth of the period: the reserve that is kept free is a
-- twentieth of the limit, and a hundredth would be too coarse beside it.
create function relais.bin_width(period interval) returns interval
language sql immutable parallel safe as $$ select period / 2000 $$;
create or replace function relais.bin_of(period interval, moment timestamptz) returns timestamptz
language sql immutable parallel safe as $$
    select date_bin(relais.bin_width(period), moment, timestamptz '2000-01-01 00:00:00+00')
$$;
alter table relais.limit_spent
    add column small integer not null default 0;         -- of the marks, those of small postings
-- What an older bin holds may have left at its very end.
create temporary table older on commit drop as
    select s.limit_id, relais.bin_of(r.period, s.bin + r.period / 100 - interval '1 microsecond') as bin,
           sum(s.marks) as marks
      from relais.limit_spent s join relais.limit_rule r using (limit_id) group by 1, 2;
delete from relais.limit_spent;
insert into relais.limit_spent (limit_id, bin, marks) select * from older;

-- The bucket that spaces copies: what is owed at as_of; one is paid back each
-- interval. Counted at the mark, like the bins.
alter table relais.limit_rule
    add column spacing interval check (spacing >= interval '0');   -- null: even; 0: none
create table relais.limit_bucket (
    limit_id integer primary key references relais.limit_rule on delete cascade,
    owed     double precision not null,
    as_of    timestamptz not null
) with (fillfactor = 50);

create function relais.spacing_of(rule relais.limit_rule) returns interval
language sql immutable parallel safe as $$
    select greatest(coalesce(rule.spacing, rule.period / greatest(rule.amount, 1) * 0.95),
                    interval '1 microsecond')
$$;

-- A change of the rules excludes marks, or one could be under way while a new
-- rule counts what has left, and be in neither; and claims, or one could be under
-- way that knows nothing of a new rule. They share the locks; a change has them
-- alone. Within one statement a lock comes too late for the snapshot, so marks
-- and claims read the rules in functions, whose statements take their own.
create function relais.mark_lock() returns void
language sql volatile as $$ select pg_advisory_xact_lock_shared(7256947, 1) $$;

create function relais.rules_in_force() returns setof relais.limit_rule
language plpgsql volatile rows 10 as $$
begin
    perform relais.mark_lock();
    return query select * from relais.limit_rule;
end $$;

create function relais.change_lock() returns trigger
language plpgsql as $$
begin
    perform pg_advisory_xact_lock(7256947, 2), pg_advisory_xact_lock(7256947, 1);
    return null;
end $$;
create trigger change_lock before insert or update or delete on relais.limit_rule
    for each statement execute function relais.change_lock();

-- What a claim of an account begins with: the locks of the rules that it falls
-- under, in the order of their numbers, and what there is to look at.
create function relais.begin_claim(for_account text, out now timestamptz, out is_paused boolean,
                                   out has_rules boolean, out has_due boolean)
language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(7256947, 2);
    perform from relais.limit_rule where account = for_account or account is null
      order by limit_id for no key update;
    has_rules := found;
    now := relais.now();
    is_paused := exists (select from relais.account_state s
                          where s.account = for_account and s.paused_until > begin_claim.now);
    has_due := exists (select from relais.delivery d
                        where d.state = 'deferred' and d.due_at <= begin_claim.now);
end $$;

-- A rule counts what has left before it, as far as the deliveries know.
create or replace function relais.remember_spending() returns trigger
language plpgsql as $$
declare
    since timestamptz := relais.now() - new.period;
begin
    delete from relais.limit_spent where limit_id = new.limit_id;
    insert into relais.limit_spent (limit_id, bin, marks, small)
    select new.limit_id, relais.bin_of(new.period, m.at), count(*), count(*) filter (where m.small)
      from relais.v_marks m
     where m.at > since
       and (new.account is null or m.account = new.account)
       and (new.provider is null or m.provider = new.provider)
     group by 2;
    return null;
end $$;
create trigger remember_spending_anew after update of account, provider, period on relais.limit_rule
    for each row when ((old.account, old.provider, old.period)
                       is distinct from (new.account, new.provider, new.period))
    execute function relais.remember_spending();

-- A lowered limit binds from its change on: what was claimed before it and is
-- not marked goes back into the queue, and the fence stops whoever held it. A
-- row that somebody has locked is on its way back or out already: no mark can
-- hold one while we have the lock alone.
create function relais.rule_changed() returns trigger
language plpgsql as $$
begin
    if tg_op = 'INSERT' or (new.account, new.provider, new.period) is distinct from
                           (old.account, old.provider, old.period)
                        or new.amount < old.amount then
        update relais.delivery d
           set state = 'queued', worker_id = null, attempts = d.attempts - 1
         where d.delivery_id = any (array(
               select c.delivery_id from relais.delivery c
                where c.state = 'claimed'
                  and (new.account is null or c.account = new.account)
                  and (new.provider is null or c.provider = new.provider)
                  for update skip locked));
        perform pg_notify('relais', 'limit');
    end if;
    perform pg_notify('relais', 'delivery');
    return null;
end $$;
create trigger rule_changed after insert or update on relais.limit_rule
    for each row execute function relais.rule_changed();

-- What is different about a provider for a while, and why; it ends by itself.
-- Slow: only factor of its limits until then, after which it recovers by a
-- quarter each hour. Pause: nothing, or nothing of one posting, or of one account.
create table relais.provider_state (
    state_id   bigint generated always as identity primary key,
    provider   text not null references relais.provider,
    account    text,                                     -- null: whoever submits
    posting_id bigint references relais.posting on delete cascade,   -- null: all
    kind       text not null check (kind in ('slow', 'pause')),
    factor     double precision check (factor > 0 and factor < 1),
    since      timestamptz not null,
    until      timestamptz not null,
    why        text not null,                            -- no address in it
    rule_id    text,                                     -- null: an operator's
    set_by     text not null,
    check ((kind = 'slow') = (factor is not null)),
    check (until > since)
);
create index provider_state_until on relais.provider_state (until);
create index provider_state_posting on relais.provider_state (posting_id) where posting_id is not null;

-- What hosts count: copies that nobody took, by the account they left from.
create index delivery_failed on relais.delivery (account, failed_at) where failed_at is not null;

grant select on relais.provider_state, relais.turn, relais.limit_bucket, relais.v_marks to relais_worker;
grant insert, update, delete on relais.provider_state, relais.turn, relais.limit_bucket to relais_worker;

-- Claims not yet marked hold their token: marks and claims are counted together.
-- Bins that the window cuts are counted whole in spent, so it never is too
-- little. In spent_within those are left out that leave it next, so that their
-- successors go before them and no window is less than full between the two.
create or replace view relais.v_limits as
with held as materialized (
    select d.account, d.provider, count(*) as claimed, count(*) filter (where d.small) as small
      from relais.delivery d where d.state = 'claimed' group by d.account, d.provider
)
select r.limit_id, r.account, r.provider, r.amount, r.period, r.burst,
       bins.spent, claims.claimed, r.set_at, r.set_by, r.reason,
       r.spacing, bins.spent_within, bins.small as spent_small, claims.small as claimed_small,
       coalesce(b.owed, 0) as owed, b.as_of as owed_as_of
  from relais.limit_rule r
 cross join lateral (
       select coalesce(sum(s.marks), 0)::integer as spent,
              coalesce(sum(s.marks) filter (where s.bin >= t.now - r.period + relais.bin_width(r.period)),
                       0)::integer as spent_within,
              coalesce(sum(s.small), 0)::integer as small
         from (select relais.now() as now) t
         join relais.limit_spent s on s.limit_id = r.limit_id
                                  and s.bin > t.now - r.period - relais.bin_width(r.period)) bins
 cross join lateral (
       select coalesce(sum(h.claimed), 0)::integer as claimed, coalesce(sum(h.small), 0)::integer as small
         from held h
        where (r.account is null or h.account = r.account)
          and (r.provider is null or h.provider = r.provider)) claims
  left join relais.limit_bucket b on b.limit_id = r.limit_id;

create or replace view relais.v_queue as
select p.provider,
       count(d.delivery_id) filter (where d.state in ('queued', 'deferred', 'claimed'))::integer as waiting,
       count(d.delivery_id) filter (where d.state in ('dotting', 'in_doubt'))::integer as in_doubt,
       min(o.accepted_at) filter (where d.state in ('queued', 'deferred', 'claimed')) as oldest_at
  from relais.provider p
  left join relais.delivery d
    on d.provider = p.provider and d.settled_at is null
   and d.state in ('queued', 'deferred', 'claimed', 'dotting', 'in_doubt')
  left join relais.posting o on o.posting_id = d.posting_id
 group by p.provider;

-- Two options more of a definition. What is checked there stays there.
alter function lists.define(regclass, text, text, text, text, text, text, text, text, integer, text,
                            text, text, integer, text, text) rename to define_list;
alter function lists.define_list(regclass, text, text, text, text, text, text, text, text, integer, text,
                                 text, text, integer, text, text) set schema relais;

create function lists.define(
    view           regclass,
    address        text,
    title          text,
    why            text     default null,
    post           text     default 'members',
    authenticate   text     default 'auth_or_confirm',
    moderate       text     default 'no',
    reply_to       text     default 'author',
    max_size       text     default '5 MB',
    max_recipients integer  default 2000,
    unsubscribe    text     default 'yes',
    footer         text     default null,
    lang           text     default 'fr',
    notify_above   integer  default 25,
    in_doubt       text     default 'resend',
    owner          text     default null,
    priority       text     default 'normal',
    finish_within  interval default null
) returns void
language plpgsql as $$
#variable_conflict use_variable
declare
    list text := (select relname from pg_class where oid = view);
begin
    perform relais.define_list(view, address, title, why, post, authenticate, moderate, reply_to, max_size,
                               max_recipients, unsubscribe, footer, lang, notify_above, in_doubt, owner);
    perform lists.refuse_unless(list, 'priority', priority, 'low', 'normal', 'high');
    if finish_within < interval '1 hour' then
        perform lists.refuse(list, format('finish_within must be an hour or more, not %L', finish_within),
                             'write it as ''3 days''; what has not left by then is cancelled');
    end if;
    update lists.definition d set priority = define.priority, finish_within = define.finish_within
     where d.name = list;
end $$;
