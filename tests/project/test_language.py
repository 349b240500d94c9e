"""Docstrings, comments and messages use the words of the field, as the writing guide asks."""

from __future__ import annotations

import ast
import re
from itertools import pairwise

import pytest
from paths import ROOT

FOLDERS = ("sparkfly_nb", "tests", "tools", "benchmarks")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
#: Verbs that no programmer expects at the start of a docstring.
NOT_AT_THE_START = re.compile(r"(Give|Say|Tell|Take|Let|Hold)s?\b")
#: Words and phrases that the guide replaces, and its replacements. One letter of each is in brackets, so that this file
#: does not contain what it looks for.
REPLACED = {
    r"men[d](s|ed|ing)?": "fix",
    r"turned dow[n]": "alternatives considered",
    r"surel[y]": "say what confirms it",
    r"look(s|ed)? whethe[r]": "check whether",
    r"hand-ove[r]": "file, folder or export",
    r"handed ove[r]": "exported, passed",
    r"lost answe[r]s?": "lost response",
    r"for eve[r]": "without end",
    r"is n[o] (frame|text|number|time|index|digit|flag|name|path|list)": "is not a ...",
    r"holds sign[s]": "contains characters",
    r"what is aske[d]": "what is requested",
    r"stands? (in|beside|next to) (the|a|it)\b(?= (row|frame|plan|file|message))": "is in, appears in",
    r"standin[g] of": "lifecycle",
}
PACKAGE_LINES = [
    (path, number, line)
    for path in FILES
    if path.is_relative_to(ROOT / "sparkfly_nb")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
]


def docstrings():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                docstring = ast.get_docstring(node)
                if docstring:
                    yield path, getattr(node, "name", "module"), docstring


def test_no_docstring_starts_with_a_verb_nobody_expects():
    found = [f"{path.relative_to(ROOT)} {name}" for path, name, text in docstrings() if NOT_AT_THE_START.match(text)]

    assert found == []


@pytest.mark.parametrize("pattern", REPLACED, ids=REPLACED.values())
def test_package_does_not_use_words_that_the_guide_replaces(pattern):
    word = re.compile(rf"\b{pattern}\b", re.IGNORECASE)
    found = [f"{path.relative_to(ROOT)}:{number}" for path, number, line in PACKAGE_LINES if word.search(line)]

    assert found == []


def test_constants_and_fields_are_documented_by_comments_not_by_literals():
    found = []
    for path in FILES:
        for scope in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(scope, (ast.Module, ast.ClassDef)):
                for before, node in pairwise(scope.body):
                    is_literal = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                    if is_literal and isinstance(before, (ast.Assign, ast.AnnAssign)):
                        found.append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert found == []


def test_comments_are_at_least_three_percent_of_the_package():
    lines = [line.strip() for _path, _number, line in PACKAGE_LINES if line.strip()]

    assert sum(line.startswith("#") for line in lines) >= 0.03 * len(lines)


def test_test_names_are_at_most_80_characters():
    found = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in FILES
        if path.is_relative_to(ROOT / "tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and len(node.name) > 80
    ]

    assert found == []


def test_test_files_are_at_most_400_lines():
    found = {
        path.relative_to(ROOT).as_posix(): lines
        for path in FILES
        if path.is_relative_to(ROOT / "tests") and (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }

    assert found == {}
