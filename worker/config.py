"""The configuration: relais.toml, overridden by RELAIS_* variables.

``RELAIS_DATABASE__URL`` is [database] url; with ``_FILE`` behind it, the value
is what that file holds. An account is named: ``RELAIS_ACCOUNTS__MAIN__SMTP``.
Paths are relative to the configuration file. read_config() finds every problem
before it raises ConfigError, and no problem tells a secret.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import ssl
import tomllib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from worker.errors import ConfigError
from worker.mail.address import local_part_of, usable_address
from worker.mail.authentication import is_aligned
from worker.mail.dkim_signing import is_selector
from worker.mail.host import HOSTS, RECEIVED_FOR, HostRecipe
from worker.policy.breaker import DEFAULT_THRESHOLD
from worker.policy.limit import Limit, read_limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from worker.mail.dkim_signing import Signer
    from worker.signing import SigningKey

    Table = dict[str, object]

LOCALES = ("fr", "en")
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
LOOPBACK: tuple[Network, ...] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)

# All there is to set, and how it is written; what is absent here is unknown.
_SETTINGS: dict[str, dict[str, str]] = {
    "site": {
        "domain": '"listes.example.fr"',
        "public_url": '"https://listes.example.fr"',
        "locale": '"fr" or "en"',
        "timezone": '"Europe/Paris"',
        "help_address": '"aide@example.fr"',
        "member_space": '"https://monespace.example.fr"',
        "share": '"https://fichiers.example.fr"',
        "accessibility": '"full", "partial" or "none"',
        "accessibility_statement": '"https://www.example.fr/accessibilite"',
        "name": '"Fédération française de ..."',
        "team": '"le secrétariat"',
        "host_country": '"France"',
        "secret_file": '"relais.secret"',
        "migrations": '["migrations/site"]',
    },
    "database": {
        "url": '"postgresql://relais_worker@/federation" or "embedded:DIRECTORY"',
        "admin_url": '"postgresql://relais_owner@/federation"',
    },
    "mailbox": {
        "imap": '"imaps://listes%40example.fr@imap.example.net:993"',
        "password_file": '"imap.secret"',
        "ca_file": '"ca.pem"',
        "poll_seconds": "60",
        "host": '"ovh"',
        "recipient_headers": '["Delivered-To", "X-Original-To", "Envelope-To"]',
        "trusted_authserv_id": r"'mx\.host\.example'",
        "received_by": r"'.+\.host\.example'",
    },
    "accounts": {
        "name": '"main"',
        "smtp": '"smtps://listes%40example.fr@smtp.example.net:465"',
        "password_file": '"smtp.secret"',
        "ca_file": '"ca.pem"',
        "connections": "2",
        "limits": '["200/hour"]',
        "failures": '"12/hour" or "none"',
    },
    "dkim": {
        "selector": '"relais1"',
        "key_file": '"relais1.pem"',
        "domain": '"listes.example.fr"',
    },
    "limits": {},  # Any provider may be named.
    "worker": {"lease_seconds": "60", "in_doubt_minutes": "30", "look_up_mx": "true"},
    "retention": {"messages": '"7d"', "returns": '"30d"', "traces": '"90d"'},
    "web": {"listen": '"127.0.0.1:8080"', "proxies": '["127.0.0.1", "::1"]'},
    "metrics": {"listen": '"127.0.0.1:9108"'},
}
_PREFIX = "RELAIS_"
_KEY = re.compile(r"([0-9a-fA-F]{2}){32,}")  # 256 bits at least.
_NAME = re.compile(r"[a-z0-9_-]+")  # As relais.provider has it.
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}")
_FIELD_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322, section 2.2.
_DAYS = re.compile(r"([0-9]{1,5})\s*(?:d|days?)")
_MOST_DAYS = 3650
_LEAST_TRACES = 32  # Days: limits count marks of up to 31.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")
_LINE_END = re.compile(r"[\x00\r\n]")
_URL = re.compile(r"[a-z+]+://[!#-;=?-~]+")  # ASCII that is seen, but for " < >.


class Tls(Enum):
    """How a connection is protected."""

    IMPLICIT = "implicit"
    STARTTLS = "starttls"
    NONE = "none"  # To loopback only.


_SCHEMES = {
    "imap": {"imaps": (993, Tls.IMPLICIT), "imap": (143, Tls.NONE)},
    "smtp": {
        "smtps": (465, Tls.IMPLICIT),
        "smtp+starttls": (587, Tls.STARTTLS),
        "smtp": (25, Tls.NONE),
    },
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host's server, and our login there."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: Tls
    ca_file: Path | None = None  # Trusted besides the system's authorities.


@dataclass(frozen=True, slots=True)
class Listen:
    """Where we accept connections; port 0 takes any that is free."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Site:
    """Whose lists these are."""

    domain: str
    public_url: str  # Without a slash at its end.
    locale: str
    help_address: str
    member_space: str  # "" if there is none.
    secrets: tuple[bytes, ...] = field(repr=False)  # The newest first.
    migrations: tuple[Path, ...]
    timezone: str = ""  # Of the site's people; "": the machine's.
    keys: tuple[SigningKey, ...] = ()  # For DKIM, the newest first.
    accessibility: str = ""  # full, partial or none, as it was audited; "": nothing is said.
    accessibility_statement: str = ""  # Where that is set out.
    name: str = ""  # These three for the privacy page; "": it does not say.
    team: str = ""
    host_country: str = ""
    share: str = ""  # Where people put files that are too large for mail; "": nowhere.

    @property
    def signer(self) -> Signer | None:
        """Who signs what is prepared now, if anybody."""
        return self.keys[0].signer if self.keys else None

    @property
    def called(self) -> str:
        """What members know the site as."""
        return self.name or self.domain

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone that letters tell times in; None is the machine's own."""
        return ZoneInfo(self.timezone) if self.timezone else None


