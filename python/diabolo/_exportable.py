"""What fitted estimators become elsewhere: a header of C, a graph of ONNX. How, stands in a module each."""

import os
from abc import abstractmethod
from typing import Any, Literal

from diabolo._base import Estimator
from diabolo._fitted import Fitted
from diabolo._validation import broken


class Exportable(Estimator):
    """The part of the estimators that writes other programs' files."""

    def to_c(
        self, path: str | os.PathLike[str], *, name: str | None = None, threshold: float | None = None
    ) -> None:
        """Write the model as one C99 header that encodes, decodes, reconstructs and scores a row.

        It allocates nothing and needs no library but libm; scaling is part of it. What it computes differs
        from `transform` and the others by 1e-5 (1 + |value|) at most, in the scaled space. With more than two
        million weights these stand in a file beside it, whose name ends in ".bin" instead of ".h". How to use
        it is told at the top of the header.

        Parameters
        ----------
        path : str or path-like
            The header; its name must end in ".h".
        name : str, optional
            What the names of functions and, in capitals, macros begin with. By default the file's name.
        threshold : float, optional
            Rows whose score is below it are outliers: the header gets a function that says so.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidParameterError
            The path does not end in ".h", `name` is no identifier, or `threshold` no finite number; or the
            estimator was fitted with ``zeros="missing"``, of which dense rows know nothing.
        OSError
            What the operating system says; an old file is as it was.
        """
        from diabolo._export_c import write_c
        from diabolo._export_network import exported_network

        owner, fitted = type(self).__name__, self._require_fitted()
        _check_scores(owner, fitted, "to_c, whose score counts every value")
        write_c(owner, exported_network(owner, fitted, threshold), path, name)

    def to_onnx(
        self,
        path: str | os.PathLike[str],
        *,
        part: Literal["autoencoder", "encoder", "decoder", "scores"] = "autoencoder",
        threshold: float | None = None,
    ) -> None:
        """Write the model, or a part of it, as a graph of ONNX.

        Input and output are float32, with any number of rows; scaling is part of the graph. Nothing but
        standard operators of opset 17 is used. What a runtime computes differs from `transform` and the
        others by 1e-5 (1 + |value|) at most, in the scaled space.

        Parameters
        ----------
        path : str or path-like
            The usual suffix is ".onnx".
        part : {"autoencoder", "encoder", "decoder", "scores"}, default "autoencoder"
            What the graph computes: "reconstruction" from "X", "codes" from "X", "reconstruction" from
            "codes", or "scores" from "X", as `score_samples` gives them. (The names in quotes are those of
            its inputs and outputs.)
        threshold : float, optional
            Rows whose score is below it are outliers: "scores" gets a second output, "is_outlier", of bools.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidParameterError
            `part` is none of the four, `threshold` is no finite number or given for another part than
            "scores", or the weights take more than the 2 GB that a file of ONNX can hold.
        OSError
            What the operating system says; an old file is as it was.
        """
        from diabolo._export_network import exported_network
        from diabolo._export_onnx import write_onnx

        owner, fitted = type(self).__name__, self._require_fitted()
        if part == "scores":
            _check_scores(owner, fitted, "part='scores', which counts every value")
        write_onnx(owner, exported_network(owner, fitted, threshold), path, part)


class _ExportsItself(Estimator):
    """Export of estimators that say themselves what of them leaves Python."""

    def to_c(self, path: str | os.PathLike[str], *, name: str | None = None) -> None:
        """Write the estimator as one C99 header: as `AutoEncoder.to_c`.

        Of a detector it has the score and the threshold; of a classifier or regressor it encodes a row and
        predicts.

        Parameters
        ----------
        path : str or path-like
            The header; its name must end in ".h".
        name : str, optional
            What the names of functions and, in capitals, macros begin with. By default the file's name.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidParameterError
            The path does not end in ".h", or `name` is no identifier.
        OSError
            What the operating system says; an old file is as it was.
        """
        from diabolo._export_c import write_c

        write_c(type(self).__name__, self._exported(), path, name)

    @abstractmethod
    def _exported(self) -> Any:
        """Return the ExportedNetwork."""


class ExportableDetector(_ExportsItself):
    """Of outlier detectors, whose score has a metric and which have a threshold of their own."""

    def to_onnx(
        self,
        path: str | os.PathLike[str],
        *,
        part: Literal["autoencoder", "encoder", "decoder", "scores"] = "scores",
    ) -> None:
        """Write the detector as a graph of ONNX, or a part of its autoencoder: as `AutoEncoder.to_onnx`.

        Parameters
        ----------
        path : str or path-like
            The usual suffix is ".onnx".
        part : {"autoencoder", "encoder", "decoder", "scores"}, default "scores"
            What the graph computes: "scores" and, by the detector's threshold, "is_outlier" from "X", or what
            the parts of an autoencoder do.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidParameterError
            `part` is none of the four, or the weights take more than the 2 GB that a file of ONNX can hold.
        OSError
            What the operating system says; an old file is as it was.
        """
        from diabolo._export_onnx import write_onnx

        network = self._exported()
        # The other parts have no score that the threshold could be compared with.
        write_onnx(
            type(self).__name__, network if part == "scores" else network._replace(threshold=None), path, part
        )

    def _exported(self) -> Any:
        from diabolo._export_network import exported_network

        fitted: Any = self._require_fitted()
        return exported_network(type(self).__name__, fitted, fitted.offset, fitted.metric)


class ExportableSupervised(_ExportsItself):
    """Of classifiers and regressors, which restore no rows: codes and predictions."""

    def to_onnx(
        self, path: str | os.PathLike[str], *, part: Literal["predictions", "encoder"] = "predictions"
    ) -> None:
        """Write the estimator, or its encoder, as a graph of ONNX: as `AutoEncoder.to_onnx`.

        Parameters
        ----------
        path : str or path-like
            The usual suffix is ".onnx".
        part : {"predictions", "encoder"}, default "predictions"
            What the graph computes from "X": of a classifier "probabilities" (with another loss than
            "categorical_crossentropy" "decisions") and "class", the number of the class in `classes_`; of a
            regressor "values"; or, of the encoder, "codes". (The names in quotes are those of inputs and
            outputs.) There is no decoder, and there are no scores.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidParameterError
            `part` is none of the two, or the weights take more than the 2 GB that a file of ONNX can hold.
        OSError
            What the operating system says; an old file is as it was.
        """
        from diabolo._export_onnx import write_onnx

        write_onnx(type(self).__name__, self._exported(), path, part)

    def _exported(self) -> Any:
        from diabolo._export_network import ExportedOutputs, ExportedSoftmax, exported_network

        fitted: Any = self._require_fitted()
        network = exported_network(type(self).__name__, fitted, None)
        labels = getattr(fitted.meaning, "labels", ())
        outputs = ExportedOutputs(
            labels=tuple(str(label) for label in labels),
            scaler=None if len(labels) else (fitted.meaning.shift, fitted.meaning.scale),
            probabilities=isinstance(network.decoder[-1], ExportedSoftmax),
        )
        return network._replace(outputs=outputs)


def _check_scores(owner: str, fitted: Fitted, what: str) -> None:
    """Refuse to export scores of stored elements alone: dense rows do not tell them from the others."""
    if fitted.fitting.zeros == "missing":
        raise broken(owner, "zeros", f"'values' for {what}", "missing")
