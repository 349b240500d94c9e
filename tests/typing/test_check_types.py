"""The comparison that `make check` makes between marked lines and the errors of the type checkers."""

from __future__ import annotations

import check_types
import pytest
from check_types import Report, differences, expected

MARKS = expected("import x\nx.wrong  # error: attr-defined | reportAttributeAccessIssue\n")


def test_marks_name_the_line_and_the_text_for_each_checker():
    assert MARKS == {2: {"mypy": "attr-defined", "basedpyright": "reportAttributeAccessIssue"}}


def test_mark_without_the_text_for_both_checkers_is_refused():
    with pytest.raises(ValueError, match="line 1: write the mark as"):
        expected("x.wrong  # error: attr-defined\n")


def test_reported_error_on_a_marked_line_is_no_difference():
    assert list(differences("mypy", MARKS, [Report(2, "Module has no attribute [attr-defined]")])) == []


def test_missing_error_is_a_difference():
    assert list(differences("mypy", MARKS, [])) == ["2: mypy reports no error; expected 'attr-defined'"]


def test_error_with_another_text_is_a_difference():
    [found] = differences("basedpyright", MARKS, [Report(2, "syntax")])

    assert found == "2: basedpyright reports another error than 'reportAttributeAccessIssue': syntax"


def test_error_on_an_unmarked_line_is_a_difference():
    [found] = differences("mypy", {}, [Report(5, "name-defined"), Report(5, "misc")])

    assert found == "5: mypy reports an unexpected error: name-defined; misc"


def test_the_correct_script_has_no_marks_and_each_misuse_script_has_some():
    consumer, *misuse = check_types.scripts()

    assert expected(consumer.read_text(encoding="utf-8")) == {}
    assert misuse
    assert all(expected(path.read_text(encoding="utf-8")) for path in misuse)


@pytest.mark.parametrize(("unexpected", "status"), [([], 0), ([Report(1, "syntax")], 1)])
def test_exit_status_is_1_if_there_are_differences(monkeypatch, capsys, unexpected, status):
    consumer = check_types.scripts()[0]
    monkeypatch.setattr(check_types, "scripts", lambda: [consumer])
    monkeypatch.setattr(check_types, "run_mypy", lambda _paths: {consumer: unexpected})
    monkeypatch.setattr(check_types, "run_basedpyright", lambda _paths: {consumer: []})

    assert check_types.main() == status
    assert ("tests/typing/consumer.py:1: mypy reports an unexpected error" in capsys.readouterr().out) == bool(status)


def test_checker_that_fails_stops_the_check():
    with pytest.raises(SystemExit, match="failed"):
        check_types.run([check_types.sys.executable, "-c", "raise SystemExit(2)"])
