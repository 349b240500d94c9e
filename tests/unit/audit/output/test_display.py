"""Tests of the text and the HTML of an audit."""

from __future__ import annotations

import pytest
from audit_world import World, state


def test_text_shows_campaign_time_and_exceptions():
    text = repr(World([state(1)]).audit([1, 2]))

    assert "Summer 2026: Iced Coffee (campaign SUMMER26)" in text
    assert "2026-07-01 12:00 UTC" in text
    assert "1 missing" in text


def test_html_shows_a_warning_if_incomplete_and_escapes_text():
    hostile = state(1, offer_campaign_name="<script>alert(1)</script>")

    page = World([hostile], unread={2: (500, "<b>broken</b>")}).audit([1, 2])._repr_html_()

    assert "INCOMPLETE" in page
    assert "<script>" not in page
    assert "<b>broken" not in page


@pytest.mark.parametrize(("missing", "rest"), [(0, None), (5, None), (8, 3)])
def test_html_shows_the_first_exceptions_and_counts_the_rest(missing, rest):
    page = World([]).audit(range(1, missing + 1))._repr_html_()

    assert f"Exceptions: {missing}" in page
    assert page.count("<td>missing</td>") == min(missing, 5) + bool(missing)  # and once in the table of counts
    assert ("First exceptions" in page) == bool(missing)
    assert (f"and {rest} more in <code>audit.exceptions()</code>" in page) == (" more in " in page) == bool(rest)


def test_audit_of_all_campaigns_is_not_named_after_the_only_one_found():
    text = repr(World([state(1)]).audit([1], campaign_id=None))

    assert "Summer 2026" not in text
    assert "Free Iced Coffee" not in text
