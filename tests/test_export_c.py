"""`to_c`: what a strict compiler says of the headers, and what compiled programs compute with them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

import diabolo
from diabolo import AutoEncoder, InvalidParameterError, _c_functions, _export_c
from exported_models import VARIANTS, assert_near, fitted, rows, scaled

PROGRAM = Path(__file__).with_name("cpp") / "exported_header.c"
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
STRICT = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]

pytestmark = pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang")


class Computed(NamedTuple):
    code: npt.NDArray[np.float32]
    decoded: npt.NDArray[np.float32]
    reconstructed: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    outlier: npt.NDArray[np.float32]


def compiled(
    header: Path, compiler: str, *options: str, sanitize: bool = False, source: Path = PROGRAM
) -> Path:
    """Return the test's program with this header; -lm is all it is linked with."""
    program = header.with_suffix("")
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover"] if sanitize else []
    done = subprocess.run(
        [compiler, *STRICT, *checks, f'-DHEADER="{header}"', *options, source, "-o", program, "-lm"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


def computed(program: Path, ae: AutoEncoder, X: npt.NDArray[Any]) -> Computed:
    done = subprocess.run([program], input=X.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr.decode())
    widths = (ae.n_components, X.shape[1], X.shape[1], 1, 1)
    table = np.frombuffer(done.stdout, np.float32).reshape(len(X), sum(widths))
    parts = np.split(table, np.cumsum(widths)[:-1], axis=1)
    return Computed(*parts[:3], parts[3][:, 0], parts[4][:, 0])


def assert_agrees(found: Computed, ae: AutoEncoder, X: npt.NDArray[Any], threshold: float) -> None:
    assert_near(found.code, ae.transform(X))
    assert_near(scaled(ae, found.decoded), scaled(ae, ae.inverse_transform(found.code)))
    assert_near(scaled(ae, found.reconstructed), scaled(ae, ae.reconstruct(X)))
    assert_near(found.score, ae.score_samples(X))
    np.testing.assert_array_equal(found.outlier, found.score < np.float32(threshold))
    assert 0 < found.outlier.sum() < len(X)


@pytest.mark.parametrize("variant", VARIANTS)
def test_agrees(variant: str, tmp_path: Path) -> None:
    X = rows()
    ae = fitted(X, **VARIANTS[variant])
    threshold = float(np.median(ae.score_samples(X)))
    ae.to_c(tmp_path / "m.h", threshold=threshold)
    assert_agrees(computed(compiled(tmp_path / "m.h", COMPILERS[0]), ae, X), ae, X, threshold)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("hidden", [(), (4,), (9, 8, 7, 6)], ids=str)
def test_depths(compiler: str, hidden: tuple[int, ...], tmp_path: Path) -> None:
    X = rows()
    ae = fitted(X, hidden_layer_sizes=hidden, decoder_layer_sizes=hidden[:1], scale="standard")
    threshold = float(np.median(ae.score_samples(X)))
    ae.to_c(tmp_path / "m.h", threshold=threshold)
    assert_agrees(computed(compiled(tmp_path / "m.h", compiler, sanitize=True), ae, X), ae, X, threshold)


def test_extreme_inputs_stay_finite(tmp_path: Path) -> None:
    """Where the exponential overflows, the activations take their limits, as the core's do."""
    X = np.concatenate([rows(4), 1e3 * rows(4), -1e3 * rows(4)])
    for activation in ("sigmoid", "tanh", "elu", "gelu", "silu", "softplus"):
        ae = fitted(rows(), activation=activation, code_activation=activation, hidden_layer_sizes=(7,))
        ae.to_c(tmp_path / "m.h", threshold=float(np.median(ae.score_samples(X))))
        found = computed(compiled(tmp_path / "m.h", COMPILERS[0]), ae, X)
        assert_near(found.code, ae.transform(X))
        assert_near(found.reconstructed, ae.reconstruct(X))


def test_double_inputs_keep_their_digits(tmp_path: Path) -> None:
    """Time stamps: float would know them to two minutes only."""
    X = np.random.default_rng(0).random((30, 4)) * 60.0 + 1.7e9
    ae = fitted(X, scale="standard")
    threshold = float(np.median(ae.score_samples(X)))
    ae.to_c(tmp_path / "m.h", threshold=threshold)
    program = compiled(tmp_path / "m.h", COMPILERS[0], "-DM_INPUT=double")
    found = computed(program, ae, X)
    assert_near(found.code, ae.transform(X))
    assert_near(found.score, ae.score_samples(X))


def test_only_what_is_promised_is_called(tmp_path: Path) -> None:
    X = rows()
    called: set[str] = set()
    for activation in _c_functions._FORMULAS:
        fitted(X, activation=activation, scale="minmax").to_c(tmp_path / "m.h", threshold=0)
        text = re.sub(r"/\*.*?\*/", "", (tmp_path / "m.h").read_text(), flags=re.DOTALL)
        called |= set(re.findall(r"(?<!\w)([a-z]+)\(", text)) - {"for", "if", "sizeof"}
        assert set(re.findall(r"#include <(.*)>", text)) <= {"math.h", "stddef.h"}
        assert not re.search(
            r"[a-z]\w*\[[a-z]", re.sub(r"\b(x|y|row|\w*sca\w*|\w*shift|bias|slope|\w*d)\[", "", text)
        )
    assert called == {"expf", "tanhf", "logf", "erff"}


def test_two_models_in_one_program(tmp_path: Path) -> None:
    X = rows()
    fitted(X, tied_weights=True).to_c(tmp_path / "one.h")
    fitted(X, scale="minmax", activation="gelu").to_c(tmp_path / "two-b.h")
    fitted(X).to_c(tmp_path / "2.h")
    fitted(X).to_c(tmp_path / "x.h", name="Mine")
    source = tmp_path / "main.c"
    headers = "".join(f'#include "{name}.h"\n' for name in ("one", "two-b", "2", "x", "one"))
    source.write_text(
        headers
        + "int main(void) {\n  float s[ONE_SCRATCH + TWO_B_SCRATCH + MODEL_2_SCRATCH + MINE_SCRATCH];\n"
        "  const float x[ONE_FEATURES] = {1, 2, 3, 4, 5, 6};\n"
        "  return one_score(x, s) + two_b_score(x, s) + model_2_score(x, s) + Mine_score(x, s) > 0;\n}\n"
    )
    for compiler in COMPILERS:
        for language in ("-std=c99", "-xc++"):
            options = [
                language,
                "-Wall",
                "-Wextra",
                "-Werror",
                str(source),
                "-o",
                str(tmp_path / "main"),
                "-lm",
            ]
            subprocess.run([compiler, *options], check=True)
            subprocess.run([tmp_path / "main"], check=True)


def test_the_same_model_gives_the_same_header(tmp_path: Path) -> None:
    X = rows()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        fitted(X, scale="standard").to_c(str(tmp_path / name / "m.h"))
    assert (tmp_path / "a" / "m.h").read_bytes() == (tmp_path / "b" / "m.h").read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["m.h"]


# ---- Weights in a file of their own ----


def test_many_weights_have_a_file_of_their_own(tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((20, 1030)).astype(np.float32)
    ae = fitted(X, hidden_layer_sizes=(1000,), n_components=4, scale="minmax", output_activation="prelu")
    assert sum(weight.size for weight in ae.get_weights().values()) > 2_000_000
    threshold = float(np.median(ae.score_samples(X)))
    ae.to_c(tmp_path / "m.h", threshold=threshold)
    assert (tmp_path / "m.h").stat().st_size < 200_000  # but the scaler
    weights = b"".join(weight.tobytes() for weight in ae.get_weights().values())
    assert (tmp_path / "m.bin").read_bytes() == weights
    option = f'-DWEIGHTS="{tmp_path / "m.bin"}"'
    program = compiled(tmp_path / "m.h", COMPILERS[0], option)
    assert_agrees(
        computed(
            program,
            ae,
            X,
        ),
        ae,
        X,
        threshold,
    )

    (tmp_path / "m.bin").write_bytes(weights[:-4] + b"\0\0\0\0")
    done = subprocess.run([program], input=X.tobytes(), capture_output=True, check=False)
    assert done.returncode == 3


@pytest.mark.parametrize(
    "changes", [{}, {"tied_weights": True, "activation": "prelu"}], ids=["plain", "tied"]
)
def test_layouts_of_the_weights_file(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_export_c, "MOST_WEIGHTS_IN_HEADER", 10)
    X = rows()
    ae = fitted(X, **changes)
    threshold = float(np.median(ae.score_samples(X)))
    ae.to_c(tmp_path / "m.h", threshold=threshold)
    program = compiled(tmp_path / "m.h", COMPILERS[0], f'-DWEIGHTS="{tmp_path / "m.bin"}"', sanitize=True)
    assert_agrees(computed(program, ae, X), ae, X, threshold)


# ---- Refused ----


def test_unfitted(tmp_path: Path) -> None:
    with pytest.raises(diabolo.NotFittedError):
        AutoEncoder().to_c(tmp_path / "m.h")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("m.c", {}, r"^AutoEncoder: path must be the name of a file that ends in '\.h'\. Got '.*m\.c'\.$"),
        ("m.h", {"name": "a b"}, r"^AutoEncoder: name must be None or an identifier of C .*\. Got 'a b'\.$"),
        ("m.h", {"name": "1"}, "name must be"),
        ("m.h", {"name": "_x"}, "name must be"),
        ("m.h", {"name": "é"}, "name must be"),
        ("m.h", {"name": 3}, "name must be"),
        ("m.h", {"threshold": "1"}, r"^AutoEncoder: threshold must be None or a finite number of float32\."),
        ("m.h", {"threshold": float("nan")}, "threshold must be"),
        ("m.h", {"threshold": 1e39}, "threshold must be"),
        ("m.h", {"threshold": True}, "threshold must be"),
    ],
)
def test_refused(path: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        fitted(rows()).to_c(tmp_path / path, **options)
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_system(tmp_path: Path) -> None:
    ae = fitted(rows())
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ae.to_c(tmp_path / "nowhere" / "m.h")
    (tmp_path / "m.h").mkdir()
    with pytest.raises(IsADirectoryError):
        ae.to_c(tmp_path / "m.h")
    assert list(tmp_path.iterdir()) == [tmp_path / "m.h"]


def test_numpy_s_numbers_as_threshold(tmp_path: Path) -> None:
    for threshold in (np.float32(-0.5), np.float64(-0.5), np.int64(-1)):
        fitted(rows()).to_c(tmp_path / "m.h", threshold=threshold)
        assert f"({float(threshold)}f)" in (tmp_path / "m.h").read_text()


# ---- Outlier detectors ----


@pytest.mark.parametrize("metric", ["mse", "mae"])
def test_detectors_bring_their_metric_and_threshold(metric: str, tmp_path: Path) -> None:
    X = rows(200)
    network = AutoEncoder(2, hidden_layer_sizes=(5,), epochs=5, scale="standard", random_state=0)
    detector = diabolo.ReconstructionOutlierDetector(network, metric=metric, contamination=0.1).fit(X)
    detector.to_c(tmp_path / "m.h")
    found = computed(compiled(tmp_path / "m.h", COMPILERS[0]), detector.autoencoder_, X)
    assert_near(found.score, detector.score_samples(X).astype(np.float32))
    # Where the score is the threshold to within rounding, either answer is right.
    sure = abs(detector.decision_function(X)) > 1e-5
    np.testing.assert_array_equal(found.outlier[sure] == 1, detector.predict(X)[sure] == -1)
    assert found.outlier.sum() >= 15
