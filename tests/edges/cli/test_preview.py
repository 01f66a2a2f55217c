"""`relais preview`: rights, who and why, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from tests.edges.cli.site import COMMITTEE, DOMAIN, Site
from worker.cli.rights import in_words, judged, with_rails
from worker.cli.size import octets, read_size
from worker.cli.verb import VerbError
from worker.notices.letters import reason_words
from worker.policy.admission import Action, Facts, MessageFacts, Reason, Standing
from worker.policy.expansion import Definition

MEGABYTE = 1024 * 1024
PROOF = "their provider proves who they are"

# The list with its number, as after its first message.
LISTED = """
    insert into relais.list (definition, parts, address)
    values ('committee_role', '{"role": "comite_directeur", "committee": "comite"}',
            'comite_directeur.comite')
"""
LEAVE = (
    LISTED
    + """;
    insert into relais.person (key) values ('person:p12');
    insert into relais.suppression (list_id, person_id, reason, source, since)
    values (1, 1, 'unsubscribed', 'page', '2026-01-05 12:00+00')
"""
)


async def test_preview(site: Site) -> None:
    """Who would get it, who would not, and nothing is written."""
    await site.sql(LEAVE)

    ended = site.relais("preview", COMMITTEE, "--json")

    assert ended.code == 0
    answer = ended.answer
    finish_at = datetime.fromisoformat(answer.pop("finish_at"))
    assert datetime.now(UTC) - finish_at < timedelta(minutes=1)
    for provider in answer["providers"]:
        assert provider.pop("finish_at").endswith("Z")
    assert answer == {
        "cut": False,
        "address": COMMITTEE,
        "definition": "committee_role",
        "parts": {"role": "comite_directeur", "committee": "comite"},
        "recipients": 14,
        "would_receive": 11,
        "suppressed": 1,
        "held": 0,
        "unusable": 1,
        "duplicates": 1,
        "may_post": None,
        "admission": None,
        "admission_if_proven": None,
        "rule": None,
        "holds": [],
        "too_large": None,
        "member_file": None,
        "providers": [
            {"provider": "google", "recipients": 5},
            {"provider": "free", "recipients": 3},
            {"provider": "orange", "recipients": 3},
        ],
    }
    counts = await site.sql(
        "select (select count(*) from relais.list) as lists, (select count(*) from relais.posting)"
        " as postings, count(*) as people from relais.person where $1",
        True,  # noqa: FBT003 - an argument of the statement
    )
    assert counts == [(1, 0, 1)]


def test_for_people(site: Site) -> None:
    """The same for people; a detail after the name is taken off as on arrival."""
    lines = site.relais("preview", "Comite_Directeur.comite+Reunion").out.splitlines()

    said = dict(line.split(maxsplit=1) for line in lines)
    assert said["List"] == f"{COMMITTEE}  (definition committee_role)"
    assert said["Parts"] == "role = comite_directeur, committee = comite"
    assert said["Rights"] == "post: members"
    assert said["Who"] == (
        "14 rows now: 0 suppressed, 0 held, 1 unusable, 1 duplicate; 12 would receive it"
    )
    assert said["Finished"] == "now  (google 6, free 3, orange 3)"
    assert lines[-1] == "Nothing was sent. --who shows the addresses."


class Asked(NamedTuple):
    """An author, and what the mediator's chain would say."""

    options: str  # Of the definition, in SQL.
    author: str
    says: str
    may_post: bool
    admission: str
    if_proven: str
    rule: str | None
    holds: list[str]


CONFIRM = "to be confirmed by the author"
MODERATED = reason_words("en", Reason.MODERATED)

