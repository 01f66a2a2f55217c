"""The page of an unsubscription link, asked by people, scanners and forgers."""

from __future__ import annotations

import gzip
import re
from base64 import b32decode, b32encode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edges.web.directory import MemoryDirectory, NoDecisions, NoPostings, stands_for
from tests.edges.web.visitor import HOSTILE, SITE, Visitor, assert_hardened, open_door, visiting
from worker.mail.return_address import Purpose, Tokens, subscriber_number
from worker.telemetry.metrics import Metrics
from worker.web.form import read_form
from worker.web.language import Known, chosen_locale
from worker.web.pages import build_app, masked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIST, OTHER_LIST, PERSON, OTHER_PERSON = 7, 8, 1_000_000_007, 12
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def signed(tokens: Tokens, number: int, stands_for: bytes) -> str:
    """Return an unsubscription token."""
    return tokens.sign(Purpose.UNSUBSCRIBE, number, stands_for=stands_for).decode()


@dataclass(frozen=True)
class Visit(Visitor):
    """A visitor of the pages, and what stands behind them."""

    tokens: Tokens
    directory: MemoryDirectory
    metrics: Metrics

    def token(self, list_id: int = LIST, person_id: int = PERSON) -> str:
        """Return the token in a copy to this person from this list."""
        number = subscriber_number(list_id, person_id)
        return signed(self.tokens, number, stands_for(list_id, person_id))

    def unsubscribes(self, method: str) -> float | None:
        """Return how many people are counted to have left this way."""
        return self.metrics.registry.get_sample_value(
            "relais_unsubscribes_total", {"method": method}
        )


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """Serve the pages on a port of their own."""
    tokens, metrics = Tokens(SITE.secrets), Metrics()
    directory = MemoryDirectory(
        titles={LIST: "Comité directeur", OTHER_LIST: HOSTILE},
        addresses={PERSON: "jean.martin@orange.fr", OTHER_PERSON: ""},
    )
    app = build_app(
        tokens=tokens,
        directory=directory,
        decisions=NoDecisions(),
        postings=NoPostings(),
        metrics=metrics,
        site=SITE,
        door=open_door(),
    )
    async with visiting(app) as visitor:
        yield Visit(visitor.session, visitor.base, tokens, directory, metrics)


async def test_page_shows_what_will_happen(visit: Visit) -> None:
    """A person sees which list, which address, and one button."""
    answer = await visit.ask("GET", f"/u/{visit.token()}")

    assert answer.status == 200
    assert "Ne plus recevoir ces messages\u00a0?" in answer.text
    assert "<bdi>Comité directeur</bdi>" in answer.text
    assert "j•••n@orange.fr" in answer.text
    assert "jean.martin" not in answer.text
    assert "toutes les listes de listes.example.fr</span>" in answer.text
    assert 'href="../privacy?lang=fr"' in answer.text
    assert 'href="https://monespace.example.fr/?a=1&amp;b=2"' in answer.text
    assert answer.text.count("<h1>") == answer.text.count("<button") == 1
    assert answer.text.count('type="radio"') == 2
    assert '<html lang="fr">' in answer.text


