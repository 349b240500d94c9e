"""Tests of the plots: titles, labels, numbers, file formats, and audits without data."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest
from audit_world import World, at, state
from paths import ROOT, SUPPORT

from sparkfly_nb.errors import AuditFileError, InvalidInput

mpl = pytest.importorskip("matplotlib")


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text().strip()]


def typical(**fields):
    states = [
        state(1, **fields),
        state(2, redeemed="06-10", **fields),
        state(3, voided="06-05"),
        state(4, expires_at=at("06-20")),
    ]
    plan = pd.DataFrame({"member_id": [1, 2, 3, 4, 5], "segment": ["a", "a", "b", "b", None]})
    return World(states).audit(plan)


def test_page_shows_title_time_labels_and_units():
    texts = texts_of(typical().plot())

    assert "Summer 2026: Iced Coffee" in texts
    assert "Campaign SUMMER26. Audit of 2026-07-01 12:00 UTC, sandbox" in texts
    assert "members (share of those planned)" in texts
    assert "offer states (share redeemed of those not voided)" in texts
    assert "Offer states per day (UTC)" in texts
    assert "Complete: all 5 members were read" in texts


def test_page_shows_the_numbers_of_funnel_segments_and_timeline():
    texts = texts_of(typical().plot())

    assert {"5 (100.0%)", "4 (80.0%)", "3 (60.0%)", "1 (20.0%)"} <= set(texts)
    assert {"2 (50%)", "2 (0%)"} <= set(texts)
    assert {"issued\n4 in all", "redeemed\n1 in all", "voided\n1 in all", "expired\n1 in all"} <= set(texts)


def test_page_shows_that_the_audit_is_incomplete():
    audit = World([state(1)], unread={2: (500, "broken")}).audit([1, 2])

    assert any("INCOMPLETE: 1 of 2 members" in text for text in texts_of(audit.plot()))


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_page_is_written_to_a_file(tmp_path, suffix):
    path = tmp_path / f"audit{suffix}"

    typical().plot(path=path)

    assert path.stat().st_size > 5_000


def test_notebook_displays_the_page_without_pyplot():
    assert typical().plot()._repr_png_().startswith(b"\x89PNG")
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize(
    "audit", [World([]).audit([]), World([]).audit([1]), World([state(1, created_at=None)]).audit([1])]
)
def test_empty_audits_can_be_drawn(audit):
    assert texts_of(audit.plot())


def test_smallest_of_many_segments_share_one_bar():
    states = [state(member) for member in range(1, 41)]
    plan = pd.DataFrame({"member_id": range(1, 41), "segment": [f"segment {number // 2}" for number in range(40)]})

    texts = texts_of(World(states).audit(plan).plot())

    assert "6 others" in texts


def test_long_names_and_formula_characters_fit_on_the_page():
    name = "Spend $5, get $10 off \\alpha_{x} " * 10
    plan = pd.DataFrame({"member_id": [1], "segment": ["a segment of $100 and more " * 5]})

    figure = World([state(1, offer_campaign_name=name)]).audit(plan).plot()

    assert figure._repr_png_()
    assert max(len(text.replace("\\$", "$").split("\n")[0]) for text in texts_of(figure)) <= 90


@pytest.mark.parametrize(("first", "word"), [("06-25", "day"), ("01-01", "week")])
def test_period_depends_on_the_time_span(first, word):
    audit = World([state(1, created_at=at(first)), state(2, created_at=at("06-30"))]).audit([1, 2])

    assert f"Offer states per {word} (UTC)" in texts_of(audit.plot())


def test_plot_uses_the_given_column_and_period():
    plan = pd.DataFrame({"member_id": [1], "store": ["north"]})

    texts = texts_of(World([state(1)]).audit(plan).plot(by="store", freq="M"))

    assert "Offer states by store" in texts
    assert "Offer states per month (UTC)" in texts


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"by": "colour"}, InvalidInput),
        ({"freq": "x"}, InvalidInput),
        ({"path": "audit.docx"}, InvalidInput),
        ({"path": "/proc/none/audit.png"}, AuditFileError),
    ],
)
def test_invalid_plot_options_are_rejected(options, error):
    with pytest.raises(error):
        typical().plot(**options)


def test_audit_works_without_matplotlib_and_plot_names_the_package(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(SUPPORT)!r})\n"
        "sys.modules['matplotlib'] = None\n"
        "from audit_world import World, state\n"
        "from sparkfly_nb.errors import ConfigurationError\n"
        "audit = World([state(1)]).audit([1])\n"
        "audit.summary()\n"
        "try:\n"
        "    audit.plot()\n"
        "except ConfigurationError as error:\n"
        "    print(error)\n"
    )

    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert 'pip install "sparkfly-nb[plot]"' in done.stdout