ASKED = {
    "a member": Asked(
        "post = 'members'",
        "M1@orange.fr",
        f"may post, once they have confirmed (or {PROOF})",
        may_post=True,
        admission="confirm",
        if_proven="accept",
        rule=CONFIRM,
        holds=[],
    ),
    "a member whose view says no": Asked(
        "post = 'members'",
        "m2@orange.fr",
        "may NOT post: on the list, but its view has may_post = false for them",
        may_post=False,
        admission="refuse",
        if_proven="refuse",
        rule="a stranger",
        holds=[],
    ),
    "a stranger": Asked(
        "post = 'members'",
        "x@y.fr",
        "may NOT post: not among the members",
        may_post=False,
        admission="refuse",
        if_proven="refuse",
        rule="a stranger",
        holds=[],
    ),
    "a moderated list": Asked(
        "moderate = 'all'",
        "m1@orange.fr",
        f"waits for a moderator: {MODERATED}; before that they confirm (or {PROOF})",
        may_post=True,
        admission="confirm",
        if_proven="hold",
        rule=CONFIRM,
        holds=["moderated"],
    ),
    "the list's owner": Asked(
        "post = 'moderators', owner = 'chef@y.fr'",
        "chef@y.fr",
        f"may post, once they have confirmed (or {PROOF})",
        may_post=True,
        admission="confirm",
        if_proven="accept",
        rule=CONFIRM,
        holds=[],
    ),
    "anyone": Asked(
        "post = 'anyone'",
        "x@y.fr",
        "may post",
        may_post=True,
        admission="accept",
        if_proven="accept",
        rule=None,
        holds=[],
    ),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_rights(site: Site, asked: Asked) -> None:
    """Scripts and people are told what the chain says."""
    await site.sql(f"update lists.definition set {asked.options} where name = 'committee_role'")

    answer = site.relais("preview", COMMITTEE, "--from", asked.author, "--json").answer
    human = site.relais("preview", COMMITTEE, "--from", asked.author).out.splitlines()

    said = dict(line.split(maxsplit=1) for line in human)
    assert said["Rights"] == f"{asked.author} {asked.says}"
    assert said["Rule"].split("  ")[0] == (asked.rule or "none stops it")
    assert (answer["may_post"], answer["rule"]) == (asked.may_post, asked.rule)
    assert (answer["admission"], answer["admission_if_proven"]) == (
        asked.admission,
        asked.if_proven,
    )
    assert answer["holds"] == asked.holds


async def test_banned(site: Site) -> None:
    """A ban of the author's domain comes before all."""
    await site.sql("select lists.ban('@orange.fr', 'spam', 'committee_role')")

    answer = site.relais("preview", COMMITTEE, "--from", "m1@orange.fr", "--json").answer
    human = site.relais("preview", COMMITTEE, "--from", "Un <m1@orange.fr>").out

    assert (answer["may_post"], answer["admission"], answer["rule"]) == (False, "refuse", "banned")
    assert "m1@orange.fr may NOT post: banned\n" in human


async def test_asked_too_often(site: Site) -> None:
    """What the author was asked today counts, as it does for the mediator."""
    await site.sql(
        LISTED + ";"
        "insert into relais.posting (list_id, fingerprint, author, accepted_at, template, key_id)"
        " values (1, 'a', 'm1@orange.fr', relais.now(), '', 'k');"
        "insert into relais.decision (posting_id, kind, address, asked_at, expires_at)"
        " select 1, 'confirm', 'm1@orange.fr', relais.now(), relais.now()"
        "   from generate_series(1, 5)"
    )

    human = site.relais("preview", COMMITTEE, "--from", "m1@orange.fr").out

    assert (
        f"m1@orange.fr may post, if {PROOF}; else a moderator is asked:"
        f" {reason_words('en', Reason.ASKED_ENOUGH)}\n"
    ) in human
    assert "Rule      asked too often today  (post: members)\n" in human


class Worded(NamedTuple):
    """Facts, and how they are told."""

    facts: Facts
    says: str


def _facts(
    *, size: int = 0, may_post: bool = True, moderator: bool = False, **options: object
) -> Facts:
    definition = Definition(
        name="judo",
        view="lists.judo",
        address="judo",
        title="Judo",
        post=str(options.pop("post", "members")),
        post_view="lists.judo_authors",
        reply_to="author",
        max_size=5 * MEGABYTE,
        max_recipients=100,
        lang="fr",
        **options,  # type: ignore[arg-type]  # Each is a field of a definition.
    )
    standing = Standing(known=may_post, may_post=may_post, moderator=moderator)
    return Facts(MessageFacts("a@b.fr", size=size), definition, standing)


WORDED = {
    "the view of authors": Worded(
        _facts(post="view", may_post=False), "may NOT post: not among lists.judo_authors"
    ),
    "no moderator": Worded(
        _facts(post="moderators", may_post=False), "may NOT post: not among the moderators"
    ),
    "nobody": Worded(_facts(post="nobody"), "may NOT post: nobody may post to this list"),
    "too large": Worded(_facts(size=6 * MEGABYTE), "may NOT post: too large: this list takes 5 MB"),
    "always asked": Worded(
        _facts(authenticate="confirm_always"),
        "may post, once they have confirmed: this list always asks",
    ),
    "always asked, and moderated": Worded(
        _facts(authenticate="confirm_always", moderate="all"),
        f"waits for a moderator: {MODERATED}; before that they confirm: this list always asks",
    ),
    "a moderator who is always asked": Worded(
        _facts(authenticate="confirm_always", moderate="all", moderator=True),
        "may post, once they have confirmed: this list always asks;"
        f" and unless {PROOF}, a moderator is asked: {MODERATED}",
    ),
    "a moderator of a moderated list": Worded(
        _facts(moderate="all", moderator=True),
        f"may post, if {PROOF}; else they confirm, and a moderator is asked: {MODERATED}",
    ),
    "only the proven": Worded(
        _facts(authenticate="auth_only"), f"may post, if {PROOF}; else it is refused"
    ),
    "only the proven, and moderated": Worded(
        _facts(authenticate="auth_only", moderate="all"),
        f"waits for a moderator: {MODERATED}, if {PROOF}; else it is refused",
    ),
    "the unproven are held": Worded(
        _facts(authenticate="moderate"),
        f"may post, if {PROOF}; else a moderator is asked: {reason_words('en', Reason.UNPROVEN)}",
    ),
    "strangers are held": Worded(
        _facts(moderate="strangers", may_post=False),
        "waits for a moderator: not among the members",
    ),
}


@pytest.mark.parametrize("case", WORDED.values(), ids=WORDED)
def test_words(case: Worded) -> None:
    """Each condition of the chain, in plain words."""
    assert in_words(judged(case.facts)) == case.says


def test_a_rail_stops_whom_the_chain_lets_in() -> None:
    """The rule is then the rail's; who is asked first is still asked first."""
    rights = judged(_facts())

    proven = with_rails(rights.proven, (Reason.SHRANK,))
    unproven = with_rails(rights.unproven, (Reason.SHRANK,))

    assert (proven.action, proven.rule) == (Action.HOLD, "less than half of last time")
    assert (unproven.action, unproven.rule) == (Action.CONFIRM, CONFIRM)
    assert proven.reasons == unproven.reasons == (Reason.SHRANK,)
    assert with_rails(rights.proven, ()) == rights.proven


POSTED = (
    LISTED
    + """;
    insert into relais.posting (list_id, fingerprint, author, accepted_at, template, key_id, listed,
                                state)
    values (1, 'a', 'm1@orange.fr', relais.now() - interval '9 days', '', 'k', 820, 'finished')
"""
)


class Railed(NamedTuple):
    """What is wrong with a list, and how it is told."""

    sql: str
    holds: list[str]
    says: str


RAILED = {
    "shrunk": Railed(
        POSTED,
        ["shrank"],
        "would wait: the list has less than half of the people of its last message"
        " (14 now, 820 then)",
    ),
    "as it was": Railed(POSTED.replace("820", "15"), [], ""),
    "grown, and more than allowed": Railed(
        POSTED.replace("820", "2")
        + ";update lists.definition set max_recipients = 40 where name = 'committee_role';"
        "insert into club.member select 'comite_directeur', 'comite', 'n' || n || '@free.fr'"
        "  from generate_series(1, 29) n",
        ["too_many", "grew"],
        "would wait: 41 recipients, and this list allows 40; the list has more than twenty times"
        " the people of its last message (43 now, 2 then)",
    ),
    "more than allowed": Railed(
        "update lists.definition set max_recipients = 10 where name = 'committee_role'",
        ["too_many"],
        "would wait: 12 recipients, and this list allows 10",
    ),
    "nobody can be written to": Railed(
        "update club.member set email = ''",
        ["unreachable"],
        "would wait: nobody on the list can be written to (14 listed)",
    ),
}


@pytest.mark.parametrize("case", RAILED.values(), ids=RAILED)
async def test_rails(site: Site, case: Railed) -> None:
    """What would stop a message to this list, whoever writes it."""
    await site.sql(case.sql)

    answer = site.relais("preview", COMMITTEE, "--json").answer
    human = site.relais("preview", COMMITTEE).out.splitlines()

    said = dict(line.split(maxsplit=1) for line in human)
    assert answer["holds"] == case.holds
    assert said.get("Rails", "") == case.says


def test_size(site: Site) -> None:
    """Too large for the list, or fine; and what it adds up to."""
    fine = site.relais("preview", COMMITTEE, "--size", "2MB").out
    large = site.relais("preview", COMMITTEE, "--size", "6 mb").out
    answer = site.relais(
        "preview", COMMITTEE, "--size", "6000kb", "--from", "m1@orange.fr", "--json"
    ).answer

    assert "Size      2 MB is fine (this list takes 5 MB); 24 MB in all\n" in fine
    assert "Size      too large: this list takes 5 MB\n" in large
    assert (answer["too_large"], answer["may_post"]) == (True, True)
    assert (answer["admission"], answer["rule"]) == ("refuse", "too large")
    assert site.relais("preview", COMMITTEE, "--size", "1B", "--json").answer["too_large"] is False


SIZES = {
    "2MB": 2 * MEGABYTE,
    "2 mb": 2 * MEGABYTE,
    "1.5M": 1_572_864,
    "500kB": 512_000,
    "20000": 20_000,
    "7b": 7,
    "0": 0,
}


@pytest.mark.parametrize(("text", "size"), SIZES.items())
def test_read_size(text: str, size: int) -> None:
    """As people write it."""
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "2TB", "-1", "2,5MB", "1e9", "\x1b[2J"])
def test_what_is_no_size(text: str) -> None:
    """Anything else is told to be none."""
    with pytest.raises(VerbError, match="no size"):
        read_size(text)


