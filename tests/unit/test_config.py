"""The configuration is as DESIGN.md has it, or all that is wrong is said at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from worker.config import (
    LOOPBACK,
    Account,
    Config,
    Endpoint,
    Listen,
    Retention,
    Tls,
    read_config,
)
from worker.errors import ConfigError
from worker.mail.dkim_signing import Algorithm, Signer
from worker.mail.host import HOSTS, RECEIVED_FOR
from worker.policy.limit import Limit
from worker.signing import make_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

KEY, OLD_KEY = "ab" * 32, "cd" * 40
CANARY = "canary-0c5d"

FULL = rf"""
[site]
domain = "listes.example.fr"
public_url = "https://listes.example.fr/"
locale = "fr"
help_address = "aide@example.fr"
member_space = "https://monespace.example.fr"
share = "https://fichiers.example.fr"
name = "Fédération française de pétanque à vélo"
team = "le secrétariat"
host_country = "France"
secret_file = "relais.secret"
migrations = ["migrations/site"]
[database]
url = "postgresql://relais_worker:{CANARY}@/federation"
admin_url = "postgresql://relais_owner@/federation"
[mailbox]
imap = "imaps://listes%40example.fr@imap.example.net:993"
password_file = "imap.secret"
poll_seconds = 60
host = "ovh"
recipient_headers = ["Delivered-To", "X-Original-To", "Envelope-To"]
trusted_authserv_id = 'mx\.host\.example'
received_by = '.+\.host\.example'
[[accounts]]
name = "main"
smtp = "smtps://listes%40example.fr@smtp.example.net:465"
password_file = "smtp.secret"
connections = 2
limits = ["200/hour"]
[limits]
orange = "100/day"
outlook = ["300/day", "40/20s"]
[worker]
lease_seconds = 60
in_doubt_minutes = 30
[retention]
messages = "10d"
returns = "20 days"
traces = "32d"
[web]
listen = "127.0.0.1:8080"
[metrics]
listen = "127.0.0.1:9108"
"""

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the secrets, and FULL as relais.toml."""
    (tmp_path / "relais.toml").write_text(FULL)
    write_secret(tmp_path / "relais.secret", f"{KEY}\n\n{OLD_KEY}\n")
    write_secret(tmp_path / "imap.secret", f"imap {CANARY}\n")
    write_secret(tmp_path / "smtp.secret", f"smtp {CANARY}")
    return tmp_path


def write_secret(path: Path, text: str) -> None:
    """Write what only we can read."""
    path.write_text(text)
    path.chmod(0o600)


def read(folder: Path, **environ: str) -> Config:
    """Read the configuration in *folder*."""
    return read_config(folder / "relais.toml", environ)


def problems(folder: Path, old: str = "", new: str = "", **environ: str) -> list[str]:
    """Return what is wrong with FULL when *new* stands for *old* in it."""
    assert old in FULL
    (folder / "relais.toml").write_text(FULL.replace(old, new, 1) if old else FULL)
    with pytest.raises(ConfigError) as caught:
        read(folder, **environ)
    assert CANARY not in str(caught.value)
    return caught.value.problems


