"""`save`: what every estimator that a file may hold has."""

import os

from diabolo._base import Estimator
from diabolo._persistence import save_estimator


class Saved(Estimator):
    """Base of the estimators that `diabolo.load` can bring back."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to a file that `diabolo.load` reads.

        The file is replaced in one step: whenever the process dies, it holds the old estimator or the new
        one. It is in safetensors format, with a checksum and no pickle. Estimators inside of this one are in
        the same file.

        Parameters
        ----------
        path : str or path-like
            The usual suffix is ".safetensors".

        Raises
        ------
        NotFittedError
            Before `fit`.
        OSError
            What the operating system says; the old file is as it was.
        TypeError
            For a subclass, which `diabolo.load` could not make again.

        Notes
        -----
        A `random_state` that is a generator is not saved; None is loaded in its place.
        """
        save_estimator(self, path)
