"""The tables that people read are the measured one."""

from __future__ import annotations

import pytest
from conftest import ROOT

from qpmask.ometiff.otherprograms import PROGRAMS, Program, shut_out

LEVELS = {"all": "all", "whole": "whole ones", "one": "level 0 alone"}
MARK = "<!-- programs -->"


def row(program: Program, *, details: bool) -> str:
    """One line of a Markdown table."""

    def cell(name: str) -> str:
        reading = getattr(program, name)
        return f"**{reading}**" if reading == "wrong" else reading

    cells = [program.name, program.versions, *map(cell, ("uint8", "uint16", "uint32"))]
    if details:
        cells += map(cell, ("zlib", "zstd", "none"))
        cells += ["right" if program.is_mended else cell("strips")]
        cells += [LEVELS[program.levels], f"`{program.call}`", program.note]
    else:
        cells += [cell("zstd"), LEVELS[program.levels]]
    return f"| {' | '.join(cells)} |".replace("  ", " ")


@pytest.mark.parametrize(("page", "details"), [("README.md", False), ("examples/readers.md", True)])
def test_the_page_holds_the_table(page: str, details: bool) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    table = text.partition(MARK)[2].strip().split("\n\n")[0].splitlines()
    assert table[2:] == [row(program, details=details) for program in PROGRAMS]


def test_choices_that_shut_out_no_program_say_nothing() -> None:
    assert shut_out("uint8", "lzw") == []


def test_each_choice_names_those_that_it_shuts_out() -> None:
    (uint16,) = shut_out("uint16", "lzw")
    assert uint16 == (
        "uint16 (labels above 255): such masks give wrong labels, without an error, in OpenSlide, "
        "SimpleITK, ITK and cuCIM. For SimpleITK and ITK there is --for simpleitk."
    )
    (zstd,) = shut_out("uint8", "zstd")
    assert "without an error, in libvips, pyvips and cannot be read by OpenCV" in zstd
    assert len(shut_out("uint32", "zstd")) == 2


def test_the_groovy_script_says_the_same() -> None:
    (sentences,) = shut_out("uint16", "lzw")
    script = (ROOT / "groovy" / "export_masks.groovy").read_text(encoding="utf-8")
    assert f"'{sentences.partition(' For SimpleITK')[0]}'" in script


def test_masks_for_simpleitk_shut_out_others_and_not_simpleitk() -> None:
    strips, uint16 = shut_out("uint16", "lzw", strips=True)
    assert "OpenSlide and large-image" in strips
    assert uint16.endswith("in cuCIM.")
