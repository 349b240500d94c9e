"""Modules import in one direction, stay short, and document their public names."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections import defaultdict

import pytest
from paths import ROOT

import sparkfly_nb

PACKAGE = ROOT / "sparkfly_nb"

#: From the bottom up. A part imports from its own layer and from those below.
LAYERS = (
    {"errors", "version"},
    {"schema", "settings", "files"},
    {"frames"},
    {"api"},
    {"http"},
    {"bulk"},
    {"audit"},
    {"session"},
    {"__init__"},
    {"forms", "demo", "__main__"},
)
#: The same within `bulk`, whose modules are in folders or directly in it.
BULK_LAYERS = (
    {"operations", "options", "interruptible"},
    {"records"},
    {"circuit_breaker"},
    {"worker"},
    {"plan.plan", "ledger"},
    {"result_frames", "plan.preview", "plan.diff"},
    {"engine"},
    {"listing", "undo"},
    {"runs"},
)
#: The only upward import. ``session.forms()`` loads the widgets when it is called.
LAZY_UPWARD = {("session", "forms")}
#: The sandbox is separate. Only the Session starts it, and it imports the description of the service, not the client.
SANDBOX_MAY_IMPORT = {"errors", "schema", "settings", "files", "api", "sandbox"}
MAY_IMPORT_SANDBOX = {"session", "sandbox"}
FILES_AT_ROOT = 10
FILES_IN_BULK = 12
LINES_PER_MODULE = 400
#: Modules under 60 lines, and the reason for each.
SHORT_MODULES = {
    "version": "imported by everything, imports nothing",
    "api.readback": "one concept, used by errors of single calls and by forms",
    "api.request": "workers build requests without pandas, which api.inputs needs",
    "bulk.circuit_breaker": "counts in the workers and in the engine",
    "bulk.options": "checked before an engine exists",
    "bulk.worker.dask_once": "the only module that needs distributed",
    "bulk.worker.list_shard": "the only worker module that needs pandas",
    "forms.call_code": "code as text, apart from widgets",
    "forms.console": "the widget that users place",
    "forms.operation_forms": "a table of form classes",
    "frames.argument_types": "types only",
    "http.environment": "one rule for both clients",
    "http.redaction": "one rule for both clients",
    "sandbox.clock": "one clock for all parts of the sandbox",
}


# ---- reading modules -------------------------------------------------------------------------------------------------


def module_files():
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path):
    """Return a module's dotted name within the package. A package is its ``__init__``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {module_name(path): path for path in module_files()}


def public_modules():
    names = [found.name for found in pkgutil.walk_packages(sparkfly_nb.__path__, "sparkfly_nb.")]
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def is_for_types_only(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports_below(node, *, in_functions, for_types):
    """Yield the imports below a node, with those in functions and those for types only on request."""
    for child in ast.iter_child_nodes(node):
        if is_for_types_only(child) and not for_types:
            continue
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif in_functions or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from imports_below(child, in_functions=in_functions, for_types=for_types)


def targets_of(statement, importer):
    """Yield the modules of the package that an import statement imports."""
    if isinstance(statement, ast.Import):
        bases = [(alias.name.split(".")[1:], ()) for alias in statement.names if is_ours(alias.name)]
    elif statement.level:
        here = importer.split(".")[: -statement.level]
        bases = [(here + (statement.module.split(".") if statement.module else []), statement.names)]
    else:
        bases = [(statement.module.split(".")[1:], statement.names)] if is_ours(statement.module) else []
    for base, names in bases:
        for name in [alias.name for alias in names] or [None]:
            candidates = ([*base, name], [*base, name, "__init__"]) if name else ()
            found = next((".".join(parts) for parts in candidates if ".".join(parts) in MODULES), None)
            fallback = next(
                (".".join(parts) for parts in (base, [*base, "__init__"]) if ".".join(parts) in MODULES), None
            )
            yield found or fallback


def is_ours(name):
    return name == "sparkfly_nb" or name.startswith("sparkfly_nb.")


@functools.cache
def imports_of(importer, *, in_functions=True, for_types=False):
    tree = ast.parse(MODULES[importer].read_text(encoding="utf-8"))
    statements = imports_below(tree, in_functions=in_functions, for_types=for_types)
    return {target for statement in statements for target in targets_of(statement, importer) if target}


def part_of(module):
    return module.split(".")[0]


# ---- imports ---------------------------------------------------------------------------------------------------------


def upward_imports(layers, modules, name_of):
    """Return the imports from a lower layer to a higher one. `name_of` returns the part that a module belongs to."""
    rank = {part: number for number, layer in enumerate(layers) for part in layer}
    return [
        (importer, target)
        for importer in modules
        for target in imports_of(importer)
        if target in modules and rank[name_of(target)] > rank[name_of(importer)]
    ]


def bulk_part_of(module):
    parts = module.split(".")[1:]
    return ".".join(parts[:2]) if parts[0] == "plan" else parts[0]


def is_package_docstring(module):
    return module.endswith(".__init__") and part_of(module) not in {"audit", "forms", "sandbox", "session"}


CLIENT_MODULES = {name for name in MODULES if part_of(name) != "sandbox" and not is_package_docstring(name)}
BULK_MODULES = {name for name in CLIENT_MODULES if part_of(name) == "bulk"}


def test_every_module_belongs_to_a_layer():
    assert {part_of(name) for name in CLIENT_MODULES} == set().union(*LAYERS)
    assert {bulk_part_of(name) for name in BULK_MODULES} == set().union(*BULK_LAYERS)


def test_imports_point_down_the_layers():
    upward = [
        (importer, target)
        for importer, target in upward_imports(LAYERS, CLIENT_MODULES, part_of)
        if (part_of(importer), part_of(target)) not in LAZY_UPWARD or target in imports_of(importer, in_functions=False)
    ]

    assert upward == []


def test_imports_within_bulk_point_down_the_layers():
    assert upward_imports(BULK_LAYERS, BULK_MODULES, bulk_part_of) == []


def test_session_imports_optional_layers_lazily():
    session = {name for name in CLIENT_MODULES if part_of(name) == "session"}
    eager = {part_of(target) for name in session for target in imports_of(name, in_functions=False)}

    assert not eager & {"audit", "forms", "sandbox"}


def test_sandbox_and_client_import_only_what_they_may():
    known = {part_of(target) for name in MODULES if part_of(name) == "sandbox" for target in imports_of(name)}
    knowing = {part_of(name) for name in MODULES for target in imports_of(name) if part_of(target) == "sandbox"}

    assert known <= SANDBOX_MAY_IMPORT
    assert knowing <= MAY_IMPORT_SANDBOX


def test_no_modules_import_each_other_even_for_types():
    finished, cycles = set(), []

    def visit(module, path):
        if module in path:
            cycles.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in finished:
            for target in sorted(imports_of(module, in_functions=False, for_types=True)):
                if (part_of(module), part_of(target)) not in LAZY_UPWARD:
                    visit(target, [*path, module])
            finished.add(module)

    for module in MODULES:
        visit(module, [])

    assert cycles == []


# ---- files and names -------------------------------------------------------------------------------------------------


LINES = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}


