from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ometiff.mask_samples import AWKWARD_NAME, CLASSES

from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.ometiff import ClassRow, MaskMetadata, from_ome_xml, to_ome_xml

FULL = MaskMetadata(
    name='Slide <1> & "2" µm\'s',
    size=Size(5003, 4097),
    size_c=2,
    size_z=3,
    size_t=1,
    dtype="uint16",
    pixel_size=PixelSize(0.2527, 0.25),
    classes=CLASSES,
    channel_names=("Stroma", "b<"),
    channel_colors=((255, 0, 7), None),
    extra={"downsample": "1.0", "source & co": "a\nb\t<c>", "entry": "7"},
)


def test_round_trip() -> None:
    assert from_ome_xml(to_ome_xml(FULL)) == FULL


def test_a_plain_mask_needs_no_annotations() -> None:
    plain = MaskMetadata("m", Size(1, 2))
    xml = to_ome_xml(plain)
    assert b"Annotation" not in xml
    assert b"PhysicalSize" not in xml
    assert from_ome_xml(xml) == plain


def test_the_levels_are_listed_as_bio_formats_does() -> None:
    xml = to_ome_xml(FULL, [Size(2502, 2049), Size(1251, 1025)])
    root = ElementTree.fromstring(xml)
    by_namespace = {
        part.get("Namespace"): {row.get("K"): row.text for row in part.iter() if row.get("K")}
        for part in root.findall(".//{*}MapAnnotation")
    }
    assert by_namespace["openmicroscopy.org/PyramidResolution"] == {
        "1": "2502 2049",
        "2": "1251 1025",
    }
    assert len(root.findall(".//{*}AnnotationRef")) == len(by_namespace) == 3
    assert from_ome_xml(xml) == FULL


def test_bytes_are_raw_utf8_without_character_references() -> None:
    xml = to_ome_xml(FULL)
    assert "µm".encode() in xml
    assert b"&#" not in xml


def test_planes_are_numbered_channel_first() -> None:
    root = ElementTree.fromstring(to_ome_xml(FULL))
    planes = [
        [int(element.attrib[key]) for key in ("IFD", "FirstC", "FirstZ", "FirstT", "PlaneCount")]
        for element in root.findall(".//{*}TiffData")
    ]
    assert planes == [
        [0, 0, 0, 0, 1],
        [1, 1, 0, 0, 1],
        [2, 0, 1, 0, 1],
        [3, 1, 1, 0, 1],
        [4, 0, 2, 0, 1],
        [5, 1, 2, 0, 1],
    ]


def test_a_channel_has_its_colour() -> None:
    root = ElementTree.fromstring(to_ome_xml(FULL))
    colors = [channel.get("Color") for channel in root.findall(".//{*}Channel")]
    assert colors == [str(0xFF0007FF - 2**32), None]


def test_what_xml_cannot_hold_is_replaced() -> None:
    metadata = MaskMetadata(
        "a\x00b\tc", Size(1, 1), channel_names=("\ufffe",), extra={"k\n": "\ud800\r\nx\r"}
    )
    back = from_ome_xml(to_ome_xml(metadata))
    assert back.name == "a\ufffdb c"
    assert back.channel_names == ("\ufffd",)
    assert back.extra == {"k ": "\ufffd\nx\n"}


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_class_name_survives(name: str) -> None:
    metadata = MaskMetadata("m", Size(1, 1), classes=(ClassRow(1, name, (1, 2, 3)),))
    assert from_ome_xml(to_ome_xml(metadata)) == metadata


@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_any_text_can_be_read_back(name: str, extra: dict[str, str]) -> None:
    once = from_ome_xml(to_ome_xml(MaskMetadata(name, Size(1, 1), extra=extra)))
    assert from_ome_xml(to_ome_xml(once)) == once


@given(st.floats(1e-5, 1e9), st.floats(1e-5, 1e9))
def test_pixel_size_is_exact(width_um: float, height_um: float) -> None:
    metadata = MaskMetadata("m", Size(1, 1), pixel_size=PixelSize(width_um, height_um))
    assert from_ome_xml(to_ome_xml(metadata)) == metadata


def test_the_schema_agrees() -> None:
    ome_types = pytest.importorskip("ome_types", reason="ome-types validates OME-XML")
    ome = ome_types.from_xml(to_ome_xml(FULL), validate=True)
    pixels = ome.images[0].pixels
    assert (pixels.size_x, pixels.size_c, pixels.size_z) == (5003, 2, 3)
    assert (pixels.physical_size_x, pixels.physical_size_x_unit.value) == (0.2527, "µm")
    assert ome.images[0].name == FULL.name
    namespaces = [a.namespace for a in ome.structured_annotations.map_annotations]
    assert namespaces == ["qpmask/classes", "qpmask/mask"]


