"""Reading returns: what mail systems send back about a message of ours.

    kind        what it says                                 written by
    report      a recipient was not reached                  RFC 3464, or free text
    delayed     the system still tries                       the same
    delivered   it was handed on, as asked for               RFC 3464
    complaint   a recipient calls it unwanted                RFC 5965

A return is written by a stranger's mail system, and may be forged: nothing
here raises on bad input, what cannot be read is left out, and whether a
reference was really ours is for the caller to find out.

Each family of systems has one reader. They are asked in order, from the one
that leaves least to guess; the first that understands answers. What people
write is no return, whatever it quotes: a reader that guesses asks first
whether a mail system is speaking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from worker.mail.address import addresses_in, read_author
from worker.mail.header import as_text, end_of_field, read_message, scan_fields
from worker.mail.parts import content, decoded_text, leaves, read_media_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker.mail.header import Field, Message
    from worker.mail.parts import Part

RECIPIENTS_LIMIT = 200
REFERENCES_LIMIT = 20
_BLOCK_LIMIT_BYTES = 512 * 1024
_TEXT_LIMIT = 64 * 1024
_LINES_LIMIT = 1000
_DIAGNOSTIC_LIMIT = 1000

# RFC 3464, section 2.3.3; Postfix adds one for `sendmail -bv`.
DELIVERED = frozenset({"delivered", "relayed", "expanded", "deliverable"})

_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_TYPES = (
    "message/rfc822",
    "text/rfc822-headers",
    "text/rfc822-header",
    "text/rfc822",
    "message/rfc822-headers",
    "message/global",
    "message/global-headers",
)

_ADDRESS = r"[^\s<>()\[\]\",;:@']{1,64}+@[A-Za-z0-9._-]{1,254}+"
_ANY_ADDRESS = re.compile(rf"(?<![^\s<>()\[\]\",;:']){_ADDRESS}")
# RFC 3463, section 2, where no longer number or address surrounds it.
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_REPLY_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.]*\d)[ #-]")
_REFERENCE = re.compile(
    r"^[> \t]*+X-Relais-Ref:[ \t]*+([\w.~+/=-]{1,200})[ \t]*+\r?$",
    re.IGNORECASE | re.MULTILINE | re.ASCII,
)
_TAG = re.compile(r"<(?:/?[a-z!][^<>@]*+)>", re.IGNORECASE)

_DAEMON = re.compile(
    r"mailer[-_ ]?daemon|postmaster|mail[-_ ]?deliver|mdaemon|mail (?:administrator|system)"
    r"|mailerd|mail[-_ ]?bounce|mmdf|smtpd?[-_ ]?gateway|bounce|delivery|root@|mailadmin"
    r"|microsoft exchange|mta[-_.@]",
    re.IGNORECASE,
)
_FAILURE = re.compile(
    r"undeliver|not (?:be |been )?deliver|non[- ]?deliver|unable to (?:be )?(?:deliver|send)"
    r"|fail(?:ed|ure)|return(?:ed|ing)[\w ,:]{0,40} (?:mail|message|sender)|returned mail"
    r"|deliver(?:y|ed)[\w :-]{0,40}(?:problem|error|status|report|notif|suspend|delay)"
    r"|could ?n[o']t (?:be |deliver|send)|cannot (?:be )?(?:deliver|send)|delay|user unknown"
    r"|unknown user|problem with|mail system error|rejected|bounced|address error"
    r"|unzustellbar|non remis|non distribu|n'a pas pu|chec de (?:la )?(?:remise|distrib)"
    r"|no se (?:pudo|ha podido)|unknown address|no such user",
    re.IGNORECASE,
)
_DELAY = re.compile(
    r"delayed|delay notification|warning message only|warning only|not yet (?:been )?deliver"
    r"|attempts will continue|(?:do|does) not need to (?:resend|be resent)"
    r"|will (?:be retried|continue to (?:try|attempt|be)|keep trying|retry)|still being retried"
    r"|no action is required|will (?:automatically )?(?:re)?try (?:again|for)|will retry",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"giving up|given up|gave up|permanent(?:ly)? (?:error|fail|fatal)|failed permanently"
    r"|has (?:been )?expired|returned to sender|will not (?:be )?(?:retr|try)",
    re.IGNORECASE,
)
# Where a system's words end and our own message begins.
_COPY = re.compile(
    r"^[ \t>]*+(?:"
    r"-{2,}[ \w]{0,30}(?:copy|below|original|unsent|returned|header|message text|message follows)"
    r"|-{4,}\s*$(?=\s*(?:return-path|received|from|message-id)[: ])"
    r"|(?:the )?(?:original|returned|undelivered|unsent) (?:message|mail)[\w ]{0,40}"
    r"(?:follows|header|below|:?\s*$)"
    r"|message headers? follow|below (?:this line )?is (?:a |the )?(?:copy|original)"
    r"|(?:return-path|received|message-id|x-relais-ref):)",
    re.IGNORECASE | re.MULTILINE,
)
_FIELD = re.compile(
    r"^(?:return-path|received|from|to|subject|date|message-id|mime-version):",
    re.IGNORECASE | re.MULTILINE,
)
_LEADING = re.compile(
    rf"[\s>*\-]*+(?:(?:failed |final |original |e-?mail )?(?:recipient|address|user|to|rcpt to)s?"
    rf"[ \t]*+[:=][ \t]*+)?(?:rfc822;)?[\"'<(]*({_ADDRESS})",
    re.IGNORECASE,
)


# Whom a notice tells the reader to ask.
_HELPERS = ("postmaster@", "mailer-daemon@", "abuse@", "support@", "helpdesk@")


# In the same form; RFC 6591: an auth-failure report is about forgers.
_NO_COMPLAINTS = ("auth-failure", "not-spam", "dkim")


class Kind(Enum):
    """What a return is about."""

    REPORT = "report"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What became of one recipient; "" where the system does not say."""

    final_recipient: str
    original_recipient: str = ""
    action: str = "failed"  # failed, delayed, delivered, relayed or expanded
    status: str = ""  # RFC 3463: "5.1.1"
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class Return:
    """What one returned message says."""

    kind: Kind
    recipients: tuple[RecipientReport, ...] = ()
    family: str = ""  # The reader that understood it.
    original_envelope_id: str = ""
    reporting_mta: str = ""
    feedback_type: str = ""  # RFC 5965, section 7.3: abuse, not-spam, auth-failure
    references: tuple[str, ...] = ()  # X-Relais-Ref of the message returned
    message_id: str = ""  # of the message returned, in its brackets

    @property
    def complains(self) -> bool:
        """Whether a person does not want such mail."""
        return self.kind is Kind.COMPLAINT and self.feedback_type not in _NO_COMPLAINTS


