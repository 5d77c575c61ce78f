"""Class maps: their files, what is refused in them, and labels that never shift."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import TESTS
from hypothesis import assume, given
from hypothesis import strategies as st

from qpmask.classes import (
    ClassEntry,
    ClassMap,
    UnclassifiedRow,
    class_map_from_classes,
    class_map_from_dict,
    load_class_map,
    load_preset,
    parse_color,
    preset_names,
)
from qpmask.classes.names import class_name
from qpmask.errors import ClassMapError
from qpmask.options import MAX_LABEL
from qpmask.project import ProjectClass

UNIT = TESTS / "data" / "unit"


def load(tmp_path: Path, name: str, text: str | bytes) -> ClassMap:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_class_map(path)


def refused(tmp_path: Path, name: str, text: str | bytes) -> ClassMapError:
    with pytest.raises(ClassMapError) as caught:
        load(tmp_path, name, text)
    assert str(tmp_path / name) in caught.value.message, "the message does not name the file"
    return caught.value


TWO = (
    ClassEntry(3, "Stroma", (0, 150, 0)),
    ClassEntry(1, "Tumor", (200, 0, 0), ("Tumour", "Tumor: Positive")),
)


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["two.yaml", "two.json", "two.csv", "semicolons.csv", "two.tsv"])
def test_one_map_in_every_format(tmp_path: Path, name: str) -> None:
    """The draw order is that of the file, not of the labels."""
    assert load_class_map(UNIT / name).entries == TWO
    upper = tmp_path / name.upper()
    shutil.copy(UNIT / name, upper)
    assert load_class_map(str(upper)).entries == TWO
    marked = tmp_path / f"bom-{name}"
    marked.write_bytes(b"\xef\xbb\xbf" + (UNIT / name).read_bytes())
    assert load_class_map(marked).entries == TWO


def test_what_else_a_map_says() -> None:
    class_map = load_class_map(UNIT / "two.yaml")
    assert class_map.ignore == ("Region*", "Artifact")
    assert class_map.unclassified == 9
    plain = load_class_map(UNIT / "two.csv")
    assert plain.ignores("Region*") and plain.unclassified is None


def test_a_plain_mapping_is_enough(tmp_path: Path) -> None:
    wanted = (ClassEntry(2, "Tumor"), ClassEntry(1, "Stroma"))
    assert load(tmp_path, "a.yaml", "Tumor: 2\nStroma: 1\n").entries == wanted
    assert load(tmp_path, "a.json", '{"Tumor": 2, "Stroma": 1}').entries == wanted
    assert load(tmp_path, "b.yml", "classes: {Tumor: 2, Stroma: 1}").entries == wanted


@pytest.mark.parametrize("word", ["No", "yes", "off", "null", "~", "1.5", "2024-01-01", "12"])
def test_words_that_yaml_takes_for_something_else(tmp_path: Path, word: str) -> None:
    """``No`` is a class of immune stainings, and False in YAML."""
    for text in (f"classes: [{{label: 1, name: {word}}}]", f"classes:\n  {word}: 1\n"):
        error = refused(tmp_path, "a.yaml", text)
        assert error.hint is not None and "quotes" in error.hint
    quoted = load(tmp_path, "a.yaml", f'classes: [{{label: 1, name: "{word}"}}]')
    assert quoted.find(word) == ClassEntry(1, word)


def test_an_unquoted_colour_is_not_silently_a_comment(tmp_path: Path) -> None:
    refused(tmp_path, "a.yaml", "classes: [{label: 1, name: A, color: #c80000}]")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no class map"),
        ("- {label: 1, name: A}", "holds no class map"),
        ("just text", "holds no class map"),
        ("classes:", "no list of classes"),
        ("{}", "no list of classes"),
        ("classes: []\ncolours: 3", "unknown key 'colours'"),
        ("Tumor: 1\nStroma: two", "Stroma"),
        ("classes: [3]", "class 1: expected label and name, found 3"),
        ("classes: [{label: 1}]", "the name None is not text"),
        ("classes: [{name: A}]", "the label None is not a whole number"),
        ("classes: [{label: 1, name: A, colour: red}]", "unknown key 'colour'"),
        ("classes: [{label: 1.0, name: A}]", "the label 1.0 is not"),
        ('classes: [{label: "1", name: A}]', "the label '1' is not"),
        ("classes: [{label: true, name: A}]", "the label True is not"),
        ("classes: [{label: 1, name: ''}]", "the name '' is not"),
        ("classes: [{label: 1, name: A, color: red}]", "'red' is not a color"),
        ("classes: [{label: 1, name: A, color: [1, 2]}]", "not a color"),
        ("classes: [{label: 1, name: A, aliases: [3]}]", "'aliases' must be a list"),
        ("classes: [{label: 1, name: A, aliases: {B: 1}}]", "'aliases' must be a list"),
        ("classes: {A: 1}\nignore: [3]", "'ignore' must be a list"),
        ("classes: {A: 1}\nunclassified: skip", "'ignore', 'error' or a label"),
        ("classes: {A: 1}\nunclassified: 0", "unclassified is 0"),
        ("classes: {A: 1}\n\tB: 2", "line 2"),
        ("classes: [", "not valid YAML"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_maps_that_make_no_sense(tmp_path: Path, text: str, words: str) -> None:
    assert words in str(refused(tmp_path, "a.yaml", text))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"classes": 3}', '{"A": NaN}'])
def test_json_that_is_no_map(tmp_path: Path, text: str) -> None:
    refused(tmp_path, "a.json", text)


@pytest.mark.parametrize(("name", "text"), [("a.json", "[" * 5_000), ("a.yaml", "[" * 2000)])
def test_nested_without_end(tmp_path: Path, name: str, text: str) -> None:
    refused(tmp_path, name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.yaml", "Tumor: 1\nTumor: 2\n"), ("a.json", '{"Tumor": 1, "Tumor": 2}'),
     ("b.yaml", "classes: [{label: 1, name: A, label: 2}]")],
)  # fmt: skip
def test_a_name_that_stands_twice_in_a_mapping(tmp_path: Path, name: str, text: str) -> None:
    refused(tmp_path, name, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no columns 'label' and 'name'"),
        ("1,A\n2,B\n", "no columns 'label' and 'name'"),
        ("label,class\n1,A\n", "no columns"),
        ("label,name\none,A\n", "line 2: the label 'one' is not a whole number"),
        ("label,name\n1,A\n2.0,B\n", "line 3: the label '2.0'"),
        ("label,name\n,A\n", "line 2: the label ''"),
        ("label,name\n1\n", "line 2"),
        ("label,name,color\n1,A,red\n", "line 2: 'red' is not a color"),
        ("label,name\n1,A\n1,B\n", "The label 1 stands for 'A' and for 'B'"),
        ("label,name\n1,A\n2,A\n", "'A' has two labels, 1 and 2"),
        ("label,name\n0,A\n", "0 is the background"),
        ('label,name\n"1,A\n2,B\n', "not a whole number"),
    ],
)
def test_tables_that_make_no_sense(tmp_path: Path, text: str, words: str) -> None:
    assert words in str(refused(tmp_path, "a.csv", text))


@pytest.mark.parametrize(
    "text", ["label,name\r1,A\r2,B\r", f"label,name\n1,{'x' * 200_000}\n"], ids=["cr", "long"]
)
def test_tables_that_the_csv_module_refuses(tmp_path: Path, text: str) -> None:
    try:
        class_map = load(tmp_path, "a.csv", text)
    except ClassMapError:
        return
    assert [e.label for e in class_map.entries] == [1, 2]


def test_tables_by_hand(tmp_path: Path) -> None:
    text = (
        "name , LABEL,aliases,Color\r\n"
        '"Tumor, invasive", 7 , a | b||,"1, 2, 3"\r\n'
        ",,,\r\n"
        "\r\n"
        "No,+2,,\r\n"
    )
    assert load(tmp_path, "a.csv", text).entries == (
        ClassEntry(7, "Tumor, invasive", (1, 2, 3), ("a", "b")), ClassEntry(2, "No"),
    )  # fmt: skip


def test_a_column_that_is_nearly_one_of_ours(tmp_path: Path) -> None:
    refused(tmp_path, "a.csv", "label,name,colour\n1,A,#ffffff\n")


@pytest.mark.parametrize("name", ["map.txt", "map", "map.xlsx"])
def test_endings_that_say_nothing(tmp_path: Path, name: str) -> None:
    error = refused(tmp_path, name, "label,name\n1,A\n")
    assert error.hint is not None and ".csv" in error.hint


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ClassMapError, match=r"gone\.yaml cannot be read"):
        load_class_map(tmp_path / "gone.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ClassMapError, match="cannot be read"):
        load_class_map(tmp_path / "folder.yaml")
    error = refused(tmp_path, "a.csv", "label,name\n1,Präparat\n".encode("utf-16"))
    assert error.hint == "Save it as UTF-8."
    refused(tmp_path, "a.csv", "label,name\n1,Präparat\n".encode("latin-1"))


# -- what a map may be --------------------------------------------------------------------------


@pytest.mark.parametrize("label", [0, -1, 2**31])
def test_labels_beyond_the_range(label: int) -> None:
    with pytest.raises(ClassMapError, match="1 to 2,147,483,647"):
        ClassMap((ClassEntry(label, "A"),))


def test_labels_at_the_ends_of_the_range() -> None:
    assert ClassMap((ClassEntry(1, "A"), ClassEntry(MAX_LABEL, "B"))).max_label == MAX_LABEL
    assert ClassMap(()).max_label == 0


@pytest.mark.parametrize(
    "entries",
    [
        (ClassEntry(1, "A"), ClassEntry(1, "B")),
        (ClassEntry(1, "A"), ClassEntry(2, "A")),
        (ClassEntry(1, "A", aliases=("B",)), ClassEntry(2, "B")),
        (ClassEntry(1, "A"), ClassEntry(2, "B", aliases=("A",))),
        (ClassEntry(1, "A", aliases=("A",)),),
    ],
)
def test_nothing_may_stand_twice(entries: tuple[ClassEntry, ...]) -> None:
    with pytest.raises(ClassMapError, match=r"has two labels|stands for"):
        ClassMap(entries)


def test_classes_are_found_by_their_exact_name() -> None:
    class_map = ClassMap(TWO)
    assert class_map.find("Tumor") == class_map.find("Tumour") == TWO[1]
    assert class_map.find("Tumor: Positive") == TWO[1]
    assert class_map.find(" Tumor ") == TWO[1]
    assert class_map.find("Tumor:Positive") == TWO[1]
    for name in ("tumor", "Tumor: Negative", "Tumor\N{NO-BREAK SPACE}", "", "Unclassified"):
        assert class_map.find(name) is None


def test_classes_that_are_left_out_on_purpose() -> None:
    class_map = ClassMap((ClassEntry(1, "Region*"),))
    assert class_map.ignores("Ignore*") and class_map.ignores("*")
    assert not class_map.ignores("Region*"), "a class with a label is drawn"
    assert not class_map.ignores("Ignore"), "the asterisk belongs to the name"
    assert not class_map.ignores("Region* 2")
    patterns = ClassMap((), ignore=("Tumor: *", "Fold?"))
    assert patterns.ignores("Tumor: Positive") and patterns.ignores("Folds")
    assert not patterns.ignores("tumor: Positive") and not patterns.ignores("Ignore*")


def test_nearest_names() -> None:
    class_map = load_preset("prostate")
    assert class_map.nearest("tumor")[0] == "Tumor"
    assert class_map.nearest("Benign glands")[0] == "Benign gland"
    assert class_map.nearest("Nerv")[:1] == ["Nerve"]
    assert class_map.nearest("Zebra") == []
    assert len(class_map.nearest("Normal secretion", 1)) == 1


COLORS: list[tuple[Any, Any]] = [
    ("#C80000", (200, 0, 0)), ("c80000", (200, 0, 0)), (" #0a0B0c ", (10, 11, 12)),
    ("1,2,3", (1, 2, 3)), ("1; 2; 3", (1, 2, 3)), ("1 2 3", (1, 2, 3)),
    ([0, 128, 255], (0, 128, 255)), ((1, 2, 3), (1, 2, 3)), (None, None), ("", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "color"), COLORS)
def test_colours(value: Any, color: Any) -> None:
    assert parse_color(value, "here") == color


@pytest.mark.parametrize(
    "value",
    ["red", "#fff", "#12345g", "#1234567", "256,0,0", "1,2", "1,2,3,4", "-1,2,3", [1, 2],
     [1, 2, 256], [1.0, 2.0, 3.0], [True, False, True], 0xC80000, {}, []],
)  # fmt: skip
def test_what_is_no_colour(value: Any) -> None:
    with pytest.raises(ClassMapError, match=r"here: .* is not a color"):
        parse_color(value, "here")


# -- objects without a class, and the order of drawing ------------------------------------------

ROWS = {
    "map.yaml": """classes:
  - {label: 2, name: Stroma}
  - {label: 7, unclassified: true, color: "#010203"}
  - {label: 1, name: Tumor}
