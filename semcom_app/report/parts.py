"""Pieces that the reports are put together from, as HTML."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image

from semcom_app.report.figures import DASH, data_uri
from semcom_app.report.style import STYLE
from semcom_app.report.text import escaped


def figure(picture: Image.Image, alt: str, caption: str, pixelated: bool = False, classes: str = "") -> str:
    """A picture, embedded, with its caption (HTML); `pixelated` shows small ones as the squares they are."""
    style = f"{'px ' if pixelated else ''}{classes}".strip()
    return (
        f'<figure><img class="{style}" src="{data_uri(picture)}" width="{picture.width}"'
        f' height="{picture.height}" alt="{escaped(alt)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def fact_list(rows: Iterable[tuple[str, str, str]]) -> str:
    """Description list of (label, value, hint); hint may be empty. Values and hints are HTML."""
    items = "".join(
        f"<div><dt>{label}{f'<small>{hint}</small>' if hint else ''}</dt><dd>{value}</dd></div>"
        for label, value, hint in rows
    )
    return f'<dl class="facts">{items}</dl>'


def card(title: str, body: str, order: int) -> str:
    """A titled box; on a narrow screen boxes follow in the order of their numbers. `body` is HTML."""
    return f'<section class="card" style="order:{order}"><h3>{title}</h3>{body}</section>'


def banner(kind: str, title: str, body: str) -> str:
    """A warning across the page; `kind` is "lost" or "damaged"."""
    return f'<p class="banner {kind}" role="alert"><strong>{title}</strong> {body}</p>'


def plain(value: Any) -> str:
    """A value in words: yes and no, and a dash for None."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key} · ")
        elif value is None or isinstance(value, bool):
            yield f"{prefix}{key}", plain(value)
        elif isinstance(value, list | tuple):
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False, default=str)
        else:
            yield f"{prefix}{key}", str(value)


def footer(result: Mapping[str, Any]) -> str:
    """The command, `result["config"]` and `result["versions"]`, folded away."""
    config = dict(result.get("config") or {})
    command = config.pop("command", None)
    line = ""
    if command:
        words = shlex.join(str(w) for w in command) if isinstance(command, list | tuple) else str(command)
        line = f"<h3>Command</h3><pre>{escaped(words)}</pre>"

    def table(title: str, pairs: Iterable[tuple[str, str]]) -> str:
        lines = "".join(f'<tr><th scope="row">{escaped(k)}</th><td>{escaped(v)}</td></tr>' for k, v in pairs)
        return f"<div><h3>{title}</h3><table>{lines}</table></div>" if lines else ""

    tables = table("Configuration", _flat(config)) + table("Versions", _flat(result.get("versions") or {}))
    if not line and not tables:
        return ""
    return (
        "<footer><details><summary>Configuration, versions and command line</summary>"
        f'{line}<div class="tables">{tables}</div></details></footer>'
    )


def page(title: str, body: str) -> bytes:
    """A whole HTML file with the styles inside; `title` and `body` are HTML."""
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
    # File names may hold bytes that are no text (lone surrogates).
    return text.encode("utf-8", "backslashreplace")