@pytest.mark.parametrize("purpose", ["", "prefetch"])
async def test_looking_changes_nothing(visit: Visit, purpose: str) -> None:
    """A scanner may follow the link as often as it likes."""
    path = f"/u/{visit.token()}"
    for method in ("GET", "HEAD", "GET", "HEAD"):
        answer = await visit.ask(method, path, headers={"Sec-Purpose": purpose} if purpose else {})
        assert answer.status == 200
    for method in ("OPTIONS", "PUT", "DELETE"):
        answer = await visit.ask(method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD,POST")
        assert "<h1>Rien n\u2019a été fait</h1>" in answer.text

    assert visit.directory.opt_outs == {}


def _multipart() -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("List-Unsubscribe", "One-Click")
    return form


@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
async def test_one_click(visit: Visit, encoding: str) -> None:
    """RFC 8058: this list only, answered at once, and twice is like once."""
    for _ in range(2):
        data = _multipart() if encoding == "multipart" else ONE_CLICK
        answer = await visit.ask("POST", f"/u/{visit.token()}", data=data)
        assert (answer.status, answer.text) == (200, "OK\n")
        assert "Set-Cookie" not in answer.headers

    assert visit.directory.opt_outs == {(PERSON, LIST): "one-click"}
    assert visit.unsubscribes("one-click") == 1


async def test_one_click_without_content_type(visit: Visit) -> None:
    """A provider that leaves the type out is understood."""
    answer = await visit.ask(
        "POST", f"/u/{visit.token()}", data=b"List-Unsubscribe=One-Click", headers={}
    )

    assert answer.status == 200
    assert visit.directory.opt_outs == {(PERSON, LIST): "one-click"}


@pytest.mark.parametrize(("scope", "out_of"), [("list", LIST), ("all", None)])
async def test_form_and_undo(visit: Visit, scope: str, out_of: int | None) -> None:
    """The form leads back to the page, which shows the present state and the way back."""
    path = f"/u/{visit.token()}"

    left = await visit.ask("POST", path, data={"scope": scope})
    assert (left.status, left.headers["Location"]) == (303, visit.token())
    assert visit.directory.opt_outs == {(PERSON, out_of): "page"}
    assert visit.unsubscribes("page") == 1

    done = await visit.ask("GET", path)
    assert ("vous ne recevrez plus la liste" in done.text) == (scope == "list")
    assert ("ne vous écrira plus" in done.text) == (scope == "all")
    (title,) = re.findall(r"<title>(.*?)</title>", done.text, re.DOTALL)
    assert title.split()[:3] == ["Vous", "êtes", "désabonné(e)"]
    assert "Annuler\u00a0: me réabonner" in done.text
    assert (
        "D\u2019autres listes de listes.example.fr peuvent encore vous écrire." in done.text
    ) == (scope == "list")
    assert visit.directory.farewells == [f"{SITE.public_url}{path}"] * (scope == "all")
    assert ("Tout arrêter" in done.text) == (scope == "list")

    back = await visit.ask("POST", path, data={"action": "undo"})
    assert (back.status, back.headers["Location"]) == (303, f"{visit.token()}?back=1")
    assert visit.directory.opt_outs == {}
    assert "vous recevez de nouveau la liste" in (await visit.ask("GET", f"{path}?back=1")).text
    assert "Ne plus recevoir" in (await visit.ask("GET", path)).text


async def test_all_lists_tells_of_official_mail(visit: Visit) -> None:
    """Nobody stops the notice of a general meeting without having read so."""
    visit.directory.official.add(OTHER_LIST)
    visit.directory.titles[OTHER_LIST] = "Convocations"
    path = f"/u/{visit.token()}"

    assert (
        "y compris des messages officiels\u00a0: Convocations"
        in (await visit.ask("GET", path)).text
    )
    await visit.ask("POST", path, data={"scope": "list"})
    assert (
        "vous arrêtez aussi des messages officiels\u00a0: Convocations."
        in (await visit.ask("GET", path)).text
    )


async def test_farewell(visit: Visit) -> None:
    """Only who leaves everything on the page is written to; a provider's click is no page."""
    path = f"/u/{visit.token()}"
    for data in (ONE_CLICK, {"scope": "list"}, {"action": "undo"}):
        await visit.ask("POST", path, data=data)
        assert visit.directory.farewells == []


class TestOfficialMail:
    """A list that one leaves only by knowing what that means."""

    async def test_page(self, visit: Visit) -> None:
        """It says why, whom to ask, and offers one button."""
        visit.directory.official.add(LIST)
        answer = await visit.ask("GET", f"/u/{visit.token()}")

        assert answer.status == 200
        assert "Ne plus recevoir de messages officiels" in answer.text
        assert "<bdi>Comité directeur</bdi>" in answer.text
        assert 'href="mailto:list7-owner@listes.example.fr"' in answer.text
        assert "en connaissance de cause" in answer.text
        assert answer.text.count("<h1>") == answer.text.count("<button") == 1

    @pytest.mark.parametrize(
        "body", [ONE_CLICK, {"scope": "list"}, {"scope": "all"}], ids=["one click", "list", "all"]
    )
    async def test_not_without_knowing(self, visit: Visit, body: dict[str, str]) -> None:
        """No copy of it offers one click, so nobody's provider asks in good faith."""
        visit.directory.official.add(LIST)
        answer = await visit.ask("POST", f"/u/{visit.token()}", data=body)

        assert answer.status == 400
        assert "Ne plus recevoir de messages officiels" in answer.text
        assert visit.directory.opt_outs == {}

    async def test_leaving_and_coming_back(self, visit: Visit) -> None:
        """Whoever knows may go, from here and then from everywhere."""
        visit.directory.official.add(LIST)
        path = f"/u/{visit.token()}"

        for scope in ("list", "all"):
            page = await visit.ask("GET", path)
            fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)"', page.text))
            assert (await visit.ask("POST", path, data={**fields, "scope": scope})).status == 303
        assert visit.directory.opt_outs == {(PERSON, LIST): "page", (PERSON, None): "page"}

        assert (await visit.ask("POST", path, data={"action": "undo"})).status == 303
        assert visit.directory.opt_outs == {}


