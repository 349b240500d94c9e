"""The examples in the docstrings of the Session run on a sandbox, and show what they print."""

from __future__ import annotations

import doctest
import importlib

import pandas as pd
import pytest

import sparkfly_nb as sf

MODULES = ("session", "single_reads", "single_changes", "bulk_reads", "bulk_changes", "audits")


@pytest.fixture(scope="module")
def sandbox_session():
    with sf.Session.sandbox(members=20) as session:
        yield session


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        module = importlib.import_module(f"sparkfly_nb.session.{name}")
        yield from (test for test in finder.find(module) if test.examples)


@pytest.mark.parametrize("test", list(examples()), ids=lambda test: test.name.rpartition(".")[2])
def test_the_examples_of_a_docstring_run_as_shown(test, sandbox_session):
    test.globs.update(sf=sf, pd=pd, Session=sf.Session, session=sandbox_session)
    printed = []

    doctest.DocTestRunner(verbose=False).run(test, out=printed.append)

    assert "".join(printed) == ""


def test_every_public_method_of_a_session_has_an_example():
    shown = {test.name.rpartition(".")[2] for test in examples()}
    methods = {name for name in vars(sf.Session) if name[0] != "_"}
    for part in sf.Session.__mro__:
        methods |= {name for name, member in vars(part).items() if callable(member) and name[0] != "_"}

    assert methods - shown <= {"audit", "close", "service"}
