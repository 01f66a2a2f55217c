"""Reading what a person answered to a mail of ours: yes, no, stop, or something else.

The first line that is their own decides, be it above the mail they quote or
below. Whatever is not plainly a yes or a no is unclear: a posting must not go
out because somebody wrote "ok, but not now", nor because the mail that they
quote has an OK in it. Where nothing tells the quote from the answer, that is
unclear, too.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

from worker.mail.hypertext import unescaped
from worker.mail.parts import decoded_text, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker.mail.parts import Part

_TEXT_LIMIT, _HTML_LIMIT = 64 * 1024, 512 * 1024
_LINES_LIMIT = 400
_REASON_LIMIT = 500
_FOLDED_FROM = 60
_QUOTED_LINES, _QUOTED_LENGTH = 20, 200
_READ = ("text/plain", "text/html")
# What comes with an answer and says nothing by itself.
_WORDLESS = ("image/", "application/pkcs7-signature", "application/pgp-signature")

_MARKS_AROUND = " *_\"'«»“”„`"
_GREETING = re.compile(
    r"(?:bonjour|bonsoir|salut|hello|hi|hallo)\b"
    r"(?:\s(?:à tous|à toutes|madame|monsieur|all|everyone))*[\s,.!:-]*",
    re.IGNORECASE,
)
_YES = re.compile(
    r"(?:ok(?:ay|é)?|oui|yes|y|o|d['\u2019]accord|accord(?:é)?|approuv(?:e|é|er)|approved?"
    r"|j['\u2019]approuve|valid(?:e|é|er)|je valide|confirm(?:e|é|er|ed)?|je confirme|i confirm"
    r"|accept(?:e|é|ed)?)"
    r"(?:[\s,.!]+(?:ok|oui|yes|merci|thanks?|thank you|pour moi|for me|please|envoyez|go|go ahead"
    r"|je confirme|i confirm|j['\u2019]approuve|vous pouvez envoyer|bien sûr|c['\u2019]est bon"
    r"|c['\u2019]est (?:bien )?moi|it['\u2019]?s me|it was me|i did))*"
    r"[\s.!,;:)🙂😀😊👍👌✅✔🙏\U0001F3FB-\U0001F3FF\uFE0F]*",
    re.IGNORECASE,
)
# A hyphen without a space makes one word of two, no-one; "No. 7" is a number.
_NO = re.compile(
    r"(?:non|no|n|refus(?:e|é|er|ed)?|je refuse|reject(?:ed)?|rejet(?:te|é|er)?|annul(?:e|é|er|ez)"
    r"|cancel(?:led)?|stop|nein)"
    r"(?:[\s,]+(?:non|no|merci|thanks?|thank you|désolée?|sorry))*"
    r"(?:(?:\s*[,;:!]+|\s*\.++(?!\s*\d)|\s+[\u2013\u2014-]+|[\u2013\u2014-]+(?=\s))[\s.!,;:]*"
    r"(?P<reason>\S.*)?)?[\s.!]*",
    re.IGNORECASE,
)
# "N. Dupont" is a name.
_INITIAL = re.compile(r"n\s?\.", re.IGNORECASE)
# "No, no problem" says yes.
_REASSURANCE = re.compile(
    r"(?:no (?:problem|worries|objection)|(?:pas de|aucun|aucune) (?:problème|souci|objection)"
    r"|rien à|c['\u2019]est (?:bon|ok|parfait)|(?:it['\u2019]s |that['\u2019]s |all )?(?:fine|good)"
    r"|ok|oui|yes|go|vas-y|allez-y|d['\u2019]accord)\b",
    re.IGNORECASE,
)
# What takes a yes back, at the beginning of a later line.
_SECOND_THOUGHT = re.compile(
    r"(?:mais|but|sauf|except|non|no|not|attend\w*|wait|finalement|en fait|actually|stop"
    r"|refus\w*|rejet\w*|annul\w*|cancel\w*|pas (?:avant|encore|tout de suite)|seulement|only"
    r"|à condition|ne pas envoyer|n['\u2019]envo\w+|do not send|don['\u2019]t send)\b",
    re.IGNORECASE,
)

# Anywhere below a yes: "Ne pas diffuser", "but do not send it before Monday".
_NEGATION = re.compile(
    r"\b(?:ne|pas|non|not|don['\u2019]t|mais|but|avant|before|sauf|except)\b|\bn['\u2019]",
    re.IGNORECASE,
)

# To a receipt. What is under way can be stopped and resumed: how politely it is said
# does not matter, and a reason may follow. What is to be stopped is read in one way only,
# as "this message it" could be in four, and each of a hundred of them.
_POLITELY = (
    r"please|merci(?: d['\u2019]avance)?|thanks?|thank you|svp|stp"
    r"|s['\u2019]il (?:vous|te) pla[iî]t"
)
_WISHED = (
    r"(?:merci|prière|je vous prie|je vous demande) (?:de(?= )|d['\u2019 ])"
    r"|il fau(?:t|drait)|veuillez|bien vouloir|je (?:veux|voudrais|souhaite(?:rais)?|dois)"
    r"|(?:i|we) (?:want|need|have|would like) to|i['\u2019]d like to|(?:i|we|you) must"
)
# "Can you stop it?" asks us to; "stop?" and "how do I stop it?" ask something.
_ASKED = (
    r"(?:est-ce que )?(?:vous (?:pouvez|pourriez)|tu (?:peux|pourrais))|(?:pouvez|pourriez)[- ]vous"
    r"|(?:peux|pourrais)[- ]tu|(?:can|could|would|will) you"
)
_STOP = re.compile(
    rf"(?:(?:{_POLITELY}|{_WISHED}|(?P<asked>{_ASKED}))[\s,:!.]*){{0,4}}"
    r"(?:l['\u2019 ]|l[ea] |tout )?"
    r"(?:stop(?:pe|per|pez)?|arr[eê]t(?:e|er|ez|ons)?|annul(?:e|er|ez)|cancel|halt"
    r"|interromp(?:re|ez)|ne (?:pas|plus|rien) envoyer|n['\u2019]envo(?:ie|yez) (?:pas|plus|rien)"
    r"|(?:do not|don['\u2019]t) send)"
    r"(?>[\s,!.]+(?:tout(?: de suite)?|(?:l['\u2019 ]|cet |mon |d['\u2019 ])envoi|les envois"
    r"|d['\u2019 ]envoyer|(?:la|cette) (?:diffusion|distribution|suite)|le reste"
    r"|(?:le|ce|mon) (?:mail|message|courriel)|ça|ca|cela|rien|immédiatement|maintenant|vite"
    r"|it|this|that|all|everything|anything|now|at once|immediately|any ?more"
    r"|(?:(?:the|this|my) )?(?:rest|sending|mailing|message|mail)(?: (?:it|this|now))?"
    rf"|stop|{_POLITELY}))*(?(asked)\s*\?*)"
    r"(?:(?:\s*[,;:!.\u2013\u2014-]+|(?<=\?)|\s+(?:car\b|because\b|since\b"
    r"|(?:parce |puis)qu(?:e\b|['\u2019])))\s*(?P<reason>\S.*))?[\s.!\U0001F6D1✋🙏\uFE0F]*",
    re.IGNORECASE,
)
# "Stop, if anybody complains" is no stop yet, and "stop? no" is none at all.
_CONDITION = re.compile(
    r"\?|\b(?:si|s['\u2019]il|if|unless|sauf|except|seulement|uniquement|only|jusqu\w*|until"
    r"|quand|when|après|after|demain|tomorrow)\b",
    re.IGNORECASE,
)
_GO_ON = re.compile(
    r"\b(?:ne|n['\u2019]|pas|not|don['\u2019]t|never|jamais)\b[^.,;!]{0,20}?"
    r"\b(?:stop|arr[eê]t|annul|cancel|halt|interromp)|\b(?:continue[rz]?|go on|poursui\w+)\b",
    re.IGNORECASE,
)

# What programs sign with: "Sent from my iPhone by my son" is somebody's line.
_DEVICE = (
    r"iphone|ipad|mac|mobile|smartphone|téléphone|phone|tablette|tablet|appareil|device|samsung"
    r"|galaxy|huawei|xiaomi|redmi|honor|oppo|pixel|android|ios|windows|outlook|yahoo|gmail|mail"
    r"|courrier|messagerie|proton|protonmail|email|orange|sfr|free|bouygues|laposte|blackberry"
    r"|thunderbird|k-9|bluemail"
)
_DEVICE_LINE = re.compile(
    rf"(?=.*\b(?:{_DEVICE})\b)(?:envoyée?|sent|gesendet|get|obtenez|obtenir|télécharge[rz]|provenance)"
    rf"(?:[\s:.'\u2019\[\]]+(?:{_DEVICE}|de|du|d|depuis|à|partir|avec|la?|le|une?|the|from|with|via|using"
    r"|on|for|pour|sur|von|mit|mon|ma|my|votre|your|meinem|boîte|application|app|secure|sécurisée"
    r"|portable|telecom|1[01])\b)*[\s.\[\]]*",
    re.IGNORECASE,
)
_LINK = re.compile(r"[<\[(](?:https?|mailto):[^<>\[\]()]*+[>\])]")
_DECORATION = re.compile(r"(?!--$)[\s*_=~#\u2013\u2014-]+")

# Where the mail that they answer to begins.
_INTRO = re.compile(
    r"(?:le|on|am)\b(?=.*\d).{4,400}?(?:a écrit|wrote|schrieb[^:]{0,200}+)\s?:", re.IGNORECASE
)
_INTRO_LINES = 3  # As programs fold it.
_SEPARATOR = re.compile(
    r"-{2,}\s*(?:message d['\u2019]origine|message original|original message|mail original"
    r"|message initial|message transféré|forwarded message|ursprüngliche nachricht"
    r"|original-nachricht)\b[^-]*-{2,}",
    re.IGNORECASE,
)
_HEADER_LINES = 6
_QUOTED_FROM = re.compile(r"[*_]*(?:de|from|von|expéditeur)\s?:[*_]*\s?\S", re.IGNORECASE)
_QUOTED_FIELD = re.compile(
    r"[*_]*(?:envoyée?(?: le)?|sent|date|gesendet|à|a|to|an|objet|subject|betreff)"
    r"\s?:[*_]*(?:\s|$)",
    re.IGNORECASE,
)

_HTML_MARK = re.compile(r"(<!--|-->|</?(?:style|script|title|blockquote)\b[^<>]*+>)", re.IGNORECASE)
_HTML_BREAK = re.compile(
    r"</?(?:br|p|div|li|ul|ol|tr|td|table|h[1-6]|hr|pre|body)\b[^<>]*+>", re.IGNORECASE
)
_HTML_TAG = re.compile(r"<[^<>]*+>")
_QUOTE_MARK, _UNMARKED_QUOTE = ">", "\0"  # No line holds a NUL.


class Meaning(Enum):
    """What an answer says."""

    YES = "yes"
    NO = "no"
    STOP = "stop"
    EMPTY = "empty"  # Nothing but the mail that they answer to, and a signature.
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and the words behind a no."""

    meaning: Meaning
    reason: str = ""


