"""What the shipped rules make of the labelled bounces of the shared corpus.

    python -m tests.corpus.verdicts [FOLDER]

One line per action, by how it was found; then how often the corpus, where it
says whether an address is to be given up, agrees. It never says that of a
refusal for rate or policy: there, soft is agreement.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.postgres import PostgresCluster
from worker.mail.returns import read_return
from worker.policy.feedback import Action, Verdict, action_of_code, read_verdict
from worker.store import rules
from worker.store.database import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.mail.dsn import RecipientReport
    from worker.policy.feedback import Rule

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"

# The bodies have no header; the measuring tool puts this above them, too.
HEAD = (
    b"Return-Path: <>\r\nFrom: Mail Delivery System <MAILER-DAEMON@mailer.acme.email>\r\n"
    b"To: bounces@mailer.acme.email\r\nSubject: Undelivered Mail Returned to Sender\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
)

# Whose server the label names; addresses in the corpus are mostly invented.
SERVERS = {
    "franceptt": "orange",
    "orange.fr": "orange",
    "laposte.net": "laposte",
    "google": "google",
    "gmail": "google",
    "outlook": "outlook",
    "office365": "outlook",
    "microsoft": "outlook",
    "exchangelabs": "outlook",
    "yahoo": "yahoo",
    "aol": "yahoo",
    "icloud": "icloud",
    "apple": "icloud",
    "mail.com": "gmx",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A labelled recipient, and the verdict; None if the reader names nobody like that."""

    permanence: str
    basis: str  # rule, code, nothing, unread
    verdict: Verdict | None
    text: str


async def shipped(url: str) -> tuple[list[Rule], dict[str, str]]:
    """Return the rules and the domains of a migrated database."""
    db = await connect(url)
    known, bad = await rules.load(db)
    rows = await db.fetch("select domain, provider from relais.provider_domain")
    await db.close()
    if bad:
        raise ValueError(bad)
    return known, {row["domain"]: row["provider"] for row in rows}


def labels(corpus: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield each labelled bounce, as a message."""
    for folder, head in (("bounces", b""), ("bodies", HEAD)):
        for line in (corpus / folder / "labels.jsonl").read_text("utf-8").splitlines():
            label = json.loads(line)
            yield label, head + (corpus / folder / label["file"]).read_bytes()


def judged(
    label: dict[str, Any], raw: bytes, known: list[Rule], domains: dict[str, str]
) -> Iterator[Found]:
    """Yield the verdict about each labelled recipient of one bounce."""
    returned = read_return(raw)
    reports = {r.final_recipient.lower(): r for r in returned.recipients} if returned else {}
    reports |= {r.original_recipient.lower(): r for r in returned.recipients} if returned else {}
    for detail in label["details"]:
        names = [detail["recipient"], *detail.get("alt", [])]
        report = next((reports[n.lower()] for n in names if n.lower() in reports), None)
        if report is None:
            yield Found(detail["permanence"], "unread", None, "")
            continue
        provider = _provider(label, detail["recipient"], domains)
        verdict = read_verdict(
            report.diagnostic, provider=provider, rules=known, status=report.status
        )
        yield Found(detail["permanence"], _basis(verdict, report), verdict, report.diagnostic)


def _provider(label: dict[str, Any], address: str, domains: dict[str, str]) -> str:
    own = domains.get(address.rpartition("@")[2].lower())
    server = str(label.get("provider", ""))
    return own or next((name for part, name in SERVERS.items() if part in server), "other")


def _basis(verdict: Verdict, report: RecipientReport) -> str:
    if verdict.rule_id is not None:
        return "rule"
    return "code" if action_of_code(report.diagnostic, report.status) else "nothing"


def tell(found: list[Found]) -> None:
    """Print the two tables."""
    by = Counter((f.verdict.action, f.basis) for f in found if f.verdict)
    print(f"{'action':<14}{'rule':>6}{'code':>6}{'nothing':>9}")
    for action in Action:
        counts = [by[action, basis] for basis in ("rule", "code", "nothing")]
        if any(counts):
            print(f"{action:<14}{counts[0]:>6}{counts[1]:>6}{counts[2]:>9}")
    sums = [sum(n for (_, b), n in by.items() if b == basis) for basis in ("rule", "code")]
    nothing = sum(n for (_, b), n in by.items() if b == "nothing")
    print(f"{'all':<14}{sums[0]:>6}{sums[1]:>6}{nothing:>9}")
    unread = sum(f.verdict is None for f in found)
    print(f"labelled recipients {len(found)}, not found by the reader {unread}\n")
    print(f"{'label':<14}{'agrees':>7}{'of':>6}")
    for label, wanted in (("hard", True), ("soft", False)):
        mine = [f.verdict for f in found if f.verdict and f.permanence == label]
        right = sum((verdict.action is Action.HARD) is wanted for verdict in mine)
        print(f"{label:<14}{right:>7}{len(mine):>6}")


async def judge_all(url: str, corpus: Path) -> list[Found]:
    """Judge all of *corpus* by the rules of a migrated database."""
    known, domains = await shipped(url)
    return [f for label, raw in labels(corpus) for f in judged(label, raw, known, domains)]


def main() -> None:
    """Make a database, and tell."""
    corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS
    with PostgresCluster() as cluster:
        tell(asyncio.run(judge_all(cluster.create().url, corpus)))


if __name__ == "__main__":
    main()