def test_full(folder: Path) -> None:
    """Every setting of DESIGN.md, section 8, arrives with its type."""
    config = read(folder)

    assert config.site.domain == "listes.example.fr"
    assert config.site.public_url == "https://listes.example.fr"
    assert config.site.secrets == (bytes.fromhex(KEY), bytes.fromhex(OLD_KEY))
    assert config.site.migrations == (folder / "migrations/site",)
    assert config.database.url.startswith("postgresql://relais_worker:")
    assert config.database.admin_url == "postgresql://relais_owner@/federation"
    assert config.mailbox.endpoint == Endpoint(
        host="imap.example.net",
        port=993,
        user="listes@example.fr",
        password=f"imap {CANARY}",
        tls=Tls.IMPLICIT,
    )
    assert config.mailbox.poll == timedelta(minutes=1)
    assert config.mailbox.recipient_headers == ("Delivered-To", "X-Original-To", "Envelope-To")
    assert config.mailbox.trusted_authserv_id == r"mx\.host\.example"
    assert config.mailbox.received_by == r".+\.host\.example"
    assert config.mailbox.recipe == replace(
        HOSTS["ovh"],
        recipient_headers=config.mailbox.recipient_headers,
        authserv_id=r"mx\.host\.example",
        received_by=r".+\.host\.example",
    )
    (account,) = config.accounts
    assert (account.name, account.connections) == ("main", 2)
    assert account.limits == (Limit(200, timedelta(hours=1)),)
    assert account.endpoint.password == f"smtp {CANARY}"
    assert config.limits == {
        "orange": (Limit(100, DAY),),
        "outlook": (Limit(300, DAY), Limit(40, timedelta(seconds=20))),
    }
    assert (config.lease, config.in_doubt_after) == (timedelta(minutes=1), timedelta(minutes=30))
    assert config.retention == Retention(10 * DAY, 20 * DAY, 32 * DAY)
    assert config.site.name == "Fédération française de pétanque à vélo"
    assert (config.site.team, config.site.host_country) == ("le secrétariat", "France")
    assert config.site.share == "https://fichiers.example.fr"
    assert config.web == Listen("127.0.0.1", 8080)
    assert config.metrics == Listen("127.0.0.1", 9108)


def test_least(folder: Path) -> None:
    """What has a default may be left out."""
    (folder / "relais.toml").write_text("""
        [site]
        domain = "listes.example.fr"
        public_url = "http://127.0.0.1:8080"
        help_address = "aide@example.fr"
        secret_file = "relais.secret"
        [database]
        url = "embedded:state/db"
        [mailbox]
        imap = "imap://listes@[::1]"
        password_file = "imap.secret"
        [[accounts]]
        name = "main"
        smtp = "smtp+starttls://listes@smtp.example.net"
        password_file = "smtp.secret"
    """)

    config = read(folder)

    assert (config.site.locale, config.site.member_space) == ("fr", "")
    assert config.database.url == f"embedded:{folder}/state/db"
    assert config.database.admin_url == config.database.url
    assert config.mailbox.endpoint.host == "::1"
    assert (config.mailbox.endpoint.port, config.mailbox.endpoint.tls) == (143, Tls.NONE)
    assert config.mailbox.trusted_authserv_id == ""
    assert config.mailbox.recipe == HOSTS["other"]
    (account,) = config.accounts
    assert (account.endpoint.port, account.endpoint.tls) == (587, Tls.STARTTLS)
    assert (account.connections, account.limits) == (2, ())
    assert config.limits == {}
    assert config.lease == timedelta(minutes=1)
    assert config.retention == Retention(7 * DAY, 30 * DAY, 90 * DAY)


def test_no_secret_in_repr(folder: Path) -> None:
    """A configuration may be printed."""
    shown = repr(read(folder))

    assert "listes.example.fr" in shown
    for secret in (CANARY, KEY, repr(bytes.fromhex(KEY))[2:20]):
        assert secret not in shown


def test_everything_is_told_at_once(tmp_path: Path) -> None:
    """An empty file is told all that it must say, and how."""
    (tmp_path / "relais.toml").write_text("")

    with pytest.raises(ConfigError) as caught:
        read(tmp_path)

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "[site] domain",
        "[site] help_address",
        "[site] public_url",
        "[site] secret_file",
        "[database] url",
        "[mailbox] imap",
        "[mailbox] password_file",
        "no account to submit with",
    ]
    assert "[database] url: is missing; write url = " in str(caught.value)