def read_answer(raw: bytes) -> Answer:
    """Read the first line of *raw* that its author wrote."""
    parts = leaves(raw)
    text, is_whole = _text(parts)
    words = _words_in(_lines(text))
    if not all(part.content_type.startswith((*_READ, *_WORDLESS)) for part in parts):
        words.doubt()  # What we cannot read may be the answer.
    if words.doubtful or not is_whole:
        return Answer(Meaning.UNCLEAR)
    own = _without_greeting(words.own)
    if not own:
        return Answer(Meaning.UNCLEAR if words.signature_speaks else Meaning.EMPTY)
    if _YES.fullmatch(own[0]):
        taken_back = any(map(_SECOND_THOUGHT.match, [*own[1:], *words.signature])) or any(
            map(_NEGATION.search, own[1:])
        )
        return Answer(Meaning.UNCLEAR if taken_back else Meaning.YES)
    return _refusal(own)


def read_stop(raw: bytes) -> Answer:
    """Read whether the first line of *raw* that its author wrote says stop, and why.

    Anything else, a question as well, is for a person.
    """
    text, _ = _text(leaves(raw))
    words = _words_in(_lines(text))
    own = _without_greeting(words.own)
    stop = _STOP.fullmatch(own[0]) if own and not words.doubtful else None
    reason = (stop["reason"] or "") if stop else ""
    if stop is None or _CONDITION.search(reason) or any(map(_GO_ON.search, own)):
        return Answer(Meaning.UNCLEAR)
    return Answer(Meaning.STOP, reason.strip()[:_REASON_LIMIT])


