"""``relais preview``: who would get a message now, who would not and why, and when."""

import asyncio
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

import asyncpg
import typer

from worker.cli.lists import AddressArgument, find_list
from worker.cli.reading import reading
from worker.cli.rights import Rights, in_words, read_rights, too_large, with_rails
from worker.cli.show import counted, print_facts, print_json, print_table, visible, when
from worker.cli.size import octets, read_size
from worker.cli.verb import USAGE, ConfigOption, JsonOption, VerbError, find_config, told
from worker.config import Config
from worker.mail.address import addresses_in
from worker.notices.failure import failure_words
from worker.policy.admission import Reason, RollFacts, rails
from worker.policy.expansion import ListAddress
from worker.policy.situation import Finish
from worker.store import expansion, overview, postings
from worker.store.ailing import reason_stored
from worker.store.database import failed_query
from worker.store.expansion import Roll, Verdict
from worker.store.members import member_file_date
from worker.store.situation import read_situation

_QUERY_PATIENCE = timedelta(seconds=60)  # The mediator's: what is too slow here is so there.
_ROWS = 10_000  # More than these nobody reads; the counts are of all.

_FLAWS = {
    "empty": "no address",
    "ours": "an address of this server's own",
    "several": "more than one address in the field",
    "not_ascii": "a letter in it is not ASCII",
    "decorated": "more than the address alone",
    "blank": "a space or a line break in it",
    "too_long": "too long",
    "no_at": "no @ in it",
    "two_ats": "more than one @",
    "no_dot": "its domain has no dot",
    "malformed": "a character or a dot where none may be",
}
_RAILS = {
    Reason.EMPTY: "nobody is on the list",
    Reason.UNREACHABLE: "nobody on the list can be written to ({listed} listed)",
    Reason.TOO_MANY: "{recipients} recipients, and this list allows {allowed}",
    Reason.SHRANK: "the list has less than half of the people of its last message"
    " ({listed} now, {then} then)",
    Reason.GREW: "the list has more than twenty times the people of its last message"
    " ({listed} now, {then} then)",
}
_LEFT = {
    "unsubscribed": "unsubscribed from {scope} on {day} ({source})",
    "complained": "called a message spam on {day}, so out of {scope} ({source})",
    "bounced": "mail came back on {day}, so out of {scope} ({source})",
    "operator": "taken out of {scope} on {day} ({source})",
}


@dataclass(frozen=True, slots=True)
class _Preview:
    """What a message to *address* would do now."""

    address: ListAddress
    full: str
    roll: Roll
    size: int | None
    rights: Rights | None  # None if nobody was asked about.
    rails: tuple[Reason, ...]
    listed_last: int | None
    by_provider: dict[str, int]
    finish: Finish
    verdicts: list[Verdict]
    now: datetime
    member_file: date | None  # Of which day the imported file of members is.

    @property
    def too_large(self) -> bool | None:
        """Whether the list takes no message of this size; None if no size was named."""
        return None if self.size is None else self.size > self.address.definition.max_size


@dataclass(frozen=True, slots=True)
class _Question:
    """What was asked, read from the arguments."""

    address: str
    author: str | None
    size: int | None
    who: bool