@dataclass(frozen=True, slots=True)
class Database:
    """Where the queue is: a URL may hold a password."""

    url: str = field(repr=False)
    admin_url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The one catch-all."""

    endpoint: Endpoint
    poll: timedelta
    recipient_headers: tuple[str, ...]
    trusted_authserv_id: str  # A regular expression; "" trusts nobody.
    host: str = "other"  # Whose recipe these replace.
    received_by: str = ""  # A regular expression; "" if the names are not known.

    @property
    def recipe(self) -> HostRecipe:
        """How to read what the host writes, with what is set here."""
        return replace(
            HOSTS[self.host],
            recipient_headers=self.recipient_headers,
            authserv_id=self.trusted_authserv_id,
            received_by=self.received_by,
        )


@dataclass(frozen=True, slots=True)
class Account:
    """One login to submit with."""

    name: str
    endpoint: Endpoint
    connections: int
    limits: tuple[Limit, ...]
    failures: Limit | None = DEFAULT_THRESHOLD  # At so many it is left alone; None: never.


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long personal data is kept; DESIGN.md says what is kept for good."""

    messages: timedelta = timedelta(days=7)  # After the end of sending, or their arrival.
    returns: timedelta = timedelta(days=30)  # After their arrival.
    traces: timedelta = timedelta(days=90)  # After the end of sending.


@dataclass(frozen=True, slots=True)
class Config:
    """All that a process is told."""

    site: Site
    database: Database
    mailbox: Mailbox
    accounts: tuple[Account, ...]
    limits: Mapping[str, tuple[Limit, ...]]  # By provider; starting values.
    lease: timedelta
    in_doubt_after: timedelta
    look_up_mx: bool  # Whether the DNS is asked whose a domain is.
    web: Listen
    metrics: Listen
    proxies: tuple[Network, ...] = LOOPBACK  # Who may say for whom they ask.
    retention: Retention = Retention()


