"""Who is alive, and who has a duty.

A worker's lease is renewed from a connection of its own. When it has run out,
what the worker had claimed is free again, and its marks are in doubt; the
fence of the mark (worker_id) holds off a worker that only slept.
These two tables run on the server's clock: a lease is no mail time, and the
fast clock of a demo must not outrun a healthy process.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from worker.store.database import Connection

RENEW = """
    INSERT INTO relais.worker AS us (worker_id, host, pid, alive_until)
    VALUES ($1, $2, $3, clock_timestamp() + $4)
        ON CONFLICT (worker_id) DO UPDATE SET alive_until = excluded.alive_until
"""


async def renew(db: Connection, worker_id: str, lease: timedelta) -> None:
    """Take or prolong this process's lease.

    A lease that had run out is taken again: what others freed meanwhile has
    left our name, so no fence opens to us any more.
    """
    await db.execute(RENEW, worker_id, socket.gethostname(), os.getpid(), lease)


RESIGN = "UPDATE relais.worker SET alive_until = clock_timestamp() WHERE worker_id = $1"


async def resign(db: Connection, worker_id: str) -> None:
    """End the lease now, so that others need not wait for it."""
    await db.execute(RESIGN, worker_id)


TAKE_DUTY = """
    INSERT INTO relais.leader AS held (duty, worker_id, until)
    VALUES ($1, $2, clock_timestamp() + $3)
        ON CONFLICT (duty) DO UPDATE
       SET worker_id = excluded.worker_id, until = excluded.until
     WHERE held.worker_id = excluded.worker_id OR held.until < clock_timestamp()
 RETURNING true
"""


async def take_duty(db: Connection, duty: str, worker_id: str, lease: timedelta) -> bool:
    """Take or keep *duty* for *lease*. False while another worker has it."""
    return await db.fetchval(TAKE_DUTY, duty, worker_id, lease) is not None


YIELD_DUTY = "DELETE FROM relais.leader WHERE duty = $1 AND worker_id = $2"


async def yield_duty(db: Connection, duty: str, worker_id: str) -> None:
    """Give *duty* up, if it is ours."""
    await db.execute(YIELD_DUTY, duty, worker_id)


FORGET_DEAD = """
    DELETE FROM relais.worker w
     WHERE w.alive_until < clock_timestamp() - interval '1 day'
       AND NOT EXISTS (SELECT FROM relais.delivery d WHERE d.worker_id = w.worker_id
                          AND d.state IN ('claimed', 'dotting', 'in_doubt'))
"""


async def forget_dead(db: Connection) -> None:
    """Drop workers that died long ago and hold nothing."""
    await db.execute(FORGET_DEAD)
