"""The rules of the folder listing: which part may import which, and what an import may load."""

import ast
import importlib
import subprocess
import sys
import tomllib
from functools import cache

import pytest
from conftest import PROJECT

from keras_loader_bench.loaders import LOADERS, Loader
from keras_loader_bench.loaders.encoded.contract import ImageLoader
from keras_loader_bench.loaders.encoded.registry import IMAGE_LOADERS
from keras_loader_bench.loaders.registry import BACKENDS, import_name, missing_package

ENTRIES = {
    **{name: (entry, "loaders") for name, entry in LOADERS.items()},
    **{name: (entry, "loaders.encoded.pipelines") for name, entry in IMAGE_LOADERS.items()},
}
"""Name of a loader -> what is known of it, and the folder of its module."""
assert len(ENTRIES) == len(LOADERS) + len(IMAGE_LOADERS)

DECODER = "simplejpeg"
"""Imported when the first image is decoded, so that no import tells who needs it."""

FRAMEWORKS = {
    "keras",
    *BACKENDS,
    *(import_name(each) for entry, _ in ENTRIES.values() for each in entry.packages),
}
MODULES = sorted([*PROJECT.glob("loaders/**/*.py"), *PROJECT.glob("bench/**/*.py")])
LOADER_FILES = sorted(PROJECT.glob("loaders/**/*_loader.py"))

PREFIX = "keras_loader_bench."

MAY_IMPORT = {
    "statistics": set(),
    "slope": {"statistics"},
    "closed_pipe": set(),
    "plan": {"loaders"},
    "record": {"plan", "loaders"},
    "sensors": {"plan", "record", "loaders"},
    "child": {"plan", "sensors", "loaders"},
    "parent": {"plan", "record", "sensors", "slope", "statistics", "loaders"},
    "report": {"plan", "record", "slope", "statistics", "closed_pipe"},
    "compare": {"plan", "record", "report", "statistics", "closed_pipe"},
    "history": {"plan", "record", "report", "compare", "statistics", "closed_pipe"},
    "conftest": {"plan", "parent", "report", "loaders"},
    "__main__": {"plan", "report", "compare", "history", "closed_pipe", "loaders"},
}
"""Part of `bench` -> the other parts that it may import: arrows go down, none comes back."""

_RULES = {"cells", "ranking", "recommend"}

LAYERS = {
    "loaders.audit.inputs": set(),
    "loaders.audit.batches": {"inputs"},
    "loaders.audit.texts": {"inputs", "batches", "parent", "ranks", "shares"},
    "bench.child.inputs": {
        *("backends", "case_process", "cpu_time", "device", "epoch_timing", "framework"),
        *("models", "steady_time"),
    },
    "bench.report.figures": set(),
    "bench.report.sections": {"figures", *_RULES},
    "bench.report.plots": {"figures", *_RULES, "sections"},
    "bench.report.excerpts": {"figures", *_RULES, "sections", "plots"},
}
"""Folder inside of a part -> what else of that part its modules may import."""


def name_of(path):
    """The name of a module without that of the package around both folders."""
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def part_of(name):
    """`bench.plan.case` -> `plan`, `loaders.order` -> `loaders`."""
    top, _, rest = name.partition(".")
    return rest.partition(".")[0] if top == "bench" else top


BENCHMARKS = {path.stem for path in PROJECT.glob("bench/bench_*.py")}


@cache
def tree_of(path):
    return ast.parse(path.read_text())


def imports(path, *, lazy: bool):
    """The modules that a file names in its imports; with `lazy` also those inside functions."""
    tree = tree_of(path)
    nodes = ast.walk(tree) if lazy else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix(PREFIX) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module.removeprefix(PREFIX)
            names = [f"{module}.{alias.name}" for alias in node.names]
            yield from names
            if not all(name in NAMES for name in names):  # else they are modules of a folder
                yield module


NAMES = {name_of(path) for path in MODULES}

