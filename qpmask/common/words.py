"""Numbers of things, as messages say them."""

from __future__ import annotations

from collections.abc import Mapping


def count_text(count: int, word: str) -> str:
    """``1 patch``, ``2,000 patches``."""
    plural = word + ("es" if word.endswith(("ch", "sh", "ss", "x")) else "s")
    return f"{count:,} {word if count == 1 else plural}"


def value_text(value: object, between: str = ", ") -> str:
    """A value of an option: ``none``, ``yes``, ``0.5``, ``512 x 512``."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return between.join(value_text(one, between) for one in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def objects_text(count: int) -> str:
    """``1 object``, ``2,000 objects``."""
    return count_text(count, "object")


def cores_text(count: int) -> str:
    """``1 TMA core``, ``2,000 TMA cores``."""
    return count_text(count, "TMA core")


def kinds_text(counts: Mapping[str, int]) -> str:
    """``2,000 cells (--objects cells) and 1 annotation (--objects annotations)``; empty of none."""
    parts = []
    for kind, n in counts.items():
        what = kind.removeprefix("all-").removesuffix("s") + ("" if n == 1 else "s")
        if n:
            parts.append(f"{n:,} {what} (--objects {kind})")
    return " and ".join(parts)


def images_text(count: int) -> str:
    """``1 image``, ``2,000 images``."""
    return count_text(count, "image")


def masks_text(count: int) -> str:
    """``1 mask``, ``2,000 masks``."""
    return count_text(count, "mask")
