"""The README is correct: its Python runs in order on the sandbox, and its outcomes, links and targets exist."""

from __future__ import annotations

import re

import pytest
from paths import ROOT

from sparkfly_nb import Session
from sparkfly_nb.schema import OUTCOMES

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def credentials(sandbox_service, monkeypatch):
    """Set the environment variables that the README mentions, for the sandbox."""
    monkeypatch.setenv("SPARKFLY_ENVIRONMENT", "sandbox")
    monkeypatch.setenv("SPARKFLY_BASE_URL", sandbox_service.base_url)
    monkeypatch.setenv("SPARKFLY_IDENTITY", sandbox_service.identity.reveal())
    monkeypatch.setenv("SPARKFLY_KEY", sandbox_service.key.reveal())


def test_readme_python_runs_in_order(credentials, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    names = {}

    try:
        for number, block in enumerate(blocks):
            exec(compile(block, f"README.md, block {number}", "exec"), names)
        written = (tmp_path / "demo_output" / "audit.csv").read_text(encoding="utf-8")
    finally:
        if isinstance(names.get("session"), Session):
            names["session"].close()

    assert len(blocks) == 3
    assert names["result"]["outcome"].tolist() == ["issued"] * 3
    assert set(names["mistakes"]["member_id"]) == {1005}
    assert written.startswith("offer_state_id,")
    assert "complete: all 3 members were read" in capsys.readouterr().out


def test_readme_explains_every_outcome():
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| .* \|$", README, re.MULTILINE)

    explained = {word for row in rows for word in re.findall(r"`(\w+)`", row)}

    assert explained >= OUTCOMES.keys()


def test_every_file_that_the_readme_links_exists():
    linked = re.findall(r"\]\(((?!https?:)[^)#]+)\)", README)

    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []


def test_every_make_target_that_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {inline or line for inline, line in re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", README, re.MULTILINE)}

    assert named >= {"demo", "test", "check", "cassettes", "lab", "bench"}
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