def read_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the file at *path*, if any, and the variables that override it."""
    problems: list[str] = []
    tables = _read_tables(path)
    folder = (path.parent if path else Path()).absolute()
    _refuse_unknown(tables, problems)
    _override(tables, environ, folder, problems)

    def section(name: str) -> _Section:
        table = tables.get(name, {})
        if not isinstance(table, dict):
            problems.append(f"{name} is no table: write [{name}] above its settings")
            table = {}
        return _Section(name, f"[{name}]", table, folder, problems)

    worker, web = section("worker"), section("web")
    site = _site(section("site"))
    keys = _signing_keys(tables.get("dkim", []), site.domain, folder, problems)
    config = Config(
        site=replace(site, keys=tuple(keys)),
        database=_database(section("database")),
        mailbox=_mailbox(section("mailbox")),
        accounts=tuple(_accounts(tables.get("accounts", []), folder, problems)),
        limits=_provider_limits(section("limits")),
        lease=timedelta(seconds=worker.number("lease_seconds", 60, least=0.1, most=86_400)),
        in_doubt_after=timedelta(
            minutes=worker.number("in_doubt_minutes", 30, least=0.001, most=43_200)
        ),
        look_up_mx=worker.switch("look_up_mx", default=True),
        web=_listen(web, "127.0.0.1:8080"),
        metrics=_listen(section("metrics"), "127.0.0.1:9108"),
        proxies=tuple(_networks(web, "proxies")),
        retention=_retention(section("retention")),
    )
    if problems:
        raise ConfigError(problems)
    return config


class _Section:
    """One table: gives its settings by type, and reports what is wrong with them.

    After a problem it gives something of the right type: the configuration
    is thrown away in the end, when all of them are known.
    """

    def __init__(
        self, name: str, title: str, table: Table, folder: Path, problems: list[str]
    ) -> None:
        self._table = table
        self._name = name
        self._title = title
        self._folder = folder
        self._problems = problems

    def report(self, key: str, problem: str) -> None:
        self._problems.append(f"{self._title} {key}: {problem}")

    def wrong(self, key: str, why: str) -> None:
        """Report a value, and how it is written."""
        example = _SETTINGS[self._name].get(key, '"100/day"')
        self.report(key, f"{why}; write {key} = {example}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self._table.get(key, default)
        if isinstance(value, str) and (value.strip() or value == default):
            return value
        self.wrong(key, "is missing" if value is None else "must be a text")
        return ""

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Give a list of texts; one alone needs no brackets."""
        value = self._table.get(key, list(default))
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            self.wrong(key, "must be a list of texts")
            return ()
        texts = tuple(text for text in value if isinstance(text, str))
        if len(texts) < len(value):
            self.wrong(key, "must hold texts only")
        return texts

    def number(self, key: str, default: float, *, least: float, most: float) -> float:
        value = self._table.get(key, default)
        try:
            number = math.nan if isinstance(value, bool) else float(str(value))
        except ValueError:
            number = math.nan
        if least <= number <= most:  # nan is not.
            return number
        self.wrong(key, f"must be a number from {least:g} to {most:g}")
        return float(default)

    def days(self, key: str, default: timedelta, *, least: int) -> timedelta:
        text = self._table.get(key, f"{default.days}d")
        match = _DAYS.fullmatch(text) if isinstance(text, str) else None
        if match and least <= int(match[1]) <= _MOST_DAYS:
            return timedelta(days=int(match[1]))
        self.wrong(key, f"must be a number of days from {least}d to {_MOST_DAYS}d")
        return default

    def switch(self, key: str, *, default: bool) -> bool:
        # A variable can only be a text.
        value = {"true": True, "false": False}.get(str(self._table.get(key, default)).lower())
        if value is None:
            self.wrong(key, "must be true or false")
        return default if value is None else value

    def limits(self, key: str) -> tuple[Limit, ...]:
        limits = []
        for text in self.texts(key):
            try:
                limits.append(read_limit(text))
            except ValueError as error:
                self.report(key, str(error))
        if len({limit.period for limit in limits}) < len(limits):
            self.wrong(key, "has two limits for one period")
        return tuple(limits)

    def names(self) -> Iterable[str]:
        return self._table.keys()

    def path(self, text: str) -> Path:
        return self._folder / Path(text).expanduser()

    def secret(self, key: str, make: str) -> str | None:
        """Give what the private file named by *key* holds; *make* says how to make it."""
        name = self.text(key)
        if not name:
            return None
        path = self.path(name)
        try:
            return _read_secret(path)
        except FileNotFoundError:
            self.report(key, f"{path} does not exist; run: (umask 077; {make} > {path})")
        except (OSError, ValueError) as error:
            self.report(key, _why(error))
        return None