WRONG = {
    "domain": ('domain = "listes.example.fr"', 'domain = "fédé"', "[site] domain: 'fédé' is no"),
    "not https": ('"https://listes', '"http://listes', "[site] public_url: 'http://listes"),
    "no host": ("https://monespace.example.fr", "https://", "[site] member_space: 'https://' is"),
    "script": ("https://monespace.example.fr", "javascript:x", "[site] member_space: 'javas"),
    "no page": ("https://fichiers.example.fr", "ftp://x", "[site] share: 'ftp://x' is"),
    "quote in url": ("monespace.example.fr", "a>b", "[site] member_space: 'https://a>b' is"),
    "locale": ('locale = "fr"', 'locale = "de"', "[site] locale: 'de' has no translation"),
    "help": ('"aide@example.fr"', '"aide"', "[site] help_address: 'aide' is no address"),
    "type": ('domain = "listes.example.fr"', "domain = 7", "[site] domain: must be a text"),
    "texts": ('["migrations/site"]', "[1]", "[site] migrations: must hold texts only"),
    "no texts": ('["migrations/site"]', "1", "[site] migrations: must be a list of texts"),
    "section": ("[web]", "[wep]", "wep is unknown: did you mean web?"),
    "setting": ("poll_seconds", "pol_seconds", "[mailbox] pol_seconds is unknown: did you mean p"),
    "account": ("connections", "conections", "[accounts] conections is unknown: did you mean c"),
    "far": ("poll_seconds", "xyzzy", "[mailbox] xyzzy is unknown; known are imap, "),
    "database": ("postgresql://relais_worker", "mysql://x", "[database] url: is no URL of Po"),
    "imap": ("imaps://listes", "pop3://listes", "[mailbox] imap: is no URL for this"),
    "swapped": ("smtps://listes", "imaps://listes", "[[accounts]] 1 smtp: is no URL for this"),
    "port": ("net:993", "net:99999", "[mailbox] imap: is no URL for this"),
    "in the clear": ("imaps://", "imap://", "[mailbox] imap: would send the password in the c"),
    "smtp clear": ("smtps://", "smtp://", "[[accounts]] 1 smtp: would send the password in"),
    "no user": ("imaps://listes%40example.fr@", "imaps://", "[mailbox] imap: must name a user"),
    "injection": ("imaps://listes%40", "imaps://a%0D%0Aa", "[mailbox] imap: must name a user"),
    "in url": ("fr@imap", f"fr:{CANARY}@imap", "[mailbox] imap: must not hold the password"),
    "poll": ("poll_seconds = 60", "poll_seconds = 0.5", "[mailbox] poll_seconds: must be a n"),
    "poll nan": ("poll_seconds = 60", "poll_seconds = nan", "[mailbox] poll_seconds: must be"),
    "poll true": ("poll_seconds = 60", "poll_seconds = true", "[mailbox] poll_seconds: must"),
    "lease": ("lease_seconds = 60", "lease_seconds = 0", "[worker] lease_seconds: must be a n"),
    "half": ("connections = 2", "connections = 2.5", "[[accounts]] 1 connections: must be a wh"),
    "no failures": (
        "connections = 2",
        'failures = "0/hour"',
        "[[accounts]] 1 failures: must be 1 or more",
    ),
    "failures": (
        "connections = 2",
        'failures = "some"',
        "[[accounts]] 1 failures: 'some' is no limit",
    ),
    "none": ("connections = 2", "connections = 0", "[[accounts]] 1 connections: must be a num"),
    "fields": ('"Delivered-To"', '"Delivered To"', "[mailbox] recipient_headers: must name at"),
    "regex": (r"'mx\.host\.example'", "'('", "[mailbox] trusted_authserv_id: is no regular e"),
    "server regex": (r"'.+\.host", "'(.host", "[mailbox] received_by: is no regular expression"),
    "host": ('host = "ovh"', 'host = "ovhh"', "[mailbox] host: 'ovhh' is unknown: did you mean ov"),
    "far host": ('host = "ovh"', 'host = "zzz"', "[mailbox] host: 'zzz' is unknown; known are ot"),
    "number of a host": ('host = "ovh"', "host = 1", "[mailbox] host: must be a text"),
    "limit": ("200/hour", "200/week", "[[accounts]] 1 limits: '200/week' is no limit: write a"),
    "limits": ("100/day", "many", "[limits] orange: 'many' is no limit: write amount/period"),
    "twice": ("40/20s", "40/24h", "[limits] outlook: has two limits for one period"),
    "provider": ("orange =", '"Orange !" =', "[limits] Orange !: a provider's name is of a-z"),
    "account name": ('"main"', '"Main account"', "[[accounts]] 1 name: 'Main account' must be"),
    "line": ('"le secrétariat"', '"a\\nb"', "[site] team: must be one line without control"),
    "retention": ("messages =", "mesages =", "[retention] mesages is unknown: did you mean mes"),
    "no days": ('"10d"', '"10"', "[retention] messages: must be a number of days from 1d to 36"),
    "number": ('"10d"', "10", "[retention] messages: must be a number of days from 1d to 3650d"),
    "no message": ('"10d"', '"0d"', "[retention] messages: must be a number of days from 1d"),
    "traces": ('"32d"', '"31d"', "[retention] traces: must be a number of days from 32d to 3650"),
    "no trace": ('"10d"', '"33d"', "[retention] messages: must not be longer than traces, which"),
    "no port": ("127.0.0.1:8080", "127.0.0.1", "[web] listen: '127.0.0.1' is no address with"),
    "big port": ("127.0.0.1:8080", "0.0.0.0:65536", "[web] listen: '0.0.0.0:65536' is no ad"),
    "proxy": (
        'listen = "127.0.0.1:8080"',
        'proxies = ["10.0.0.0/33"]',
        "[web] proxies: '10.0.0.0/33' is no address and no network; write proxies = ",
    ),
    "accessible": (
        'locale = "fr"',
        'accessibility = "totale"',
        "[site] accessibility: 'totale' is no result of an audit; write accessibility = ",
    ),
    "one account": ("[[accounts]]", "[accounts]", "no account to submit with: write [[accounts]]"),
    "no certificate": (
        'name = "main"',
        'name = "main"\nca_file = "imap.secret"',
        "[[accounts]] 1 ca_file: ",
    ),
}