order: area
""",
    "map.json": """{"order": "area", "classes": [{"label": 2, "name": "Stroma"},
  {"label": 7, "name": "Unclassified", "unclassified": true, "color": [1, 2, 3]},
  {"label": 1, "name": "Tumor"}]}""",
    "map.csv": "label,name,color,unclassified\n2,Stroma,,\n7,,#010203,TRUE\n1,Tumor,,no\n",
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_places_objects_without_a_class(tmp_path: Path, name: str) -> None:
    found = load(tmp_path, name, ROWS[name])
    assert [e.name for e in found.entries] == ["Stroma", "Tumor"]
    assert found.unclassified_row == UnclassifiedRow(7, 1, "Unclassified", (1, 2, 3))
    assert [row.label for row in found.rows] == [2, 7, 1]
    assert found.order == ("classes" if name.endswith("csv") else "area")
    assert found.find("Unclassified") is None
    assert found.extended([ProjectClass("New", None)]).entries[-1].label == 8


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('[{"label": 1, "unclassified": true}, {"label": 2, "unclassified": true}]', "second row"),
        ('[{"label": 1, "name": "A"}, {"label": 1, "unclassified": true}]', "'A' and for objects"),
        ('[{"label": 0, "unclassified": true}]', "labels are 1 to"),
        ('[{"label": 1, "unclassified": "yes"}]', "true or false"),
        ('[{"label": 1, "unclassified": true, "aliases": ["B"]}]', "no aliases"),
        ('[{"unclassified": true}]', "whole number"),
        ('[{"label": 1, "unclassified": true}], "unclassified": 2', "a row gives"),
        ('[{"label": 1, "unclassified": true}], "unclassified": "ignore"', "a row gives"),
        ('[], "order": "size"', "classes, area"),
        ('[], "order": ["area"]', "classes, area"),
    ],
)
def test_rows_and_orders_that_make_no_sense(tmp_path: Path, rows: str, words: str) -> None:
    assert words in refused(tmp_path, "a.json", f'{{"classes": {rows}}}').message


def test_a_cell_that_says_neither_yes_nor_no(tmp_path: Path) -> None:
    text = "label,name,unclassified\n1,A,maybe\n"
    assert "true or false" in refused(tmp_path, "a.csv", text).message


# -- there and back -----------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
awkward = st.sampled_from(
    ["No", "null", "~", "1", "1e3", "0x1f", "2024-01-01", "- a", "#c", "a: b", "{", "[x", "'", '"',
     "*a", "&a", "!t", "%", "@", "`", "a #b", " lead", "trail ", "\t", "a\nb", "Tumor: Positive",
     "Sin clasificación", "病", "x" * 300, "a, b", "y", "=", "<<", "?", "|", ">", "---", "..."]
)  # fmt: skip


def in_form(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Names as QuPath has them."""
    return of.map(lambda text: class_name(text) or "").filter(bool)


