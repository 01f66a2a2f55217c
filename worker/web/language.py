"""Which language a visitor reads."""

from __future__ import annotations

from worker.config import LOCALES


def chosen_locale(asked: str, accepted: str, default: str) -> str:
    """Return the locale *asked* for in the URL, else the best *accepted*, else *default*.

    *accepted* is an Accept-Language field (RFC 9110, section 12.5.4).
    """
    if asked in LOCALES:
        return asked
    weighed = [_weighed(item) for item in accepted.split(",")]
    for weight, locale in sorted(weighed, key=lambda pair: -pair[0]):
        if weight > 0 and locale in LOCALES:
            return locale
    return default


def _weighed(item: str) -> tuple[float, str]:
    language, _, parameter = item.partition(";")
    _, _, weight = parameter.partition("q=")
    try:
        return float(weight or 1), language.strip().lower().partition("-")[0]
    except ValueError:
        return 0.0, ""
