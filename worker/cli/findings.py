"""How verbs show what is wrong with the lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.cli.show import visible
from worker.store.checks import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.store.checks import Finding


def listed(findings: Sequence[Finding]) -> list[dict[str, str | None]]:
    """Return *findings* for an answer."""
    return [
        {"definition": f.definition, "severity": f.severity, "finding": f.text} for f in findings
    ]


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each of *findings*."""
    return [visible(f"{finding.severity}: {finding}") for finding in findings]


def any_error(findings: Sequence[Finding]) -> bool:
    """Tell whether one of *findings* is a problem; a warning is none."""
    return any(finding.severity is Severity.ERROR for finding in findings)
