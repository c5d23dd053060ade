"""The bounds that keep the code readable: sizes of modules and functions, and what imports what."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import grimp

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "enhance_cli"
MODULE_LINES, TEST_LINES, BODY_LINES, PARAMETERS = 400, 500, 60, 12

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[Path, Function]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                yield path.relative_to(PROJECT), node


def too_long(files: Iterator[Path], most: int) -> dict[str, int]:
    lengths = {
        str(path.relative_to(PROJECT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
    }
    return {name: length for name, length in lengths.items() if length > most}


def test_modules_are_short():
    assert too_long(PACKAGE.rglob("*.py"), MODULE_LINES) == {}


def test_test_files_are_short():
    assert too_long((PROJECT / "tests").rglob("*.py"), TEST_LINES) == {}


def test_functions_are_short():
    """A docstring is not counted."""
    found = {}
    for path, node in functions():
        body = node.body[ast.get_docstring(node) is not None :]
        length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
        if length > BODY_LINES:
            found[f"{path}: {node.name}"] = length
    assert found == {}


def test_functions_take_few_parameters():
    """Typer makes options of a command's parameters, so commands may have many."""
    found = {}
    for path, node in functions():
        names = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = sum(name.arg not in ("self", "cls") for name in names)
        if count > PARAMETERS and "commands" not in path.parts:
            found[f"{path}: {node.name}"] = count
    assert found == {}


def test_no_module_imports_itself_by_way_of_others():
    graph = grimp.build_graph("enhance_cli", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    # Modules that import none of the rest, or that none of the rest imports, are in no circle.
    # They are taken away until nothing more can be.
    before = None
    while imports != before:
        before = imports
        imported = set().union(*imports.values())
        imports = {
            name: others & imports.keys()
            for name, others in imports.items()
            if others & imports.keys() and name in imported
        }
    assert sorted(imports) == []


def test_no_test_imports_another():
    """Not in the code that a test gives to another process either."""
    pattern = re.compile(r"^\s*(?:from|import) +(?:\w+\.)*test_\w+", re.MULTILINE)
    found = {
        path.name: pattern.findall(path.read_text(encoding="utf-8"))
        for path in (PROJECT / "tests").rglob("*.py")
    }
    assert {name: lines for name, lines in found.items() if lines} == {}