def test_octets() -> None:
    """The largest unit that is filled, to one digit."""
    shown = [octets(size) for size in (0, 1023, 1024, 1_572_864, 5 * MEGABYTE, 3 * 1024**3)]
    assert shown == ["0 B", "1023 B", "1 kB", "1.5 MB", "5 MB", "3 GB"]


def test_arguments_that_cannot_be(site: Site) -> None:
    """They are told before the database is asked."""
    for arguments in (("--from", "nobody"), ("--from", "a@b.fr, c@d.fr"), ("--size", "big")):
        ended = site.relais("preview", COMMITTEE, *arguments)
        assert (ended.code, ended.out) == (2, "")


WHO = (
    LISTED
    + """;
    delete from club.member;
    insert into club.member (role, committee, email, person)
    select 'comite_directeur', 'comite', email, person from (values
        ('m1@orange.fr', 'p1'), ('z1@free.fr', 'p1'), ('M1@orange.fr', 'p1'),
        ('m1@Orange.fr', 'p2'), ('z2@free.fr', 'p2'),
        ('left@gmail.com', 'p3'), ('all@gmail.com', 'p4'), ('dead@gmail.com', null),
        ('spam@gmail.com', 'p5'), ('gone@gmail.com', null),
        (null, 'p6'), ('  ', null), ('a@b.fr, c@d.fr', null), ('hélo@b.fr', null),
        ('Al <al@b.fr>', null), ('a b@c.fr', null), (repeat('x', 65) || '@b.fr', null),
        ('nobody', null), ('a@@b.fr', null), ('a@b', null), ('a..b@c.fr', null),
        ('tous@listes.example.fr', null), ('held@free.fr', null)) v(email, person);
    insert into relais.address_health (address, state, since, reason, status, evidence)
    values ('held@free.fr', 'held', '2026-02-07 12:00+00', 'unknown_user', '5.1.1', '550');
    insert into relais.person (key) values ('person:p3'), ('person:p4'), ('person:p5');
    insert into relais.suppression (list_id, person_id, address, reason, source, since) values
        (1, 1, null, 'unsubscribed', 'page', '2026-01-06 12:00+00'),
        (1, 1, 'left@gmail.com', 'unsubscribed', 'one-click', '2026-01-05 12:00+00'),
        (null, 2, null, 'unsubscribed', 'mail', '2026-02-03 12:00+00'),
        (1, 3, null, 'complained', 'complaint', '2026-02-04 12:00+00'),
        (null, null, 'dead@gmail.com', 'bounced', 'report', '2026-02-05 12:00+00'),
        (null, null, 'gone@gmail.com', 'operator', 'operator', '2026-02-06 12:00+00')
"""
)

