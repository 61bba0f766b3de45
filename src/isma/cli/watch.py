"""`isma watch`: a run as a map that plays."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isma.cli.progress import bar
from isma.cli.terminal import policy_names, seconds
from isma.errors import RunError

_THEMES = ("light", "dark")

PoliciesOption = Annotated[
    str | None,
    typer.Option(help="names separated by commas", show_default="all of the run's"),
]
ExportOption = Annotated[
    Path | None, typer.Option(help="write one HTML file that opens offline, and end")
]
ShotOption = Annotated[Path | None, typer.Option(help="write a picture as PNG, and end")]
RecordOption = Annotated[
    Path | None, typer.Option(help="write a film of the run, .gif or .mp4, and end")
]
StreetsOption = Annotated[
    Path | None,
    typer.Option(
        help="lines behind the map: GeoJSON (degrees, or the scenario's metres) or a SUMO network"
    ),
]
TimeOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="moment of the picture", show_default="the middle"),
]
ThemeOption = Annotated[str, typer.Option(help="of pictures: light or dark")]
SizeOption = Annotated[
    str | None,
    typer.Option(metavar="WIDTHxHEIGHT", help="of pictures, in pixels", show_default="1440x900"),
]
PhoneOption = Annotated[
    bool,
    typer.Option("--phone", help="take pictures as on a phone, 390x844 unless --size says"),
]
LinkOption = Annotated[
    str, typer.Option(help="view of pictures: a page's link from its # on", show_default=False)
]
LengthOption = Annotated[str, typer.Option(metavar="TIME", help="of a film")]
PortOption = Annotated[int, typer.Option(help="where the page is served; 0 for any")]
OpenOption = Annotated[bool, typer.Option("--open/--no-open", help="open the page in a browser")]


def watch(
    run: Annotated[Path, typer.Argument(help="folder of a run that isma compare wrote or writes")],
    policies: PoliciesOption = None,
    export: ExportOption = None,
    shot: ShotOption = None,
    record: RecordOption = None,
    streets: StreetsOption = None,
    time: TimeOption = None,
    theme: ThemeOption = "light",
    size: SizeOption = None,
    phone: PhoneOption = False,
    link: LinkOption = "",
    length: LengthOption = "12s",
    port: PortOption = 8731,
    open_: OpenOption = True,
) -> None:
    """Watch a run as a map that plays: users, who serves them, migrations, load, price and delay."""
    from isma.watch import pictures, replays

    names = None if policies is None else policy_names(policies)
    at_s = seconds(time, "--time", from_zero=True)
    film_s = seconds(length, "--length") or 0.0
    how = pictures.Shot(
        *_size(size or ("390x844" if phone else "1440x900")), _theme(theme), at_s, link, phone
    )
    if record is not None:
        pictures.refuse_kind(record)
    if shot is not None or record is not None:
        pictures.refuse_without_browser()
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("reading", total=None)

        def show(label: str, share: float) -> None:
            shown.update(task, completed=share, total=1.0, description=label)

        made = replays.made(run, names, streets, live=not (export or shot or record), on_share=show)
        if export is not None:
            made.export(export)
        if shot is not None:
            made.shoot(shot, how)
        if record is not None:
            made.film(record, how, film_s, lambda share: show("filming", share))
    for path in (export, shot, record):
        if path is not None:
            print(path)
    if export or shot or record:
        return

    def tell(address: str) -> None:
        print(f"{address}  (Ctrl-C ends)", flush=True)
        if open_ and sys.stdout.isatty():
            webbrowser.open(address)

    made.serve(port, tell)


def _size(text: str) -> tuple[int, int]:
    """Width and height as typed. Raises RunError."""
    parts = text.lower().split("x")
    if len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts):
        width, height = map(int, parts)
        if 100 <= width <= 8000 and 100 <= height <= 8000:
            return width, height
    raise RunError(f"--size must be two numbers from 100 to 8000, as 1440x900, got {text!r}")


def _theme(text: str) -> str:
    if text not in _THEMES:
        raise RunError(f"--theme must be {' or '.join(_THEMES)}, got {text!r}")
    return text
