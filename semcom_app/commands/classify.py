"""`semcom classify`: what a classifier says of pictures before and after the link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_app.commands.codec_options import JsonOption
from semcom_app.commands.option_groups import with_options_of
from semcom_app.commands.send import Transmission, carry_out, prepare
from semcom_phy.errors import ConfigurationError

if TYPE_CHECKING:
    from semcom_app.classification.sources import Source
    from semcom_app.images import LoadedImage

MAX_VIEWS = 1000
MIN_SIDE, MAX_SIDE = 8, 8192


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("classify")(classify)


@with_options_of(prepare)
def classify(
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Pictures, folders of pictures, or folders CLASS/VIEW or CLASS/OBJECT/VIEW of such folders.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Archive or folder of a data set, or hf:OWNER/NAME: its test pictures."),
    ] = None,
    layout: Annotated[str, typer.Option(help="Layout of the data set; auto: the first that fits.")] = "auto",
    train_share: Annotated[
        float | None,
        typer.Option(help="Share of each object's views that was trained on, where no division is published."),
    ] = None,
    pictures: Annotated[
        int | None,
        typer.Option(help="So many pictures of the data set, drawn with --seed.", show_default="all"),
    ] = None,
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

    Pictures take the form of the classifier's input first, unless --size gives another. Class and object of a picture
    are what its data set says, or of folders and files their names (docs/vit.md). Several views of an object are judged
    by majority vote and by the sum rule.

    Exit code 0 when every picture was delivered, 1 when one was lost or something failed, 2 for wrong usage.
    """
    from semcom_app.classification.sources import sources_of_data_set, sources_of_files
    from semcom_app.classification.verdicts import Verdicts, class_names, read_class_names
    from semcom_app.datasets import load_dataset
    from semcom_app.models.classifiers import load_classifier

    _check(images, data, layout, train_share, pictures, views, out)
    transmission = prepare(**options)
    names = None if classes is None else read_class_names(classes)
    server = load_classifier(model, options["device"])
    known = class_names(server, names)
    if transmission.size is None:
        transmission = replace(transmission, fit=server.transform.fit)
    if data is None:
        sources = sources_of_files(images or [], known)
    else:
        data_set = load_dataset(data, layout, train_share)
        sources = sources_of_data_set(data_set, known, views, pictures, transmission.seed)
        transmission = _FromDataSet(**vars(transmission), sources={source.path: source for source in sources})
    verdicts = Verdicts(server, server.transform.fit, sources, views, names)
    return carry_out(transmission, [source.path for source in sources], out, as_json, verdicts)


def _check(
    images: list[Path] | None,
    data: str | None,
    layout: str,
    train_share: float | None,
    pictures: int | None,
    views: int,
    out: Path,
) -> None:
    """Raise ConfigurationError for options that are out of range or do not suit each other."""
    if not 1 <= views <= MAX_VIEWS:
        raise ConfigurationError(f"--views must be from 1 to {MAX_VIEWS}, not {views}")
    if bool(images) == (data is not None):
        raise ConfigurationError("give pictures or folders, or a data set with --data, one of the two")
    if data is None and (layout != "auto" or train_share is not None or pictures is not None):
        raise ConfigurationError("--layout, --train-share and --pictures go with --data")
    if pictures is not None and pictures < views:
        raise ConfigurationError(f"--pictures must be at least the {views} of --views, not {pictures}")
    if data is not None and Path(data).is_dir() and out.resolve().is_relative_to(Path(data).resolve()):
        raise ConfigurationError(f"--out {out} lies in the data set: give a folder elsewhere")


@dataclass(frozen=True)
class _FromDataSet(Transmission):
    """Pictures of a data set in place of files; `sources` by the paths that stand for them."""

    sources: Mapping[Path, Source] = field(default_factory=dict)

    def load(self, path: Path) -> LoadedImage:
        """A picture as it is to be sent."""
        from semcom_app.datasets import fit_picture
        from semcom_app.images import LoadedImage

        pixels = self.sources[path].pixels()
        height, width = pixels.shape[:2]
        if self.size is not None:
            if not MIN_SIDE <= self.size <= MAX_SIDE:
                raise ConfigurationError(f"--size must be from {MIN_SIDE} to {MAX_SIDE} pixels, not {self.size}")
            pixels = fit_picture(pixels, self.size)
        return LoadedImage(str(path), pixels if self.fit is None else self.fit(pixels), (width, height))