IN_BENCH = [path for path in MODULES if path.is_relative_to(PROJECT / "bench")]
IN_LOADERS = [path for path in MODULES if path.is_relative_to(PROJECT / "loaders")]


def breaches(paths, law):
    """Module -> what a law finds wrong in it, of those in which it finds anything."""
    return {name_of(path): found for path in paths if (found := law(path))}


def test_loaders_never_import_bench():
    def law(path):
        return [name for name in imports(path, lazy=True) if name.split(".")[0] == "bench"]

    assert not breaches(IN_LOADERS, law)


def test_bench_imports_no_loader():
    loaders = ("loaders.sequence.cifar10_sequence", *map(name_of, LOADER_FILES))

    def law(path):
        return [name for name in imports(path, lazy=True) if name.startswith(loaders)]

    assert not breaches(IN_BENCH, law)


def test_bench_names_no_loader():
    packages = {"grain", "numpy", "torch"}  # loaders that are named after what they use

    def law(path):
        strings = {
            node.value
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        return strings & set(LOADERS) - packages

    assert not breaches(IN_BENCH, law)


def test_arrows_between_the_parts_of_bench_go_down():
    def law(path):
        part = part_of(name_of(path))
        allowed = set() if part in {"", *BENCHMARKS} else MAY_IMPORT[part] | {part}
        names = imports(path, lazy=True)
        ours = {name for name in names if name.split(".")[0] in {"bench", "loaders"}}
        return {part_of(name) for name in ours} - {""} - allowed

    assert not breaches(IN_BENCH, law)


@pytest.mark.parametrize("folder", LAYERS)
def test_arrows_between_the_folders_of_a_part_go_down(folder):
    part = folder.rpartition(".")[0] + "."
    modules = sorted((PROJECT / folder.replace(".", "/")).glob("*.py"))
    assert modules, "there is no such folder"

    def law(path):
        ours = {name for name in imports(path, lazy=True) if name.startswith(part)}
        near = {name.removeprefix(part).partition(".")[0] for name in ours}
        return near - LAYERS[folder] - {folder.removeprefix(part)}

    assert not breaches(modules, law)


def test_there_is_no_circle_of_imports():
    """Of those that run when a module is loaded; a function may import what imports its module."""
    paths = {name_of(path): path for path in MODULES}
    waiting = {
        name: {other for other in imports(path, lazy=False) if other in paths} - {name}
        for name, path in paths.items()
    }
    while free := [name for name, needs in waiting.items() if not needs & waiting.keys()]:
        for name in free:
            del waiting[name]
    assert not waiting, "each of these imports another one of them"


def test_only_child_and_loaders_import_frameworks():
    def law(path):
        return {name.split(".")[0] for name in imports(path, lazy=True)} & FRAMEWORKS

    others = [path for path in MODULES if part_of(name_of(path)) not in {"child", "loaders"}]
    assert not breaches(others, law)


def test_a_file_does_not_know_what_it_says_it_must_not_know():
    """A file that must not know how rows are ordered, or any framework, says so at its top."""

    def law(path):
        said = (ast.get_docstring(tree_of(path)) or "").partition("Must not know:")[2]
        used = set(imports(path, lazy=True))
        orders = {name for name in used if name.startswith("loaders.order")}
        frameworks = {name.split(".")[0] for name in used} & FRAMEWORKS
        known = orders if "how rows are ordered" in said else set()
        return known | frameworks if "framework" in said else known

    assert not breaches(MODULES, law)


def test_every_import_of_our_own_names_the_package():
    """Other projects have modules called `bench` and `loaders`."""

    def law(path):
        names = set()
        for node in ast.walk(tree_of(path)):
            names |= {node.module} if isinstance(node, ast.ImportFrom) else set()
            names |= {each.name for each in node.names} if isinstance(node, ast.Import) else set()
        return {name for name in names if name.split(".")[0] in {"bench", "loaders"}}

    assert not breaches(MODULES, law)


def test_peaks_that_are_inherited_are_not_used():
    """`ru_maxrss` of a child begins with that of the process that started it."""

    def law(path):
        names = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
        return names & {"ru_maxrss"}

    assert not breaches(MODULES, law)


def test_no_file_does_too_much():
    lines = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert not {name: count for name, count in lines.items() if count > 260}
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "misc", "common"}