def shown_text(raw: bytes) -> str:
    """Return the text that people read in *raw*, whoever wrote it."""
    text, _ = _text(leaves(raw))
    return text


def beginning_of(raw: bytes) -> str:
    """Return the first lines of the text that people read in *raw*, to be quoted."""
    text = shown_text(raw)
    shown = [line for line in _lines(text) if line][:_QUOTED_LINES]
    return "\n".join(f"> {line[:_QUOTED_LENGTH]}" for line in shown)


def _refusal(own: Sequence[str]) -> Answer:
    no = _NO.fullmatch(own[0])
    if no is None or _INITIAL.match(own[0]) or _REASSURANCE.match(no["reason"] or ""):
        return Answer(Meaning.UNCLEAR)
    # Programs fold long lines; a name below a short one is no reason.
    reason = [no["reason"] or ""]
    for above, line in pairwise(own):
        if not line or not (len(above) >= _FOLDED_FROM or above.endswith((":", ","))):
            break
        reason.append(line)
    return Answer(Meaning.NO, " ".join(reason).strip()[:_REASON_LIMIT])


def own_lines(raw: bytes) -> list[str]:
    """Return the lines of *raw* that are surely its author's, a greeting left out.

    An attachment is worth a line: what it says is not read.
    """
    parts = leaves(raw)
    text, _ = _text(parts)
    lines = _without_greeting(_words_in(_lines(text)).own)
    others = [p for p in parts if not p.content_type.startswith((*_READ, *_WORDLESS))]
    return [*lines, *(part.content_type for part in others)]