def read_return(raw: bytes) -> Return | None:
    """Read *raw* as a return; None if it is none."""
    # Some gateways put empty lines before the header.
    raw = raw.lstrip(b" \t\r\n")
    notice = _Notice(read_message(raw), leaves(raw))
    if notice.report_type == "disposition-notification":
        return None  # A read receipt (RFC 8098) has recipients, too.
    return next((found for read in _FAMILIES if (found := read(notice))), None)


@dataclass(slots=True)
class _Notice:
    """A message that may be a return, taken apart once for all readers."""

    message: Message
    parts: list[Part]
    text: str = field(init=False)  # The system's own words.
    returned: Message | None = field(init=False)

    def __post_init__(self) -> None:
        self.text, copy = _words(self.parts)
        attached = [part for part in self.parts if part.content_type in _RETURNED_TYPES]
        if attached:
            copy = content(attached[0])
        self.returned = read_message(copy) if copy else None

    @property
    def subject(self) -> str:
        found = self.message.first("subject")
        return found.text if found else ""

    @property
    def report_type(self) -> str:
        """The report-type of a multipart/report (RFC 6522, section 3), else ""."""
        media_type, parameters = read_media_type(self.message.value("content-type"))
        if media_type != "multipart/report":
            return ""
        return parameters.get("report-type", "delivery-status").lower()

    @property
    def is_from_system(self) -> bool:
        """Whether a mail system seems to write: what people write is no return."""
        if self.message.value("return-path").replace(" ", "") == "<>":
            return True
        author = self.message.first("from")
        return bool(author and _DAEMON.search(author.text))

    def make(
        self, kind: Kind, family: str, recipients: list[RecipientReport], **about: str
    ) -> Return:
        """Make a return of what one reader found, with what all of them want."""
        message_id = self.returned.value("message-id") if self.returned else ""
        return Return(
            kind=kind,
            recipients=tuple(recipients[:RECIPIENTS_LIMIT]),
            family=family,
            references=self._references(),
            message_id=message_id.strip(),
            **about,
        )

    def _references(self) -> tuple[str, ...]:
        found: list[str] = []
        for part in self.parts:
            if part.content_type in _RETURNED_TYPES:
                # Only its own header: a message may carry others of ours.
                header = read_message(content(part)).named("x-relais-ref")
                found += [copy.body.decode("latin-1") for copy in header]
            elif part.content_type.startswith("text/"):
                found += _REFERENCE.findall(decoded_text(part))
        tokens = [token for token in found if token.isascii() and token.isprintable()]
        return tuple(dict.fromkeys(tokens))[:REFERENCES_LIMIT]


