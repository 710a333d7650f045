"""The command line: what is read, what is written, and how it ends. The demo has tests of its own."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diabolo
from cli_helpers import FAST, NAMES, model, own_folder, write
from diabolo import SGD, CosineDecay
from diabolo.__main__ import main
from diabolo._cli_options import KINDS, value_of

__all__ = ["model", "own_folder"]  # fixtures
pytestmark = pytest.mark.usefixtures("own_folder")


# ---- Files of other estimators ----


def test_a_classifier_has_codes_and_predictions(tmp_path: Path, capsys: Any) -> None:
    random = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", random.random((40, 5)))
    classifier = diabolo.AutoEncoderClassifier(diabolo.AutoEncoder(3, epochs=1), epochs=1)
    classifier.fit(np.load(tmp_path / "x.npy"), np.arange(40) % 2).save(tmp_path / "c")
    model, data = str(tmp_path / "c"), str(tmp_path / "x.npy")
    assert main(["transform", model, data, "-o", str(tmp_path / "z.npy")]) == 0
    np.testing.assert_array_equal(
        np.load(tmp_path / "z.npy"), classifier.transform(np.load(tmp_path / "x.npy"))
    )
    assert main(["info", model]) == 0
    assert "head.0 identity, softmax" in capsys.readouterr().out
    for command in (["score", model, data], ["reconstruct", model, data]):
        assert main(command) == 2
        assert "AutoEncoderClassifier is there for `transform`" in capsys.readouterr().err
    assert main(["export", model, "-o", str(tmp_path / "c.h")]) == 0
    assert main(["export", model, "-o", str(tmp_path / "c.onnx"), "--part", "predictions"]) == 0
    assert main(["export", model, "-o", str(tmp_path / "c.h"), "--threshold", "1"]) == 2
    assert (
        "--threshold means nothing for AutoEncoderClassifier, which has no score" in capsys.readouterr().err
    )
    assert main(["export", model, "-o", str(tmp_path / "c.onnx"), "--part", "decoder"]) == 2
    assert "it has a head, and no decoder" in capsys.readouterr().err


# ---- Options ----


def test_every_hyper_parameter_is_an_option_with_a_description(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for kind in KINDS.values():
        for name in kind._defaults():
            if name not in ("verbose", "callbacks", "warm_start"):
                option = re.search(
                    rf"--{name.replace('_', '-')} VALUE(.*?)\(default", text.partition("hyper-")[2]
                )
                assert option, name
                assert len(option[1]) > 8, name


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("hidden_layer_sizes", "128,64", (128, 64)),
        ("hidden_layer_sizes", "128", (128,)),
        ("hidden_layer_sizes", "(128, 64)", (128, 64)),
        ("hidden_layer_sizes", "", ()),
        ("decoder_layer_sizes", "None", None),
        ("decoder_layer_sizes", "7", (7,)),
        ("n_components", "7", 7),
        ("learning_rate", "1e-3", 1e-3),
        ("clip_norm", "inf", float("inf")),
        ("tied_weights", "true", True),
        ("shuffle", "blocks", "blocks"),
        ("optimizer", "sgd", "sgd"),
        ("optimizer", "SGD(momentum=0.9, nesterov=True)", SGD(momentum=0.9, nesterov=True)),
        ("schedule", "CosineDecay(warmup_epochs=2)", CosineDecay(2)),
        ("pretraining", "rbm", "rbm"),
        ("pretraining", "rbm,denoising", ("rbm", "denoising")),
        ("pretraining_epochs", "3,2", (3, 2)),
        ("pretraining_parameters", "{'k': 3}", {"k": 3}),
        ("categorical_groups", "[[0, 1], [2, 3]]", [[0, 1], [2, 3]]),
    ],
)
def test_values(name: str, text: str, value: object) -> None:
    found = value_of(name, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--optimizer", "Lion(a=1)"], "--optimizer: cannot read 'Lion(a=1)': it must be one of Adam, "),
        (["--optimizer", "SGD(0.9)"], "its settings named"),
        (["--optimizer", "SGD(momentum=open('x'))"], "--optimizer: cannot read"),
        (["--optimizer", "SGD(speed=1)"], "speed"),
        (
            ["--model", "stacked", "--pretraining-parameters", "{"],
            "--pretraining-parameters: cannot read '{'",
        ),
        (["--optimizer", "SGD("], "--optimizer: cannot read"),
        (["--optimizer", "SGD(momentum=2)"], "SGD: momentum must be a number in [0, 1). Got 2."),
        (["--n-components", "0"], "AutoEncoder: n_components must be an int >= 1. Got 0."),
        (["--n-components", "two"], "Got 'two'"),
        (["--hidden-layer-sizes", "8,x"], "hidden_layer_sizes must be a sequence"),
        (["--columns", "a,nothing"], "there is no column 'nothing': its names are a, b, c d"),
        (["--columns", "9"], "there is no column '9'"),
        (["--validation-data", "y.csv"], "y.csv: No such file or directory"),
        (["-o", "nowhere/m"], "there is no folder 'nowhere'"),
        (["-o", "."], "this is a folder"),
    ],
)
def test_bad_options_of_fit(options: list[str], says: str, X: Any, capsys: Any, tmp_path: Path) -> None:
    write("x.csv", X)
    assert main(["fit", "x.csv", "-o", "m", "-q", *options]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("python -m diabolo fit: error: ")
    assert says in printed.err
    assert printed.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize(
    "arguments", [["fit"], ["fit", "x.csv"], ["fit", "x", "-o", "m", "--model", "magic"]]
)
def test_argparse_refuses(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


# ---- From data to results ----


@pytest.mark.parametrize("data", ["x.npy", "x.npz", "x.csv", "x.tsv", "bare.csv", "x.parquet"])
def test_formats_of_data(data: str, X: Any, capsys: Any) -> None:
    write(data, X)
    assert main(["fit", data, "-o", "m.safetensors", *FAST]) == 0
    assert re.fullmatch(
        r"m\.safetensors: AutoEncoder 6-2-6, 2 epochs, loss 0\.\d+\n", capsys.readouterr().out
    )
    loaded = diabolo.load("m.safetensors")
    expected = diabolo.AutoEncoder(2, epochs=2, random_state=0).fit(X)
    for name, weight in loaded.get_weights().items():
        np.testing.assert_array_equal(weight, expected.get_weights()[name])
    names = loaded._require_fitted().fitting.feature_names
    assert names == (None if data in ("x.npy", "x.npz", "bare.csv") else tuple(NAMES))
    assert main(["score", "m.safetensors", data, "-o", "scores.npy"]) == 0
    np.testing.assert_array_equal(np.load("scores.npy")[:, 0], expected.score_samples(X))


@pytest.mark.parametrize("data", ["x.npy", "x.csv", "x.parquet"])
@pytest.mark.parametrize(
    "choice", [["--columns", "0,2,5"], ["--drop", "1,3,4"], ["--columns", "a,c d,f"], ["--drop", "b,é,e"]]
)
def test_choice_of_columns(data: str, choice: list[str], X: Any, capsys: Any) -> None:
    write(data, X)
    code = main(["fit", data, "-o", "m.safetensors", *FAST, *choice])
    if data == "x.npy" and not choice[1][0].isdecimal():
        assert code == 2
        assert "it has 6, without names" in capsys.readouterr().err
        return
    assert code == 0
    chosen = np.ascontiguousarray(X[:, [0, 2, 5]])
    expected = diabolo.AutoEncoder(2, epochs=2, random_state=0).fit(chosen)
    for name, weight in diabolo.load("m.safetensors").get_weights().items():
        np.testing.assert_array_equal(weight, expected.get_weights()[name])


@pytest.mark.parametrize("output", [None, "out.npy", "out.csv", "out.tsv", "out.parquet"])
@pytest.mark.parametrize(
    ("command", "options", "header"),
    [
        ("transform", [], ["code_0", "code_1"]),
        ("reconstruct", [], [f"x{i}" for i in range(6)]),
        ("score", [], ["score"]),
        ("score", ["--per-feature"], [f"x{i}" for i in range(6)]),
    ],
)
def test_results(
    command: str, options: list[str], header: list[str], output: str | None, X: Any, model: Any, capsys: Any
) -> None:
    write("x.npy", X)
    arguments = [command, "m.safetensors", "x.npy", *options]
    assert main(arguments if output is None else [*arguments, "-o", output]) == 0
    printed = capsys.readouterr().out
    expected = {
        "transform": lambda: model.transform(X),
        "reconstruct": lambda: model.reconstruct(X),
        "score": lambda: (
            model.reconstruction_error(X, per_feature=True) if options else model.score_samples(X)[:, None]
        ),
    }[command]()
    if output == "out.npy":
        found, names = np.load(output), header
    elif output == "out.parquet":
        import polars

        frame = polars.read_parquet(output)
        found, names = frame.to_numpy(), frame.columns
    else:
        text = printed if output is None else Path(output).read_text("utf-8")
        delimiter = "\t" if output == "out.tsv" else ","
        lines = [line.split(delimiter) for line in text.splitlines()]
        found, names = np.array(lines[1:], np.float32), lines[0]
    assert names == header
    np.testing.assert_array_equal(found, expected)
    assert (printed == "") == (output is not None)


def test_validation_data(X: Any, capsys: Any) -> None:
    write("x.csv", X)
    np.save("val.npy", X[:20])
    assert main(["fit", "x.csv", "-o", "m", "--validation-data", "x.csv", *FAST]) == 0
    assert "val_loss 0." in capsys.readouterr().out


def test_info_for_programs(model: Any, capsys: Any) -> None:
    assert main(["info", "m.safetensors", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["class"] == "AutoEncoder"
    assert facts["weights"]["encoder.0.kernel"] == [6, 2]
    assert facts["history"] == model.history_
    assert facts["parameters"]["n_components"] == 2


@pytest.mark.parametrize("output", ["m.h", "m.onnx"])
def test_export(output: str, model: Any) -> None:
    options = ["--name", "mine"] if output == "m.h" else ["--part", "scores"]
    assert main(["export", "m.safetensors", "-o", output, "--threshold", "-0.5", *options]) == 0
    method = model.to_c if output == "m.h" else model.to_onnx
    method(f"expected.{output[2:]}", threshold=-0.5, **{options[0][2:]: options[1]})
    written, expected = Path(output).read_bytes(), Path(f"expected.{output[2:]}").read_bytes()
    assert written == expected.replace(b"expected.h", b"m.h")


def test_bench(capsys: Any) -> None:
    assert main(["bench", "--epochs", "1", "--n-jobs", "1"]) == 0
    speed = r"[\d,]+ rows/s, \d+ GFLOP/s"
    lines = rf"machine +1 thread, \w+\ntraining +{speed}\npredicting +{speed}\n"
    assert re.fullmatch(lines, capsys.readouterr().out)


# ---- Interrupted ----


def test_ctrl_c_keeps_the_last_completed_epoch(X: Any) -> None:
    np.save("x.npy", np.tile(X, (50, 1)))
    command = f"{shlex.quote(sys.executable)} -m diabolo fit x.npy -o m.safetensors --epochs 1000000 --seed 0"
    process = subprocess.Popen(
        shlex.split(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(diabolo.__file__).parents[1])},
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("epoch 1/1000000: loss ")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted"
    loaded = diabolo.load("m.safetensors")
    assert loaded.stop_reason_ == "interrupted"
    assert f", {loaded.n_iter_} epoch" in out


def test_resuming(X: Any, capsys: Any) -> None:
    write("x.csv", X)
    options = [*FAST, "--epochs", "4"]
    assert (
        main(["fit", "x.csv", "-o", "whole", *options, "--checkpoint", "run", "--checkpoint-every", "4"]) == 0
    )
    assert main(["fit", "x.csv", "-o", "resumed", *options, "--resume-from", "run"]) == 0
    whole, resumed = diabolo.load("whole"), diabolo.load("resumed")
    for name, weight in whole.get_weights().items():
        np.testing.assert_array_equal(weight, resumed.get_weights()[name])
    capsys.readouterr()
    assert main(["fit", "x.csv", "-o", "m", *options, "--resume-from", "run", "--epochs", "5"]) == 2
    assert "epochs must be 4, as in the checkpoint run. Got 5." in capsys.readouterr().err


def test_detectors(X: Any, capsys: Any) -> None:
    write("x.npy", X)
    detector = diabolo.ReconstructionOutlierDetector(diabolo.AutoEncoder(2, epochs=2, random_state=0)).fit(X)
    detector.save("d")
    assert main(["score", "d", "x.npy", "-o", "scores.npy"]) == 0
    np.testing.assert_array_equal(np.load("scores.npy")[:, 0], detector.score_samples(X))
    assert main(["info", "d"]) == 0
    assert "ReconstructionOutlierDetector(" in capsys.readouterr().out
    assert main(["info", "d", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["class"] == "ReconstructionOutlierDetector"
    for output in ("d.h", "d.onnx"):
        assert main(["export", "d", "-o", output]) == 0
        assert main(["export", "d", "-o", output, "--threshold", "-1"]) == 2
        assert "which has a threshold of its own" in capsys.readouterr().err
    for arguments in (["transform", "d", "x.npy"], ["reconstruct", "d", "x.npy"]):
        assert main(arguments) == 2
        assert "d: ReconstructionOutlierDetector is there for `score`" in capsys.readouterr().err
    assert main(["score", "d", "x.npy", "--per-feature"]) == 2


@pytest.mark.filterwarnings("default")
def test_warnings_look_like_errors(X: Any, capsys: Any) -> None:
    np.save("x.npy", X)
    write("x.csv", X)
    assert main(["fit", "x.npy", "-o", "m", *FAST]) == 0
    capsys.readouterr()
    assert main(["score", "m", "x.csv", "-o", "scores.npy"]) == 0
    says = "python -m diabolo score: warning: X has feature names, but AutoEncoder was fitted without"
    assert re.fullmatch(rf"{says} feature names\n", capsys.readouterr().err)


def test_sampling(X: Any, capsys: Any) -> None:
    """The other kinds are a word away; a variational one draws rows."""
    write("x.csv", X)
    assert main(["fit", "x.csv", "-o", "vae", "--model", "variational", *FAST]) == 0
    assert main(["sample", "vae", "-n", "7", "-o", "new.npy", "--seed", "3"]) == 0
    drawn = np.load("new.npy")
    assert drawn.shape == (7, X.shape[1])
    np.testing.assert_array_equal(drawn, diabolo.load("vae").sample(7, random_state=3))
    capsys.readouterr()
    assert main(["info", "vae"]) == 0
    assert "network   6-2-6\n" in capsys.readouterr().out  # the code, and not its moments
    for kind in ("denoising", "sparse"):
        assert main(["fit", "x.csv", "-o", kind, "--model", kind, *FAST]) == 0
        assert main(["transform", kind, "x.csv", "-o", "codes.npy"]) == 0
    capsys.readouterr()
    assert main(["sample", "sparse"]) == 2
    assert "only a variational model draws rows" in capsys.readouterr().err
    assert main(["fit", "x.csv", "-o", "no", "--model", "sparse", "--likelihood", "bernoulli", *FAST]) == 2
    assert "--likelihood is no hyper-parameter of --model sparse" in capsys.readouterr().err