def _without_greeting(own: Sequence[str]) -> list[str]:
    """Return the lines from the first that says more than hello; hello alone stays."""
    lines = _begun(own)
    if not lines:
        return []
    first = lines[0].strip(_MARKS_AROUND)
    greeting = _GREETING.match(first)
    rest = _begun([first[greeting.end() :] if greeting else first, *lines[1:]])
    if not rest:
        return [first or lines[0]]
    return [rest[0].strip(_MARKS_AROUND) or rest[0], *rest[1:]]


def _begun(lines: Sequence[str]) -> list[str]:
    """Drop the empty lines at the beginning."""
    at = next((at for at, line in enumerate(lines) if line), len(lines))
    return list(lines[at:])


@dataclass(slots=True)
class _Words:
    """The lines of an answer by who wrote them, with the empty ones between its author's own."""

    own: list[str] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)
    doubtful: bool = False  # A line that may be anybody's comes before any that is surely theirs.

    def doubt(self) -> None:
        """Note a line that may be anybody's; below an answer it does not matter."""
        self.doubtful = self.doubtful or not any(self.own)

    @property
    def signature_speaks(self) -> bool:
        """Whether what looks like a signature may be an answer."""
        return any(_YES.fullmatch(line) or _SECOND_THOUGHT.match(line) for line in self.signature)


def _words_in(lines: Sequence[str]) -> _Words:
    """Tell whose each of *lines* is."""
    words = _Words()
    in_signature = below_quote = False
    for line in _marked(lines):
        if line == _UNMARKED_QUOTE:
            words.doubt()  # Nothing tells where it ends, and an answer below it begins.
            break
        if line.startswith(_QUOTE_MARK):
            below_quote, in_signature = True, False
        elif not line:
            below_quote = False
            words.own.append("")
        elif line == "--":
            in_signature = True
        elif in_signature:
            words.signature.append(line)
        elif below_quote:
            words.doubt()  # Perhaps the rest of a quoted line that was too long.
        else:
            words.own.append(line)
    return words