def _read_secret(path: Path) -> str:
    """Return the text of a file that its owner alone can read, without its line end."""
    with path.open(encoding="utf-8") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise ValueError(f"{path} can be read by others; run: chmod 600 {path}")
        try:
            return file.read().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text in UTF-8") from error


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _read_tables(path: Path | None) -> Table:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError([f"{path} does not exist; name another with --config FILE"]) from error
    except OSError as error:
        raise ConfigError([_why(error)]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path} is no text in UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path} is no TOML: {error}"]) from error


def _refuse_unknown(tables: Table, problems: list[str]) -> None:
    for name, table in tables.items():
        if name not in _SETTINGS:
            problems.append(f"{name} is unknown{_did_you_mean(name, _SETTINGS)}")
            continue
        for one in table if isinstance(table, list) else [table]:
            known = _SETTINGS[name]
            problems.extend(
                f"[{name}] {key} is unknown{_did_you_mean(key, known)}"
                for key in (one if isinstance(one, dict) and known else {})
                if key not in known
            )


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word.lower(), known, n=1)
    return f": did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _override(tables: Table, environ: Mapping[str, str], folder: Path, problems: list[str]) -> None:
    for variable, text in sorted(environ.items()):
        if not variable.startswith(_PREFIX):
            continue
        place = _place_of(variable, problems)
        if place is None:
            continue
        *sections, key, from_file = place
        table = _table_at(tables, sections)
        try:
            table[key] = _read_value(text, folder if from_file else None)
        except (OSError, ValueError) as error:
            problems.append(f"{variable}: {_why(error)}")


def _place_of(variable: str, problems: list[str]) -> tuple[str, ...] | None:
    """Say where the value of *variable* belongs: sections, key, "file" or ""."""
    *sections, key = variable.removeprefix(_PREFIX).lower().split("__")
    depth = 2 if sections[:1] == ["accounts"] else 1
    known = _variables()
    if len(sections) == depth and sections[0] in _SETTINGS:
        settings = _SETTINGS[sections[0]]
        if key in settings or sections[0] == "limits":
            return (*sections, key, "")
        plain = key.removesuffix("_file")
        if plain in settings and plain != key:
            return (*sections, plain, "file")
    elif not sections:
        # A variable of somebody else's (Kubernetes makes RELAIS_PORT), but for
        # the one mistake that everybody makes.
        meant = [name for name in known if name.replace("__", "_") == variable]
        if meant:
            problems.append(f"{variable} is unknown: did you mean {meant[0]}?")
        return None
    near = get_close_matches(variable, known, n=1)
    hint = f": did you mean {near[0]}?" if near else f"; write {_PREFIX}SECTION__KEY"
    problems.append(f"{variable} is unknown{hint}")
    return None


def _variables() -> list[str]:
    return [
        f"{_PREFIX}{section}__{'NAME__' if section == 'accounts' else ''}{key}{end}".upper()
        for section, keys in _SETTINGS.items()
        for key in keys
        for end in ("", "_file")
    ]


def _table_at(tables: Table, sections: list[str]) -> Table:
    """Return the table of a variable's *sections*, made if need be."""
    name = sections[0]
    if name != "accounts":
        table = tables.setdefault(name, {})
        if isinstance(table, list) and table and name == "dkim":
            table = table[0]  # Of several keys the newest, which is the one that signs.
        return table if isinstance(table, dict) else {}
    accounts = tables.setdefault(name, [])
    if not isinstance(accounts, list):
        return {}
    for account in accounts:
        if isinstance(account, dict) and account.get("name") == sections[1]:
            return account
    made: Table = {"name": sections[1]}
    accounts.append(made)
    return made