def preview(
    address: AddressArgument,
    *,
    author: Annotated[
        str | None, typer.Option("--from", metavar="A", help="Who would write: may they post?")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="2MB",
            help="How large the message would be. In mail, an attachment grows by a third.",
        ),
    ] = None,
    who: Annotated[bool, typer.Option("--who", help="Show the addresses.")] = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who would get a message to ADDRESS now, and when. Nothing is sent."""
    with told(as_json=as_json):
        question = _Question(
            address,
            None if author is None else _read_address(author),
            None if size is None else read_size(size),
            who,
        )
        config = find_config(config_file)
        seen = asyncio.run(_read(config, question))
        if as_json:
            _print_json(seen, who=who)
        else:
            _print(seen, who=who)


def _read_address(text: str) -> str:
    found = addresses_in(text.encode("latin-1", errors="replace"))
    if len(found) != 1:
        raise VerbError(
            f"--from {visible(text)}: write one address, as name@example.org", code=USAGE
        )
    return found[0]


async def _read(config: Config, question: _Question) -> _Preview:
    """Judge the list as the mediator would; reading() rolls it back."""
    async with reading(config.database) as db:
        found = await find_list(db, config, question.address)
        list_id = await overview.list_number(db, found)
        situation = await read_situation(db, [a.name for a in config.accounts])
        member_file = await member_file_date(db)
        try:
            rights = None
            if question.author is not None:
                rights = await read_rights(
                    db, found, question.author, list_id=list_id, size=question.size or 0
                )
            roll = await expansion.judge(
                db,
                found,
                list_id=list_id,
                fingerprint=b"",  # No posting has it.
                domain=config.site.domain,
                patience=_QUERY_PATIENCE,
            )
        except asyncpg.PostgresError as error:
            raise failed_query(found.local_part, error) from error
        last = None if list_id is None else await postings.listed_last(db, list_id)
        by_provider = await expansion.by_provider(db)
        verdicts = []
        if question.who:
            verdicts = await expansion.verdicts(
                db, list_id=list_id, domain=config.site.domain, at_most=_ROWS
            )
    allowed = found.definition.max_recipients
    return _Preview(
        address=found,
        full=f"{found.local_part}@{config.site.domain}",
        roll=roll,
        size=question.size,
        rights=rights,
        rails=rails(RollFacts(roll.listed, roll.recipients, allowed, last)),
        listed_last=last,
        by_provider=by_provider,
        finish=situation.finish_of_newcomer(by_provider, found.definition),
        verdicts=verdicts,
        now=situation.now,
        member_file=member_file,
    )


def _print_json(seen: _Preview, *, who: bool) -> None:
    rights = seen.rights
    unproven = rights and with_rails(rights.unproven, seen.rails)
    proven = rights and with_rails(rights.proven, seen.rails)
    people = [
        {"address": v.address, "provider": v.provider, "verdict": v.verdict, "why": _why(v)}
        for v in seen.verdicts
    ]
    print_json(
        {
            "address": seen.full,
            "definition": seen.address.definition.name,
            "parts": dict(seen.address.parts),
            "recipients": seen.roll.listed,
            "would_receive": seen.roll.recipients,
            "suppressed": seen.roll.suppressed,
            "held": seen.roll.held,
            "unusable": seen.roll.unusable,
            "duplicates": seen.roll.duplicates,
            "may_post": rights and rights.standing.may_post,
            "admission": unproven and unproven.action.value,
            "admission_if_proven": proven and proven.action.value,
            "rule": (unproven and unproven.rule) or None,
            "holds": [r.value for r in (unproven.reasons if unproven else seen.rails)],
            "too_large": seen.too_large,
            "member_file": seen.member_file and seen.member_file.isoformat(),
            "finish_at": seen.finish.at,
            "cut": seen.finish.is_cut,
            "providers": [
                {
                    "provider": provider,
                    "recipients": count,
                    "finish_at": seen.finish.by_provider[provider],
                }
                for provider, count in seen.by_provider.items()
            ],
            **({"who": people, "left_out": seen.roll.listed - len(people)} if who else {}),
        }
    )


def _print(seen: _Preview, *, who: bool) -> None:
    found, roll = seen.address, seen.roll
    facts = {"List": f"{seen.full}  (definition {found.definition.name})"}
    if found.parts:
        facts["Parts"] = ", ".join(f"{name} = {value}" for name, value in found.parts.items())
    post = f"post: {found.definition.post_view or found.definition.post}"
    if seen.rights is None:
        facts["Rights"] = post
    else:
        facts["Rights"] = f"{seen.rights.author} {in_words(seen.rights)}"
        rule = with_rails(seen.rights.unproven, seen.rails).rule
        facts["Rule"] = f"{rule}  ({post})" if rule else f"none stops it  ({post})"
    if seen.size is not None:
        facts["Size"] = _size(seen, seen.size)
    facts["Who"] = (
        f"{counted(roll.listed, 'row')} now: {roll.suppressed} suppressed, {roll.held} held,"
        f" {roll.unusable} unusable, {counted(roll.duplicates, 'duplicate')};"
        f" {roll.recipients} would receive it"
    )
    if seen.member_file is not None:
        facts["As of"] = f"the member file of {seen.member_file:%d %b %Y}"
    if seen.rails:
        facts["Rails"] = "would wait: " + "; ".join(_rail(seen, reason) for reason in seen.rails)
    if seen.by_provider:
        facts["Finished"] = _finished(seen)
    print_facts(facts)
    if who:
        _print_who(seen)
    print("Nothing was sent." if who else "Nothing was sent. --who shows the addresses.")


def _print_who(seen: _Preview) -> None:
    print_table(
        ("address", "provider", "verdict", "why"),
        [(v.address, v.provider, v.verdict, _why(v)) for v in seen.verdicts],
    )
    left_out = seen.roll.listed - len(seen.verdicts)
    if left_out:
        print(f"... and {counted(left_out, 'row')} more")


def _finished(seen: _Preview) -> str:
    finished = when(seen.finish.at, seen.now)
    times = {
        provider: when(seen.finish.by_provider[provider], seen.now) for provider in seen.by_provider
    }
    by_provider = ", ".join(
        f"{provider} {count}" + (f" {times[provider]}" if times[provider] != finished else "")
        for provider, count in seen.by_provider.items()
    )
    then = ", then the rest is cancelled" if seen.finish.is_cut else ""
    return f"{finished}{then}  ({by_provider})"


def _rail(seen: _Preview, reason: Reason) -> str:
    """Say in numbers which rail stops a message."""
    return _RAILS[reason].format(
        listed=seen.roll.listed,
        then=seen.listed_last,
        recipients=seen.roll.recipients,
        allowed=seen.address.definition.max_recipients,
    )


def _size(seen: _Preview, size: int) -> str:
    definition = seen.address.definition
    if seen.too_large:
        return too_large(definition)
    takes = f"this list takes {octets(definition.max_size)}"
    return f"{octets(size)} is fine ({takes}); {octets(size * seen.roll.recipients)} in all"


def _why(verdict: Verdict) -> str:
    """Say why a row gets nothing; "" if it does."""
    match verdict.verdict:
        case "unusable":
            flaw = _FLAWS[verdict.flaw or "malformed"]
            # Without an address, only this says whom to ask for one.
            person = _person(verdict.key) if verdict.flaw == "empty" else ""
            return f"{flaw}: person {person}" if person else flaw
        case "suppressed":
            return _left(verdict)
        case "held":
            return _held(verdict)
        case "duplicate":
            return _same_as(verdict)
        case _:
            return ""


def _person(key: str | None) -> str:
    """Return a person's key as the view has it; "" where it has none."""
    kind, _, name = (key or "").partition(":")
    return name if kind == "person" else ""


def _left(verdict: Verdict) -> str:
    return _LEFT[verdict.reason or "operator"].format(
        scope="all lists" if verdict.everywhere else "this list",
        day=f"{verdict.since.astimezone():%d %b %Y}" if verdict.since else "?",
        source=verdict.source,
    )


def _held(verdict: Verdict) -> str:
    day = f"{verdict.since.astimezone():%d %b %Y}" if verdict.since else "?"
    words = failure_words("en", reason_stored(verdict.reason or ""))
    return f"held since {day}, for mail to it comes back: {words}"


def _same_as(verdict: Verdict) -> str:
    other = _person(verdict.same_address)
    if other:
        return f"the same address as another person's: {other}"
    if verdict.same_person and verdict.same_person.lower() != verdict.address.lower():
        return f"the same person as {verdict.same_person}"
    return "listed more than once"
