"""Rows and labels in .npy and .npz files, as commands read them; never a pickle."""

from pathlib import Path

import numpy as np

from diabolo._cli_errors import CommandError
from diabolo._types import AnyArray

_ARRAY_NAMES = ("X", "x", "x_train", "X_train")
_LABEL_NAMES = ("y", "y_train")


def read_arrays(path: Path) -> tuple[AnyArray, AnyArray | None, str]:
    """Return the array, its labels if there are any, and the name to call the array by.

    The array of a .npy file is mapped into memory, not read.
    """
    try:
        if path.suffix == ".npy":
            loaded = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(loaded, np.ndarray):
                loaded.close()
                raise CommandError(f"{path}: a .npz file under the name of a .npy file")
            return loaded, None, "the array"
        # Opened here, for NumPy leaves a file open that is no archive.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise CommandError(f"{path}: a .npy file under the name of a .npz file")
            name, labels_name = _names(path, archive.files)
            return archive[name], None if labels_name is None else archive[labels_name], name
    except (CommandError, MemoryError):
        raise
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged file makes NumPy raise whatever zip, header and token readers do
        raise CommandError(f"{path}: not a file of plain NumPy arrays: {error}") from None


def _names(path: Path, names: list[str]) -> tuple[str, str | None]:
    """Return which array of an archive holds the rows, and which the labels."""
    others = [name for name in names if name not in _LABEL_NAMES]
    known = [name for name in _ARRAY_NAMES if name in others]
    if not known and len(others) != 1:
        held = ", ".join(names) if names else "no array at all"
        raise CommandError(
            f"{path}: one array must be named X or x_train, or be the only one. It holds {held}."
        )
    name = known[0] if known else others[0]
    labels_name = "y_train" if name.endswith("_train") else "y"
    return name, labels_name if labels_name in names else None
