"""The public surface: what is exported, and that no public signature contains a bare Any."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re

import pytest
from paths import ROOT

import sparkfly_nb
from sparkfly_nb import forms, sandbox

PUBLIC = {
    f"{package.__name__}.{name}": getattr(package, name)
    for package in (sparkfly_nb, sandbox, forms)
    for name in package.__all__
    if callable(getattr(package, name))
}


def signatures_of(name, public):
    """Yield each public function of a class, or the function itself, with its name."""
    if not inspect.isclass(public):
        yield name, public
        return
    for attribute in dir(public):  # not getmembers, which evaluates deprecated attributes of widgets
        member = inspect.getattr_static(public, attribute)
        member = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
        is_public = not attribute.startswith("_") or attribute in {"__init__", "__enter__"}
        if is_public and inspect.isfunction(member) and member.__module__.startswith("sparkfly_nb"):
            yield f"{name}.{attribute}", member


def is_bare_any(annotation):
    """Return True if an annotation is Any, or a union with Any."""
    if isinstance(annotation, ast.BinOp):
        return is_bare_any(annotation.left) or is_bare_any(annotation.right)
    return ast.unparse(annotation) in {"Any", "typing.Any"}


@pytest.mark.parametrize("name", PUBLIC)
def test_no_public_signature_contains_a_bare_any(name):
    found = [
        f"{function}: {parameter}"
        for function, target in signatures_of(name, PUBLIC[name])
        for parameter, annotation in target.__annotations__.items()
        if is_bare_any(ast.parse(str(annotation), mode="eval").body)
    ]

    assert found == []


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_of_a_public_signature_has_an_annotation(name):
    found = [
        f"{function}: {parameter.name}"
        for function, target in signatures_of(name, PUBLIC[name])
        for parameter in inspect.signature(target).parameters.values()
        if parameter.annotation is parameter.empty and parameter.name not in {"self", "cls"}
    ]

    assert found == []


def test_the_consumer_script_uses_every_public_name():
    script = (ROOT / "tests" / "typing" / "consumer.py").read_text(encoding="utf-8")
    members = {".".join(name.split(".")[-2:]) for public in PUBLIC for name, _ in signatures_of(public, PUBLIC[public])}
    used = {f"Session.{name}" for name in re.findall(r"session\.(\w+)", script)}
    used |= {f"Session.{name}" for name in re.findall(r"sf\.Session\.(\w+)\(", script)}
    used |= {f"Audit.{name}" for name in re.findall(r"audit\.(\w+)", script)}
    used |= {f"SandboxProcess.{name}" for name in re.findall(r"(?:service|process|SandboxProcess)\.(\w+)", script)}
    classes = ("Session.", "Audit.", "SandboxProcess.")
    wanted = {name for name in members if name.startswith(classes) and "__" not in name}

    assert sorted(wanted - used) == []
    assert [name for name in sparkfly_nb.__all__ if f"sf.{name}" not in script] == []


def test_the_search_for_bare_any_finds_session_methods():
    found = dict(signatures_of("Session", sparkfly_nb.Session))

    assert {"Session.__init__", "Session.from_env", "Session.issue_many", "Session.ledger"} <= found.keys()


@pytest.mark.parametrize("text", ["Any", "Any | None", "None | int | Any"])
def test_bare_any_is_found_in_an_annotation(text):
    assert is_bare_any(ast.parse(text, mode="eval").body)


@pytest.mark.parametrize("text", ["dict[str, Any]", "np.integer[Any] | int", "None"])
def test_any_as_a_type_argument_is_allowed(text):
    assert not is_bare_any(ast.parse(text, mode="eval").body)


def test_every_module_says_in_all_what_other_modules_may_import():
    names = [found.name for found in pkgutil.walk_packages(sparkfly_nb.__path__, "sparkfly_nb.")]

    assert [name for name in names if not hasattr(importlib.import_module(name), "__all__")] == []


def test_every_public_name_can_be_imported():
    assert all(hasattr(sparkfly_nb, name) for name in sparkfly_nb.__all__)