names = in_form(texts | awkward)


@st.composite
def class_maps(draw: st.DrawFn, name: st.SearchStrategy[str] = names) -> ClassMap:
    unique = draw(st.lists(name, unique=True, max_size=8))
    labels = draw(st.permutations(draw(
        st.lists(st.integers(1, MAX_LABEL), unique=True, min_size=len(unique), max_size=len(unique))
    )))  # fmt: skip
    colors = st.none() | st.tuples(*[st.integers(0, 255)] * 3)
    entries: list[ClassEntry] = []
    for text, label in zip(unique, labels, strict=True):
        if entries and draw(st.booleans()):
            last = entries[-1]
            entries[-1] = ClassEntry(last.label, last.name, last.color, (*last.aliases, text))
        else:
            entries.append(ClassEntry(label, text, draw(colors)))
    taken = {entry.label for entry in entries}
    row = None
    if draw(st.booleans()):
        label = draw(st.integers(1, 65535).filter(lambda n: n not in taken))
        row = UnclassifiedRow(label, draw(st.integers(0, len(entries))), draw(name), draw(colors))
    return ClassMap(
        tuple(entries),
        tuple(draw(st.lists(name, max_size=3))),
        None if row else draw(st.sampled_from([None, "ignore", "error", 1, MAX_LABEL])),
        draw(st.sampled_from(["project", "given", "/a  b/c: d.yaml", "preset prostate"])),
        row,
        draw(st.sampled_from(["classes", "area"])),
    )