def _words(parts: list[Part]) -> tuple[str, bytes]:
    """Return what the system says in its first texts, and our message after it."""
    texts: list[str] = []
    for part in parts:
        if part.content_type in (*_RETURNED_TYPES, *_STATUS_TYPES):
            break
        if part.content_type == "text/plain":
            texts.append(decoded_text(part)[:_TEXT_LIMIT])
        elif part.content_type == "text/html" and not texts:
            texts.append(_TAG.sub(" ", decoded_text(part)[:_TEXT_LIMIT]))
    text = "\n".join(texts)[:_TEXT_LIMIT]
    mark = _COPY.search(text)
    if not mark:
        return text, b""
    copy = _FIELD.search(text, mark.start())
    return text[: mark.start()], text[copy.start() :].encode() if copy else b""


# Complaints (RFC 5965), and what Hotmail sends instead.


def _read_feedback(notice: _Notice) -> Return | None:
    for part in notice.parts:
        if part.content_type == "message/feedback-report":
            groups = list(_field_groups(content(part)))
            return _complaint(notice, [field for group in groups for field in group])
    return None


def _complaint(notice: _Notice, fields: list[Field]) -> Return:
    feedback_type = _first(fields, "feedback-type").partition(";")[0].lower()
    named = [
        address
        for name in ("original-rcpt-to", "removal-recipient")
        for found in fields
        if found.name == name
        for address in _addresses(found.body.decode("latin-1"))
    ]
    complains = feedback_type not in _NO_COMPLAINTS
    return notice.make(
        Kind.COMPLAINT,
        "arf",
        [RecipientReport(name, action="") for name in dict.fromkeys(named) if complains],
        feedback_type=feedback_type,
        original_envelope_id=_first(fields, "original-envelope-id"),
        reporting_mta=_first(fields, "reporting-mta"),
    )


def _read_hotmail(notice: _Notice) -> Return | None:
    """Read a complaint of the Junk Mail Reporting Program: a bare forward."""
    for message in (notice.returned, notice.message):
        named = _addresses(message.value("x-hmxmroriginalrecipient")) if message else []
        if named:
            complaint = RecipientReport(named[0], action="")
            return notice.make(Kind.COMPLAINT, "hotmail", [complaint], feedback_type="abuse")
    return None