def test_256_classes_validate() -> None:
    ome_types = pytest.importorskip("ome_types", reason="ome-types validates OME-XML")
    classes = tuple(ClassRow(i, f"{AWKWARD_NAME} {i}", (i, 0, 0)) for i in range(256))
    metadata = MaskMetadata("m", Size(1, 1), classes=classes)
    assert from_ome_xml(to_ome_xml(metadata)) == metadata
    ome_types.from_xml(to_ome_xml(metadata), validate=True)


def test_other_programs_xml() -> None:
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/'
        'OME/2013-06"><Image ID="Image:0"><Pixels ID="P" SizeX="7" SizeY="9" SizeC="3" '
        'PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="0.001" PhysicalSizeYUnit="mm" '
        'Type="uint8" DimensionOrder="XYCZT"><Channel ID="c" SamplesPerPixel="3"/></Pixels></Image>'
        "</OME>\0"
    )
    back = from_ome_xml(xml)
    assert back.size == Size(7, 9)
    assert back.size_c == 3
    assert back.pixel_size == PixelSize(0.5, 1.0)
    assert back.classes == () and back.channel_names == () and back.name == ""


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('PhysicalSizeX="1"', None),
        ('PhysicalSizeX="0" PhysicalSizeY="1"', None),
        ('PhysicalSizeX="nan" PhysicalSizeY="1"', None),
        ('PhysicalSizeX="1" PhysicalSizeY="1" PhysicalSizeXUnit="pixel"', None),
        ('PhysicalSizeX="1" PhysicalSizeY="2"', PixelSize(1, 2)),
        (
            'PhysicalSizeX="1" PhysicalSizeXUnit="in" PhysicalSizeY="2500" PhysicalSizeYUnit="Å"',
            PixelSize(25_400, 0.25),
        ),
    ],
)
def test_pixel_sizes_that_say_nothing(attributes: str, expected: PixelSize | None) -> None:
    xml = f'<OME><Image><Pixels SizeX="1" SizeY="1" {attributes}/></Image></OME>'
    assert from_ome_xml(xml).pixel_size == expected


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"no xml",
        b"<OME>",
        b"\xff\xfe",
        b"<svg/>",
        b"<OME/>",
        b"<OME><Image/></OME>",
        b"<OME><Image><Pixels/></Image></OME>",
        b'<OME><Image><Pixels SizeX="a" SizeY="1"/></Image></OME>',
        b'<!DOCTYPE x [<!ENTITY a "b">]><OME><Image><Pixels SizeX="1" SizeY="1"/></Image></OME>',
        to_ome_xml(FULL).replace(b'{"name": "Stroma"', b'{"nome": "Stroma"'),
        to_ome_xml(FULL).replace(b'{"name": "Stroma"', b'{"name: "Stroma"'),
        to_ome_xml(FULL).replace(b"#c80000", b"#c8000"),
        to_ome_xml(FULL).replace(b'K="2"', b'K="two"'),
        to_ome_xml(FULL).replace(b'K="2"', b'K="1"'),
        b"<OME>" * 100_000,
    ],
)
def test_nonsense_is_a_mask_error(xml: bytes) -> None:
    with pytest.raises((MaskError, OptionsError)):
        from_ome_xml(xml)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClassRow(-1, "a"),
        lambda: ClassRow(1, "a", (0, 0, 256)),
        lambda: MaskMetadata("m", Size(1, 1), classes=(ClassRow(1, "a"), ClassRow(1, "b"))),
        lambda: MaskMetadata("m", Size(1, 1), size_c=2, channel_names=("a",)),
        lambda: MaskMetadata("m", Size(1, 1), channel_colors=((0, 0, 0), None)),
        lambda: MaskMetadata("m", Size(1, 1), pixel_size=PixelSize(0, 1)),
        lambda: MaskMetadata("m", Size(1, 1), pixel_size=PixelSize(1, float("nan"))),
    ],
)
def test_records_that_make_no_sense(make: object) -> None:
    with pytest.raises(OptionsError):
        make()  # type: ignore[operator]


def test_a_record_can_be_hashed() -> None:
    assert hash(FULL) == hash(from_ome_xml(to_ome_xml(FULL)))
