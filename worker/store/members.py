"""The member file in the schema ``club``, which only the role that migrates may touch.

An import is one transaction of the caller's, which commits all of it or nothing:

    lock(), stage()     the rows, in temporary tables
    contradictions()    rows that cannot be taken beside each other; left out
    compare()           what would change, before any member has changed
    apply()             change it
    record()            keep that it was done, and of which day the file is

Members are found by their licence number. Nobody is deleted: who is no longer
in the file becomes inactive, and keeps the id that opt-outs are bound to. A
member with a row that is left out stays as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.policy.member_row import Noticed, Problem, Remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from worker.policy.member_row import HeldRole, MemberRow
    from worker.store.database import Connection

# Any fixed number that no other program in the database uses: "member" in ASCII.
_LOCK_KEY = 0x6D656D626572
# A first import of half a million rows takes a minute; the rest is patience.
_SECONDS = 3600.0
EXAMPLES = 3
CLUB_RAIL = 20  # Members from which a club has a rail of its own.


@dataclass(frozen=True, slots=True)
class Example:
    """One member that an import changes."""

    change: str  # added, back, changed or gone
    key: str
    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClubShrink:
    """A club that would lose more than half of its active members."""

    number: str
    name: str
    active: int
    gone: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an import would change. *changed* are people, *fields* say where."""

    added: int
    added_inactive: int  # Of those: the file says that they are not active.
    back: int
    changed: int
    gone: int
    marked_inactive: int  # Of those: they are in the file, which says so.
    unchanged: int
    by_hand: int  # Active members without a licence number, whom no file knows.
    active: int  # Before, with a licence number.
    addresses: int  # Of those.
    addresses_lost: int  # Of members who stay active.
    fields: Mapping[str, int] = field(default_factory=dict)
    clubs_added: int = 0
    clubs_changed: int = 0
    clubs_shrunk: Sequence[ClubShrink] = ()
    examples: Sequence[Example] = ()

    def shrinks(self) -> list[str]:
        """Say what looks like half a file; empty when nothing does."""
        told = []
        if 2 * self.gone > self.active:
            told.append(f"{self.gone} of {self.active} active members would be gone")
        if 2 * self.addresses_lost > self.addresses:
            told.append(f"{self.addresses_lost} of {self.addresses} addresses would be emptied")
        told += [
            f"{club.gone} of {club.active} members of club {club.number} ({club.name})"
            " would be gone"
            for club in self.clubs_shrunk
        ]
        return told


@dataclass(frozen=True, slots=True)
class LastImport:
    """The import before this one."""

    file_name: str
    exported_on: date
    same_file: bool


READY = "SELECT to_regclass('club.import') IS NOT NULL"


async def has_member_file(db: Connection) -> bool:
    """Tell whether this site has the schema ``club`` that imports fill."""
    ready: bool = await db.fetchval(READY)
    return ready


HAS_DATE = "SELECT to_regclass('lists.member_file_date') IS NOT NULL"

MEMBER_FILE_DATE = "SELECT exported_on FROM lists.member_file_date"


async def member_file_date(db: Connection) -> date | None:
    """Return of which day the member file is, or None if no file was imported."""
    if not await db.fetchval(HAS_DATE):
        return None
    day: date | None = await db.fetchval(MEMBER_FILE_DATE)
    return day


TRY_LOCK = "SELECT pg_try_advisory_xact_lock($1)"


async def lock(db: Connection) -> bool:
    """Take the lock that lets one import work at a time; False while another has it."""
    taken: bool = await db.fetchval(TRY_LOCK, _LOCK_KEY)
    return taken


LAST_IMPORT = """
    SELECT file_name, exported_on, sha256 = $1 AS same_file FROM club.import
     ORDER BY id DESC LIMIT 1
"""


async def last_import(db: Connection, sha256: bytes) -> LastImport | None:
    """Return the import before this one, of a file that has *sha256*."""
    row = await db.fetchrow(LAST_IMPORT, sha256)
    return LastImport(**row) if row is not None else None


COMMITTEES = "SELECT slug FROM club.committee ORDER BY slug"


async def committees(db: Connection) -> list[str]:
    """Return the slugs of the committees there are."""
    return [row["slug"] for row in await db.fetch(COMMITTEES)]


async def season(db: Connection, day: date) -> str:
    """Return the season of *day*."""
    name: str = await db.fetchval("SELECT club.season($1)", day)
    return name


