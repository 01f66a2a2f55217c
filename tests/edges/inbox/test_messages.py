"""Finding, measuring, fetching and moving, among what else a server says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from tests.edges.inbox.script import LOGIN, SELECT, SOON, Script, endpoint, session
from worker.errors import MailboxLost, MailboxRefused
from worker.inbox.imap import Inbox, MessageSize, Selected

FETCH = f"{SELECT} C: UID FETCH 5 (UID BODY.PEEK[])\n"
SMALL = MessageSize(5, 100, None)

BODIES = {
    "empty": b"",
    "one octet": b"x",
    "unbalanced": b'Subject: sad :( (( "\r\n\r\n)',
    "stars and literals": b"Subject: a * b * c {12}\r\n\r\n* 1 EXISTS\r\n* BYE\r\n{12}\r\n+ go\r\n",
    "answers": b"A0 OK\r\nAAAA1 NO\r\n* 1 FETCH (UID 6 BODY[] {3}\r\nabc)\r\n",
    "every octet": bytes(range(256)),
    "bare line ends": b"\r\r\n\n\n\r",
}
PLACES = {
    "UID before": ("* 1 FETCH (UID 5 BODY[] {%d}\r\n", ")"),
    "UID after": ("* 1 FETCH (BODY[] {%d}\r\n", " UID 5)"),
    "flags too": ("* 1 FETCH (FLAGS (\\Seen) UID 5 BODY[] {%d}\r\n", " X (a b))"),
    "lower case": ("* 1 fetch (uid 5 body[] {%d}\r\n", ")"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(("before", "after"), PLACES.values(), ids=PLACES)
async def test_body(body: bytes, before: str, after: str) -> None:
    """The octets come back as they are, wherever the server says whose they are."""
    octets = {"message": (before % len(body)).encode() + body + after.encode() + b"\r\n"}
    async with session(f"{FETCH} write message\nS: T OK", octets=octets) as (inbox, _):
        await inbox.select("INBOX")
        assert await inbox.fetch(SMALL) == body


@pytest.mark.parametrize(
    ("answer", "body"),
    {
        '* 1 FETCH (UID 5 BODY[] "")': b"",
        r'* 1 FETCH (BODY[] "a \"b\" \\ c" UID 5)': b'a "b" \\ c',
        '* 1 FETCH (UID 5 BODY[] "a * b * c")': b"a * b * c",
        "* 1 FETCH (UID 5 BODY[] NIL)": None,
        "* 1 FETCH (UID 5 FLAGS (\\Deleted))": None,
        "* 1 FETCH (UID 55 BODY[] {3}\r\nabc)": None,
        "* 1 FETCH (BODY[] {3}\r\nabc)": None,
        "* 1 EXPUNGE": None,
        "* OK nothing": None,
    }.items(),
)
async def test_odd_bodies(answer: str, body: bytes | None) -> None:
    """Only what the server says is message 5 is message 5."""
    octets = {"answer": answer.encode() + b"\r\n"}
    async with session(f"{FETCH} write answer\nS: T OK", octets=octets) as (inbox, _):
        await inbox.select("INBOX")
        assert await inbox.fetch(SMALL) == body


async def test_news_inside_an_answer() -> None:
    """Flags, expunges, arrivals and other messages around ours do not matter."""
    dialogue = f"""
        {FETCH}
        S: * 2 FETCH (FLAGS (\\Seen))
        S: * 3 FETCH (UID 6 BODY[] {{5}}
        S: other)
        S: * 1 EXPUNGE
        S: * 1 FETCH (FLAGS () UID 5)
        S: * 1 FETCH (UID 5 BODY[] {{4}}
        S: ours)
        S: * 7 EXISTS
        S: * 0 RECENT
        S: T OK
    """
    async with session(dialogue) as (inbox, _):
        await inbox.select("INBOX")
        assert await inbox.fetch(SMALL) == b"ours"


async def test_many_lines_at_once() -> None:
    """1,500 lines in one read are many for the library, not for us."""
    flood = b"".join(b"* %d FETCH (UID %d FLAGS ())\r\n" % (n, n) for n in range(1, 1501))
    octets = {"flood": flood + b"* 5 FETCH (UID 5 BODY[] {4}\r\nours)\r\n"}
    async with session(f"{FETCH} write flood\nS: T OK", octets=octets) as (inbox, _):
        await inbox.select("INBOX")
        assert await inbox.fetch(SMALL) == b"ours"


async def test_search() -> None:
    """All UIDs, in order, from however many lines."""
    many = " ".join(str(uid) for uid in range(20_000, 0, -1))
    dialogue = f"{SELECT} C: UID SEARCH UNDELETED\nS: * SEARCH {many}\nS: * SEARCH 20001\nS: T OK"
    async with session(dialogue) as (inbox, _):
        await inbox.select("INBOX")
        assert await inbox.uids() == list(range(1, 20_002))


SIZES = {
    '* 1 FETCH (UID 5 RFC822.SIZE 42 INTERNALDATE " 7-Jan-2026 10:11:12 +0100")': MessageSize(
        5, 42, datetime(2026, 1, 7, 9, 11, 12, tzinfo=UTC)
    ),
    '* 1 FETCH (INTERNALDATE "17-Jan-2026 10:11:12 -0000" RFC822.SIZE 42 UID 5)': MessageSize(
        5, 42, datetime(2026, 1, 17, 10, 11, 12, tzinfo=UTC)
    ),
    '* 1 FETCH (UID 5 RFC822.SIZE 42 INTERNALDATE "soon")': MessageSize(5, 42, None),
    "* 1 FETCH (UID 5 RFC822.SIZE 42)": MessageSize(5, 42, None),
    "* 1 FETCH (UID 6 RFC822.SIZE 42)": None,
    "* OK [EXPUNGEISSUED] gone": None,
}


@pytest.mark.parametrize(("answer", "size"), SIZES.items(), ids=SIZES)
async def test_measure(answer: str, size: MessageSize | None) -> None:
    """Size and date of one message; nothing, once it has gone."""
    words = "C: UID FETCH 5 (UID RFC822.SIZE INTERNALDATE)"
    async with session(f"{SELECT}{words}\nS: {answer}\nS: T OK") as (inbox, _):
        await inbox.select("INBOX")
        assert await inbox.measure(5) == size


class Move(NamedTuple):
    """What a server can, what is said, and the new UID that we learn."""

    capabilities: str
    dialogue: str
    new_uid: int | None


COPY = 'C: UID COPY 5 "relais/taken"\nS: T OK [COPYUID 9 5 77] copied\n'
DELETE = "C: UID STORE 5 +FLAGS.SILENT (\\Deleted)\nS: T OK\n"
MOVES = {
    "MOVE": Move(
        "MOVE UIDPLUS",
        'C: UID MOVE 5 "relais/taken"\nS: * OK [COPYUID 9 5 77]\nS: * 1 EXPUNGE\nS: T OK',
        77,
    ),
    "MOVE, UID in the tagged answer": Move(
        "MOVE", 'C: UID MOVE 5 "relais/taken"\nS: T OK [COPYUID 9 5 77]', 77
    ),
    "MOVE of what has gone": Move("MOVE", 'C: UID MOVE 5 "relais/taken"\nS: T OK', None),
    "UIDPLUS": Move("UIDPLUS", COPY + DELETE + "C: UID EXPUNGE 5\nS: * 1 EXPUNGE\nS: T OK", 77),
    "neither": Move("", COPY + DELETE, 77),
}


@pytest.mark.parametrize("case", MOVES.values(), ids=MOVES)
async def test_move(case: Move) -> None:
    """With what the server has, and never with a plain EXPUNGE."""
    dialogue = SELECT + case.dialogue
    async with session(dialogue, capabilities=case.capabilities) as (inbox, script):
        await inbox.select("INBOX")
        assert await inbox.move(5, "relais/taken") == case.new_uid
    assert all(words.startswith("UID ") for words in script.heard[5:])


async def test_copy_refused() -> None:
    """What was not copied is not deleted."""
    dialogue = f'{SELECT} C: UID COPY 5 "relais/taken"\nS: T NO [OVERQUOTA] full\nsilence'
    async with session(dialogue, capabilities="UIDPLUS") as (inbox, _):
        await inbox.select("INBOX")
        with pytest.raises(MailboxRefused, match=r"COPY: NO \[OVERQUOTA\] full"):
            await inbox.move(5, "relais/taken")


async def test_select() -> None:
    """What select() tells."""
    async with session(SELECT) as (inbox, _):
        assert await inbox.select("INBOX") == Selected(uidvalidity=7, exists=1)


@pytest.mark.parametrize(
    ("answer", "why"),
    {
        "S: T OK": "no lasting UIDs",
        "S: * OK [UIDVALIDITY 7]\nS: T OK [READ-ONLY]": "only read",
    }.items(),
)
async def test_select_in_vain(answer: str, why: str) -> None:
    """A folder that we cannot move from is refused before we begin."""
    async with session(f'C: SELECT "INBOX"\n{answer}') as (inbox, _):
        with pytest.raises(MailboxRefused, match=why):
            await inbox.select("INBOX")


async def test_uidvalidity_changes() -> None:
    """When UIDs begin to mean other messages, nothing more is done to them."""
    dialogue = f"{SELECT} C: UID SEARCH UNDELETED\nS: * OK [UIDVALIDITY 8] new\nS: T OK\nsilence"
    async with session(dialogue) as (inbox, _):
        await inbox.select("INBOX")
        with pytest.raises(MailboxLost, match="other messages"):
            await inbox.uids()


async def test_append() -> None:
    """The message goes as a literal, once the server asks for it."""
    dialogue = """
        C: APPEND "relais/quarantine" {5}
        S: * 3 EXISTS
        S: + go on
        L: hello
        S: T OK [APPENDUID 1 2] done
    """
    async with session(dialogue) as (inbox, _):
        await inbox.append("relais/quarantine", b"hello")


NAMESPACES = {
    '(("" "/")) NIL NIL': "relais/taken",
    '(("INBOX." ".")) NIL (("Shared." "."))': "INBOX.relais.taken",
    '(("" "\\\\")) NIL NIL': "relais\\\\taken",
    '(("Mes \\"bo\\" " "."))': 'Mes \\"bo\\" relais.taken',
    '(("" NIL)) NIL NIL': "relais/taken",
    "NIL NIL NIL": "relais/taken",
    '(("\x00" "/"))': "relais/taken",
}


@pytest.mark.parametrize(("namespace", "name"), NAMESPACES.items(), ids=NAMESPACES.values())
async def test_folders(namespace: str, name: str) -> None:
    """Folders are created where the server wants people's own, unless they exist."""
    login = LOGIN.format(capabilities="NAMESPACE").split('C: LIST "" ""')[0]
    dialogue = f"""
        C: NAMESPACE
        S: * NAMESPACE {namespace}
        S: T OK
        C: LIST "" "{name}"
        S: T OK
        C: CREATE "{name}"
        S: T OK
        C: LIST "" "{name}"
        S: * LIST (\\HasNoChildren) "/" "{name}"
        S: T OK
    """
    async with Script(login + dialogue).playing() as script:
        inbox = await Inbox.connect(endpoint(script.port), deadline=SOON)
        await inbox.ensure_folders(["relais/taken", "relais/taken"])
        inbox.abort()


async def test_folder_made_by_another() -> None:
    """Losing the race to create a folder is no error."""
    dialogue = """
        C: LIST "" "relais/taken"
        S: * LIST (\\Noselect) "/" "relais/taken"
        S: T OK
        C: CREATE "relais/taken"
        S: T NO [ALREADYEXISTS] there is one
        C: LIST "" "relais/taken"
        S: * LIST () "/" "relais/taken"
        S: T OK
    """
    async with session(dialogue) as (inbox, _):
        await inbox.ensure_folders(["relais/taken"])


@pytest.mark.parametrize("folder", ["", "a\r\nA1 DELETE b", "a\0", "été", "a*", "a%", "R&D"])
async def test_no_folder_name(folder: str) -> None:
    """A name that would need care on the wire is no name of ours."""
    async with session("silence") as (inbox, _):
        with pytest.raises(ValueError, match="not a folder name"):
            await inbox.select(folder)