def test_modules_have_at_most_400_lines():
    assert {name: count for name, count in LINES.items() if count > LINES_PER_MODULE} == {}


def test_every_short_module_has_a_reason():
    short = {name for name, count in LINES.items() if count < 60 and not name.endswith("__init__")}

    assert short == set(SHORT_MODULES)


def test_root_and_bulk_contain_few_files():
    assert len(list(PACKAGE.glob("*.py"))) <= FILES_AT_ROOT
    assert len(list((PACKAGE / "bulk").glob("*.py"))) <= FILES_IN_BULK


def test_class_names_are_unique():
    places = defaultdict(list)
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


SUFFIXES = ("ings", "ing", "ers", "er", "ors", "or", "ies", "ed", "es", "s", "e", "y")


def stem_of(name):
    """Return the stem of a module's name, which is the same for reading, reader and reads."""
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix) and len(name) > len(suffix) + 2), "")
    return name.removesuffix(suffix)


def test_no_sibling_modules_differ_only_by_a_suffix():
    siblings = defaultdict(lambda: defaultdict(set))
    for path in PACKAGE.rglob("*"):
        if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists()):
            siblings[path.parent][stem_of(path.stem)].add(path.stem)

    alike = [names for stems in siblings.values() for names in stems.values() if len(names) > 1]
    assert stem_of("reading") == stem_of("reader") == stem_of("reads")
    assert alike == []


@pytest.mark.parametrize("folder", ["sparkfly_nb", "tests", "benchmarks", "tools"])
def test_every_file_begins_with_a_docstring_sentence(folder):
    missing = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if not docstring or not docstring.partition("\n\n")[0].endswith((".", "?", ":")):
            missing.append(path.relative_to(ROOT).as_posix())

    assert missing == []


def own_members(kind):
    """Yield the public methods and properties that a class defines itself."""
    for name, member in vars(kind).items():
        target = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if not name.startswith("_") and (isinstance(target, (property, functools.cached_property))
                                         or inspect.isfunction(target)):  # fmt: skip
            yield name, target


def test_every_public_name_has_a_docstring():
    unexplained = []
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            public = getattr(module, name)
            if not (inspect.isclass(public) or inspect.isfunction(public)) or not is_ours(public.__module__):
                continue
            if not (public.__doc__ or "").strip() or public.__doc__.startswith(f"{name}("):
                unexplained.append(f"{module.__name__}.{name}")
            if inspect.isclass(public):
                unexplained += [
                    f"{module.__name__}.{name}.{member}"
                    for member, target in own_members(public)
                    if not (target.__doc__ or "").strip()
                ]

    assert sorted(set(unexplained)) == []


def test_every_name_in_all_exists():
    missing = [f"{module.__name__}.{name}" for module in public_modules()
               for name in getattr(module, "__all__", ()) if not hasattr(module, name)]  # fmt: skip

    assert missing == []


def test_worker_process_imports_only_what_it_needs():
    script = "import sys, sparkfly_nb.bulk.worker.send_shard; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert "sparkfly_nb.http.async_client" in loaded
    assert not {"sparkfly_nb.session.session", "sparkfly_nb.audit", "pandas", "sqlalchemy", "joblib", "tqdm"} & set(
        loaded
    )


def test_dir_of_the_package_lists_names_before_their_import():
    script = "import sparkfly_nb; print(*dir(sparkfly_nb)); sparkfly_nb.Sesion"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert set(sparkfly_nb.__all__) <= set(run.stdout.split())
    assert "AttributeError: module 'sparkfly_nb' has no attribute 'Sesion'" in run.stderr


def test_every_unit_test_file_mirrors_a_module():
    unit = ROOT / "tests" / "unit"
    strays = []
    for path in sorted(unit.rglob("test_*.py")):
        name = path.stem.removeprefix("test_")
        modules = {module.stem for module in (PACKAGE / path.relative_to(unit).parent).glob("*.py")}
        if not any(name == module or name.startswith(f"{module}_") for module in modules):
            strays.append(path.relative_to(unit).as_posix())

    assert strays == []