CREATE_STAGE = """
    CREATE TEMPORARY TABLE file_row (
        line integer, key text, first_name text, last_name text, email text, lang text,
        active boolean, club text, club_name text, departement text, departement_name text,
        season text, kind text
    ) ON COMMIT DROP;
    CREATE TEMPORARY TABLE file_role (
        line integer, key text, role text, committee text, club text, since date
    ) ON COMMIT DROP;
    CREATE TEMPORARY TABLE held_back (key text, line integer) ON COMMIT DROP;
"""

_ROW_COLUMNS = (
    *("line", "key", "first_name", "last_name", "email", "lang", "active"),
    *("club", "club_name", "departement", "departement_name", "season", "kind"),
)
_ROLE_COLUMNS = ("line", "key", "role", "committee", "club", "since")


async def stage(db: Connection, rows: Iterable[MemberRow]) -> None:
    """Copy *rows* into temporary tables while they are read; none is kept in memory."""
    await db.execute(CREATE_STAGE)
    roles: list[tuple[object, ...]] = []  # Few people have one.

    def records() -> Iterable[tuple[object, ...]]:
        for row in rows:
            roles.extend(_role_record(row, role) for role in row.roles)
            yield tuple(getattr(row, name) for name in _ROW_COLUMNS)

    await db.copy_records_to_table(
        "file_row", columns=_ROW_COLUMNS, records=records(), timeout=_SECONDS
    )
    await db.copy_records_to_table(
        "file_role", columns=_ROLE_COLUMNS, records=roles, timeout=_SECONDS
    )
    await db.execute("ANALYZE file_row; ANALYZE file_role", timeout=_SECONDS)


def _role_record(row: MemberRow, role: HeldRole) -> tuple[object, ...]:
    return (row.line, row.key, role.role, role.committee, role.club, role.since)


async def hold_back(db: Connection, problems: Iterable[Problem]) -> None:
    """Leave the members of *problems* as they are, whatever their other rows say."""
    records = [(p.key, p.line) for p in problems if p.key is not None]
    await db.copy_records_to_table(
        "held_back", columns=("key", "line"), records=records, timeout=_SECONDS
    )
    await db.execute("ANALYZE held_back")


TWO_NAMES = """
    SELECT key, array_agg(line ORDER BY line) AS lines
      FROM file_row JOIN (SELECT key FROM file_row GROUP BY key HAVING count(*) > 1) t USING (key)
     GROUP BY key
    HAVING count(DISTINCT lower(nullif(last_name, ''))) > 1
        OR count(DISTINCT lower(nullif(first_name, ''))) > 1
"""

# A club is created from any row that says where it is.
UNKNOWN_CLUBS = """
    SELECT r.line, r.key, r.club
      FROM file_row r
     WHERE r.club IN (SELECT f.club FROM file_row f WHERE f.club IS NOT NULL
                       GROUP BY f.club HAVING count(f.departement) = 0
                      EXCEPT SELECT number FROM club.club)
"""

COMPANIONS = """
    SELECT r.line, r.key, min(h.line) AS first
      FROM file_row r JOIN held_back h USING (key)
     GROUP BY r.line, r.key HAVING bool_and(h.line <> r.line)
"""

DROP_HELD_BACK = """
    DELETE FROM file_role r USING held_back h WHERE h.key = r.key;
    DELETE FROM file_row r USING held_back h WHERE h.key = r.key;
"""


async def contradictions(db: Connection) -> list[Problem]:
    """Leave out the rows that cannot be taken, and return why."""
    found = []
    for row in await db.fetch(TWO_NAMES, timeout=_SECONDS):
        first, second, *_ = lines = row["lines"]
        found += [
            Problem(
                line,
                f"duplicate key {row['key']}: line {second if line == first else first}"
                " has it with another name",
                row["key"],
            )
            for line in lines
        ]
    found += [
        Problem(
            row["line"],
            f"unknown club {row['club']}: it is not here, and no row says its département",
            row["key"],
        )
        for row in await db.fetch(UNKNOWN_CLUBS, timeout=_SECONDS)
    ]
    await hold_back(db, found)
    found += [
        Problem(row["line"], f"left out with line {row['first']} of the same member", row["key"])
        for row in await db.fetch(COMPANIONS, timeout=_SECONDS)
    ]
    await db.execute(DROP_HELD_BACK, timeout=_SECONDS)
    return found


