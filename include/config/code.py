"""Functions in a model's own Python files, and the digest of those files."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.abc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from include.errors import CodeError, did_you_mean, nearest
from include.storage.content import digest_json

_PACKAGE = "ratchet_model_"


class _FromSource(SourceFileLoader):
    def path_stats(self, path: str) -> Mapping[str, Any]:
        # Python reuses bytecode if second and size of the source are unchanged, which an edit may leave as they
        # were; a source without stats is always compiled.
        raise OSError


class _ModelFiles(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is None or not name.startswith(_PACKAGE):
            return None
        return FileFinder(path[0], (_FromSource, SOURCE_SUFFIXES)).find_spec(name)


sys.meta_path.insert(0, _ModelFiles())


def load_function(folder: Path, name: str) -> Callable[..., Any]:
    """Return the function that ``module:function`` names in a model's folder.

    The folder is imported as a package of its own, named by its path and code, so that two models may both have a
    ``features.py`` and a changed file is seen by a long-lived process. A file imports its neighbours relatively:
    ``from .weather import join``.

    Raises
    ------
    CodeError
        When the file or the function is missing, or importing the file fails.
    """
    module_name, _, function_name = name.partition(":")
    module = _import(folder, module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        close = nearest(function_name, known)
        raise CodeError(
            f"`{module_name}.py` has no function `{function_name}`.",
            expected=f"a function named as in `{name}`",
            found=", ".join(sorted(known)) or "no function",
            where=folder / f"{module_name}.py",
            remedy=f"did you mean `{module_name}:{close}`?" if close else "write the function, or correct model.yaml",
        )
    return function  # type: ignore[no-any-return] # callable() does not tell its type


def code_digest(folder: Path, module: str | None = None) -> str:
    """Return one digest of the names and bytes of the folder's Python files.

    Parameters
    ----------
    module : str, optional
        Only this module and what it imports of the folder, as `code_files`.
    """
    return digest_json(file_digests(code_files(folder, module)))


def code_files(folder: Path, module: str | None = None) -> dict[str, bytes]:
    """Return the files that `code_digest` covers, by their path inside the folder.

    A file beside the module counts if it is imported, directly or not. A folder from which anything is imported counts
    whole: its Python files, and the tables that they may read.
    """
    if module is None:
        files = [path for path in folder.rglob("*.py") if not _hidden(path.relative_to(folder))]
    else:
        files = _reachable(folder, module)
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: named[name].read_bytes() for name in sorted(named)}


def code_behind(folder: Path, functions: Iterable[str]) -> dict[str, bytes]:
    """Return the files behind functions, each ``module:function``, as `code_files` does; none for none."""
    found: dict[str, bytes] = {}
    for function in functions:
        found |= code_files(folder, function.partition(":")[0])
    return dict(sorted(found.items()))


def file_digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the digest of each file, whose canonical JSON is what `code_digest` digests."""
    return {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}


def _import(folder: Path, name: str) -> ModuleType:
    path = folder / f"{name}.py"
    if not path.is_file():
        known = [found.stem for found in folder.glob("*.py")]
        raise CodeError(
            f"The model has no file `{name}.py`.",
            expected=path,
            found=", ".join(f"{stem}.py" for stem in sorted(known)) or "no Python file",
            where=folder,
            remedy=did_you_mean(name, known, "write the file, or correct model.yaml"),
        )
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    code = digest_json(
        [code_digest(folder), code_digest(folder, name)]
    )  # the second knows tables beside modules as well
    package = ModuleType(f"{_PACKAGE}{folder.name}_{place}_{code[:8]}")
    package.__path__ = [str(folder)]
    package_name = sys.modules.setdefault(package.__name__, package).__name__
    try:
        return importlib.import_module(f"{package_name}.{name}")
    except Exception as error:  # the team's own code may raise anything, at import as well
        raise CodeError(
            f"`{name}.py` can't be imported.",
            found=f"{type(error).__name__}: {error}",
            where=path,
            remedy="correct the file; its neighbours are imported as `from .neighbour import function`",
        ) from error


def _reachable(folder: Path, module: str) -> list[Path]:
    """Return the files that a module needs: itself, neighbours that are imported, and folders that anything is imported from."""
    found: dict[Path, None] = {}
    ahead = _files_of(folder, module)
    while ahead:
        path = ahead.pop()
        if path in found:
            continue
        found[path] = None
        if path.suffix == ".py":
            ahead += _imported(folder, path)
    return list(found)


def _files_of(folder: Path, name: str) -> list[Path]:
    """Return the files behind a name, as Python looks for it: a package, a file, a folder."""
    inside, file = folder / name, folder / f"{name}.py"
    if file.is_file() and not (inside / "__init__.py").is_file():
        return [file]
    return [path for path in inside.rglob("*") if path.is_file() and not _hidden(path.relative_to(folder))]


def _imported(folder: Path, path: Path) -> Iterator[Path]:
    """Yield the files of the model's folder that a file imports; what lies deeper belongs to a folder that counts whole."""
    depth = len(path.relative_to(folder).parts) - 1
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level == depth + 1:
            for name in [node.module] if node.module else [alias.name for alias in node.names]:
                yield from _files_of(folder, name.partition(".")[0])
        elif not depth and isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0):
            # An absolute import reaches no neighbour, but a file of that name always counted.
            absolute = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            files = [folder / f"{name.partition('.')[0]}.py" for name in absolute]
            yield from (file for file in files if file.is_file())


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in path.parts)
