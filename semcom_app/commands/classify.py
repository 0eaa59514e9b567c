"""`semcom classify`: what a classifier says of pictures before and after the link."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from semcom_app.commands.codec_options import JsonOption
from semcom_app.commands.option_groups import with_options_of
from semcom_app.commands.send import carry_out, prepare

MAX_VIEWS = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("classify")(classify)


@with_options_of(prepare)
def classify(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Pictures, folders of pictures, or folders CLASS/VIEW of such folders.", show_default=False
        ),
    ],
    views: Annotated[
        int, typer.Option("--views", help="Judge so many pictures at a time together, as views of one object.")
    ] = 1,
    model: Annotated[str, typer.Option(help="Classifier at the server (docs/iaq.md).", metavar="NAME")] = "vit-server",
    classes: Annotated[
        Path | None,
        typer.Option(help="Names of the classes, one a line.", show_default="those of the model", metavar="FILE"),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures, report and result.json.")] = Path(
        "out/classify"
    ),
    as_json: JsonOption = False,
    **options: Any,
) -> int:
    """Send pictures, and judge what was sent and what arrived.

    Pictures take the form of the classifier's input first, unless --size gives another. A folder that is called as a
    class tells the class of its pictures; several views are judged by majority vote and by the sum rule.

    Exit code 0 when every picture was delivered, 1 when one was lost or something failed, 2 for wrong usage.
    """
    from semcom_app.classification.verdicts import Verdicts, read_class_names
    from semcom_app.images import find_images
    from semcom_app.models.classifiers import load_classifier
    from semcom_phy.errors import ConfigurationError

    if not 1 <= views <= MAX_VIEWS:
        raise ConfigurationError(f"--views must be from 1 to {MAX_VIEWS}, not {views}")
    transmission = prepare(**options)
    names = None if classes is None else read_class_names(classes)
    paths = find_images(_folders(images))
    server = load_classifier(model, options["device"])
    verdicts = Verdicts(server, server.transform.fit, views, names)
    if transmission.size is None:
        transmission = replace(transmission, fit=server.transform.fit)
    return carry_out(transmission, paths, out, as_json, verdicts)


def _folders(images: list[Path]) -> list[Path]:
    """Folders that hold folders only stand for these, in order of name."""
    found = []
    for path in images:
        inside = sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
        holds_files = path.is_dir() and any(entry.is_file() for entry in path.iterdir())
        found += inside if inside and not holds_files else [path]
    return found
