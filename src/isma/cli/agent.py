"""`isma agent`: one edge server's agent, its config, and what it is doing."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from isma.errors import RunError

app = typer.Typer(invoke_without_command=True, no_args_is_help=True, add_completion=False)
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="the agent's TOML file (isma agent init writes one)")
]


def _needs_extra() -> None:
    try:
        import aiohttp  # noqa: F401
        import msgspec  # noqa: F401
    except ImportError as error:
        raise RunError(
            f'isma agent must have the extra `agent`, and {error.name} is missing: pip install "isma[agent]"'
        ) from None


@app.callback()
def agent(context: typer.Context, config: ConfigOption = None) -> None:
    """Run the agent of one edge server: it owns its users' services, decides, and moves them."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise RunError(
            "isma agent must be given --config agent.toml, or a command: init, status, keys, sign"
        )
    _needs_extra()
    from isma.agent.config import read
    from isma.agent.serve import serve
    from isma.cli.cache import keep_programs

    made = read(config)
    keep_programs()  # Those of the planner's process, which takes up the environment.
    serve(made)


@app.command()
def init(
    out: Annotated[Path, typer.Argument(help="a new folder")],
    agents: Annotated[str, typer.Option(help="their names, separated by commas")] = "a",
    first_port: Annotated[
        int, typer.Option(help="of the first agent; the others take the next")
    ] = 7401,
    users: Annotated[
        str, typer.Option(help="with --test-authority: users who get a certificate")
    ] = "",
    test_authority: Annotated[
        bool,
        typer.Option(
            "--test-authority", help="make certificates too, good for a week; not for service"
        ),
    ] = False,
) -> None:
    """Write a commented config for each agent and, on request, certificates to try it with."""
    _needs_extra()
    from isma.agent.init import write

    for line in write(out, _names(agents), first_port, _names(users), test_authority):
        typer.echo(line)


@app.command()
def status(config: Annotated[Path, typer.Option("--config", help="the agent's TOML file")]) -> None:
    """Ask a running agent which contexts it has, in which state; as JSON."""
    _needs_extra()
    from isma.agent.config import read
    from isma.agent.status import ask

    typer.echo(json.dumps(asyncio.run(ask(read(config))), indent=2))


@app.command()
def keys(stem: Annotated[Path, typer.Argument(help="the files' name without its end")]) -> None:
    """Make a pair of keys to sign checkpoints with: STEM.key, which is secret, and STEM.pub."""
    _needs_extra()
    from isma.agent.signatures import make_keys

    for path in make_keys(stem):
        typer.echo(str(path))


@app.command()
def sign(
    checkpoints: Annotated[list[Path], typer.Argument(help="files of weights")],
    key: Annotated[Path, typer.Option(help="secret key (isma agent keys makes one)")],
) -> None:
    """Sign checkpoints, so that agents whose policy.signer is this key's other half load them."""
    _needs_extra()
    from isma.agent.signatures import sign as signed

    for checkpoint in checkpoints:
        typer.echo(str(signed(checkpoint, key)))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
