-- Limits: how much may leave, per account, per provider, or for both together.

create table relais.provider (
    provider text primary key check (provider ~ '^[a-z0-9_-]+$'),
    display  text not null
);
create table relais.provider_domain (
    domain   text primary key check (domain = lower(domain)),
    provider text not null references relais.provider
);

create function relais.provider_of(address text) returns text
language sql stable parallel safe as $$
    select coalesce((select d.provider from relais.provider_domain d
                      where d.domain = lower(split_part(address, '@', 2))), 'other')
$$;

-- No half-open interval as long as the period holds more than amount marks.
create table relais.limit_rule (
    limit_id integer generated always as identity primary key,
    account  text,
    provider text references relais.provider,
    amount   integer not null check (amount >= 0),
    period   interval not null check (period between '1 second' and '31 days'
                                      and extract(month from period) = 0),
    burst    integer check (burst > 0),   -- kept for the spacing between copies
    set_at   timestamptz not null,
    set_by   text not null,
    reason   text not null,
    check (account is not null or provider is not null),
    unique nulls not distinct (account, provider, period)
);

-- Marks in bins of a hundredth of the period. A bin that the window cuts is
-- counted whole, so bins never under-count, and 99 % of a limit can be used.
create table relais.limit_spent (
    limit_id integer not null references relais.limit_rule on delete cascade,
    bin      timestamptz not null,
    marks    integer not null,
    primary key (limit_id, bin)
) with (fillfactor = 50);

create function relais.bin_of(period interval, moment timestamptz) returns timestamptz
language sql immutable parallel safe as $$
    select date_bin(period / 100, moment, timestamptz '2000-01-01 00:00:00+00')
$$;

-- A new rule counts what already left: the deliveries know when they were marked.
create function relais.remember_spending() returns trigger
language plpgsql as $$
begin
    insert into relais.limit_spent (limit_id, bin, marks)
    select new.limit_id, relais.bin_of(new.period, d.marked_at), count(*)
      from relais.delivery d
     where d.marked_at > relais.now() - new.period
       and (new.account is null or d.account = new.account)
       and (new.provider is null or d.provider = new.provider)
     group by 2;
    return null;
end $$;
create trigger remember_spending after insert on relais.limit_rule
    for each row execute function relais.remember_spending();

-- An account that refuses us is left alone until paused_until.
create table relais.account_state (
    account      text primary key,
    paused_until timestamptz not null,
    failures     integer not null,          -- in a row; the pause grows with them
    why          text not null,
    since        timestamptz not null
);

create table relais.audit (
    audit_id bigint generated always as identity primary key,
    at       timestamptz not null,
    who      text not null,
    what     text not null,
    reason   text not null
);

grant select on relais.provider, relais.provider_domain to relais_worker;
grant select, insert, update, delete on relais.limit_rule, relais.limit_spent,
    relais.account_state to relais_worker;
grant select, insert on relais.audit to relais_worker;

insert into relais.provider values
    ('orange', 'Orange / Wanadoo'), ('laposte', 'La Poste'), ('sfr', 'SFR / Neuf'),
    ('free', 'Free'), ('bouygues', 'Bouygues'), ('google', 'Gmail'),
    ('outlook', 'Outlook / Hotmail'), ('yahoo', 'Yahoo / AOL'), ('icloud', 'iCloud'),
    ('gmx', 'GMX / WEB.DE'), ('other', 'all other domains');

insert into relais.provider_domain (provider, domain)
select p, d from (values
    ('orange', array['orange.fr', 'wanadoo.fr', 'voila.fr']),
    ('laposte', array['laposte.net']),
    ('sfr', array['sfr.fr', 'neuf.fr', 'club-internet.fr', 'cegetel.net', 'numericable.fr',
                  'numericable.com', '9online.fr', '9business.fr', 'noos.fr', 'sfr.net']),
    ('free', array['free.fr', 'aliceadsl.fr', 'libertysurf.fr', 'freesbee.fr', 'worldonline.fr']),
    ('bouygues', array['bbox.fr']),
    ('google', array['gmail.com', 'googlemail.com']),
    ('outlook', array['outlook.com', 'outlook.fr', 'outlook.be', 'hotmail.com', 'hotmail.fr',
                      'hotmail.be', 'hotmail.co.uk', 'hotmail.de', 'hotmail.es', 'hotmail.it',
                      'live.com', 'live.fr', 'live.be', 'msn.com', 'windowslive.com']),
    ('yahoo', array['yahoo.com', 'yahoo.fr', 'yahoo.co.uk', 'yahoo.de', 'yahoo.es', 'yahoo.it',
                    'ymail.com', 'rocketmail.com', 'aol.com', 'aol.fr']),
    ('icloud', array['icloud.com', 'me.com', 'mac.com']),
    ('gmx', array['gmx.net', 'gmx.de', 'gmx.at', 'gmx.ch', 'gmx.fr', 'gmx.com', 'web.de'])
) seed(p, domains), unnest(domains) d;

-- What the two providers that started this project let through, about.
insert into relais.limit_rule (provider, amount, period, set_at, set_by, reason) values
    ('orange', 100, '1 day', relais.now(), 'shipped', 'Orange blocks ordinary senders beyond about 100 a day'),
    ('outlook', 300, '1 day', relais.now(), 'shipped', 'Outlook blocks ordinary senders beyond about 300 a day');

-- Claims not yet marked hold their token: marks and claims are counted together.
create view relais.v_limits as
select r.limit_id, r.account, r.provider, r.amount, r.period, r.burst,
       coalesce((select sum(s.marks) from relais.limit_spent s
                  where s.limit_id = r.limit_id
                    and s.bin > (select relais.now()) - r.period - r.period / 100), 0)::integer as spent,
       (select count(*) from relais.delivery d
         where d.state = 'claimed'
           and (r.account is null or d.account = r.account)
           and (r.provider is null or d.provider = r.provider))::integer as claimed,
       r.set_at, r.set_by, r.reason
  from relais.limit_rule r;

create view relais.v_queue as
select p.provider,
       count(d.delivery_id) filter (where d.state in ('queued', 'deferred', 'claimed'))::integer as waiting,
       count(d.delivery_id) filter (where d.state in ('dotting', 'in_doubt'))::integer as in_doubt,
       min(o.accepted_at) filter (where d.state in ('queued', 'deferred', 'claimed')) as oldest_at
  from relais.provider p
  left join relais.delivery d
    on d.provider = p.provider
   and d.state in ('queued', 'deferred', 'claimed', 'dotting', 'in_doubt')
  left join relais.posting o on o.posting_id = d.posting_id
 group by p.provider;

grant select on relais.v_limits, relais.v_queue to relais_worker;
