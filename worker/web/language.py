"""Which language a visitor reads."""

from __future__ import annotations

from dataclasses import dataclass

from worker.config import LOCALES


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the reader of a page; "" if nothing."""

    member: str = ""  # The language in which we write to them.
    of_list: str = ""  # The language of the list.


UNKNOWN = Known()


def chosen_locale(asked: str, accepted: str, default: str, *, known: Known = UNKNOWN) -> str:
    """Return the first of these that we have; *asked* stands in the URL.

    *accepted* is an Accept-Language field (RFC 9110, section 12.5.4).
    """
    weighed = sorted((_weighed(item) for item in accepted.split(",")), key=lambda pair: -pair[0])
    best = [locale for weight, locale in weighed if weight > 0]
    wanted = (asked, known.member, *best, known.of_list)
    return next((locale for locale in wanted if locale in LOCALES), default)


def _weighed(item: str) -> tuple[float, str]:
    language, _, parameter = item.partition(";")
    _, _, weight = parameter.partition("q=")
    try:
        return float(weight or 1), language.strip().lower().partition("-")[0]
    except ValueError:
        return 0.0, ""