# Delivery reports (RFC 3464), and text that looks like one.


def _read_delivery_report(notice: _Notice) -> Return | None:
    if notice.report_type != "delivery-status" and not notice.is_from_system:
        return None
    blocks = [part for part in notice.parts if part.content_type in _STATUS_TYPES]
    if not blocks:
        # Some systems give the fields as text, or lose a delimiter.
        blocks = [
            part
            for part in notice.parts
            if part.content_type not in _RETURNED_TYPES
            and b"-recipient:" in part.body[:_BLOCK_LIMIT_BYTES].lower()
        ]
    fields: list[list[Field]] = []
    for part in blocks:
        fields += _field_groups(content(part)[:_BLOCK_LIMIT_BYTES])
    reports = [_recipient_report(group) for group in _by_recipient(fields)]
    reports = [report for report in reports if report.final_recipient]
    if not reports:
        return None
    about = [found for group in fields for found in group]
    return notice.make(
        _kind_of(reports),
        "rfc3464",
        reports,
        original_envelope_id=_first(about, "original-envelope-id"),
        reporting_mta=_typed_value(_first(about, "reporting-mta")),
    )


def _field_groups(block: bytes) -> Iterator[list[Field]]:
    """Yield the fields between empty lines; lines that are none are left out."""
    at = 0
    while at < len(block):
        fields, next_at = scan_fields(block, at, len(block))
        if fields:
            yield list(fields)
        if next_at == at or not block[at:next_at].strip():
            next_at = max(next_at, end_of_field(block, at, len(block)))
        at = next_at


def _by_recipient(groups: list[list[Field]]) -> Iterator[list[Field]]:
    """Yield the fields of each recipient.

    A group may hold several, against RFC 3464, section 2.1, or be torn apart by
    an empty line.
    """
    current: list[Field] = []
    for group in groups:
        # The same field again, or a new group that names a recipient.
        seen: set[str] = set()
        for found in group:
            names_one = found.name in ("final-recipient", "original-recipient")
            if names_one and current and (not seen or found.name in seen):
                yield current
                current = []
            if names_one or current:
                current.append(found)
                seen.add(found.name)
    if current:
        yield current


def _recipient_report(fields: list[Field]) -> RecipientReport:
    final = _address_of(_first(fields, "final-recipient"))
    original = _address_of(_first(fields, "original-recipient"))
    said = next((found for found in fields if found.name == "diagnostic-code"), None)
    diagnostic = said.text[: 2 * _DIAGNOSTIC_LIMIT] if said else ""
    status = _STATUS.search(_first(fields, "status"))
    action = re.match(r"[a-z]+", _first(fields, "action").lower())
    return RecipientReport(
        final_recipient=final or original,
        original_recipient=original,
        action=action[0] if action else "failed",
        status=status[1] if status else status_in(diagnostic),
        diagnostic=_typed_value(diagnostic)[:_DIAGNOSTIC_LIMIT],
    )


def _kind_of(reports: list[RecipientReport]) -> Kind:
    actions = {report.action for report in reports}
    if actions <= DELIVERED:
        return Kind.DELIVERED
    return Kind.DELAYED if "delayed" in actions and "failed" not in actions else Kind.REPORT


def _typed_value(value: str) -> str:
    """Drop the type of a ``type; value`` field (RFC 3464, section 2.1.2)."""
    kind, separator, rest = value.partition(";")
    return rest.strip() if separator and re.fullmatch(r"[\w.+-]+", kind.strip()) else value


def _address_of(typed_value: str) -> str:
    value = _typed_value(typed_value)[:_DIAGNOSTIC_LIMIT]
    found = _ANY_ADDRESS.search(value)
    return found[0].rstrip(".") if found else ""


# X-Failed-Recipients: Exim, and Gmail where it sends no report.


