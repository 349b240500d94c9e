"""Paths from users, atomic writes, and private files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sparkfly_nb.errors import AuditFileError, InvalidInput
from sparkfly_nb.files import as_path, make_private_file, replacing


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("value", ["audit/states.csv", Path("audit/states.csv")], ids=["str", "Path"])
def test_as_path_accepts_str_and_path(value):
    assert as_path(value) == Path("audit/states.csv")


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", None, 7, ["a"]], ids=ascii)
def test_as_path_rejects_values_that_cannot_be_a_path(value):
    with pytest.raises(InvalidInput) as caught:
        as_path(value)

    assert str(caught.value).startswith(f"{value!a} is not a valid path; ")


def test_as_path_shortens_a_long_value_in_the_message():
    with pytest.raises(InvalidInput) as caught:
        as_path("\x00" + "x" * 10_000)

    assert len(str(caught.value)) < 200


def test_replacing_renames_the_file_when_the_block_ends(tmp_path):
    path = tmp_path / "audit.xlsx"
    path.write_text("old")

    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"

    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["audit.xlsx"]


def test_replacing_writes_beside_the_file_with_the_same_suffix(tmp_path):
    with replacing(tmp_path / "audit.xlsx") as temporary:
        temporary.touch()

        assert temporary.parent == tmp_path
        assert temporary.suffix == ".xlsx"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_replacing_keeps_the_old_file_when_the_block_fails(tmp_path, error):
    path = tmp_path / "audit.xlsx"
    path.write_text("old")

    with pytest.raises(error), replacing(path) as temporary:  # noqa: PT012 - the block is what is tested
        temporary.write_text("half")
        raise error

    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["audit.xlsx"]


def test_replacing_reports_an_error_of_the_file_system(tmp_path):
    path = tmp_path / "missing" / "audit.xlsx"

    with pytest.raises(AuditFileError) as caught, replacing(path) as temporary:
        temporary.write_text("new")

    assert str(caught.value) == f"{path} was not written, and nothing was left behind: No such file or directory"
    assert names_in(tmp_path) == []


def test_replacing_accepts_the_longest_file_name(tmp_path):
    path = tmp_path / f"{'x' * 250}.csv"

    with replacing(path) as temporary:
        temporary.write_text("new")

    assert path.read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="file modes exist on POSIX only")
def test_private_file_is_created_with_its_folder(tmp_path):
    path = tmp_path / "state" / "ledger.db"

    make_private_file(path, with_folder=True)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="file modes exist on POSIX only")
def test_existing_file_becomes_private_and_keeps_its_content(tmp_path):
    path = tmp_path / "ledger.db"
    path.write_text("rows")
    path.chmod(0o644)

    make_private_file(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "rows"


def test_private_file_with_an_impossible_name_raises_os_error(tmp_path):
    with pytest.raises(OSError, match="no file name can contain"):
        make_private_file(tmp_path / "a\x00b")
