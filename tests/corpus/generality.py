"""What the reader of returns knows that does not come from the messages it is measured on.

    python -m tests.corpus.generality [CORPUS]

For each source of the corpus all words are taken away that are found in no other
source, and the source is measured without them: leave one source out. What stays is
what the reader would have made of that source if nobody had seen it. Words alone can
be taken away so; the few rules in code stay.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.corpus import adapter
from worker.mail import diagnosis, notice_words, speaker
from worker.mail.folding import folded, without_accents
from worker.mail.notification import Notification
from worker.mail.returns import read_return

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SHARED = Path(__file__).parents[3] / "shared"
_REASONS = ("WORDS", "HINTS")
_SAID = tuple(name for name in dir(notice_words) if name.isupper())


def main() -> None:
    """Print the figures of each source, with all words and without its own."""
    corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "corpus"
    tool = _measuring_tool()
    messages = [
        (label, raw)
        for folder, label, raw in tool.read_corpus(str(corpus), set(), set())
        if folder in ("bounces", "bodies")
    ]
    found_in = sources_of_words((label["set"], raw) for label, raw in messages)
    print(f"{'source':12} {'files':>5} {'words':>5}   with all: {_TITLES}   without: {_TITLES}")
    everything, left = tool.Tally(), tool.Tally()
    for source in sorted({label["set"] for label, _ in messages}):
        own = {word for word, sources in found_in.items() if sources == {source}}
        chosen = [(label, raw) for label, raw in messages if label["set"] == source]
        whole = _measure(tool, chosen, everything)
        with without(own):
            rest = _measure(tool, chosen, left)
        print(f"{source:12} {len(chosen):5} {len(own):5}   {whole}   {rest}", flush=True)
    print(f"{'ALL':12} {len(messages):5} {'':5}   {_figures(everything)}   {_figures(left)}")


def sources_of_words(messages: Iterable[tuple[str, bytes]]) -> dict[str, set[str]]:
    """Return in which sources each word of the tables is found, by what the reader looks at."""
    patterns = {word: _pattern(word) for word in _all_words()}
    found_in: dict[str, set[str]] = defaultdict(set)
    for source, raw in messages:
        said = _looked_at(raw)
        for word, pattern in patterns.items():
            if source not in found_in[word] and pattern.search(said):
                found_in[word].add(source)
    return found_in


@contextmanager
def without(words: set[str]) -> Iterator[None]:
    """Take *words* away from all tables, and put them back."""
    before = {name: getattr(diagnosis, name) for name in _REASONS}
    said = {name: getattr(speaker, name) for name in _SAID if hasattr(speaker, name)}
    for name, table in before.items():
        kept = ((reason, _kept(row, words)) for reason, row in table)
        setattr(diagnosis, name, tuple((reason, row) for reason, row in kept if row))
    for name, row in said.items():
        setattr(speaker, name, _kept(row, words) or ("(?!)",))
    try:
        yield
    finally:
        for name, table in before.items():
            setattr(diagnosis, name, table)
        for name, row in said.items():
            setattr(speaker, name, row)


def _kept(row: tuple[str, ...], words: set[str]) -> tuple[str, ...]:
    return tuple(word for word in row if word not in words)


def _all_words() -> list[str]:
    reasons = [word for name in _REASONS for _, row in getattr(diagnosis, name) for word in row]
    return [*reasons, *(word for name in _SAID for word in getattr(notice_words, name))]


def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(without_accents(diagnosis.spelt_out(word)))


def _looked_at(raw: bytes) -> str:
    notification = Notification(raw.lstrip())
    found = read_return(raw)
    said = [report.diagnostic for report in found.recipients] if found else []
    texts = (notification.author, folded(notification.subject), notification.opening)
    return "\n".join([*texts, *map(folded, said)])


_TITLES = "recall precis  exact  class   dead"


def _figures(tally: Any) -> str:  # Any: the tool has no types.
    pairs = (
        ("found", "expected"),
        ("right", "reported"),
        ("exact", "files"),
        ("class_ok", "class_found"),
        ("dead_ok", "dead_found"),
    )
    return " ".join(tally.pct(*pair) for pair in pairs)


def _measure(tool: Any, messages: list[tuple[dict[str, Any], bytes]], total: Any) -> str:
    tally = tool.Tally()
    for label, raw in messages:
        reading = adapter.read(raw)
        for each in (tally, total):
            tool.score_bounce(each, label, reading, 0, defaultdict(list), label["file"])
    return _figures(tally)


def _measuring_tool() -> Any:
    path = SHARED / "tools" / "score_returns.py"
    spec = importlib.util.spec_from_file_location("score_returns", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"the measuring tool is not at {path}")
    tool = importlib.util.module_from_spec(spec)
    load: Callable[[Any], None] = spec.loader.exec_module
    load(tool)
    return tool


if __name__ == "__main__":
    main()