def _read_value(text: str, folder: Path | None) -> object:
    if folder is not None:
        text = _read_secret(folder / Path(text).expanduser())
    if not text.startswith("["):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ValueError('a list is written as in ["one", "two"]') from error


def _site(section: _Section) -> Site:
    domain = section.text("domain").lower()
    if domain and not _DOMAIN.fullmatch(domain):
        section.wrong("domain", f"{domain!r} is no domain in ASCII")
    locale = section.text("locale", "fr")
    if locale and locale not in LOCALES:
        section.wrong("locale", f"{locale!r} has no translation")
    help_address = section.text("help_address")
    if help_address and not usable_address(help_address):
        section.wrong("help_address", f"{help_address!r} is no address in ASCII")
    elif domain and local_part_of(help_address, domain) is not None:
        section.wrong(
            "help_address", f"{help_address!r} is in the lists' own domain, where nobody reads it"
        )
    return Site(
        domain=domain,
        public_url=_web_url(section, "public_url", section.text("public_url")).rstrip("/"),
        locale=locale,
        help_address=help_address,
        member_space=_web_url(section, "member_space", section.text("member_space", "")),
        secrets=_keys(section),
        migrations=tuple(section.path(name) for name in section.texts("migrations")),
        timezone=_timezone(section),
        accessibility=_accessibility(section),
        accessibility_statement=_web_url(
            section, "accessibility_statement", section.text("accessibility_statement", "")
        ),
        name=_line(section, "name"),
        team=_line(section, "team"),
        host_country=_line(section, "host_country"),
        share=_web_url(section, "share", section.text("share", "")),
    )


def _accessibility(section: _Section) -> str:
    claim = section.text("accessibility", "")
    if claim not in ("", "full", "partial", "none"):
        section.wrong("accessibility", f"{claim!r} is no result of an audit")
    return claim


def _line(section: _Section, key: str) -> str:
    text = section.text(key, "").strip()
    if _UNSEEN.search(text):
        section.wrong(key, "must be one line without control characters")
    return text


def _timezone(section: _Section) -> str:
    name = section.text("timezone", "")
    try:
        ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        section.wrong("timezone", f"{name!r} is no time zone that this machine knows")
        return ""
    return name


def _web_url(section: _Section, key: str, text: str) -> str:
    """Return *text*, an https URL that is fit for a header and a page."""
    url = _split(text)
    secure = url is not None and (url.scheme == "https" or _is_loopback(url.hostname))
    if text and (not url or not secure or url.scheme not in ("https", "http")):
        section.wrong(key, f"{text!r} is no https URL")
    return text


def _keys(section: _Section) -> tuple[bytes, ...]:
    text = section.secret("secret_file", "openssl rand -hex 32")
    if text is None:
        return ()
    lines = text.split()
    keys = tuple(bytes.fromhex(line) for line in lines if _KEY.fullmatch(line))
    if not keys or len(keys) < len(lines):
        section.report(
            "secret_file",
            "each line must be a key of at least 64 hexadecimal digits; "
            "make one with: openssl rand -hex 32",
        )
    return keys


def _database(section: _Section) -> Database:
    url = section.text("url")
    return Database(
        url=_database_url(section, "url", url),
        admin_url=_database_url(section, "admin_url", section.text("admin_url", url)),
    )


def _database_url(section: _Section, key: str, text: str) -> str:
    # It may hold a password, so that no problem quotes it.
    scheme, _, rest = text.partition(":")
    if scheme == "embedded" and rest:
        return f"embedded:{section.path(rest)}"
    if text and not text.startswith(("postgresql://", "postgres://")):
        section.wrong(key, "is no URL of PostgreSQL")
    elif text and _has_loose_password(text):
        section.wrong(key, "must write / as %2F, # as %23, ? as %3F and @ as %40 in its password")
    return text