@pytest.mark.parametrize(("old", "new", "told"), WRONG.values(), ids=WRONG)
def test_wrong(folder: Path, old: str, new: str, told: str) -> None:
    """Each mistake is told with what to write instead."""
    assert [problem[: len(told)] for problem in problems(folder, old, new)] == [told]


@pytest.mark.parametrize(
    ("line", "failures"),
    [
        ("", Limit(12, timedelta(hours=1))),
        ('failures = "40/day"', Limit(40, DAY)),
        ('failures = "none"', None),
    ],
)
def test_failures(folder: Path, line: str, failures: Limit | None) -> None:
    """The breaker of an account is on unless it is switched off."""
    path = folder / "relais.toml"
    path.write_text(path.read_text().replace("connections = 2", line))

    assert read_config(path, {}).accounts[0].failures == failures


def test_proxies(folder: Path) -> None:
    """A proxy on this machine is believed; one elsewhere has to be named."""
    assert read(folder).proxies == LOOPBACK
    named = read(folder, RELAIS_WEB__PROXIES='["10.0.0.5", "2001:db8::/32"]').proxies
    assert list(map(str, named)) == ["10.0.0.5/32", "2001:db8::/32"]
    assert read(folder, RELAIS_WEB__PROXIES="[]").proxies == ()


def test_accessibility(folder: Path) -> None:
    """Nothing is claimed that no audit has found."""
    assert read(folder).site.accessibility == ""
    assert read(folder, RELAIS_SITE__ACCESSIBILITY="partial").site.accessibility == "partial"


def test_host(folder: Path) -> None:
    """A host's name is enough; each setting replaces one of its recipe's."""
    (folder / "relais.toml").write_text(
        "\n".join(
            line
            for line in FULL.splitlines()
            if not line.startswith(("recipient_headers", "trusted_authserv_id", "received_by"))
        )
    )

    assert read(folder).mailbox.recipe == HOSTS["ovh"]
    changed = read(
        folder,
        RELAIS_MAILBOX__HOST="google",
        RELAIS_MAILBOX__RECIPIENT_HEADERS='["Received:for", "X-To"]',
        RELAIS_MAILBOX__TRUSTED_AUTHSERV_ID="",
    ).mailbox.recipe
    assert changed.recipient_headers == (RECEIVED_FOR, "X-To")
    assert changed.authserv_id == ""
    assert changed.results is HOSTS["google"].results