WHY = {
    "m1@orange.fr": ("recipient", ""),
    "z1@free.fr": ("duplicate", "the same person as M1@orange.fr"),
    "m1@Orange.fr": ("duplicate", "the same address as another person's: p1"),
    "z2@free.fr": ("duplicate", "the same person as m1@Orange.fr"),
    "left@gmail.com": ("suppressed", "unsubscribed from this list on 05 Jan 2026 (one-click)"),
    "all@gmail.com": ("suppressed", "unsubscribed from all lists on 03 Feb 2026 (mail)"),
    "spam@gmail.com": (
        "suppressed",
        "called a message spam on 04 Feb 2026, so out of this list (complaint)",
    ),
    "dead@gmail.com": (
        "suppressed",
        "mail came back on 05 Feb 2026, so out of all lists (report)",
    ),
    "gone@gmail.com": ("suppressed", "taken out of all lists on 06 Feb 2026 (operator)"),
    "held@free.fr": (
        "held",
        "held since 07 Feb 2026, for mail to it comes back: this mailbox does not exist (any more)",
    ),
    "a@b.fr, c@d.fr": ("unusable", "more than one address in the field"),
    "hélo@b.fr": ("unusable", "a letter in it is not ASCII"),
    "Al <al@b.fr>": ("unusable", "more than the address alone"),
    "a b@c.fr": ("unusable", "a space or a line break in it"),
    f"{'x' * 65}@b.fr": ("unusable", "too long"),
    "nobody": ("unusable", "no @ in it"),
    "a@@b.fr": ("unusable", "more than one @"),
    "a@b": ("unusable", "its domain has no dot"),
    "a..b@c.fr": ("unusable", "a character or a dot where none may be"),
    f"tous@{DOMAIN}": ("unusable", "an address of this server's own"),
}


