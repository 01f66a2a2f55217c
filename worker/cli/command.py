"""The tree of verbs."""

from __future__ import annotations

import typer

from worker.cli import (
    bounces,
    dkim,
    limits,
    lists,
    mailbox,
    members,
    migrate,
    person,
    postings,
    preview,
    provider,
    queue,
    run,
    suppress,
    who,
)
from worker.cli.watch import WatchedCommand

relais = typer.Typer(
    name="relais",
    help="Mailing lists from one ordinary hosted mailbox and a PostgreSQL database.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # A pretty traceback shows the values of variables, secrets among them.
    pretty_exceptions_enable=False,
)
relais.command("run")(run.run)
relais.command("demo")(run.demo)
relais.add_typer(migrate.verbs, name="migrate")
relais.command("lists")(lists.show_lists)
relais.command("list")(lists.show_list)
relais.command("preview")(preview.preview)
relais.command("postings")(postings.show_postings)
relais.add_typer(postings.verbs, name="posting")
relais.command("queue", cls=WatchedCommand)(queue.show_queue)
relais.command("who")(who.show_who)
relais.add_typer(person.verbs, name="person")
relais.add_typer(bounces.verbs, name="bounces")
relais.add_typer(suppress.verbs, name="suppress")
relais.add_typer(limits.verbs, name="limits")
relais.add_typer(provider.verbs, name="provider")
relais.add_typer(mailbox.verbs, name="mailbox")
relais.add_typer(members.verbs, name="members")
relais.add_typer(dkim.verbs, name="dkim")