def test_two_accounts_of_one_name(folder: Path) -> None:
    """An account's name is a scope, and so it is the only one."""
    again = (
        '[[accounts]]\nname = "main"\nsmtp = "smtp://a@localhost"\npassword_file = "imap.secret"'
    )

    assert problems(folder, "[limits]", f"{again}\n[limits]") == [
        "[[accounts]] 2 name: 'main' is another account's"
    ]


def test_no_toml(folder: Path) -> None:
    """A file that is no TOML is told with the line."""
    assert "relais.toml is no TOML: " in problems(folder, "[site]", "[site")[0]


def test_no_file(tmp_path: Path) -> None:
    """A missing file is told by its name."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml does not exist"):
        read_config(tmp_path / "nowhere.toml", {})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_secret_that_others_can_read(folder: Path, mode: int) -> None:
    """A secret that is none is refused, with the command that mends it."""
    secret = folder / "imap.secret"
    secret.chmod(mode)

    assert problems(folder) == [
        f"[mailbox] password_file: {secret} can be read by others; run: chmod 600 {secret}"
    ]


def test_missing_secret(folder: Path) -> None:
    """The command that makes a missing secret is told."""
    secret = folder / "relais.secret"
    secret.unlink()

    (problem,) = problems(folder)

    assert problem.startswith(f"[site] secret_file: {secret} does not exist; ")
    assert problem.endswith(f"run: (umask 077; openssl rand -hex 32 > {secret})")


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 32 + "c", f"{KEY}\n{CANARY}"])
def test_weak_key(folder: Path, text: str) -> None:
    """A short key would make tokens that can be forged."""
    write_secret(folder / "relais.secret", text)

    assert problems(folder)[0].startswith("[site] secret_file: each line must be a key of at least")


@pytest.mark.parametrize("text", ["", "\n", f"{CANARY}\nsecond", f"{CANARY}\0"])
def test_password_of_one_line(folder: Path, text: str) -> None:
    """A line end in a password would be a second command."""
    write_secret(folder / "smtp.secret", text)

    assert problems(folder)[0].startswith("[[accounts]] 1 password_file: must hold the password")


def test_variables_override(folder: Path) -> None:
    """A variable is stronger than the file, for every type."""
    write_secret(folder / "url", f"postgresql://{CANARY}@/elsewhere\n")

    config = read(
        folder,
        RELAIS_SITE__LOCALE="en",
        RELAIS_SITE__MIGRATIONS='["one", "two"]',
        RELAIS_DATABASE__URL_FILE="url",
        RELAIS_MAILBOX__POLL_SECONDS="5",
        RELAIS_MAILBOX__PASSWORD_FILE="smtp.secret",
        RELAIS_MAILBOX__RECIPIENT_HEADERS="Envelope-To",
        RELAIS_ACCOUNTS__MAIN__CONNECTIONS="7",
        RELAIS_ACCOUNTS__SECOND__SMTP="smtp://second@localhost:2525",
        RELAIS_ACCOUNTS__SECOND__PASSWORD_FILE="smtp.secret",
        RELAIS_LIMITS__ORANGE="90/day, burst=5",
        RELAIS_WORKER__LEASE_SECONDS="0.5",
        RELAIS_WORKER__IN_DOUBT_MINUTES="0.01",
        RELAIS_WEB__LISTEN="127.0.0.1:0",
        RELAIS_PORT="tcp://10.0.0.1:80",
        RELAISX="another program's",
    )

    assert config.site.locale == "en"
    assert config.site.migrations == (folder / "one", folder / "two")
    assert config.database.url == f"postgresql://{CANARY}@/elsewhere"
    assert config.mailbox.poll == timedelta(seconds=5)
    assert config.mailbox.endpoint.password == f"smtp {CANARY}"
    assert config.mailbox.recipient_headers == ("Envelope-To",)
    assert config.accounts[0].connections == 7
    assert config.accounts[1] == Account(
        "second",
        Endpoint("localhost", 2525, "second", f"smtp {CANARY}", Tls.NONE),
        connections=2,
        limits=(),
    )
    assert config.limits["orange"] == (Limit(90, DAY, burst=5),)
    assert config.lease == timedelta(seconds=0.5)
    assert config.in_doubt_after == timedelta(seconds=0.6)
    assert config.web.port == 0


def test_variables_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is needed; paths are then relative to the working directory."""
    monkeypatch.chdir(folder)

    config = read_config(
        None,
        {
            "RELAIS_SITE__DOMAIN": "listes.example.fr",
            "RELAIS_SITE__PUBLIC_URL": "https://listes.example.fr",
            "RELAIS_SITE__HELP_ADDRESS": "aide@example.fr",
            "RELAIS_SITE__SECRET_FILE": "relais.secret",
            "RELAIS_DATABASE__URL": "embedded:db",
            "RELAIS_MAILBOX__IMAP": "imaps://listes@imap.example.net",
            "RELAIS_MAILBOX__PASSWORD_FILE": "imap.secret",
            "RELAIS_ACCOUNTS__MAIN__SMTP": "smtps://listes@smtp.example.net",
            "RELAIS_ACCOUNTS__MAIN__PASSWORD_FILE": "smtp.secret",
        },
    )

    assert config.database.url == f"embedded:{Path.cwd()}/db"
    assert config.accounts[0].name == "main"


