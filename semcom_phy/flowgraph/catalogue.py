"""What flowgraphs there are, and what can be set in them: reads ``flowgraphs/*.grc``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from semcom_phy.errors import ConfigurationError
from semcom_phy.flowgraph import grc_file
from semcom_phy.flowgraph.headless import GUI_SUFFIX
from semcom_phy.registry import nearest

FLOWGRAPHS: Final = Path(__file__).resolve().parents[2] / "flowgraphs"
APPLICATION_BLOCK: Final = "semcom_application"


@dataclass(frozen=True)
class FlowgraphParameter:
    """A command line option ``--id`` of the program: GRC type (``eng_float``, ``intx``, ``str``), default and label."""

    id: str
    type: str
    default: str
    label: str

    @property
    def option(self) -> str:
        """The option as it is written on the command line."""
        return "--" + self.id.replace("_", "-")


@dataclass(frozen=True)
class Flowgraph:
    """A flowgraph by name, with the forms that exist of it and the options of its headless form.

    `attaches`: it has an Application block, which the application talks to.
    """

    name: str
    title: str
    description: str
    gui: Path | None
    headless: Path | None
    parameters: tuple[FlowgraphParameter, ...]
    attaches: bool

    def form(self, gui: bool) -> Path:
        """File of the form with or without a GUI; raises ConfigurationError if there is none."""
        path = self.gui if gui else self.headless
        if path is None:
            wanted, other = ("form with a GUI", "without --gui") if gui else ("headless form", "with --gui")
            raise ConfigurationError(f"flowgraph {self.name} has no {wanted}; run it {other}")
        return path

    def describe(self) -> dict[str, Any]:
        """The same as JSON types."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "gui": self.gui is not None,
            "headless": self.headless is not None,
            "attaches": self.attaches,
            "parameters": [
                {"option": p.option, "type": p.type, "default": p.default, "label": p.label} for p in self.parameters
            ],
        }


def names(folder: Path = FLOWGRAPHS) -> list[str]:
    """Names of the flowgraphs in the folder, sorted."""
    return sorted({path.stem.removesuffix(GUI_SUFFIX) for path in folder.glob("*.grc")})


def flowgraphs(folder: Path = FLOWGRAPHS) -> list[Flowgraph]:
    """All flowgraphs in the folder by name; raises FormatError for a damaged file."""
    return [_load(folder, name) for name in names(folder)]


def find(name: str, folder: Path = FLOWGRAPHS) -> Flowgraph:
    """The flowgraph of this name, its ``_gui`` or ``.grc`` left out or not.

    Raises ConfigurationError that names the nearest one, FormatError for a damaged file.
    """
    bare = name.removesuffix(".grc").removesuffix(GUI_SUFFIX)
    known = names(folder)
    if bare not in known:
        listed = ", ".join(known) or f"none in {folder}"
        raise ConfigurationError(f"unknown flowgraph {name!r}.{nearest(bare, known)} Known: {listed}")
    return _load(folder, bare)


def parameters(document: grc_file.Document) -> tuple[FlowgraphParameter, ...]:
    """The command line options of the program that Companion makes of a flowgraph."""
    found = []
    for block in document["blocks"]:
        values = block["parameters"]
        # A parameter of no type is none on the command line.
        if block["id"] == "parameter" and block["states"].get("state", "enabled") == "enabled" and values.get("type"):
            name = block["name"]
            found.append(FlowgraphParameter(name, values["type"], values.get("value", ""), values.get("label") or name))
    return tuple(sorted(found, key=lambda parameter: parameter.id))


def _load(folder: Path, name: str) -> Flowgraph:
    gui, headless = folder / f"{name}{GUI_SUFFIX}.grc", folder / f"{name}.grc"
    main = headless if headless.exists() else gui
    document = grc_file.read(main)
    options = document["options"]["parameters"]
    return Flowgraph(
        name=name,
        title=options.get("title") or name,
        description=options.get("description", ""),
        gui=gui if gui.exists() else None,
        headless=headless if headless.exists() else None,
        parameters=parameters(document),
        attaches=any(block["id"] == APPLICATION_BLOCK for block in document["blocks"]),
    )
