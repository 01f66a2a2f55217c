"""Copies per second that one process renders, beside the standard library in the same run.

    python -m tests.bench.rendering [--rounds 7] [--seconds 0.3]

A text with HTML of 10 kB, and the same with an attachment of 1 MB. Ours are
joins of what was prepared once, unsigned and signed; the standard library
parses the message for each copy, sets the fields that differ, and serialises
it, unsigned. All take turns in each round; ratios are of the same round.
"""

from __future__ import annotations

import argparse
import time
from base64 import encodebytes
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from random import Random
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

from tests.unit.mail.signing_keys import ED25519, RSA
from worker.mail.copy import Personal, for_reader, read_template
from worker.mail.dkim_signing import read_signed_template
from worker.mail.footer import Footer
from worker.mail.list_headers import Author, Form, ListIdentity
from worker.mail.preparation import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from worker.signing import SigningKey

    Render: TypeAlias = "Callable[[int], bytes]"

DOMAIN = "listes.example.fr"
NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
LIST = ListIdentity(
    local_part="nouvelles",
    domain=DOMAIN,
    title="Nouvelles",
    definition="news",
    public_url=f"https://{DOMAIN}",
    help_address="aide@example.fr",
    form=Form.ANNOUNCEMENT,
)
FOOTERS = {
    "fr": Footer(("Vous êtes sur la liste.",), "Ne plus recevoir :", LIST.unsubscribe_url),
    "en": Footer(("You are on the list.",), "Unsubscribe:", LIST.unsubscribe_url),
}
REFERENCE = "standard library"


@dataclass(frozen=True, slots=True)
class Figures:
    """One contender: copies per second in each round, and what one copy weighs."""

    per_second: list[float]
    octets: int


def main(options: argparse.Namespace) -> None:
    """Measure both messages and print a table for each."""
    for name, raw in {"10 kB": written(5_000), "1 MB": written(5_000, 730_000)}.items():
        print(f"{name}: the author's message has {len(raw)} octets")
        report(measured(contenders(raw), options.rounds, options.seconds))
        print(f"  {'prepared once per posting':28} {preparation_ms(raw)}")


def written(letters: int, attached: int = 0) -> bytes:
    """Write a message with *letters* of text, as many of HTML, and *attached* octets."""
    text = "".join(
        f"Ligne {n} : réunion à 20 h, salle des fêtes.\r\n" for n in range(letters // 50)
    )
    page = "<html><body><p>" + text.replace("\r\n", "<br>\r\n") + "</p></body></html>\r\n"
    parts = [
        '--m\r\nContent-Type: multipart/alternative; boundary="a"\r\n\r\n',
        *(
            f"--a\r\nContent-Type: text/{kind}; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: 8bit\r\n\r\n{body}\r\n"
            for kind, body in (("plain", text), ("html", page))
        ),
        "--a--\r\n",
    ]
    if attached:
        octets = encodebytes(Random(1).randbytes(attached)).decode().replace("\n", "\r\n")
        parts.append(
            "--m\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
            f'Content-Disposition: attachment; filename="pv.pdf"\r\n\r\n{octets}'
        )
    head = (
        f"From: jerome@b.fr\r\nTo: nouvelles@{DOMAIN}\r\nSubject: Assemblee\r\n"
        "Date: Mon, 23 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@b.fr>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="m"\r\n\r\n'
    )
    return "".join([head, *parts, "--m--\r\n"]).encode()


def contenders(raw: bytes) -> Mapping[str, Render]:
    """Return what renders the copy of a number, by name."""
    unsigned = read_template(frozen(raw, None))
    rsa = read_signed_template(frozen(raw, RSA), RSA.sign)
    ed25519 = read_signed_template(frozen(raw, ED25519), ED25519.sign)
    return {
        REFERENCE: lambda number: by_standard_library(raw, number),
        "template": lambda number: unsigned.copy(personal(number)),
        "template, Ed25519": lambda number: ed25519.copy(personal(number)),
        "template, RSA-2048": lambda number: rsa.copy(personal(number)),
    }


def frozen(raw: bytes, key: SigningKey | None) -> bytes:
    """Prepare the posting, and take the French copies' template."""
    template = prepare(
        raw,
        identity=LIST,
        author=Author("jerome@b.fr", "Jérôme"),
        footers=FOOTERS,
        now=NOW,
        signer=key.signer if key else None,
    )
    return for_reader(template, "fr")


def personal(number: int) -> Personal:
    """Return what the copy of *number* has for its own."""
    token = b"%032d" % number
    return Personal(token, token, f"m{number}@example.org")


def by_standard_library(raw: bytes, number: int) -> bytes:
    """Make a copy as one writes it first: no footer, and no dots stuffed."""
    copy = message_from_bytes(raw, policy=policy.SMTP)
    page = f"<https://{DOMAIN}/u/{number:032}>"
    fields = {
        "From": f"Nouvelles <nouvelles@{DOMAIN}>",
        "Reply-To": "jerome@b.fr",
        "To": f"m{number}@example.org",
        "List-Id": f"Nouvelles <nouvelles.{DOMAIN}>",
        "List-Post": "NO",
        "List-Help": "<mailto:aide@example.fr>",
        "List-Owner": f"<mailto:nouvelles-owner@{DOMAIN}>",
        "List-Unsubscribe": f"{page}, <mailto:unsubscribe-{number:032}@{DOMAIN}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Precedence": "list",
        "Feedback-ID": "news:list:relais",
        "X-Relais-Ref": f"{number:032}",
    }
    for name, value in fields.items():
        del copy[name]
        copy[name] = value
    return copy.as_bytes()


def measured(renders: Mapping[str, Render], rounds: int, seconds: float) -> dict[str, Figures]:
    """Let each render for *seconds* in each round."""
    found = {name: Figures([], len(render(0))) for name, render in renders.items()}
    for _ in range(rounds):
        for name, render in renders.items():
            found[name].per_second.append(per_second(render, seconds))
    return found


def per_second(render: Render, seconds: float) -> float:
    """Return how many copies are rendered in a second."""
    number, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        render(number)
        number += 1
    return number / passed


def report(found: Mapping[str, Figures]) -> None:
    """Print minimum, median and maximum, and the ratios to the standard library."""
    reference = found[REFERENCE].per_second
    print(f"  {'':28} {'copies/s min / median / max':>34} {'ratio min / median / max':>30}")
    for name, figures in found.items():
        ratios = [a / b for a, b in zip(figures.per_second, reference, strict=True)]
        print(
            f"  {name:28} {spread(figures.per_second, ',.0f'):>34} {spread(ratios, '.1f'):>30}"
            f"   {figures.octets} octets"
        )


def preparation_ms(raw: bytes) -> str:
    """Say how long it takes to prepare a posting, and to read its template to sign."""
    start = time.perf_counter()
    template = frozen(raw, RSA)
    prepared = time.perf_counter()
    read_signed_template(template, RSA.sign)
    done = time.perf_counter()
    return f"{(prepared - start) * 1e3:.1f} ms, read to sign {(done - prepared) * 1e3:.1f} ms"


def spread(values: Sequence[float], form: str) -> str:
    """Return the least, the median and the most."""
    return f"{min(values):{form}} / {median(values):{form}} / {max(values):{form}}"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rendering")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3)
    return parser.parse_args()


if __name__ == "__main__":
    main(arguments())
