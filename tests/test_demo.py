"""The demo: its numbers, its picture, a user's own files, and what it says of those it cannot use."""

import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import diabolo
from diabolo.__main__ import main

ERRORS = re.compile(r"autoencoder +(?P<ours>\d\.\d+)\n +PCA +(?P<theirs>\d\.\d+)")
SPEED = re.compile(
    r"(?P<epochs>[\d,]+) epochs? of (?P<rows>[\d,]+) rows? in [\d.]+ s: (?P<rate>[\d,]+) rows/s"
)


def run_command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # One thread, so that a busy machine does not stretch the test.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "diabolo", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def errors(printed: str) -> tuple[float, float]:
    found = ERRORS.search(printed)
    assert found, printed
    return float(found["ours"]), float(found["theirs"])


def assert_picture(path: Path) -> None:
    from matplotlib.image import imread

    picture = imread(path)
    height, width, _ = picture.shape
    assert height > 600
    assert width > 800
    # Something is drawn in every sixth of it.
    for rows in np.array_split(picture, 2):
        for part in np.array_split(rows, 3, axis=1):
            assert part[..., :3].std() > 0.02


def blobs(rows: int, features: int) -> npt.NDArray[np.float64]:
    random = np.random.default_rng(3)
    hidden = random.normal(size=(rows, 2))
    return np.tanh(hidden @ random.normal(size=(2, features))) + 0.1 * random.normal(size=(rows, features))


# ---- Scikit-learn's digits ----


def test_default_run_beats_pca(tmp_path: Path) -> None:
    done = run_command("demo", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    ours, theirs = errors(done.stdout)
    assert ours < 0.7 * theirs
    speed = SPEED.search(done.stdout)
    assert speed, done.stdout
    assert int(speed["rate"].replace(",", "")) > 0
    assert diabolo.available_isas()[-1] in done.stdout or "DIABOLO_ISA" in os.environ
    assert "1 thread," in done.stdout
    assert_picture(tmp_path / "diabolo-demo.png")
    assert [path.name for path in tmp_path.iterdir()] == ["diabolo-demo.png"]


def test_errors_are_what_they_are_called(tmp_path: Path, capsys: Any) -> None:
    """Recomputes PCA's error by hand, and that of the best constant, which both must undercut."""
    from sklearn.datasets import load_digits

    assert main(["demo", "--epochs", "3", "--output", str(tmp_path / "p.png")]) == 0
    ours, theirs = errors(capsys.readouterr().out)
    pixels = load_digits().data / 16
    order = np.random.default_rng(0).permutation(len(pixels))
    held_out, train = pixels[order[:449]], pixels[order[449:]]
    mean = train.mean(axis=0)
    axes = np.linalg.svd(train - mean, full_matrices=False)[2][:8]
    residual = (held_out - mean) - (held_out - mean) @ axes.T @ axes
    assert theirs == pytest.approx(np.mean(residual**2), abs=1e-5)
    assert ours < np.mean((held_out - mean) ** 2)


def test_one_seed_gives_one_result(tmp_path: Path, capsys: Any) -> None:
    printed = []
    for seed in ("5", "5", "6"):
        assert main(["demo", "--epochs", "1", "--seed", seed, "--output", str(tmp_path / "p.png")]) == 0
        printed.append(errors(capsys.readouterr().out))
    assert printed[0] == printed[1] != printed[2]


# ---- A user's own file ----


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        pytest.param({"X": blobs(60, 3), "y": np.arange(60) % 3}, "60 rows of 3 features", id="few features"),
        pytest.param({"x": blobs(60, 12), "y": np.linspace(0, 1, 60)}, "60 rows of 12 features", id="curves"),
        pytest.param(
            {"x_train": np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8), "y_train": np.arange(40) % 2},
            "40 rows of 8 x 8 pixels",
            id="images",
        ),
        pytest.param({"any name": np.ones((20, 4), dtype=bool)}, "20 rows of 4 features", id="constant"),
        pytest.param({"X": blobs(40, 2), "y": np.array(["a$b", "c"] * 20)}, "40 rows", id="text labels"),
    ],
)
def test_archive(arrays: dict[str, Any], says: str, tmp_path: Path, capsys: Any) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    picture = tmp_path / "picture.png"
    code = main(["demo", "--data", str(tmp_path / "data.npz"), "--epochs", "2", "--output", str(picture)])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert says in printed.out
    errors(printed.out)
    assert_picture(picture)


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(blobs(10, 1), id="one feature"),
        pytest.param(np.asfortranarray(blobs(30, 5)).astype(np.float16), id="float16"),
        pytest.param(np.zeros((12, 4, 4, 3), dtype=np.uint8), id="black colour images"),
        pytest.param(1e6 + np.arange(200).reshape(50, 4), id="large offsets"),
    ],
)
def test_plain_array(array: Any, tmp_path: Path, capsys: Any) -> None:
    np.save(tmp_path / "data.npy", array)
    picture = tmp_path / "picture.png"
    code = main(["demo", "--data", str(tmp_path / "data.npy"), "--epochs", "1", "--output", str(picture)])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    errors(printed.out)
    assert_picture(picture)


