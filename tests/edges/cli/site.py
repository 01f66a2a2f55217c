"""A folder with a configuration, and `relais` run in it as a process."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.edges.cli.forge import REPOSITORY, Forge
from worker.store.database import connect

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from tests.servers.postgres import Database

_FORGE = Forge()
DOMAIN = "listes.example.fr"
PASSWORD = "correct-horse"

# Fourteen members of one committee: one has left, one has no usable address,
# two rows are the same person. Another list is open to everybody, and empty.
LISTS = """
create schema club;
create table club.member (role text, committee text, email text, person text, may_post boolean);
insert into club.member
select 'comite_directeur', 'comite', 'm' || n || '@' ||
       case when n <= 4 then 'orange.fr' when n <= 6 then 'free.fr' else 'gmail.com' end,
       'p' || n, n = 1
  from generate_series(1, 11) n;
insert into club.member values
    ('comite_directeur', 'comite', 'left@gmail.com', 'p12', false),
    ('comite_directeur', 'comite', 'no address', 'p13', false),
    ('comite_directeur', 'comite', 'm1@free.fr', 'p1', false);
create view lists.committee_role as
    select role, committee, email, person, may_post from club.member;
select lists.define(view => 'lists.committee_role', address => '{role}.{committee}',
                    title => '{role}, {committee}');
create view lists.news as select email from club.member where false;
select lists.define(view => 'lists.news', address => 'nouvelles', title => 'Nouvelles',
                    post => 'anyone');
create function club.halved(number integer) returns integer language plpgsql as
    'begin return 1 / number; end';
"""
COMMITTEE = f"comite_directeur.comite@{DOMAIN}"

# One posting of a hundred copies to Orange, ten to Free; some have left, and
# a second, smaller one behind it. The rules come before the claim: a new rule
# takes claims back.
POSTED = """
    insert into relais.list (definition, parts, address) values
        ('committee_role', '{"role": "comite_directeur", "committee": "comite"}',
         'comite_directeur.comite'),
        ('news', '{}', 'nouvelles');
    insert into relais.posting (list_id, fingerprint, author, subject, accepted_at, template,
                                key_id, listed, recipients, suppressed)
    values (1, 'a', 'm1@orange.fr', E'Convocation\\x1b[2J', relais.now() - interval '3 hours', '',
            'k', 112, 110, 2),
           (2, 'b', 'm2@orange.fr', 'Nouvelles', relais.now() - interval '1 hour', '',
            'k', 5, 5, 0);
    insert into relais.person (key) select 'person:' || n from generate_series(1, 115) n;
    delete from relais.limit_rule;
    insert into relais.limit_rule (account, provider, amount, period, set_at, set_by, reason)
    values (null, 'orange', 100, '1 day', relais.now(), 'test', 'shipped'),
           ('main', null, 200, '1 hour', relais.now(), 'test', 'starting');
    insert into relais.limit_spent
    select limit_id, relais.bin_of(period, relais.now() - period / 2), 62 from relais.limit_rule;
    insert into relais.delivery (posting_id, person_id, address, provider, state, due_at, account)
    select case when n <= 110 then 1 else 2 end, n, 'd' || n || '@example.org',
           case when n <= 100 then 'orange' when n <= 110 then 'free' else 'orange' end,
           (case when n <= 60 then 'handed_over' when n = 61 then 'bounced'
                 when n = 62 then 'in_doubt' when n = 63 then 'claimed'
                 when n = 64 then 'deferred' else 'queued' end)::relais.delivery_state,
           relais.now() - interval '1 hour' + case when n > 110 then interval '1 minute'
                                                   else interval '0' end,
           'main'
      from generate_series(1, 115) n;
    insert into relais.turn (provider, posting_id)
    select distinct provider, posting_id from relais.delivery;
