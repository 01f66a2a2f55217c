-- Providers by domain and by MX, and a limit for each of them.

-- What was not in the first table.
insert into relais.provider_domain (provider, domain)
select p, d from (values
    ('sfr', array['numericable-caraibes.fr', 'evc.net', 'evhr.net', 'akeonet.com', 'cario.fr',
                  'club.fr', 'guideo.fr', 'mageos.com', 'modulonet.fr', 'netspeed.fr',
                  'sequalum.net', 'tv-com.net', 'valvision.fr', 'waika9.com']),
    ('free', array['alicepro.fr']),
    ('outlook', array['hotmail.ca', 'live.ca', 'live.co.uk', 'passport.com']),
    ('yahoo', array['yahoo.ca', 'myyahoo.com', 'aim.com', 'netscape.net', 'verizon.net']),
    ('gmx', array['mail.com'])
) seed(p, domains), unnest(domains) d
    on conflict (domain) do nothing;

-- A domain whose exchanges all end in suffixes of one provider is of this
-- provider. Microsoft counts a club's own domain like its own: outlook.
create table relais.provider_mx (
    suffix   text primary key check (suffix = lower(suffix) and suffix ~ '^[^.].*[^.]$'),
    provider text not null references relais.provider
);
insert into relais.provider_mx (provider, suffix)
select p, s from (values
    ('orange', array['orange.fr', 'wanadoo.fr']),
    ('laposte', array['laposte.net']),
    ('sfr', array['sfr.fr']),
    ('free', array['free.fr', 'proxad.net']),
    ('bouygues', array['bbox.fr', 'bouyguestelecom.fr']),
    ('google', array['google.com', 'googlemail.com']),
    ('outlook', array['olc.protection.outlook.com', 'mail.protection.outlook.com', 'mx.microsoft']),
    ('yahoo', array['yahoodns.net']),
    ('icloud', array['icloud.com']),
    ('gmx', array['gmx.net', 'web.de', 'gmx.com', 'mail.com'])
) seed(p, suffixes), unnest(suffixes) s;

-- What the DNS said of domains that are not in the table. A crash changes
-- nothing: what is asked for is asked again.
create table relais.mx_answer (
    domain       text primary key check (domain = lower(domain)),
    provider     text references relais.provider,
    asked_at     timestamptz not null,
    answered_at  timestamptz,
    ask_again_at timestamptz not null,
    check ((provider is null) = (answered_at is null))
);
comment on column relais.mx_answer.provider is 'Null: asked for, and not answered yet.';
create index mx_answer_due on relais.mx_answer (ask_again_at);

-- Finds what waits for an answer, and what follows a domain that has moved.
create index delivery_domain on relais.delivery (lower(split_part(address, '@', 2)))
    where state in ('queued', 'deferred');

-- Whose a domain is, once per domain; what is in neither table is of other, and
-- so is, for as long as it is null, what has not been answered yet.
create view relais.domain_provider as
select d.domain, d.provider from relais.provider_domain d
 union all
select a.domain, a.provider from relais.mx_answer a
 where not exists (select from relais.provider_domain d where d.domain = a.domain);

create or replace function relais.provider_of(address text) returns text
language sql stable parallel safe as $$
    select coalesce((select d.provider from relais.domain_provider d
                      where d.domain = lower(split_part(address, '@', 2))), 'other')
$$;

grant select on relais.provider_mx, relais.domain_provider to relais_worker;
grant select, insert, update, delete on relais.mx_answer to relais_worker;

-- A limit for every provider, so that a large list cannot teach one to refuse
-- us. The figures are guesses: at or above what a host lets one account submit
-- (200 to 300 an hour is usual), so that they bind where a site has several
-- accounts or a generous host, and low enough that no provider sees a stranger
-- send thousands at once. `relais limits set` changes them, and a report that says "too fast" halves
-- them for a while. Where anybody has set a rule, there is none of ours.
insert into relais.limit_rule (provider, amount, period, set_at, set_by, reason)
select shipped.provider, shipped.amount, interval '1 hour', relais.now(), 'shipped', shipped.reason
  from (values
    -- 1 or 2 connections each is what these four let a sender open, and whoever
    -- comes faster is refused for hours: La Poste for 3, SFR for 2, Free up to 24.
    ('laposte',   300, 'La Poste refuses for hours whoever comes faster than two connections carry'),
    ('sfr',       300, 'SFR refuses for two hours whoever it finds too fast'),
    ('free',      300, 'Free refuses for up to a day whoever it finds too fast'),
    -- Nothing is published, and few people have their mail there.
    ('bouygues',  200, 'Bouygues publishes nothing, and is small'),
    -- Five connections of 50 messages each; large, and judges by reputation.
    ('google',   1000, 'Gmail takes more than others, and slows down whose rate jumps'),
    -- 20 messages a connection, and [TSS04] for an unexpected volume.
    ('yahoo',     500, 'Yahoo defers an unexpected volume for hours'),
    -- Ten connections, but of only 5 messages each.
    ('icloud',    400, 'iCloud takes five messages a connection, and defers excessive volume'),
    ('gmx',       300, 'GMX and WEB.DE take four connections of 20 messages'),
    -- Thousands of small servers, which each see a part of it; many of them
    -- greylist, and one of them may be most of a list.
    ('other',     300, 'what one small server may get if a whole list is there')
  ) shipped(provider, amount, reason)
 where not exists (select from relais.limit_rule r where r.provider = shipped.provider);
