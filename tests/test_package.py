"""The package: what is public, its versions and instruction sets, what importing it costs."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import diabolo
from diabolo import AutoEncoder


def test_everything_public_is_there_and_documented() -> None:
    for name in diabolo.__all__:
        thing = getattr(diabolo, name)
        assert thing.__doc__, name
    for name, method in inspect.getmembers(AutoEncoder, callable):
        assert name.startswith("_") or inspect.getdoc(method), name


def test_show_versions(capsys: Any) -> None:
    diabolo.show_versions()
    text = capsys.readouterr().out
    for word in ("diabolo", "numpy", "compiler", "isas available", "isa selected", "threads", "cpu"):
        assert word in text


def test_available_isas() -> None:
    assert diabolo.available_isas()
    assert all(isinstance(name, str) for name in diabolo.available_isas())


def test_an_unknown_isa_lists_the_levels() -> None:
    code = "import diabolo; diabolo.AutoEncoder(1, epochs=1).fit([[0.0], [1.0]])"
    environment = {**os.environ, "DIABOLO_ISA": "sse9"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    last_line = done.stderr.strip().splitlines()[-1]
    assert "DIABOLO_ISA" in last_line
    assert "sse9" in last_line
    for name in diabolo.available_isas():
        assert name in last_line


def test_importing_loads_nothing_but_the_core() -> None:
    code = """if True:
        import sys, diabolo
        assert {name for name in sys.modules if name.startswith("diabolo")} == {"diabolo", "diabolo._core"}
        assert set(diabolo.__all__) <= set(dir(diabolo))
        assert diabolo.optimizers.Adam is diabolo.Adam
        assert not hasattr(diabolo, "Optimiser")
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_costs_little_beyond_numpy(tmp_path: Path) -> None:
    code = """if True:
        import time, numpy
        start = time.process_time()
        import diabolo
        print(time.process_time() - start)
    """
    # Bytecode is written by the first run, whatever the environment says and whoever owns the package.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    command = [sys.executable, "-c", code]
    seconds = [
        float(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
        for _ in range(6)
    ]
    assert min(seconds) < 0.020
