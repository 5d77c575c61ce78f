"""Numbers of things, as messages say them."""

from __future__ import annotations

from collections.abc import Mapping


def objects_text(count: int) -> str:
    """``1 object``, ``2,000 objects``."""
    return f"{count:,} object" + ("" if count == 1 else "s")


def cores_text(count: int) -> str:
    """``1 TMA core``, ``2,000 TMA cores``."""
    return f"{count:,} TMA core" + ("" if count == 1 else "s")


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
    return f"{count:,} image" + ("" if count == 1 else "s")


def masks_text(count: int) -> str:
    """``1 mask``, ``2,000 masks``."""
    return f"{count:,} mask" + ("" if count == 1 else "s")