def test_large_data_are_sampled(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    from diabolo import _demo_data

    monkeypatch.setattr(_demo_data, "_MAX_NUMBERS", 200)
    np.save(tmp_path / "data.npy", blobs(1000, 4))
    files = ["--data", str(tmp_path / "data.npy"), "--output", str(tmp_path / "p.png")]
    assert main(["demo", "--epochs", "1", *files]) == 0
    assert "50 rows of 4 features (a random part of 1,000)" in capsys.readouterr().out


# ---- What cannot be used ----


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / ("bad.npy" if kind in ("flat", "nan", "text", "object", "few rows") else "bad.npz")
    arrays: dict[str, Any] = {
        "flat": np.arange(20.0),
        "nan": np.where(np.arange(80).reshape(20, 4) == 30, np.nan, 1.0),
        "text": np.full((20, 2), "a"),
        "object": np.full((20, 2), None),
        "few rows": np.ones((9, 2)),
    }
    if kind in arrays:
        np.save(path, arrays[kind])
    elif kind == "two arrays":
        np.savez(path, a=np.ones((20, 2)), b=np.ones((20, 2)))
    elif kind == "no array":
        np.savez(path)
    elif kind == "labels":
        np.savez(path, X=np.ones((20, 2)), y=np.ones(19))
    elif kind == "truncated":
        np.savez_compressed(path, X=np.arange(2000.0).reshape(100, 20))
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "damaged":
        np.savez_compressed(path, X=np.arange(2000.0).reshape(100, 20))
        contents = bytearray(path.read_bytes())
        contents[200:220] = bytes(20)
        path.write_bytes(contents)
    elif kind == "disguised":
        with path.open("wb") as file:
            np.save(file, np.ones((20, 2)))
    elif kind == "not an archive":
        path.write_bytes(zlib.compress(b"nothing"))
    elif kind == "folder":
        path.mkdir()
    elif kind == "suffix":
        path = folder / "data.csv"
        path.write_text("1,2\n")
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("flat", "must be 2-D"),
        ("nan", "NaN or infinity. Got nan at row 7, column 2"),
        ("text", "must hold real numbers"),
        ("object", "not a file of plain NumPy arrays"),
        ("few rows", "must have at least 10 rows. Got 9"),
        ("two arrays", "one array must be named X or x_train, or be the only one. It holds a, b"),
        ("no array", "no array"),
        ("labels", "one for each of the 20 rows"),
        ("truncated", "not a file of plain NumPy arrays"),
        ("damaged", "not a file of plain NumPy arrays"),
        ("disguised", "a .npy file under the name of a .npz file"),
        ("not an archive", "not a file of plain NumPy arrays"),
        ("folder", "directory"),
        ("suffix", "a .npy or .npz file"),
        ("missing", "No such file"),
    ],
)
def test_bad_file(kind: str, says: str, tmp_path: Path, capsys: Any) -> None:
    path = bad_file(kind, tmp_path)
    picture = tmp_path / "p.png"
    assert main(["demo", "--data", str(path), "--output", str(picture)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("python -m diabolo demo: error: ")
    assert printed.err.count("\n") == 1
    assert says in printed.err
    assert str(path) in printed.err
    assert printed.out == ""
    assert not picture.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output", "nowhere/p.png"], "There is no 'nowhere'"),
        (["--output", "."], "--output must end in one of"),
        (["--output", "p.doc"], ".png"),
        (["--output", "folder.png"], "is a folder"),
        (["--components", "65"], "--components must be at most 64"),
    ],
)
def test_bad_option(arguments: list[str], says: str, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    assert main(["demo", *arguments]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--epochs", "0"], ["--seed", "-1"], ["--epochs", "many"], ["--unknown"], ["surplus"]]
)
def test_argparse_refuses(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", *arguments])
    assert stopped.value.code == 2
    assert "usage: python -m diabolo" in capsys.readouterr().err


def test_bad_input_gives_no_traceback(tmp_path: Path) -> None:
    done = run_command("demo", "--data", "missing.npy", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "python -m diabolo demo: error: missing.npy: No such file or directory\n"
    assert done.stdout == ""


@pytest.mark.parametrize("missing", ["matplotlib", "sklearn"])
def test_missing_extra(missing: str, capsys: Any, monkeypatch: Any) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == missing or name == "diabolo._demo_picture":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(diabolo, "_demo_picture", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["demo"]) == 2
    assert 'pip install "diabolo[demo]"' in capsys.readouterr().err


def test_unknown_isa(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("DIABOLO_ISA", "mmx")
    assert main(["demo", "--output", str(tmp_path / "p.png")]) == 2
    assert all(isa in capsys.readouterr().err for isa in diabolo.available_isas()[:1])


# ---- The command line around it ----


def test_help_and_version(capsys: Any) -> None:
    for arguments, says in ((["--help"], "demo"), (["--version"], f"diabolo {diabolo.__version__}\n")):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
        assert says in capsys.readouterr().out
    assert main([]) == 2
    assert "demo" in capsys.readouterr().err


def test_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    reader = subprocess.run(
        f"{sys.executable} -m diabolo demo --epochs 1 | true",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert reader.stderr == ""
