"""What the command line refuses, and how it says so."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
from cli_helpers import FAST, model, own_folder, write
from diabolo.__main__ import main

__all__ = ["model", "own_folder"]  # fixtures
pytestmark = pytest.mark.usefixtures("own_folder")


BAD_TEXT = {
    "word": ("a,b\n1,2\n3,x\n", r"bad.csv: row 1 (line 3), column 1 ('b') must be a finite number. Got 'x'."),
    "empty cell": ("a,b\n1,\n", "row 0 (line 2), column 1 ('b') must be a finite number. Got ''."),
    "nan": ("1,2\nnan,4\n", "row 1 (line 2), column 0 must be a finite number. Got 'nan'."),
    "infinity": ("1,2\n3,1e999\n", "row 1 (line 2), column 1 must be a finite number. Got '1e999'."),
    "too few": ("a,b\n1,2\n3\n", "row 1 (line 3) must have 2 cells, as the first line has. Got 1."),
    "too many": ("a,b\n1,2,3\n", "row 0 (line 2) must have 2 cells, as the first line has. Got 3."),
    "quoted line break": ('a,b\n"1\n",2\n3,y\n', "row 1 (line 4), column 1 ('b')"),
    "comment": ("a,b\n1,2\n#3,4\n", "row 1 (line 3), column 0 ('a') must be a finite number. Got '#3'."),
    "names twice": ("a,a\n1,2\n", "the names of its columns must differ. 'a' is there twice."),
    "empty": ("", "its first line must hold numbers or names. It is empty."),
    "empty first line": ("\n1,2\n", "its first line must hold numbers or names. It is empty."),
    "names alone": ("a,b\n", "bad.csv: it must have at least one row below the names of its columns"),
    "open quote": ('a,b\n1,2\n3,"4\n5,6\n', "bad.csv: line 3: a quotation mark in it is never closed"),
    "open quote at the end": ('1,2\n3,4\n5,"6', "bad.csv: line 3: a quotation mark in it is never closed"),
    "open quote, long": ('1,"2\n' + 50_000 * "3,4\n", "line 1: a quotation mark in it is never closed"),
    "open quote in a name": ('"a,b\n1,2\n', "bad.csv: line 1: a quotation mark in it is never closed"),
    "long name": (
        200_000 * "b" + ",c\n1,2\n",
        "bad.csv: line 1: a quotation mark in it is never closed, or a",
    ),
    "text behind a quote": (
        '1,2\n3,"4"x\n',
        "bad.csv: line 2: its quotes are amiss: ',' expected after '\"'",
    ),
    "zero bytes": ("a,b\n1,\0\n", "row 0 (line 2), column 1 ('b')"),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_bad_text(case: str, capsys: Any) -> None:
    text, says = BAD_TEXT[case]
    Path("bad.csv").write_text(text)
    assert main(["fit", "bad.csv", "-o", "m", *FAST]) == 2
    assert says in capsys.readouterr().err
    assert not Path("m").exists()


MISSING_TEXT = "a,b,c\n1,,3\n2,nan,1\n 3 , ,2\n4,5,6\n"


def test_missing_values_in_text(capsys: Any) -> None:
    """Where the model takes them, and only there."""
    Path("x.csv").write_text(MISSING_TEXT)
    X = np.array([[1, np.nan, 3], [2, np.nan, 1], [3, np.nan, 2], [4, 5, 6]])
    options = [*FAST, "--missing", "mask", "--validation-data", "x.csv"]
    assert main(["fit", "x.csv", "-o", "m.safetensors", *options]) == 0
    expected = diabolo.AutoEncoder(2, epochs=2, random_state=0, missing="mask").fit(X, X_val=X)
    for name, weight in diabolo.load("m.safetensors").get_weights().items():
        np.testing.assert_array_equal(weight, expected.get_weights()[name])
    assert main(["score", "m.safetensors", "x.csv", "-o", "scores.npy"]) == 0
    np.testing.assert_array_equal(np.load("scores.npy")[:, 0], expected.score_samples(X))
    capsys.readouterr()
    for cell in ("x", "inf"):
        Path("bad.csv").write_text(MISSING_TEXT.replace("nan", cell))
        assert main(["score", "m.safetensors", "bad.csv"]) == 2
        says = f"row 1 (line 3), column 1 ('b') must be a finite number. Got '{cell}'."
        assert says in capsys.readouterr().err
    assert main(["fit", "x.csv", "-o", "m.safetensors", *FAST]) == 2
    assert "row 0 (line 2), column 1 ('b') must be a finite number. Got ''." in capsys.readouterr().err


def test_groups_of_columns_as_an_option() -> None:
    np.save("x.npy", np.eye(4)[[0, 1, 0, 1]] + np.eye(4)[[2, 3, 3, 2]])
    options = ["--loss", "categorical_crossentropy", "--categorical-groups", "[[0, 1], [2, 3]]"]
    assert main(["fit", "x.npy", "-o", "m.safetensors", *FAST, *options]) == 0
    found = diabolo.load("m.safetensors").reconstruct(np.load("x.npy"))
    np.testing.assert_allclose(found.reshape(4, 2, 2).sum(axis=2), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa,b\n1,2\n\n3,4\n",
        "a;b\r\n1;2\r\n3;4\r\n",
        '"a","b"\n"1","2"\n"3","4"\n',
        "1,2\n3,4",
        'a,b\n"1\n",2\n3,4\n',
        " a , b \n 1 , 2 \n 3 , 4 \n",
    ],
)
def test_odd_but_sound_text(text: str) -> None:
    Path("good.csv").write_bytes(text.encode())
    assert main(["fit", "good.csv", "-o", "m.safetensors", *FAST]) == 0
    assert main(["fit", "good.csv", "-o", "m.safetensors", *FAST, "--columns", "0"]) == 0
    expected = diabolo.AutoEncoder(2, epochs=2, random_state=0).fit([[1], [3]])
    found = diabolo.load("m.safetensors").get_weights()
    for name, weight in expected.get_weights().items():
        np.testing.assert_array_equal(found[name], weight)


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        ("x.csv", b"a,b\n1,\xff\n", "x.csv: not text in UTF-8: byte 6 is 0xff"),
        ("x.npy", b"hello", "x.npy: not a file of plain NumPy arrays"),
        ("x.parquet", b"hello", "x.parquet: not a parquet file"),
        ("x.xlsx", b"hello", "x.xlsx: DATA must end in one of .npy, .npz, .csv"),
    ],
)
def test_bad_files(name: str, contents: bytes, says: str, capsys: Any) -> None:
    Path(name).write_bytes(contents)
    assert main(["fit", name, "-o", "m", *FAST]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x.csv", "x.npy", "x.npz", "x.parquet"])
def test_missing_files(name: str, model: Any, capsys: Any) -> None:
    assert main(["score", "m.safetensors", name]) == 2
    assert capsys.readouterr().err == f"python -m diabolo score: error: {name}: No such file or directory\n"
    assert main(["info", "nothing"]) == 2
    assert capsys.readouterr().err == "python -m diabolo info: error: nothing: No such file or directory\n"


def test_other_errors(model: Any, X: Any, capsys: Any) -> None:
    write("x.npy", X)
    for arguments, says in (
        (["info", "x.npy"], "not a model file"),
        (["score", "m.safetensors", "x.npy", "-o", "out.doc"], "--output must end in one of .npy"),
        (
            ["score", "m.safetensors", "x.npy", "--columns", "0"],
            "X has 1 features, but AutoEncoder is expecting 6",
        ),
        (["export", "m.safetensors", "-o", "m.h", "--part", "encoder"], "--part means nothing for a .h file"),
        (["export", "m.safetensors", "-o", "m.onnx", "--name", "x"], "--name means nothing for a .onnx file"),
        (
            ["fit", "x.npy", "-o", "m", "-q", "--optimizer", "sgd", "--learning-rate", "1e9"],
            "training diverged",
        ),
    ):
        assert main(arguments) == 2
        printed = capsys.readouterr()
        assert says in printed.err
        assert printed.out == ""


def test_parquet_without_a_library(model: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("x.parquet").write_bytes(b"")
    for name in ("polars", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["score", "m.safetensors", "x.parquet"]) == 2
    assert "pip install polars" in capsys.readouterr().err