DISAGREEMENTS = """
    WITH twice AS (SELECT key FROM file_row GROUP BY key HAVING count(*) > 1)
    SELECT min(line) AS line, 'SEVERAL' AS remark, key || ', on several lines' AS text
      FROM file_row JOIN twice USING (key) GROUP BY key HAVING count(DISTINCT lower(email)) > 1
    UNION ALL
    SELECT min(line), 'KIND', key
      FROM file_row JOIN twice USING (key) WHERE club IS NOT NULL
     GROUP BY key, season, club HAVING count(DISTINCT kind) > 1
    UNION ALL
    SELECT min(line), 'CLUB_NAME', club
      FROM file_row WHERE club IS NOT NULL GROUP BY club
    HAVING min(club_name) <> max(club_name) OR min(departement) <> max(departement)
     ORDER BY 1
"""


async def disagreements(db: Connection) -> list[Noticed]:
    """Return where rows that are taken say different things of one member or club."""
    rows = await db.fetch(DISAGREEMENTS, timeout=_SECONDS)
    return [Noticed(row["line"], Remark[row["remark"]], row["text"]) for row in rows]


REPEATED = """
    WITH bringing AS (
        SELECT min(line) AS line FROM file_row GROUP BY key
        UNION SELECT min(line) FROM file_row WHERE club IS NOT NULL GROUP BY key, season, club
        UNION SELECT min(line) FROM file_role GROUP BY key, role, committee, club
    )
    SELECT (SELECT count(*) FROM file_row) - count(*) FROM bringing
"""


async def repeated(db: Connection) -> int:
    """Return how many rows say nothing that another one had not said."""
    number: int = await db.fetchval(REPEATED, timeout=_SECONDS)
    return number


SETTLE_COMMITTEES = """
    INSERT INTO club.committee AS c (slug, name)
    SELECT * FROM unnest($1::text[], $2::text[])
        ON CONFLICT (slug) DO UPDATE SET name = excluded.name WHERE c.name <> excluded.name
"""

FILE_CLUBS = """
    CREATE TEMPORARY TABLE file_club ON COMMIT DROP AS
    SELECT club AS number, mode() WITHIN GROUP (ORDER BY club_name) AS name,
           mode() WITHIN GROUP (ORDER BY departement) AS departement,
           mode() WITHIN GROUP (ORDER BY departement_name) AS departement_name
      FROM file_row WHERE club IS NOT NULL GROUP BY club
"""

ADD_DEPARTEMENTS = """
    INSERT INTO club.departement (code, name)
    SELECT departement, coalesce(mode() WITHIN GROUP (ORDER BY departement_name), departement)
      FROM file_club WHERE departement IS NOT NULL GROUP BY departement
        ON CONFLICT (code) DO NOTHING
"""

ADD_CLUBS = """
    WITH added AS (
        INSERT INTO club.club (number, name, departement)
        SELECT number, coalesce(name, 'Club ' || number), departement
          FROM file_club f WHERE NOT EXISTS (SELECT FROM club.club c WHERE c.number = f.number)
         ORDER BY number
        RETURNING id)
    SELECT count(*) FROM added
"""

CHANGE_CLUBS = """
    WITH changed AS (
        UPDATE club.club c
           SET name = coalesce(f.name, c.name), departement = coalesce(f.departement, c.departement)
          FROM file_club f
         WHERE f.number = c.number
           AND (f.name <> c.name OR f.departement <> c.departement)
        RETURNING c.id)
    SELECT count(*) FROM changed
"""

PEOPLE = """
    CREATE TEMPORARY TABLE person ON COMMIT DROP AS
    SELECT f.*, m.id AS member_id
      FROM (SELECT key, min(line) AS line, max(first_name) AS first_name,
                   max(last_name) AS last_name, max(lang) AS lang, bool_or(active) AS active,
                   (array_agg(email ORDER BY line) FILTER (WHERE email IS NOT NULL))[1] AS email
              FROM file_row GROUP BY key) f
      LEFT JOIN club.member m ON m.licence_number = f.key;
    CREATE UNIQUE INDEX ON person (key);
    CREATE TEMPORARY TABLE file_licence ON COMMIT DROP AS
    SELECT p.key, p.member_id, r.season, c.id AS club_id, r.kind
      FROM (SELECT key, season, club, (array_agg(kind ORDER BY line))[1] AS kind
              FROM file_row WHERE club IS NOT NULL GROUP BY key, season, club) r
      JOIN person p USING (key) JOIN club.club c ON c.number = r.club;
    CREATE TEMPORARY TABLE role_wanted ON COMMIT DROP AS
    SELECT p.key, p.member_id, f.role, c.id AS committee_id, k.id AS club_id, min(f.since) AS since
      FROM file_role f JOIN person p USING (key)
      LEFT JOIN club.committee c ON c.slug = f.committee
      LEFT JOIN club.club k ON k.number = f.club
     GROUP BY p.key, p.member_id, f.role, c.id, k.id;
    ANALYZE person; ANALYZE file_licence; ANALYZE role_wanted;
"""