def _marked(lines: Sequence[str]) -> Iterator[str]:
    """Yield *lines* without what programs wrote, and with a mark where a quote begins."""
    at = 0
    while at < len(lines):
        line, intro = lines[at], _intro_length(lines, at)
        at += intro or 1
        if intro:
            below = next(filter(None, lines[at:]), _QUOTE_MARK)
            yield _QUOTE_MARK if below.startswith(_QUOTE_MARK) else _UNMARKED_QUOTE
        elif _SEPARATOR.fullmatch(line) or _is_quoted_header(lines, at - 1):
            yield _UNMARKED_QUOTE
        elif not _DECORATION.fullmatch(line) and not _is_of_a_device(line):
            yield line


def _intro_length(lines: Sequence[str], at: int) -> int:
    """Return how many lines from *at* say who wrote what follows, 0 if they do not."""
    for length in range(1, _INTRO_LINES + 1):
        if _INTRO.fullmatch(" ".join(lines[at : at + length])):
            return length
    return 0


def _is_quoted_header(lines: Sequence[str], at: int) -> bool:
    return bool(_QUOTED_FROM.match(lines[at])) and any(
        _QUOTED_FIELD.match(line) for line in lines[at + 1 : at + 1 + _HEADER_LINES]
    )


def _is_of_a_device(line: str) -> bool:
    return _DEVICE_LINE.fullmatch(_LINK.sub("", line)) is not None


def _lines(text: str) -> list[str]:
    return [_clean(line) for line in text.splitlines()[:_LINES_LIMIT]]


def _clean(line: str) -> str:
    """Return *line* with single spaces, composed, and without what is not seen."""
    words = " ".join(unicodedata.normalize("NFC", line).split())
    if words.isascii() and words.isprintable():
        return words
    seen = (char for char in words if unicodedata.category(char) not in ("Cc", "Cf", "Cs"))
    return " ".join("".join(seen).split())


def _text(parts: Sequence[Part]) -> tuple[str, bool]:
    """Return the text that people read in *parts*, and whether that is all of it."""
    shown = [part for part in parts if part.disposition != "attachment"]
    plain = "\n\n".join(decoded_text(p) for p in shown if p.content_type == "text/plain")
    if plain.strip():
        text = plain
    else:
        source = "\n".join(decoded_text(p) for p in shown if p.content_type == "text/html")
        if len(source) > _HTML_LIMIT:
            return _from_html(source[:_HTML_LIMIT]), False
        text = _from_html(source)
    return text[:_TEXT_LIMIT], len(text) <= _TEXT_LIMIT and text.count("\n") < _LINES_LIMIT


def _from_html(source: str) -> str:
    """Return what is seen of *source*, with a mark for each quote."""
    shown: list[str] = []
    hidden: list[str] = []
    hidden_until, depth = "", 0
    for at, piece in enumerate(_HTML_MARK.split(" ".join(source.split()))):
        mark = _mark_of(piece) if at % 2 else ""
        if hidden_until:
            hidden.append("" if at % 2 else piece)
            if mark == hidden_until:
                hidden_until, hidden = "", []
        elif mark in ("<!--", "style", "script", "title"):
            hidden_until = "-->" if mark == "<!--" else f"/{mark}"
        elif mark == "blockquote":
            depth += 1
            shown.append(f"\n{_QUOTE_MARK}\n\n")
        elif mark == "/blockquote":
            depth = max(0, depth - 1)
        elif not depth and not mark:
            shown.append(piece)
    # What is never closed may be words, for all we know.
    return unescaped(_HTML_TAG.sub("", _HTML_BREAK.sub("\n", "".join([*shown, *hidden]))))


def _mark_of(tag: str) -> str:
    """Return ``<!--``, ``-->``, or the name of a tag with its slash."""
    return tag if "--" in tag[:4] else tag.strip("<>").split()[0].lower()