async def test_undo_leaves_others_alone(visit: Visit) -> None:
    """One person's way back is nobody else's, and no other list's."""
    others: dict[tuple[int, int | None], str] = {
        (OTHER_PERSON, LIST): "page",
        (PERSON, OTHER_LIST): "page",
    }
    visit.directory.opt_outs.update(others)

    await visit.ask("POST", f"/u/{visit.token()}", data={"action": "undo"})

    assert visit.directory.opt_outs == others


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"scope=everything",
        b"scope=list&scope=all",
        b"scope=all&List-Unsubscribe=One-Click&List-Unsubscribe=no&scope=list",
        b"List-Unsubscribe=one-click",
        b"&".join(b"f%d=1" % n for n in range(40)) + b"&scope=all",
        b"\xff\xfe=%00%ff",
        gzip.compress(b"List-Unsubscribe=One-Click", mtime=0),
    ],
)
async def test_post_that_asks_for_nothing(visit: Visit, body: bytes) -> None:
    """Without its mark a POST changes nothing, and is told so."""
    answer = await visit.ask(
        "POST",
        f"/u/{visit.token()}",
        data=body,
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            **({"Content-Encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}),
        },
    )

    assert answer.status == 400
    assert visit.directory.opt_outs == {}


async def test_body_too_large(visit: Visit) -> None:
    """A form of ours is small."""
    body = b"scope=all&padding=" + b"x" * 10_000

    answer = await visit.ask("POST", f"/u/{visit.token()}", data=body)

    assert answer.status == 413
    assert "<h1>Rien n\u2019a été fait</h1>" in answer.text
    assert visit.directory.opt_outs == {}


def _forgeries(visit: Visit) -> dict[str, str]:
    token = visit.token()
    other = "b" if token[-1] == "a" else "a"
    number = subscriber_number(LIST, PERSON)
    return {
        "truncated": token[:-1],
        "longer": token + "a",
        "one letter changed": other + token[1:] if token[0] != other else "c" + token[1:],
        "mac changed": token[:-1] + other,
        "of another site": signed(Tokens((b"x" * 32,)), number, stands_for(LIST, PERSON)),
        "of whoever had the number before": signed(visit.tokens, number, stands_for(LIST, 99)),
        "of nobody by name": signed(visit.tokens, number, b""),
        "of another purpose": visit.tokens.sign(Purpose.RETURN, number).decode(),
        "unknown person": visit.token(LIST, 99),
        "unknown list": visit.token(99, PERSON),
        "garbage": "%00%ff%3Cscript%3E",
        "long": "a" * 3000,
    }


async def test_forged_tokens_get_one_answer(visit: Visit) -> None:
    """Nothing tells a forger how near the guess was."""
    answers = set()
    for token in _forgeries(visit).values():
        for method, data in (("GET", None), ("POST", ONE_CLICK), ("POST", {"scope": "all"})):
            answer = await visit.ask(method, f"/u/{token}", data=data)
            answers.add((answer.status, answer.text))
    elsewhere = await visit.ask("GET", "/elsewhere")
    answers.add((elsewhere.status, elsewhere.text))

    assert len(answers) == 1
    ((status, text),) = answers
    assert status == 404
    assert "Ce lien est incomplet" in text
    assert visit.directory.opt_outs == {}


async def test_any_bit_that_is_wrong(visit: Visit) -> None:
    """A token is genuine in all of its bits, or it is none at all."""
    genuine = b32decode(visit.token().upper())
    answers = set()
    for bit in range(8 * len(genuine)):
        flipped = int.from_bytes(genuine, "big") ^ 1 << bit
        token = b32encode(flipped.to_bytes(len(genuine), "big")).decode().lower()
        answer = await visit.ask("POST", f"/u/{token}", data=ONE_CLICK)
        assert_hardened(answer)
        answers.add((answer.status, answer.text))

    assert len(answers) == 1
    assert visit.directory.opt_outs == {}


async def test_old_secret_and_upper_case(visit: Visit) -> None:
    """Links outlive a rotation, and gateways that change the case."""
    number = subscriber_number(LIST, PERSON)
    old = signed(Tokens(SITE.secrets[1:]), number, stands_for(LIST, PERSON))

    for token in (old, visit.token().upper()):
        assert (await visit.ask("GET", f"/u/{token}")).status == 200


async def test_hostile_title(visit: Visit) -> None:
    """A list's title is text, in every state of the page."""
    path = f"/u/{visit.token(OTHER_LIST)}"
    before = await visit.ask("GET", path)
    await visit.ask("POST", path, data={"scope": "list"})
    after = await visit.ask("GET", path)

    for answer in (before, after):
        assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&#34;&amp;</bdi>" in answer.text
        assert "<script" not in answer.text
        assert "\u202e" not in answer.text


async def test_unknown_address(visit: Visit) -> None:
    """When deliveries are purged nobody knows the address; the link still works."""
    answer = await visit.ask("GET", f"/u/{visit.token(LIST, OTHER_PERSON)}")

    assert answer.status == 200
    assert "Adresse" not in answer.text


async def test_headers(visit: Visit) -> None:
    """Every answer is private, inert, and says nothing of what made it."""
    path = f"/u/{visit.token()}"
    answers = [
        await visit.ask("GET", path),
        await visit.ask("HEAD", path),
        await visit.ask("POST", path, data=ONE_CLICK),
        await visit.ask("POST", path, data={"scope": "all"}),
        await visit.ask("POST", path, data=b"x" * 9999),
        await visit.ask("PUT", path),
        await visit.ask("GET", "/u/forged"),
    ]
    for answer in answers:
        assert_hardened(answer)


async def test_nothing_from_elsewhere(visit: Visit) -> None:
    """No script, no asset, and the style is the one that the policy allows."""
    answer = await visit.ask("GET", f"/u/{visit.token()}")

    assert not re.search(r"<script|<link|<img|<iframe|\bon\w+=|\bstyle=|@import|url\(", answer.text)
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert _sha256(style) in answer.headers["Content-Security-Policy"]
    assert len(answer.text.encode()) < 20_000


def _sha256(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()


async def test_database_away(visit: Visit) -> None:
    """A provider is asked to come again, and so is a person."""
    visit.directory.lost = True

    for method, data in (("GET", None), ("POST", ONE_CLICK)):
        answer = await visit.ask(method, f"/u/{visit.token()}", data=data)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "120")
        assert "Réessayez dans quelques minutes" in answer.text


async def test_language_of_the_page(visit: Visit) -> None:
    """The URL is stronger than the browser, and stays through the form."""
    path = f"/u/{visit.token()}"
    english = {"Accept-Language": "en-GB,en;q=0.9,fr;q=0.1"}

    page = await visit.ask("GET", path, headers=english)
    assert page.headers["Content-Language"] == "en"
    assert page.headers["Vary"] == "Accept-Language"
    assert "Stop getting these messages?" in page.text
    assert "only the list “<bdi>Comité directeur</bdi>”" in page.text

    asked = await visit.ask("GET", f"{path}?lang=fr", headers=english)
    assert asked.headers["Content-Language"] == "fr"

    left = await visit.ask("POST", f"{path}?lang=en", data={"scope": "list"})
    assert left.headers["Location"] == f"{visit.token()}?lang=en"
    evil = await visit.ask("POST", f"{path}?lang=%0d%0aX:y", data={"scope": "list"})
    assert evil.headers["Location"] == visit.token()


LANGUAGES = {
    "nothing said": ("", "", "", "", "fr"),
    "asked": ("en", "fr", "fr", "fr", "en"),
    "asked for what is not": ("de", "", "", "", "fr"),
    "member": ("", "en", "fr", "fr", "en"),
    "member of a language that is not": ("", "de", "en", "fr", "en"),
    "best": ("", "", "de, en;q=0.8, fr;q=0.7", "fr", "en"),
    "weights": ("", "", "en;q=0.2, fr-CA;q=0.9", "en", "fr"),
    "refused": ("", "", "en;q=0, de", "", "fr"),
    "nonsense": ("", "", "en;q=x,;;;,q=1", "", "fr"),
    "list": ("", "", "de", "en", "en"),
    "list of a language that is not": ("", "", "", "de", "fr"),
}


@pytest.mark.parametrize("case", LANGUAGES.values(), ids=LANGUAGES)
def test_chosen_locale(case: tuple[str, str, str, str, str]) -> None:
    """The URL, then the member, the browser, the list, and the site."""
    asked, member, accepted, of_list, locale = case
    assert chosen_locale(asked, accepted, "fr", known=Known(member, of_list)) == locale


async def test_language_of_the_member(visit: Visit) -> None:
    """A borrowed browser speaks another one; the list's is better than none."""
    visit.directory.langs[PERSON] = "en"
    visit.directory.list_langs[LIST] = "en"
    french = {"Accept-Language": "fr"}
    asked = {
        visit.token(): "en",
        visit.token() + "?lang=fr": "fr",
        visit.token(LIST, OTHER_PERSON): "fr",
    }
    for token, locale in asked.items():
        answer = await visit.ask("GET", f"/u/{token}", headers=french)
        assert answer.headers["Content-Language"] == locale
    unsaid = await visit.ask("GET", f"/u/{visit.token(LIST, OTHER_PERSON)}")
    assert unsaid.headers["Content-Language"] == "en"


MASKED = {
    "jean.martin@orange.fr": "j•••n@orange.fr",
    "abc@x.fr": "a•••c@x.fr",
    "ab@x.fr": "a•••@x.fr",
    "a@x.fr": "•••@x.fr",
    "": "",
}


@pytest.mark.parametrize("address", MASKED)
def test_masked(address: str) -> None:
    """A forwarded link does not tell the address."""
    assert masked(address) == MASKED[address]


@given(
    content_type=st.sampled_from(
        [
            "",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "multipart/form-data; boundary=b",
        ]
    )
    | st.text(max_size=60),
    body=st.binary(max_size=400)
    | st.lists(
        st.sampled_from(
            [
                b"--b\r\n",
                b"--b--",
                b"Content-Disposition: form-data; name=",
                b'"a"',
                b"\r\n",
                b"\xff",
            ]
        ),
        max_size=20,
    ).map(b"".join),
)
def test_any_form_is_read(content_type: str, body: bytes) -> None:
    """Whatever is posted is read, without an exception."""
    for name, value in read_form(content_type, body).items():
        assert isinstance(name, str)
        assert isinstance(value, str)