# Only what an import began is its own to end; a member that was held back keeps it.
ENDED_ROLES = """
    CREATE TEMPORARY TABLE role_ended ON COMMIT DROP AS
    SELECT h.id, m.licence_number AS key
      FROM club.role_held h JOIN club.member m ON m.id = h.member_id
     WHERE $1 AND h.imported AND h.until IS NULL AND m.licence_number IS NOT NULL
       AND NOT EXISTS (SELECT FROM held_back b WHERE b.key = m.licence_number)
       AND NOT EXISTS (SELECT FROM role_wanted w
                        WHERE w.member_id = h.member_id AND w.role = h.role
                          AND w.committee_id IS NOT DISTINCT FROM h.committee_id
                          AND w.club_id IS NOT DISTINCT FROM h.club_id)
"""

# The file is the whole truth about the seasons that it mentions, and says
# nothing about others.
ENDED_LICENCES = """
    CREATE TEMPORARY TABLE licence_ended ON COMMIT DROP AS
    SELECT p.key, l.member_id, l.season, l.club_id
      FROM club.licence l JOIN person p ON p.member_id = l.member_id
     WHERE l.season IN (SELECT season FROM file_licence)
       AND NOT EXISTS (SELECT FROM file_licence f
                        WHERE f.member_id = l.member_id AND f.season = l.season
                          AND f.club_id = l.club_id)
"""

CHANGES = """
    CREATE TEMPORARY TABLE member_change ON COMMIT DROP AS
    WITH known AS (
        SELECT p.*, m.active AS was_active, m.first_name AS old_first, m.last_name AS old_last,
               m.email AS old_email, m.lang AS old_lang
          FROM person p JOIN club.member m ON m.id = p.member_id
    ), change AS (
        SELECT key, 'added' AS what FROM person WHERE member_id IS NULL
        UNION ALL SELECT key, 'back' FROM known WHERE active AND NOT was_active
        UNION ALL SELECT key, 'gone' FROM known WHERE was_active AND NOT active
        UNION ALL
        SELECT m.licence_number, 'gone' FROM club.member m
         WHERE m.active AND m.licence_number IS NOT NULL
           AND NOT EXISTS (SELECT FROM person p WHERE p.key = m.licence_number)
           AND NOT EXISTS (SELECT FROM held_back b WHERE b.key = m.licence_number)
        UNION ALL
        SELECT key, 'name' FROM known
         WHERE last_name <> old_last OR first_name <> old_first
        UNION ALL SELECT key, 'email' FROM known WHERE email IS DISTINCT FROM old_email
        UNION ALL SELECT key, 'lang' FROM known WHERE lang <> old_lang
        UNION ALL
        SELECT f.key, CASE WHEN EXISTS (SELECT FROM club.licence o
                                         WHERE o.member_id = f.member_id AND o.season = f.season)
                           THEN 'club' ELSE 'season' END
          FROM file_licence f
         WHERE f.member_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM club.licence l
                            WHERE l.member_id = f.member_id AND l.season = f.season
                              AND l.club_id = f.club_id)
        UNION ALL SELECT key, 'club' FROM licence_ended
        UNION ALL
        SELECT f.key, 'kind' FROM file_licence f
          JOIN club.licence l USING (member_id, season, club_id) WHERE l.kind <> f.kind
        UNION ALL
        SELECT w.key, 'role' FROM role_wanted w
         WHERE w.member_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM club.role_held h
                            WHERE h.member_id = w.member_id AND h.role = w.role
                              AND h.committee_id IS NOT DISTINCT FROM w.committee_id
                              AND h.club_id IS NOT DISTINCT FROM w.club_id AND h.until IS NULL)
        UNION ALL SELECT key, 'role' FROM role_ended
    )
    SELECT key, array_agg(DISTINCT what) AS what FROM change GROUP BY key
"""