def _has_loose_password(url: str) -> bool:
    """Tell whether a password splits its own URL: libraries then quote a part of it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return parts.netloc.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment


def _mailbox(section: _Section) -> Mailbox:
    recipe = _recipe(section)
    headers = section.texts("recipient_headers", recipe.recipient_headers)
    if not headers or not all(_is_recipient_header(name) for name in headers):
        section.wrong("recipient_headers", "must name at least one header field")
    return Mailbox(
        endpoint=_endpoint(section, "imap"),
        poll=timedelta(seconds=section.number("poll_seconds", 60, least=1, most=86_400)),
        recipient_headers=headers,
        trusted_authserv_id=_pattern(section, "trusted_authserv_id", recipe.authserv_id),
        host=recipe.name,
        received_by=_pattern(section, "received_by", recipe.received_by),
    )


def _recipe(section: _Section) -> HostRecipe:
    name = section.text("host", "other")
    if name and name not in HOSTS:
        section.report("host", f"{name!r} is unknown{_did_you_mean(name, HOSTS)}")
    return HOSTS.get(name, HOSTS["other"])


def _is_recipient_header(name: str) -> bool:
    return name == RECEIVED_FOR or _FIELD_NAME.fullmatch(name) is not None


def _pattern(section: _Section, key: str, default: str) -> str:
    # Also "", which is how to take back what the recipe has.
    pattern = section.text(key, "") if key in section.names() else default
    try:
        re.compile(pattern)
    except re.error as error:
        section.wrong(key, f"is no regular expression: {error}")
    return pattern


def _signing_keys(
    tables: object, domain: str, folder: Path, problems: list[str]
) -> Iterator[SigningKey]:
    """Read the keys for DKIM; one alone may stand under [dkim]."""
    names: set[str] = set()
    for number, table in enumerate(tables if isinstance(tables, list) else [tables], start=1):
        if not isinstance(table, dict):
            problems.append(f"dkim {number} is no table: write [[dkim]]")
            continue
        section = _Section("dkim", f"[[dkim]] {number}", table, folder, problems)
        key = _signing_key(section, domain)
        if key is None:
            continue
        if key.signer.key_name in names:
            section.report("selector", f"{key.signer.selector!r} is another key's")
        names.add(key.signer.key_name)
        yield key


def _signing_key(section: _Section, site_domain: str) -> SigningKey | None:
    selector = section.text("selector")
    if selector and not is_selector(selector):
        section.wrong("selector", f"{selector!r} must be of a-z, 0-9 and -")
    domain = section.text("domain", site_domain).lower()
    if domain and not _is_at_or_above(domain, site_domain):
        section.wrong(
            "domain", f"{domain!r} is neither {site_domain!r} nor its owner's, as DMARC asks"
        )
    pem = section.secret("key_file", "openssl genrsa 2048")
    if pem is None:
        return None
    # A twentieth of a second of imports that few sites have to pay.
    from worker.signing import read_key  # noqa: PLC0415 - as said

    try:
        return read_key(pem, domain=domain, selector=selector)
    except ValueError as error:
        section.report("key_file", f"{error}; make one with: relais dkim new SELECTOR")
        return None


def _is_at_or_above(domain: str, site_domain: str) -> bool:
    """Tell whether DMARC takes a signature of *domain* for the site's (relaxed alignment)."""
    return f".{site_domain}".endswith(f".{domain}") and is_aligned(domain, site_domain)


def _accounts(tables: object, folder: Path, problems: list[str]) -> Iterator[Account]:
    if not isinstance(tables, list) or not tables:
        problems.append("no account to submit with: write [[accounts]] and its settings")
        return
    names: set[str] = set()
    for number, table in enumerate(tables, start=1):
        if not isinstance(table, dict):
            problems.append(f"account {number} is no table: write [[accounts]]")
            continue
        section = _Section("accounts", f"[[accounts]] {number}", table, folder, problems)
        account = _account(section)
        if account.name in names:
            section.report("name", f"{account.name!r} is another account's")
        names.add(account.name)
        yield account


