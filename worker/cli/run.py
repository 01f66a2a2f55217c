"""``relais run`` and ``relais demo``."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer

from worker.cli.reading import served
from worker.cli.verb import ConfigOption, JsonOption, find_config, told
from worker.errors import ConfigError


def run(*, config_file: ConfigOption = None) -> None:
    """Run the worker; any number of processes may share one database."""
    with told(as_json=False):
        config = find_config(config_file)
        # Half a second of imports that no other verb should pay.
        from worker.app import run_until_signalled  # noqa: PLC0415
        from worker.telemetry.log import configure_logging  # noqa: PLC0415

        configure_logging(config.site.secrets[0])
        with (
            served(config.database) as database,
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            try:
                runner.run(run_until_signalled(replace(config, database=database)))
            except BaseExceptionGroup as group:
                # A port that is taken is found out among the actors.
                wrong = _only(group, ConfigError)
                if wrong is None:
                    raise
                raise wrong from None


def _only(group: BaseExceptionGroup, kind: type[ConfigError]) -> ConfigError | None:
    """Return the one exception of *kind* that *group* is about, if it is."""
    matching, rest = group.split(kind)
    while isinstance(matching, BaseExceptionGroup) and len(matching.exceptions) == 1:
        found = matching.exceptions[0]
        if isinstance(found, kind):
            return found if rest is None else None
        matching = found if isinstance(found, BaseExceptionGroup) else None
    return None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fast loop, where it can be had."""
    try:
        import uvloop  # noqa: PLC0415 - It is not there on every platform.
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Run one posting to its end and audit it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show all of it with servers of its own; nothing leaves this machine."""
    from worker.demo.run import main  # noqa: PLC0415 - Its servers are installed for it only.

    raise typer.Exit(main(once=once, as_json=as_json))
