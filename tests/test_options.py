"""Options: what is refused, with which words, and where each option has its home."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.errors import OptionsError, WrongTypeError
from qpmask.options import (
    ExportOptions,
    FileOptions,
    RenderOptions,
    check_unclassified,
    export_options,
    parse_memory,
)


def test_defaults_lose_nothing() -> None:
    options = ExportOptions()
    assert options.render == RenderOptions(
        objects="annotations", downsample=None, mpp=None, tile_px=512, line_thickness=1.0,
        boundary_label=None, instances=False, multichannel=False,
    )  # fmt: skip
    assert options.file == FileOptions(compression="lzw", pyramid=True)
    assert (options.unknown, options.unclassified, options.workers) == ("error", None, 1)


def test_each_option_finds_its_home() -> None:
    options = export_options(
        downsample=4, compression="zlib", images=("A*",), slides=(Path("s"),), unknown="ignore"
    )
    assert options.render.downsample == 4
    assert options.file.compression == "zlib"
    assert options.images == ("A*",)
    assert options == ExportOptions(
        RenderOptions(downsample=4), FileOptions(compression="zlib"), ("A*",), "ignore",
        slides=(Path("s"),),
    )  # fmt: skip


def test_all_options_stand_in_one_signature_with_their_defaults() -> None:
    homes = [f for part in (RenderOptions, FileOptions, ExportOptions) for f in fields(part)]
    parameters = inspect.signature(export_options).parameters
    assert {p.name: p.default for p in parameters.values()} == {
        f.name: f.default for f in homes if f.name not in ("render", "file")
    }
    assert export_options() == ExportOptions()


@pytest.mark.parametrize("part", [RenderOptions, FileOptions, ExportOptions])
@pytest.mark.parametrize("value", [b"1", object(), 1j])
def test_values_of_a_wrong_type_are_refused_by_name(part: Any, value: object) -> None:
    for field in fields(part):
        with pytest.raises(OptionsError) as caught:
            part(**{field.name: value})
        assert field.name in str(caught.value)


@pytest.mark.parametrize(
    "values", [{"instances": "no"}, {"pyramid": 1}, {"force": None}, {"downsample": "4"},
               {"tile_px": 512.0}, {"tile_px": True}, {"workers": "2"}, {"jvm_memory": 4}],
)  # fmt: skip
def test_what_looks_like_the_right_type(values: dict[str, Any]) -> None:
    with pytest.raises(WrongTypeError) as caught:
        export_options(**values)
    assert isinstance(caught.value, TypeError) and next(iter(values)) in str(caught.value)


def test_numbers_of_numpy_are_numbers() -> None:
    options = export_options(
        tile_px=np.int64(256), downsample=np.float32(2), multichannel=np.bool_(True)
    )
    assert options.render == RenderOptions(tile_px=256, downsample=2.0, multichannel=True)
    json.dumps(vars(options.render))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"objects": "cell"}, "objects is 'cell'; it must be one of annotations, detections"),
        ({"downsample": 2.0, "mpp": 1.0}, "not both"),
        ({"downsample": 0.5}, "finer than its image"),
        ({"downsample": 0}, "positive"),
        ({"downsample": float("nan")}, "positive"),
        ({"downsample": float("inf")}, "positive"),
        ({"mpp": -1.0}, "mpp is -1.0"),
        ({"mpp": float("nan")}, "mpp is nan"),
        ({"line_thickness": 0.0}, "line_thickness is 0.0"),
        ({"tile_px": 0}, "multiple of 16"),
        ({"tile_px": 100}, "multiple of 16"),
        ({"tile_px": -16}, "multiple of 16"),
        ({"tile_px": 8208}, "up to 8192"),
        ({"boundary_label": -1}, "0 to 2,147,483,647"),
        ({"boundary_label": 2**31}, "0 to 2,147,483,647"),
        ({"instances": True, "multichannel": True}, "exclude each other"),
        ({"boundary_label": 3, "multichannel": True}, "exclude each other"),
        ({"compression": "jpeg"}, "lzw, zlib, zstd, none"),
        ({"made_for": "word"}, "simpleitk"),
        ({"made_for": "simpleitk", "compression": "zstd"}, "does not read zstd"),
        ({"unknown": "warn"}, "error, ignore"),
        ({"unclassified": "skip"}, "'ignore', 'error' or a label"),
        ({"unclassified": 0}, "1 to 2,147,483,647"),
        ({"workers": 0}, "1 to 256"),
        ({"workers": 257}, "1 to 256"),
        ({"jvm_memory": "4"}, "not a size that Java knows"),
    ],
)
def test_nonsense_is_refused_when_it_is_said(values: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionsError) as caught:
        export_options(**values)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [{"tile_px": 16}, {"tile_px": 8192}, {"downsample": 1}, {"boundary_label": 0},
     {"boundary_label": 2**31 - 1}, {"workers": 256}, {"unclassified": 2**31 - 1}, {"mpp": 0.01}],
)  # fmt: skip
def test_the_ends_of_the_ranges_are_allowed(values: dict[str, Any]) -> None:
    export_options(**values)


def test_a_single_pattern_is_not_a_list_of_letters() -> None:
    """``images="*A"`` would otherwise mean ``*``, all images, and ``A``."""
    try:
        options = export_options(images="*A")  # a mistake that is easily made
    except OptionsError:
        return
    assert options.images == ("*A",)


def test_slides_may_be_given_as_text() -> None:
    try:
        options = export_options(slides=("/slides",))
    except OptionsError:
        return
    assert options.slides == (Path("/slides"),)


@pytest.mark.parametrize("value", [None, "ignore", "error", 1, 2**31 - 1])
def test_what_may_be_said_of_unclassified_objects(value: object) -> None:
    check_unclassified(value)


@pytest.mark.parametrize("value", ["Ignore", "", 0, -1, 2**31, True, 1.0, [1]])
def test_what_may_not_be_said_of_unclassified_objects(value: object) -> None:
    with pytest.raises(OptionsError):
        check_unclassified(value)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4g", 4 * 2**30), ("4G", 4 * 2**30), ("800m", 800 * 2**20), ("65536k", 64 * 2**20),
     ("1t", 2**40), ("64m", 64 * 2**20)],
)  # fmt: skip
def test_java_memory_sizes(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    "text", ["", "g", "4", "4gb", "-4g", "4.5g", " 4g", "4 g", "٤g", "4g\n", "0x4g", "63m", "1k"]
)
def test_what_is_no_java_memory_size(text: str) -> None:
    with pytest.raises(OptionsError, match="memory"):
        parse_memory(text)


@given(st.text(max_size=6))
def test_a_memory_size_is_understood_or_refused(text: str) -> None:
    """Java would not start with what is neither."""
    try:
        size = parse_memory(text)
    except OptionsError:
        return
    assert size >= 64 << 20
    assert text.isascii() and text[:-1].isdigit() and text[-1] in "kmgtKMGT"
