"""The names of `import ffdv`: the same at run time and for a type checker, and honest about what is not installed."""

from __future__ import annotations

import ast
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

import ffdv
from ffdv import errors
from ffdv.errors import ExtraMissing, FfdvError, MediaError, NameNeedsExtra

# Run before `import ffdv`: the packages of [train] are not there.
WITHOUT_EXTRA = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "sklearn", "pyarrow", "scipy", "pandas", "matplotlib"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
import ffdv
"""


def told_to_checkers(module: ModuleType) -> dict[str, str]:
    """What stands under `if TYPE_CHECKING`: name → the module it comes from."""
    assert module.__file__ is not None
    body = ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
    (block,) = (node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    told = {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            told |= {alias.asname or "": node.module or "" for alias in node.names}
            assert all(
                alias.asname == alias.name for alias in node.names
            )  # what is not renamed to itself is no public name
        elif isinstance(node, ast.AnnAssign):
            told[ast.unparse(node.target)] = module.__name__
    return told


def test_a_type_checker_is_told_the_names_that_are_loaded_on_first_use() -> None:
    rooms = dict.fromkeys((*ffdv._ROOMS, "__version__"), "ffdv")
    files = [path.stem for path in Path(ffdv.metrics.__path__[0]).glob("*.py") if path.stem != "__init__"]
    homes = {name: f"ffdv.metrics.{home}" for name, home in ffdv.metrics._HOMES.items()}

    assert told_to_checkers(ffdv) == ffdv._HOMES | rooms
    assert told_to_checkers(ffdv.metrics) == homes | dict.fromkeys(files, "ffdv.metrics")


def test_without_the_extra_a_name_is_absent_and_help_goes_on() -> None:
    code = WITHOUT_EXTRA + (
        "import inspect, pydoc\n"
        "print(hasattr(ffdv, 'train'), hasattr(ffdv, 'scan'), 'scan' in dict(inspect.getmembers(ffdv)))\n"
        "print('likely a clip is forged' in pydoc.plain(pydoc.render_doc(ffdv)))\n"
        "try: ffdv.train\n"
        "except ffdv.ExtraMissing as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    told = f"ffdv.train needs the [train] extra; install it: {errors.install_command('train')}"
    assert done.stdout.splitlines() == ["False True True", "True", told]


def raised(kind: type[FfdvError]) -> FfdvError:
    if issubclass(kind, MediaError):
        return kind("clip.mp4", "it is broken")
    return kind("ffdv.audit", "train") if issubclass(kind, ExtraMissing) else kind("a sentence")


@pytest.mark.parametrize(
    "kind", [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FfdvError)]
)
def test_every_error_crosses_process_borders_whole(kind: type[FfdvError]) -> None:
    error = raised(kind)

    back = pickle.loads(pickle.dumps(error))  # noqa: S301 -- made one line above

    assert (type(back), str(back), vars(back)) == (kind, str(error), vars(error))


def absent() -> None:
    raise NameNeedsExtra("ffdv.audit", "train")


def test_an_extra_that_is_missing_in_a_worker_leaves_its_pool_whole() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        with pytest.raises(ExtraMissing, match=r"ffdv\.audit needs the \[train\] extra"):
            pool.submit(absent).result(timeout=60)
        assert pool.submit(abs, -1).result(timeout=60) == 1