@given(class_maps(in_form(texts.filter(lambda t: t.isprintable()) | awkward)))
def test_a_map_survives_its_own_yaml(class_map: ClassMap) -> None:
    import yaml

    text = class_map.to_yaml()
    assert class_map_from_dict(yaml.safe_load(text), "x") == class_map
    assert "\r" not in text


@pytest.mark.parametrize(
    "name", ["\x07", "\x7f", "a\r\nb", "\ufeff", "a\u2028b", "a\u2029b", "a\x85b", "half \ud800"]
)
def test_names_with_odd_line_ends_survive_yaml(tmp_path: Path, name: str) -> None:
    class_map = ClassMap((ClassEntry(1, name),))
    assert load(tmp_path, "a.yaml", class_map.to_yaml()).entries == class_map.entries


@given(class_maps())
def test_a_map_survives_json(class_map: ClassMap) -> None:
    data = json.loads(json.dumps(class_map.as_dict()))
    assert class_map_from_dict(data, "x") == class_map


@given(class_maps(), class_maps())
def test_fingerprints_tell_maps_apart(one: ClassMap, two: ClassMap) -> None:
    def content(m: ClassMap) -> object:
        return m.entries, m.ignore, m.unclassified, m.unclassified_row, m.order

    same = content(one) == content(two)
    assert (one.fingerprint() == two.fingerprint()) == same