async def test_who(site: Site) -> None:
    """Each row with why it is in or out; those who get nothing come first."""
    await site.sql(WHO)

    answer = site.relais("preview", COMMITTEE, "--who", "--json").answer
    human = site.relais("preview", COMMITTEE, "--who").out

    rows = answer["who"]
    assert (len(rows), answer["left_out"]) == (answer["recipients"], 0) == (23, 0)
    why = {row["address"]: (row["verdict"], row["why"]) for row in rows}
    assert why.pop("M1@orange.fr") in (("recipient", ""), ("duplicate", "listed more than once"))
    twice = why.pop("m1@orange.fr")
    assert twice in (("recipient", ""), ("duplicate", "listed more than once"))
    person = why["z1@free.fr"]
    assert person[1].lower() == "the same person as m1@orange.fr"
    expected = {a: w for a, w in WHY.items() if a not in ("m1@orange.fr", "z1@free.fr")}
    assert {address: why[address] for address in expected} == expected
    empty = sorted(row["why"] for row in rows if row["address"] == "")
    assert empty == ["no address", "no address: person p6"]
    assert rows[-1]["verdict"] == "recipient"
    assert "unsubscribed from this list on 05 Jan 2026 (one-click)" in human
    assert "left@gmail.com" not in site.relais("preview", COMMITTEE).out