def test_every_module_says_what_it_owns():
    assert not breaches(MODULES, lambda path: not ast.get_docstring(tree_of(path)))


def test_importing_loads_no_framework():
    """Neither the packages, nor what the pytest process of a run imports."""
    names = ["loaders", "loaders.audit", "loaders.sources.cifar10", "loaders.encoded.registry"]
    names += ["bench", "bench.conftest"]
    names += ["bench.__main__", "bench.report"]
    names += [name_of(path) for path in PROJECT.glob("bench/bench_*.py")]
    names = [f"{PREFIX}{name}" for name in names]
    code = f"import sys, {', '.join(names)}; print(*{FRAMEWORKS} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=PROJECT, text=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("name", "unwanted"),
    [
        # What a report needs takes seconds to load; a run begins without, and makes one at its end.
        # A machine that has none of it can measure all the same.
        ("bench.conftest", {"matplotlib", "pandas", "pydantic", "scipy"}),
        # Its worker processes import it, and each would import a backend.
        ("loaders.torch_loader", {"keras"}),
        ("loaders.encoded.pipelines.torch_pillow_loader", {"keras"}),
        ("loaders.encoded.pipelines.torch_simplejpeg_loader", {"keras"}),
        ("loaders.encoded.pipelines.webdataset_loader", {"keras"}),
    ],
)
def test_importing_does_not_reach(name, unwanted):
    paths = {name_of(path): path for path in MODULES}
    reached: set[str] = set()
    waiting = {name}
    while waiting:
        one = waiting.pop()
        reached.add(one)
        # Importing a module imports the packages around it too.
        near = {*imports(paths[one], lazy=False), one.rpartition(".")[0]}
        waiting |= (near & paths.keys()) - reached
        reached |= near - paths.keys()
    assert not {each.partition(".")[0] for each in reached} & unwanted


def test_every_loader_file_is_registered_and_every_entry_has_a_file():
    registered = {f"{folder}{entry.target.partition(':')[0]}" for entry, folder in ENTRIES.values()}
    assert registered == {name_of(path) for path in LOADER_FILES}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_a_loader_is_documented_and_final(name):
    entry, folder = ENTRIES[name]
    if reason := missing_package(entry.packages):
        pytest.skip(reason)
    module, _, attribute = entry.target.partition(":")
    loader = getattr(importlib.import_module(module, f"{PREFIX}{folder}"), attribute)
    assert loader.__mro__[1] in (Loader, ImageLoader)
    assert "num_workers" in loader.__doc__ or "workers" in loader.__doc__


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_the_registry_names_every_package_that_a_loader_needs(name):
    """Or a case would fail where it should be skipped."""
    entry, folder = ENTRIES[name]
    paths = {name_of(path): path for path in MODULES}
    module = f"{folder}{entry.target.partition(':')[0]}"
    named = set(imports(paths[module], lazy=True))
    reached: set[str] = set()
    while ours := (named & paths.keys()) - reached:  # and what those import that it imports
        reached |= ours
        named.update(*(imports(paths[one], lazy=False) for one in ours))
    foreign = {one.split(".")[0] for one in named} & FRAMEWORKS
    packages = {import_name(each) for each in entry.packages}
    assert foreign - {"keras"} == packages - {DECODER}


def test_every_folder_with_modules_is_installed():
    """Only an installation that is not editable would show that one is missing."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    folders = {PREFIX + name_of(path) for path in MODULES if path.name == "__init__.py"}
    assert set(project["tool"]["setuptools"]["packages"]) == folders


def test_every_backend_is_installed_by_its_extra_or_by_default():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for package in BACKENDS:
        lines = [*extras.get(package, ()), *project["dependencies"]]
        assert any(line.startswith(package) for line in lines)
