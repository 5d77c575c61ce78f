"""What is said of images of a project: one text once, however many images it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from qpmask.cli.console import count_of

_NAMED = 3  # images that are named with a text


def shown_names(images: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names of images by entry id, from (id, name); one that several have gets its id."""
    listed = list(images)
    counts = Counter(name for _, name in listed)
    return {i: name if counts[name] == 1 else f"{name} (entry {i})" for i, name in listed}


def without_image(text: str, entry_id: str, name: str, project: Path) -> str:
    """The text without what is of one image alone: its label in messages and its data folder."""
    data = project.parent / "data"
    text = text.replace(f"{name!r} (entry {entry_id})", "the image")
    return text.replace(str(data / entry_id), str(data / "ENTRY"))


def grouped(
    said: Iterable[tuple[str, str]], images: Iterable[tuple[str, str]], project: Path
) -> list[str]:
    """Lines of what is said of images, each text once with the images that it is about.

    Parameters
    ----------
    said : iterable of (str, str)
        Entry id and text.
    images : iterable of (str, str)
        Entry id and name of all images that people see.
    project : Path
        The project file.
    """
    named = dict(images)
    shown = shown_names(named.items())
    groups: dict[str, list[tuple[str, str]]] = {}
    for entry_id, text in said:
        same = without_image(text, entry_id, named[entry_id], project)
        groups.setdefault(same, []).append((entry_id, text))
    lines = []
    for same, found in groups.items():
        if len(found) == 1:
            lines.append(f"{shown[found[0][0]]}: {found[0][1]}")
            continue
        listed = ", ".join(shown[entry_id] for entry_id, _ in found[:_NAMED])
        more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
        lines.append(f"{count_of(len(found), 'image')} ({listed}{more}): {same}")
    return lines