def _read_failed_recipients(notice: _Notice) -> Return | None:
    named = [
        address
        for found in notice.message.named("x-failed-recipients")
        for address in _addresses(found.body.decode("latin-1"))
    ]
    if not named or not _says_failure(notice):
        return None
    return _from_text(notice, "x-failed-recipients", list(dict.fromkeys(named)))


# Free text by a mail system.


def _read_text(notice: _Notice) -> Return | None:
    if notice.is_from_system and _says_failure(notice):
        return _from_text(notice, "text", _named_in_text(notice))
    if notice.report_type == "delivery-status":
        named = _named_in_text(notice)
        return _from_text(notice, "text", named) if named else None
    return None


def _says_failure(notice: _Notice) -> bool:
    return bool(_FAILURE.search(notice.subject) or _FAILURE.search(notice.text[:2000]))


def _named_in_text(notice: _Notice) -> list[str]:
    """Return the addresses that the text is most likely about."""
    own = _own_addresses(notice)
    leading = [
        match[1].rstrip(".")
        for line in notice.text.splitlines()[:_LINES_LIMIT]
        if (match := _LEADING.match(line))
    ]
    for candidates in (
        leading,
        _addresses(notice.text),
        _addresses(notice.returned.value("to")) if notice.returned else [],
    ):
        found = [name for name in dict.fromkeys(candidates) if name.lower() not in own]
        if found:
            return found
    return []


def _own_addresses(notice: _Notice) -> set[str]:
    """Return who is never the recipient: the system, and who gets the notice."""
    own = {(read_author(notice.message) or "").lower()}
    for name in ("to", "reply-to"):
        for found in notice.message.named(name):
            own.update(address.lower() for address in addresses_in(found.body))
    mentioned = (address.lower() for address in _addresses(notice.text))
    own.update(address for address in mentioned if address.startswith(_HELPERS))
    return own


def _from_text(notice: _Notice, family: str, named: list[str]) -> Return:
    delayed = _DELAY.search(notice.subject) or _DELAY.search(notice.text)
    is_delay = bool(delayed) and not _FINAL.search(f"{notice.subject}\n{notice.text}")
    reports = []
    for address in named[:RECIPIENTS_LIMIT]:
        diagnostic = _said_about(notice.text, address)
        reports.append(
            RecipientReport(
                address,
                action="delayed" if is_delay else "failed",
                status=status_in(diagnostic) or status_in(notice.text),
                diagnostic=diagnostic,
            )
        )
    return notice.make(Kind.DELAYED if is_delay else Kind.REPORT, family, reports)


def _said_about(text: str, address: str) -> str:
    """Return what *text* says from *address* on, to the end of the paragraph."""
    at = text.find(address)
    if at < 0:
        return " ".join(text[:_DIAGNOSTIC_LIMIT].split())
    said = text[at + len(address) : at + len(address) + _DIAGNOSTIC_LIMIT]
    for paragraph in re.split(r"\r?\n[ \t]*\r?\n", said):
        if paragraph.strip(" \t\r\n<>:.,;()\"'"):
            return " ".join(paragraph.strip(" \t\r\n<>:.,;\"'").split())
    return ""


def status_in(text: str) -> str:
    """Return the status code in *text*, or the class that its reply code has."""
    status = _STATUS.search(text)
    if status:
        return status[1]
    code = _REPLY_CODE.search(text)
    return f"{code[1][0]}.0.0" if code else ""


def _first(fields: list[Field], name: str) -> str:
    # Not decoded: an address may look like an encoded word.
    body = next((found.body for found in fields if found.name == name), b"")
    return as_text(body[: 4 * _DIAGNOSTIC_LIMIT])


def _addresses(text: str) -> list[str]:
    return [found.rstrip(".") for found in _ANY_ADDRESS.findall(text[:_TEXT_LIMIT])]


_FAMILIES: tuple[Callable[[_Notice], Return | None], ...] = (
    _read_feedback,
    _read_hotmail,
    _read_delivery_report,
    _read_failed_recipients,
    _read_text,
)