# Who is inactive and stays so may still lose a role; that changes nothing for them.
COUNTS = """
    SELECT count(*) FILTER (WHERE 'added' = ANY (c.what)) AS added,
           count(*) FILTER (WHERE 'added' = ANY (c.what) AND NOT p.active) AS added_inactive,
           count(*) FILTER (WHERE 'back' = ANY (c.what)) AS back,
           count(*) FILTER (WHERE 'gone' = ANY (c.what)) AS gone,
           count(*) FILTER (WHERE 'gone' = ANY (c.what) AND p.key IS NOT NULL) AS marked_inactive,
           count(*) FILTER (WHERE NOT c.what && '{added,back,gone}') AS changed,
           (SELECT count(*) FROM person q
             WHERE NOT EXISTS (SELECT FROM member_change d WHERE d.key = q.key)) AS unchanged,
           (SELECT count(*) FROM club.member m
             WHERE m.active AND m.licence_number IS NULL) AS by_hand,
           (SELECT count(*) FROM club.member m
             WHERE m.active AND m.licence_number IS NOT NULL) AS active,
           (SELECT count(*) FROM club.member m
             WHERE m.active AND m.licence_number IS NOT NULL AND m.email <> '') AS addresses,
           (SELECT count(*) FROM club.member m JOIN person q ON q.member_id = m.id
             WHERE m.active AND q.active AND m.email <> '' AND q.email IS NULL) AS addresses_lost
      FROM member_change c LEFT JOIN person p USING (key)
"""

FIELDS = """
    SELECT field, count(*) AS people FROM member_change c, unnest(c.what) AS field
     WHERE NOT c.what && '{added,back,gone}' GROUP BY field ORDER BY people DESC, field
"""

SOME = """
    WITH sorted AS (
        SELECT c.key, c.what AS fields,
               CASE WHEN 'added' = ANY (c.what) THEN 1 WHEN 'back' = ANY (c.what) THEN 2
                    WHEN 'gone' = ANY (c.what) THEN 4 ELSE 3 END AS change
          FROM member_change c
    ), numbered AS (
        SELECT sorted.*, row_number() OVER (PARTITION BY change ORDER BY key) AS nth FROM sorted
    )
    SELECT ('{added,back,changed,gone}'::text[])[n.change] AS change, n.key, n.fields,
           coalesce(m.full_name, btrim(concat(p.first_name, ' ', p.last_name))) AS name
      FROM numbered n LEFT JOIN person p USING (key)
      LEFT JOIN club.member m ON m.licence_number = n.key
     WHERE n.nth <= $1 ORDER BY n.change, n.key
"""

CLUBS_SHRUNK = """
    WITH place AS (
        SELECT l.member_id, l.club_id FROM club.licence l
         WHERE l.season = (SELECT max(n.season) FROM club.licence n WHERE n.member_id = l.member_id)
    )
    SELECT c.number, c.name, count(*) AS active,
           count(*) FILTER (WHERE 'gone' = ANY (d.what)) AS gone
      FROM place JOIN club.member m ON m.id = place.member_id JOIN club.club c ON c.id = club_id
      LEFT JOIN member_change d ON d.key = m.licence_number
     WHERE m.active AND m.licence_number IS NOT NULL
     GROUP BY c.id
    HAVING count(*) >= $1 AND 2 * count(*) FILTER (WHERE 'gone' = ANY (d.what)) > count(*)
     ORDER BY c.number
"""


async def compare(db: Connection, *, names: Mapping[str, str], with_roles: bool) -> Comparison:
    """Settle clubs and committees, and say what would change for members.

    *names* are those of committees by slug. Without *with_roles* the map does
    not speak of roles, and none is ended.
    """
    await db.execute(SETTLE_COMMITTEES, list(names), list(names.values()))
    await db.execute(FILE_CLUBS, timeout=_SECONDS)
    await db.execute(ADD_DEPARTEMENTS, timeout=_SECONDS)
    clubs_added = await db.fetchval(ADD_CLUBS, timeout=_SECONDS)
    clubs_changed = await db.fetchval(CHANGE_CLUBS, timeout=_SECONDS)
    await db.execute(PEOPLE, timeout=_SECONDS)
    await db.execute(ENDED_ROLES, with_roles, timeout=_SECONDS)
    await db.execute(ENDED_LICENCES, timeout=_SECONDS)
    await db.execute(CHANGES, timeout=_SECONDS)
    await db.execute("CREATE UNIQUE INDEX ON member_change (key); ANALYZE member_change")
    counts = await db.fetchrow(COUNTS, timeout=_SECONDS)
    fields = await db.fetch(FIELDS, timeout=_SECONDS)
    some = await db.fetch(SOME, EXAMPLES, timeout=_SECONDS)
    shrunk = await db.fetch(CLUBS_SHRUNK, CLUB_RAIL, timeout=_SECONDS)
    return Comparison(
        **counts,  # type: ignore[arg-type]  # an aggregate always has its one row
        fields={row["field"]: row["people"] for row in fields},
        clubs_added=clubs_added,
        clubs_changed=clubs_changed,
        clubs_shrunk=[ClubShrink(**row) for row in shrunk],
        examples=[
            Example(row["change"], row["key"], row["name"], tuple(row["fields"])) for row in some
        ],
    )


