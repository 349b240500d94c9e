"""Audit folders from other people are checked: forged manifests, pipes, links and pickles are refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from audit_world import World, state

import sparkfly_nb
from sparkfly_nb import AuditFileError, read_audit, verify
from sparkfly_nb.audit.output.folder_writer import digest_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no owners and modes of this kind")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return World([state(1), state(2, redeemed="06-10")]).audit([1, 2]).to_csv(tmp_path_factory.mktemp("written"))


@pytest.fixture
def folder(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "audit"))


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


def replace_by_link(target):
    def act(path):
        path.unlink()
        path.symlink_to(target)

    return act


@pytest.mark.parametrize("check", [verify, read_audit])
@pytest.mark.parametrize("name", ["states.csv", "manifest.json"])
@pytest.mark.parametrize(
    "act", [replace_by_pipe, replace_by_link("/dev/zero"), replace_by_link("/etc/passwd")], ids=["pipe", "zero", "link"]
)
def test_only_regular_files_of_a_folder_are_read(act, name, check, folder):
    act(folder / name)

    with pytest.raises(AuditFileError, match=f"{name}.*link or not a file"):
        check(folder)


def forged(folder, change):
    """Change a manifest and correct its checksum, as anybody can."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    manifest["manifest_sha256"] = digest_of(manifest)
    path.write_text(json.dumps(manifest))


def put(*keys, value):
    def change(manifest):
        for key in keys[:-1]:
            manifest = manifest[key]
        manifest[keys[-1]] = value

    return change


def drop(*keys):
    def change(manifest):
        for key in keys[:-1]:
            manifest = manifest[key]
        del manifest[keys[-1]]

    return change


STATES = ("files", "states.csv")
FORGERIES = {
    "no files": drop("files"),
    "files of another kind": put("files", value=["states.csv"]),
    "an entry of another kind": put(*STATES, value=7),
    "rows of another kind": put(*STATES, "rows", value="2"),
    "no digest": drop(*STATES, "sha256"),
    "columns of another kind": put(*STATES, "columns", value=["a"]),
    "a dtype of another kind": put(*STATES, "columns", "member_id", value=["Int64"]),
    "an invalid dtype": put(*STATES, "columns", "member_id", value="os.system"),
    "a wrong dtype": put(*STATES, "columns", "member_id", value="string"),
    "a column left out": drop(*STATES, "columns", "status"),
    "a column of the plan left out": drop("files", "plan.csv", "columns", "member_id"),
    "no scope": drop("scope"),
    "a scope with an extra key": put("scope", "evil", value=1),
    "a scope of another kind": put("scope", "campaign", value={"a": 1}),
    "an invalid time": put("scope", "since", value="yesterday"),
    "no zone": drop("tz"),
    "a zone of another kind": put("tz", value=5),
    "a zone that is a path": put("tz", value="../../etc/passwd"),
    "a zone out of reach": put("tz", value="UTC+99:99"),
    "a zone far out of reach": put("tz", value="UTC+" + "9" * 30 + ":00"),
    "a moment out of reach": put("taken_at", value="9999-12-31T23:59:59Z"),
    "a user of another kind": put("user", value=None),
    "an address of another kind": put("address", value=["https://"]),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_manifest_is_refused(forgery, folder):
    forged(folder, forgery)

    with pytest.raises(AuditFileError):
        read_audit(folder)


def test_a_huge_manifest_is_refused(folder):
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(2**40)  # a sparse file

    with pytest.raises(AuditFileError, match="larger than"):
        verify(folder)


def test_a_deeply_nested_manifest_is_refused(folder):
    (folder / "manifest.json").write_text("[" * 100_000)

    with pytest.raises(AuditFileError, match="nested too deeply"):
        verify(folder)


def test_a_manifest_near_the_nesting_limit_is_refused(folder):
    path = folder / "manifest.json"
    written = path.read_text().rstrip().removesuffix("}")
    for levels in range(700, 1100):  # Python's json module reads deeper nesting than it writes
        path.write_text(f'{written}, "more": {"[" * levels}{"]" * levels}}}')

        with pytest.raises(AuditFileError):
            verify(folder)


def test_markup_in_a_forged_manifest_is_shown_as_text(folder):
    forged(folder, lambda manifest: manifest.update(user="<b>", environment="<script>", address="<i>"))

    assert "<script>" not in read_audit(folder)._repr_html_()


def test_only_the_state_store_unpickles():
    """That module unpickles only data that it keeps in memory."""
    package = Path(sparkfly_nb.__file__).parent
    unpickling = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(word in path.read_text() for word in ("pickle.load", "Unpickler", "read_pickle", "joblib.load"))
    ]

    assert unpickling == ["audit/state_store.py"]