def test_fingerprints_are_of_content_and_order() -> None:
    one = ClassMap(TWO)
    assert one.fingerprint() == ClassMap(TWO, origin="elsewhere").fingerprint()
    assert one.fingerprint() != ClassMap(TWO[::-1]).fingerprint(), "the draw order decides pixels"
    assert one.fingerprint() != ClassMap(TWO, unclassified=7).fingerprint()
    assert one.fingerprint() != ClassMap(TWO, ignore=()).fingerprint()
    recolored = (TWO[0], ClassEntry(1, "Tumor", None, TWO[1].aliases))
    assert one.fingerprint() != ClassMap(recolored).fingerprint()


# -- presets ------------------------------------------------------------------------------------

PROSTATE = [
    "Abnormal secretions", "Adipose tissue", "Artifact", "Atypical intraductal proliferation",
    "Bening gland", "Blood vessels", "Fibromuscular bundles",
    "High grade prostatic intraepithelial neoplasia (HGPIN)", "Immune cells",
    "Intestinal glands and mucus", "Intraductal carcinoma", "Mitosis", "Muscle", "Necrosis",
    "Negative", "Nerve", "Nerve ganglion", "Normal secretions", "Prominent nucleolus",
    "Red blood cells", "Seminal vesicle", "Sin clasificación", "Stroma", "Tumor",
]  # fmt: skip


