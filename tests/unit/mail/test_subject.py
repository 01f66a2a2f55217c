"""The subject's tag: once, whatever programs have made of it on its way."""

from __future__ import annotations

import pytest

from worker.mail.subject import tagged

TAG = "[Comité]"
SUBJECTS = {
    "new": ("Réunion", "[Comité] Réunion"),
    "a reply": ("Re: Réunion", "Re: [Comité] Réunion"),
    "a reply to a copy": ("Re: [Comité] Réunion", "Re: [Comité] Réunion"),
    "tag first": ("[Comité] Re: Réunion", "Re: [Comité] Réunion"),
    "French": ("RE : [Comité] Réunion", "Re: [Comité] Réunion"),
    "no-break space": ("RE\u00a0: Réunion", "Re: [Comité] Réunion"),
    "Ré": ("Ré: [Comité] Réunion", "Re: [Comité] Réunion"),
    "Rép": ("Rép : Réunion", "Re: [Comité] Réunion"),
    "German and English": ("AW: Re: [Comité] AW: Réunion", "Re: [Comité] Réunion"),
    "numbered": ("Re[3]: [Comité] Réunion", "Re: [Comité] Réunion"),
    "numbered with a caret": ("Re^2: Réunion", "Re: [Comité] Réunion"),
    "many": ("Re: RE: Re : re: Réunion", "Re: [Comité] Réunion"),
    "capitals": ("RE: [COMITÉ] réunion", "Re: [Comité] réunion"),
    "forwarded": ("Fwd: [Comité] Réunion", "[Comité] Fwd: Réunion"),
    "forwarded in French": ("TR: Réunion", "[Comité] TR: Réunion"),
    "a reply to a forward": ("Re: TR: [Comité] Réunion", "Re: [Comité] TR: Réunion"),
    "a word that begins like one": ("Rebond: suite", "[Comité] Rebond: suite"),
    "another list's tag": ("Re: [Bureau] Réunion", "Re: [Comité] [Bureau] Réunion"),
    "empty": ("", "[Comité]"),
    "the tag alone": ("Re: [Comité]", "Re: [Comité]"),
}


@pytest.mark.parametrize(("subject", "expected"), SUBJECTS.values(), ids=SUBJECTS)
def test_tagged(subject: str, expected: str) -> None:
    """Sympa's order; and a second passage changes nothing."""
    assert tagged(subject, TAG) == expected
    assert tagged(tagged(subject, TAG), TAG) == expected


def test_without_a_tag() -> None:
    """A list without a tag leaves the subject as it is."""
    assert tagged("Re: RE :  x", "") == "Re: RE :  x"