async def test_waits_for_a_limit(site: Site) -> None:
    """What a provider's window has spent postpones the finish to when it comes free."""
    await site.sql(
        "update relais.limit_rule set amount = 5 where provider = 'orange';"
        "insert into relais.limit_spent (limit_id, bin, marks)"
        " select limit_id, relais.bin_of(period, relais.now() - interval '20 hours'), 4"
        "   from relais.limit_rule where provider = 'orange'"
    )

    answer = site.relais("preview", COMMITTEE, "--json").answer
    human = site.relais("preview", COMMITTEE).out

    orange = next(p for p in answer["providers"] if p["provider"] == "orange")
    wait = datetime.fromisoformat(orange["finish_at"]) - datetime.now(UTC)
    assert timedelta(hours=3.9) < wait < timedelta(hours=4.3)
    assert answer["finish_at"] == orange["finish_at"]
    assert "(google 6 now, free 3 now, orange 3)" in human


def test_an_empty_list(site: Site) -> None:
    """A list without parts exists though it is empty; a message to it would wait."""
    ended = site.relais("preview", "nouvelles", "--from", "x@y.fr", "--json")

    assert ended.code == 0
    assert (ended.answer["recipients"], ended.answer["may_post"]) == (0, True)
    assert (ended.answer["admission"], ended.answer["holds"]) == ("hold", ["empty"])
    assert ended.answer["rule"] == "nobody is on the list"
    assert ended.answer["finish_at"] is None


async def test_unknown_address(site: Site) -> None:
    """What is like it is proposed, if all views can be asked; else it is just unknown."""
    ended = site.relais("preview", "comite_directeur.comitte+x", "--json")
    assert ended.code == 1
    assert ended.answer == {
        "error": f"no list has the address comite_directeur.comitte+x@{DOMAIN}",
        "did_you_mean": [COMMITTEE],
    }
    await site.sql(BROKEN)
    beside = site.relais("preview", "comite_directeur.comitte", "--json")
    assert (beside.code, beside.answer["did_you_mean"]) == (1, [])


BROKEN = """
    create view lists.broken as select email from club.member where club.halved(1) = 1;
    select lists.define(view => 'lists.broken', address => 'casse', title => 'Casse');
    create or replace view lists.broken as
        select email from club.member where club.halved(0) = 1;
"""


async def test_query_that_fails(site: Site) -> None:
    """A view that fails is told with what PostgreSQL says, whatever is asked about it."""
    await site.sql(BROKEN)

    for arguments in ((), ("--from", "m1@orange.fr")):
        ended = site.relais("preview", "casse", *arguments, "--json")
        assert ended.code == 1
        assert ended.answer == {"error": "the query of casse fails: division by zero"}


async def test_the_rest_is_cancelled(site: Site) -> None:
    """A list that ends its postings after an hour says so before anybody writes."""
    await site.sql(
        "delete from relais.limit_rule;"
        "insert into relais.limit_rule (provider, amount, period, set_at, set_by, reason)"
        " values ('orange', 1, '1 day', relais.now(), 'test', 'test');"
        "select lists.define(view => 'lists.committee_role', address => '{role}.{committee}',"
        " title => '{role}', finish_within => '1 hour')"
    )

    ended = site.relais("preview", COMMITTEE)

    assert "then the rest is cancelled" in ended.out
    assert site.relais("preview", COMMITTEE, "--json").answer["cut"]