def test_the_prostate_preset_is_as_agreed() -> None:
    preset = load_preset("prostate")
    assert "prostate" in preset_names()
    assert [(e.label, e.name) for e in preset.entries] == list(enumerate(PROSTATE, 1))
    assert {e.name: e.aliases for e in preset.entries if e.aliases} == {
        "Bening gland": ("Benign gland",)
    }
    assert preset.find("Benign gland") == preset.find("Bening gland")
    assert all(e.color is not None for e in preset.entries)
    assert len({e.color for e in preset.entries}) == 24, "two classes look the same"


def test_presets_that_do_not_exist() -> None:
    for name in ("Prostate", "../presets/prostate", ""):
        with pytest.raises(ClassMapError, match="no preset") as caught:
            load_preset(name)
        assert caught.value.hint is not None and "prostate" in caught.value.hint


# -- labels that follow a project ---------------------------------------------------------------


def project_classes(*names: str) -> list[ProjectClass]:
    return [ProjectClass(name, None) for name in names]


def labels(class_map: ClassMap) -> dict[str, int]:
    return {e.name: e.label for e in class_map.entries}


def test_labels_follow_the_list_and_then_the_names() -> None:
    listed = project_classes("Tumor", "Ignore*", "Stroma", "Region*")
    used = project_classes("Zebra", "Stroma", "Adipose", "Other*", "Tumor: Positive")
    class_map = class_map_from_classes(listed, used)
    assert labels(class_map) == {
        "Tumor": 1, "Stroma": 2, "Adipose": 3, "Tumor: Positive": 4, "Zebra": 5
    }  # fmt: skip
    assert class_map.origin == "project"


def test_colours_come_along() -> None:
    class_map = class_map_from_classes(
        [ProjectClass("A", (1, 2, 3))], [ProjectClass("B", (4, 5, 6)), ProjectClass("A", None)]
    )
    assert [e.color for e in class_map.entries] == [(1, 2, 3), (4, 5, 6)]


@given(st.lists(names, unique=True, max_size=8), st.lists(names, unique=True, max_size=8))
def test_labels_never_shift(first: list[str], later: list[str]) -> None:
    """A project's classes may come and go: what had a label keeps it, and nothing else gets it."""
    old = class_map_from_classes(project_classes(*first))
    new = old.extended(project_classes(*later))
    assert new.entries[: len(old.entries)] == old.entries
    assert set(labels(new)) == set(labels(old)) | set(later)
    assert len({e.label for e in new.entries}) == len(new.entries)


def test_a_label_that_was_taken_away_is_not_given_again() -> None:
    """Someone removed a class from the middle of the saved map."""
    class_map = ClassMap((ClassEntry(1, "A"), ClassEntry(7, "C")))
    assert labels(class_map.extended(project_classes("B"))) == {"A": 1, "C": 7, "B": 8}


def test_aliases_need_no_label_of_their_own() -> None:
    class_map = ClassMap((ClassEntry(1, "Tumor", aliases=("Tumour",)),))
    assert class_map.extended(project_classes("Tumour")) == class_map


def test_more_classes_than_labels() -> None:
    full = ClassMap((ClassEntry(MAX_LABEL, "A"),))
    with pytest.raises(ClassMapError, match="2147483648"):
        full.extended(project_classes("B"))


def test_a_class_name_that_is_no_text() -> None:
    ClassMap((ClassEntry(1, "\ud800"),)).fingerprint()


@given(st.dictionaries(names, st.integers(1, MAX_LABEL), max_size=6))
def test_a_mapping_of_names_and_labels(mapping: dict[str, int]) -> None:
    assume(len(set(mapping.values())) == len(mapping))
    assert labels(class_map_from_dict({"classes": mapping}, "x")) == mapping