def _account(section: _Section) -> Account:
    name = section.text("name")
    if name and not _NAME.fullmatch(name):
        section.wrong("name", f"{name!r} must be of a-z, 0-9, - and _")
    connections = section.number("connections", 2, least=1, most=1000)
    if not connections.is_integer():
        section.wrong("connections", "must be a whole number")
    return Account(
        name=name,
        endpoint=_endpoint(section, "smtp"),
        connections=int(connections),
        limits=section.limits("limits"),
        failures=_failures(section),
    )


def _failures(section: _Section) -> Limit | None:
    text = section.text("failures", str(DEFAULT_THRESHOLD))
    if text == "none":
        return None
    try:
        threshold = read_limit(text)
    except ValueError as error:
        section.report("failures", str(error))
        return None
    if threshold.amount < 1 or threshold.burst is not None:
        section.wrong("failures", "must be 1 or more, without a burst")
    return threshold


def _provider_limits(section: _Section) -> dict[str, tuple[Limit, ...]]:
    limits = {}
    for provider in section.names():
        if not _NAME.fullmatch(provider):
            section.report(provider, "a provider's name is of a-z, 0-9, - and _")
        limits[provider] = section.limits(provider)
    return limits


def _retention(section: _Section) -> Retention:
    shipped = Retention()
    kept = Retention(
        messages=section.days("messages", shipped.messages, least=1),
        returns=section.days("returns", shipped.returns, least=1),
        traces=section.days("traces", shipped.traces, least=_LEAST_TRACES),
    )
    if kept.messages > kept.traces:
        section.wrong("messages", "must not be longer than traces, which say whose they are")
    return kept


def _endpoint(section: _Section, key: str) -> Endpoint:
    """Read the URL at *key*, and the password that belongs to it."""
    text = section.text(key)
    url = _split(text)
    # A relay on this machine may know us by our address and ask for no login.
    is_open_relay = url is not None and url.scheme == "smtp" and url.username is None
    password = "" if is_open_relay else _password(section)
    if url is None or url.scheme not in _SCHEMES[key]:
        if text:
            section.wrong(key, "is no URL for this")
        return Endpoint("", 0, "", "", Tls.NONE)
    port, tls = _SCHEMES[key][url.scheme]
    host, user = url.hostname or "", unquote(url.username or "")
    if not host or not (user or is_open_relay) or _UNSEEN.search(user):
        section.wrong(key, "must name a user, with %40 for @, and a host")
    if url.password is not None:
        section.wrong(key, "must not hold the password, which password_file is for")
    if tls is Tls.NONE and not _is_loopback(host):
        section.wrong(key, "would send the password in the clear")
    ca_file = _ca_file(section)
    return Endpoint(host, url.port or port, user, password, tls, ca_file)


def _password(section: _Section) -> str:
    password = section.secret("password_file", "cat")
    if password is None:
        return ""
    if not password or _LINE_END.search(password):
        section.report("password_file", "must hold the password and nothing else, on one line")
    return password


def _ca_file(section: _Section) -> Path | None:
    name = section.text("ca_file", "")
    if not name:
        return None
    path = section.path(name)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):
        section.report("ca_file", f"{path} is no readable file of certificates in PEM")
    return path


def _listen(section: _Section, default: str) -> Listen:
    text = section.text("listen", default)
    url = _split(f"tcp://{text}")
    port = text.rpartition(":")[2]
    if url is None or not url.hostname or not port.isdecimal() or url.netloc != text:
        section.wrong("listen", f"{text!r} is no address with a port")
        return Listen("", 0)
    return Listen(url.hostname, int(port))


def _networks(section: _Section, key: str) -> Iterator[Network]:
    for text in section.texts(key, tuple(map(str, LOOPBACK))):
        try:
            yield ipaddress.ip_network(text)
        except ValueError:
            section.wrong(key, f"{text!r} is no address and no network")


def _split(text: str) -> SplitResult | None:
    """Split a URL, None if it is none; urlsplit() itself drops what is not seen."""
    if not _URL.fullmatch(text):
        return None
    try:
        url = urlsplit(text)
        url.port  # noqa: B018 - It is read, and may be refused, only now.
    except ValueError:
        return None
    return url if url.hostname else None


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
