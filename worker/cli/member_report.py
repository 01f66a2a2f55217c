"""What an import of a member file found and changed, for people and for scripts."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.cli.show import counted, print_facts, print_json, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from worker.policy.member_row import Noticed, Problem, Remark
    from worker.store.members import Comparison, Example, LastImport

SHOWN = 20  # Lines about rows; --json has all.
_SIGNS = {"added": "+", "back": "+", "changed": "~", "gone": "-"}


@dataclass(frozen=True, slots=True)
class Report:
    """All that is to be said of one import."""

    file_name: str
    day: date
    day_from: str
    dry_run: bool
    form: str = ""
    sample: str = ""
    header_line: int = 0
    last: LastImport | None = None
    rows: int = 0
    repeated: int = 0
    problems: Sequence[Problem] = ()
    noticed: Sequence[Noticed] = ()  # The first of them.
    remarks: Mapping[Remark, int] = field(default_factory=Counter)  # All of them.
    comparison: Comparison | None = None
    refused: str | None = None


def print_report_json(report: Report) -> None:
    """Print the report as one object."""
    comparison = report.comparison
    print_json(
        {
            **({"error": report.refused} if report.refused else {}),
            "imported": not (report.refused or report.dry_run),
            "dry_run": report.dry_run,
            "file": report.file_name,
            "form": report.form,
            "header_line": report.header_line,
            "exported_on": report.day.isoformat(),
            "exported_on_from": report.day_from,
            "rows": report.rows,
            "repeated": report.repeated,
            "left_out": len(report.problems),
            "problems": [{"line": p.line, "problem": p.text} for p in report.problems],
            "remark_counts": {r.name.lower(): count for r, count in report.remarks.items()},
            "remarks": [
                {"line": n.line, "remark": n.remark.name.lower(), "text": n.text}
                for n in report.noticed
            ],
            **({} if comparison is None else _comparison(comparison)),
        }
    )


def _comparison(comparison: Comparison) -> dict[str, object]:
    return {
        "added": comparison.added,
        "added_inactive": comparison.added_inactive,
        "back": comparison.back,
        "changed": comparison.changed,
        "fields": dict(comparison.fields),
        "gone": comparison.gone,
        "marked_inactive": comparison.marked_inactive,
        "unchanged": comparison.unchanged,
        "by_hand": comparison.by_hand,
        "active_before": comparison.active,
        "addresses_lost": comparison.addresses_lost,
        "clubs_added": comparison.clubs_added,
        "clubs_changed": comparison.clubs_changed,
        "shrinks": comparison.shrinks(),
        "examples": [
            {"change": e.change, "key": e.key, "name": e.name, "fields": list(e.fields)}
            for e in comparison.examples
        ],
    }


def print_report(report: Report) -> None:
    """Print the report for people; what is refused goes to stderr at the end."""
    sample = f" ({report.sample})" if report.sample else ""
    form, _, more = report.form.partition(", ")
    print_facts(
        {
            "File": f"{report.file_name}: {form}{sample}{', ' if more else ''}{more},"
            f" header on line {report.header_line}",
            "Date": f"{_written(report.day)}, from {report.day_from}",
            "Rows": _rows(report),
        }
    )
    _print_some(
        f"{counted(len(report.problems), 'row')} left out:",
        [f"line {p.line}: {p.text}" for p in report.problems],
        len(report.problems),
    )
    remarks = sum(report.remarks.values())
    _print_some(
        f"{counted(remarks, 'remark')}: {_kinds(report)}",
        [
            f"line {n.line}: {n.remark.value}{': ' if n.text else ''}{n.text}"
            for n in report.noticed
        ],
        remarks,
    )
    if report.comparison is not None:
        _print_comparison(report.comparison)
    for warning in _warnings(report):
        print(visible(f"warning: {warning}"), file=sys.stderr)
    if report.refused:
        print(visible(f"Refused: {report.refused}."), file=sys.stderr)
    if report.refused or report.dry_run:
        print("Nothing was changed.")


def _rows(report: Report) -> str:
    parts = [f"{report.rows - len(report.problems)} taken", f"{len(report.problems)} left out"]
    if report.repeated:
        parts.append(f"{report.repeated} of the taken say nothing new")
    return f"{report.rows}: {', '.join(parts)}"


def _kinds(report: Report) -> str:
    return "; ".join(f"{count} {remark.value}" for remark, count in report.remarks.items())


def _print_some(title: str, lines: Sequence[str], count: int) -> None:
    if not count:
        return
    print(visible(title))
    for line in lines[:SHOWN]:
        print(visible(f"  {line}"))
    if count > SHOWN:
        print(f"  and {count - SHOWN} more; --json shows them")


def _print_comparison(comparison: Comparison) -> None:
    added = f"+ {counted(comparison.added, 'person', 'people')}"
    if comparison.added_inactive:
        added += f" ({comparison.added_inactive} not active)"
    if comparison.back:
        added += f" and {comparison.back} back"
    changed = f"~ {comparison.changed} changed"
    if comparison.fields:
        changed += f" ({', '.join(f'{n} {what}' for what, n in comparison.fields.items())})"
    gone = f"- {comparison.gone} gone"
    if comparison.marked_inactive:
        gone += f" ({comparison.marked_inactive} marked so in the file)"
    clubs = ""
    if comparison.clubs_added or comparison.clubs_changed:
        clubs = f"; clubs: + {comparison.clubs_added}, ~ {comparison.clubs_changed}"
    print(f"{added}, {changed}, {gone}; {comparison.unchanged} unchanged{clubs}")
    for example in comparison.examples:
        print(visible(f"  {_SIGNS[example.change]} {example.key} {example.name}{_why(example)}"))
    if comparison.by_hand:
        told = counted(comparison.by_hand, "active member")
        print(f"{told} without a licence number: entered by hand, left alone")


def _why(example: Example) -> str:
    if example.change == "changed":
        return f": {', '.join(example.fields)}"
    return ": back" if example.change == "back" else ""


def _warnings(report: Report) -> list[str]:
    last = report.last
    if last is None or last.exported_on <= report.day:
        return []
    day = _written(last.exported_on)
    return [f"{last.file_name}, which was imported before this one, is younger: of {day}"]


def _written(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