"""

# p2 is m2@orange.fr on the committee, and on the other list by another address;
# they were written to at an address that they have no more.
PERSON = """
    create table club.seat (email text, person text, moderator boolean);
    insert into club.seat values ('deux@travail.fr', 'p2', true), ('m3@orange.fr', 'p3', false);
    create view lists.seat as select email, person, moderator from club.seat;
    select lists.define(view => 'lists.seat', address => 'bureau', title => 'Bureau');
    insert into relais.list (definition, parts, address) values
        ('seat', '{}', 'bureau'),
        ('committee_role', '{"role": "comite_directeur", "committee": "comite"}',
         'comite_directeur.comite');
    insert into relais.person (key) values ('person:p2');
    insert into relais.posting (list_id, fingerprint, author, subject, accepted_at, template,
                                key_id, state)
    values (1, 'a', 'm1@orange.fr', 'Convocation', relais.now(), '', 'k', 'finished'),
           (2, 'b', 'M2@orange.fr', E'Un\\x1b[2J', relais.now(), '', 'k', 'finished');
    insert into relais.delivery (posting_id, person_id, address, provider, state, due_at,
                                 settled_at, reply)
    values (1, 1, 'deux@ancien.fr', 'other', 'bounced', relais.now(), '2026-01-05 12:00+00',
            E'550 5.1.1 unknown\\x1b[2J'),
           (2, 1, 'm2@orange.fr', 'orange', 'queued', relais.now(), null, null);
    insert into relais.suppression (list_id, person_id, address, reason, source, since) values
        (1, 1, 'deux@ancien.fr', 'unsubscribed', 'one-click', '2026-01-05 12:00+00'),
        (null, null, 'm2@orange.fr', 'operator', 'operator', '2026-01-06 12:00+00');
    select lists.ban('m2@orange.fr', 'rude', 'seat');
    insert into relais.decision (posting_id, kind, address, asked_at, expires_at)
    values (1, 'moderate', 'm2@orange.fr', '2026-01-05 12:00+00', '2026-01-10 12:00+00');
    insert into relais.proven_author (author, signed_by, return_path_domain, until)
    values ('m2@orange.fr', 'orange.fr', 'orange.fr', '2126-01-05 12:00+00');
    insert into relais.notice (kind, address, posting_id, template, key_id, made_at)
    values ('moderate', 'm2@orange.fr', 1, '', 'k', '2026-01-05 12:00+00');
    insert into relais.delivery (notice_id, address, provider, state, due_at)
    values (1, 'm2@orange.fr', 'orange', 'handed_over', relais.now());
    insert into relais.known_address (person, email) values ('p2', 'deux@maison.fr');
"""

CONFIG = """
[site]
domain = "{domain}"
public_url = "https://{domain}"
help_address = "aide@example.fr"
secret_file = "relais.secret"
migrations = ["migrations"]
[database]
url = "{url}"
admin_url = "{admin_url}"
[mailbox]
imap = "imaps://listes%40example.fr@imap.example.net"
password_file = "password"
[[accounts]]
name = "main"
smtp = "smtps://listes%40example.fr@smtp.example.net"
password_file = "password"
limits = ["200/hour"]
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a verb ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """What it printed, as the one object that scripts read."""
        answer = json.loads(self.out)
        assert answer.pop("schema") == 1
        return answer


@dataclass(frozen=True, slots=True)
class Site:
    """Where the command is run."""

    folder: Path
    admin_url: str

    @classmethod
    def made(cls, folder: Path, database: Database) -> Self:
        """Write what a site needs into *folder*."""
        for name, secret in (("relais.secret", "ab" * 32), ("password", PASSWORD)):
            path = folder / name
            path.write_text(secret)
            path.chmod(0o600)
        (folder / "migrations").mkdir()
        text = CONFIG.format(domain=DOMAIN, url=database.url, admin_url=database.admin_url)
        (folder / "relais.toml").write_text(text)
        return cls(folder, database.admin_url)

    def migration(self, name: str, text: str) -> Path:
        """Write a migration of the site."""
        path = self.folder / "migrations" / name
        path.write_text(text)
        return path

    def configured(self, old: str, new: str) -> None:
        """Replace *old*, which must be there, in the configuration."""
        path = self.folder / "relais.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def relais(self, *arguments: str, **variables: str) -> Finished:
        """Run the command in the folder, and wait for its end."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RELAIS_")}
        environ |= {"PYTHONPATH": str(REPOSITORY), "TZ": "UTC", **variables}
        finished = Finished(*_FORGE.run(arguments, folder=self.folder, environ=environ))
        assert "Traceback" not in finished.err, finished.err
        assert PASSWORD not in finished.out + finished.err
        return finished

    async def sql(self, statements: str, *arguments: object) -> list[Any]:
        """Run *statements*, or one with arguments, as the owner of the database."""
        db = await connect(self.admin_url)
        try:
            if arguments:
                return list(await db.fetch(statements, *arguments))
            await db.execute(statements)
            return []
        finally:
            await db.close()
