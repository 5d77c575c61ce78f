"""Class names in QuPath's form, at every door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask import MaskWriter, open_mask
from qpmask.classes import ClassEntry, ClassMap, class_map_from_dict, load_class_map
from qpmask.classes.names import class_name, class_pattern, why_refused
from qpmask.errors import ClassMapError, OptionsError

# What PathClass.fromString makes of a text, in QuPath 0.6 and 0.7; None: the class that is none.
FORMS = {
    "Tumor": "Tumor",
    "Tumor ": "Tumor",
    "\tTumor\n": "Tumor",
    "\u3000Tumor\u2028": "Tumor",
    "\N{NO-BREAK SPACE}Tumor": "\N{NO-BREAK SPACE}Tumor",
    "UBERON:1": "UBERON: 1",
    " Tumor :  Positive": "Tumor: Positive",
    "Tumor:": "Tumor",
    "Tumor:::": "Tumor",
    "a: b:c :d": "a: b: c: d",
    "Ignore*": "Ignore*",
    "tumor": "tumor",
    "Unclassified: Positive": "Unclassified: Positive",
    ":": None,
    ":::": None,
}
REFUSED = {
    "": "it is empty",
    " \t": "it is empty",
    ":Tumor": "a part of it is empty",
    "A::B": "a part of it is empty",
    "A: ": "a part of it is empty",
    " : ": "a part of it is empty",
}


@pytest.mark.parametrize(("text", "form"), FORMS.items())
def test_the_form_of_a_name(text: str, form: str | None) -> None:
    assert class_name(text) == form
    assert why_refused(text) is None


@pytest.mark.parametrize(("text", "why"), REFUSED.items())
def test_names_that_qupath_refuses(text: str, why: str) -> None:
    assert why_refused(text) == why


@given(st.text(alphabet="aB :\t\n\u00a0*é", max_size=12))
def test_a_form_is_the_form_of_itself(text: str) -> None:
    name = class_name(text)
    assert name is None or class_name(name) == name


@pytest.mark.qupath
@pytest.mark.usefixtures("qupath")
def test_qupath_gives_names_the_same_form() -> None:
    import jpype

    path_class = jpype.JClass("qupath.lib.objects.classes.PathClass")
    for text, form in FORMS.items():
        made = path_class.fromString(text)
        name = None if made == path_class.NULL_CLASS else str(made.toString())
        assert name == form, text
    for text in REFUSED:
        with pytest.raises(jpype.JClass("java.lang.IllegalArgumentException")):
            path_class.fromString(text)


# -- class maps ---------------------------------------------------------------------------------


def _written(tmp_path: Path, kind: str, name: str, alias: str) -> Path:
    path = tmp_path / f"map.{kind}"
    row = {"label": 1, "name": name, "aliases": [alias]}
    data: dict[str, Any] = {"classes": [row, {"label": 2, "name": "Stroma"}]}
    if kind == "csv":
        path.write_text(f'label,name,aliases\n1,"{name}","{alias}"\n2,Stroma,\n', "utf-8")
    else:  # JSON is YAML
        path.write_text(json.dumps(data), "utf-8")
    return path


@pytest.mark.parametrize("kind", ["yaml", "json", "csv"])
def test_files_of_classes(tmp_path: Path, kind: str) -> None:
    found = load_class_map(_written(tmp_path, kind, "Tumor ", "UBERON:1"))
    assert found.entries[0] == ClassEntry(1, "Tumor", aliases=("UBERON: 1",))
    assert found.find("UBERON :1") == found.entries[0]


def test_python_maps() -> None:
    found = class_map_from_dict({"Tumor ": 1, "UBERON:1": 2}, "x")
    assert [(e.label, e.name) for e in found.entries] == [(1, "Tumor"), (2, "UBERON: 1")]
    assert class_map_from_dict(found.as_dict(), "x").entries == found.entries


def test_an_alias_that_says_the_same_as_its_class_goes() -> None:
    made = ClassMap((ClassEntry(1, "Tumor", aliases=("Tumor ", "Tumour", " Tumour")),))
    assert made.entries == (ClassEntry(1, "Tumor", aliases=("Tumour",)),)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"Tumor ": 1, "Tumor": 2}, "'Tumor ' and 'Tumor' are one class, 'Tumor', and it has two"),
        ({"A:b": 1, "A: b": 1}, "'A:b' and 'A: b' are one class, 'A: b', and it has two labels"),
        ({"A::B": 1}, r"QuPath has no class 'A::B': a part of it is empty"),
        ({" ": 1}, r"QuPath has no class ' ': it is empty"),
        ({"Unclassified": 9}, "'Unclassified' is what QuPath calls objects without a class"),
        ({":": 9}, "':' is what QuPath calls objects without a class"),
    ],
)
def test_names_that_clash_or_mean_nothing_are_refused(raw: Any, text: str) -> None:
    with pytest.raises(ClassMapError, match=text):
        class_map_from_dict(raw, "classes")


def test_patterns_meet_the_form_of_the_names() -> None:
    ignore = ["Tumor:*", " Region ", "[:x]*"]
    found = class_map_from_dict({"classes": {"A": 1}, "ignore": ignore}, "x")
    assert found.ignore == ("Tumor: *", "Region", "[:x]*")
    assert found.ignores("Tumor: Positive") and found.ignores("Region")
    assert not found.ignores("Tumor")
    assert class_pattern(":") == ":" and class_pattern("*[*]") == "*[*]"


# -- masks --------------------------------------------------------------------------------------


def test_classes_of_masks_are_found_and_written_in_one_form(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with MaskWriter(path, 40, 30, classes={"Tumor ": 1, "UBERON:1": 2}) as writer:
        writer.write(0, 0, np.full((5, 5), 2, np.uint8))
    with open_mask(path) as mask:
        assert {n: row.name for n, row in mask.classes.items()} == {1: "Tumor", 2: "UBERON: 1"}
        assert mask.labels_of(" Tumor", "UBERON :1") == (1, 2)
        assert mask.binary("UBERON:1")[:].sum() == 25


def test_two_names_of_one_class_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="'A:b' and 'A: b' of the class table are one class"):
        MaskWriter(tmp_path / "a.ome.tif", 40, 30, classes={"A:b": 1, "A: b": 2})