ADD_MEMBERS = """
    INSERT INTO club.member (licence_number, first_name, last_name, email, lang, active)
    SELECT key, coalesce(first_name, ''), last_name, email, coalesce(lang, 'fr'), active
      FROM person WHERE member_id IS NULL ORDER BY line;
    UPDATE person p SET member_id = m.id FROM club.member m
     WHERE p.member_id IS NULL AND m.licence_number = p.key;
    UPDATE file_licence f SET member_id = p.member_id FROM person p
     WHERE f.member_id IS NULL AND p.key = f.key;
    UPDATE role_wanted w SET member_id = p.member_id FROM person p
     WHERE w.member_id IS NULL AND p.key = w.key;
"""

CHANGE_MEMBERS = """
    UPDATE club.member m
       SET first_name = coalesce(p.first_name, m.first_name), last_name = p.last_name,
           email = p.email, lang = coalesce(p.lang, m.lang), active = p.active
      FROM person p JOIN member_change c USING (key)
     WHERE m.id = p.member_id AND c.what && '{back,gone,name,email,lang}'
       AND NOT 'added' = ANY (c.what);
    UPDATE club.member m SET active = false FROM member_change c
     WHERE m.licence_number = c.key AND m.active AND 'gone' = ANY (c.what);
"""

CHANGE_LICENCES = """
    DELETE FROM club.licence l USING licence_ended e
     WHERE l.member_id = e.member_id AND l.season = e.season AND l.club_id = e.club_id;
    INSERT INTO club.licence AS l (member_id, season, club_id, kind)
    SELECT member_id, season, club_id, kind FROM file_licence
        ON CONFLICT (member_id, season, club_id) DO UPDATE
       SET kind = excluded.kind WHERE l.kind <> excluded.kind;
"""

END_ROLES = """
    UPDATE club.role_held h SET until = greatest(h.since, $1) FROM role_ended e WHERE h.id = e.id
"""

# A role that ended on the day it begins again was never given up.
BEGIN_ROLES = """
    INSERT INTO club.role_held (member_id, role, committee_id, club_id, since, imported)
    SELECT w.member_id, w.role, w.committee_id, w.club_id, coalesce(w.since, $1), true
      FROM role_wanted w
     WHERE NOT EXISTS (SELECT FROM club.role_held h
                        WHERE h.member_id = w.member_id AND h.role = w.role
                          AND h.committee_id IS NOT DISTINCT FROM w.committee_id
                          AND h.club_id IS NOT DISTINCT FROM w.club_id AND h.until IS NULL)
        ON CONFLICT (member_id, role, committee_id, club_id, since) DO UPDATE
       SET until = NULL, imported = true
"""


async def apply(db: Connection, *, exported_on: date) -> None:
    """Change what compare() has found."""
    await db.execute(ADD_MEMBERS, timeout=_SECONDS)
    await db.execute(CHANGE_MEMBERS, timeout=_SECONDS)
    await db.execute(CHANGE_LICENCES, timeout=_SECONDS)
    await db.execute(END_ROLES, exported_on, timeout=_SECONDS)
    await db.execute(BEGIN_ROLES, exported_on, timeout=_SECONDS)


RECORD = """
    INSERT INTO club.import (imported_by, file_name, sha256, exported_on, rows, added, back,
                             changed, gone, left_out)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def record(
    db: Connection,
    comparison: Comparison,
    *,
    who: str,
    file_name: str,
    sha256: bytes,
    exported_on: date,
    rows: int,
    left_out: int,
) -> None:
    """Keep that the import was done."""
    await db.execute(
        RECORD,
        who,
        file_name,
        sha256,
        exported_on,
        rows,
        comparison.added,
        comparison.back,
        comparison.changed,
        comparison.gone,
        left_out,
    )


async def refresh(db: Connection) -> None:
    """Let the planner know how many members there are now; lists are asked at once."""
    await db.execute("ANALYZE club.member; ANALYZE club.licence; ANALYZE club.role_held")