VARIABLES = {
    "RELAIS_DATABASE__ULR": "did you mean RELAIS_DATABASE__URL?",
    "RELAIS_DATABASE_URL": "did you mean RELAIS_DATABASE__URL?",
    "RELAIS_DATABASE_URL_FILE": "did you mean RELAIS_DATABASE__URL_FILE?",
    "RELAIS_ACCOUNTS__SMTP": "did you mean RELAIS_ACCOUNTS__NAME__SMTP?",
    "RELAIS_QQ__QQ__QQ": "write RELAIS_SECTION__KEY",
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_unknown_variable(folder: Path, variable: str) -> None:
    """A variable that would change nothing is a mistake."""
    (problem,) = problems(folder, **{variable: CANARY})

    assert problem.startswith(f"{variable} is unknown")
    assert problem.endswith(VARIABLES[variable])


def test_unreadable_value_of_variable(folder: Path) -> None:
    """A file named by a variable is a secret as well."""
    url = folder / "url"
    url.write_text(CANARY)

    told = problems(
        folder,
        RELAIS_DATABASE__URL_FILE="url",
        RELAIS_DATABASE__ADMIN_URL_FILE="nowhere",
        RELAIS_SITE__MIGRATIONS=f"[{CANARY}",
    )

    assert told == [
        f"RELAIS_DATABASE__ADMIN_URL_FILE: {folder}/nowhere: No such file or directory",
        f"RELAIS_DATABASE__URL_FILE: {url} can be read by others; run: chmod 600 {url}",
        'RELAIS_SITE__MIGRATIONS: a list is written as in ["one", "two"]',
    ]


LOOK_UP = {"true": True, "false": False, "False": False}


@pytest.mark.parametrize(("written", "expected"), LOOK_UP.items(), ids=LOOK_UP)
def test_look_up_mx(folder: Path, written: str, *, expected: bool) -> None:
    """The DNS is asked unless that is switched off; a variable can only be a text."""
    assert read(folder).look_up_mx is True
    assert read(folder, RELAIS_WORKER__LOOK_UP_MX=written).look_up_mx is expected
    with pytest.raises(ConfigError, match="look_up_mx: must be true or false"):
        read(folder, RELAIS_WORKER__LOOK_UP_MX=f"not {written}")


WRONG_KEYS = {
    "no file": ('"s2.pem"', '"s9.pem"', "key_file: {}/s9.pem does not exist; run: (umask 0"),
    "read by others": ('"s2.pem"', '"open.pem"', "key_file: {}/open.pem can be read by ot"),
    "no key": ('"s2.pem"', '"imap.secret"', "key_file: holds no private key in PEM"),
    "a password": ('"s2.pem"', '"locked.pem"', "key_file: holds no private key in PEM"),
    "too short": ('"s2.pem"', '"short.pem"', "key_file: holds an RSA key of 1024 bits"),
    "a curve": ('"s2.pem"', '"curve.pem"', "key_file: holds a key that is neither RSA nor"),
    "selector": ('"s2"', '"s_2"', "selector: 's_2' must be of a-z, 0-9 and -; write sel"),
    "below": ("Example.fr", "a.listes.example.fr", "domain: 'a.listes.example.fr' is nei"),
    "another's": ("Example.fr", "example.org", "domain: 'example.org' is neither"),
    "a suffix": ("Example.fr", "fr", "domain: 'fr' is neither 'listes.example.fr' nor"),
}


class TestSigningKeys:
    """Keys for DKIM: the first one signs, the others finish what was frozen with them."""

    ONE = '\n[dkim]\nselector = "s2"\nkey_file = "s2.pem"\n'
    TWO = (
        '\n[[dkim]]\nselector = "s2"\nkey_file = "s2.pem"\ndomain = "Example.fr"\n'
        '[[dkim]]\nselector = "s1"\nkey_file = "s1.pem"\n'
    )

    @pytest.fixture
    def keys(self, folder: Path) -> Path:
        """Return the folder, with keys of several kinds in it."""
        write_secret(folder / "s1.pem", make_key())
        write_secret(folder / "s2.pem", make_key())
        write_secret(folder / "short.pem", pem(rsa.generate_private_key(65537, 1024)))
        write_secret(folder / "ed.pem", pem(ed25519.Ed25519PrivateKey.generate()))
        write_secret(folder / "curve.pem", pem(ec.generate_private_key(ec.SECP256R1())))
        write_secret(folder / "locked.pem", pem(rsa.generate_private_key(65537, 2048), b"x"))
        (folder / "open.pem").write_text("")
        return folder

    def test_one(self, keys: Path) -> None:
        """Its domain is the site's."""
        (keys / "relais.toml").write_text(FULL + self.ONE)
        site = read(keys).site

        assert site.signer == Signer("listes.example.fr", "s2", Algorithm.RSA)
        assert site.signer.key_name == "s2._domainkey.listes.example.fr"
        assert site.keys[0].record.startswith("v=DKIM1; k=rsa; p=MII")
        ed = read(keys, RELAIS_DKIM__KEY_FILE="ed.pem").site.keys[0]
        assert ed.signer.algorithm is Algorithm.ED25519
        assert len(ed.public) == 32

    def test_two(self, keys: Path) -> None:
        """A variable is about the newest."""
        (keys / "relais.toml").write_text(FULL + self.TWO)
        site = read(keys, RELAIS_DKIM__SELECTOR="s3").site

        assert [key.signer for key in site.keys] == [
            Signer("example.fr", "s3", Algorithm.RSA),
            Signer("listes.example.fr", "s1", Algorithm.RSA),
        ]

    def test_none(self, folder: Path) -> None:
        """Then the host signs, or nobody."""
        assert read(folder).site.signer is None

    @pytest.mark.parametrize(("old", "new", "told"), WRONG_KEYS.values(), ids=WRONG_KEYS)
    def test_wrong(self, keys: Path, old: str, new: str, told: str) -> None:
        """Each mistake is told with what to do."""
        wrong = self.TWO.replace(old, new, 1)
        (problem,) = problems(keys, "[worker]", f"{wrong}[worker]")

        assert problem.startswith(f"[[dkim]] 1 {told.format(keys)}")

    def test_one_selector_twice(self, keys: Path) -> None:
        """The DNS has one key by one name."""
        twice = self.ONE.replace("[dkim]", "[[dkim]]") * 2

        assert problems(keys, "[worker]", f"{twice}[worker]") == [
            "[[dkim]] 2 selector: 's2' is another key's"
        ]


def pem(key: PrivateKeyTypes, password: bytes | None = None) -> str:
    """Write a private key as openssl does."""
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return octets.decode("ascii")
