"""Labels of any kind, and their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from fastlstm import _check

Array = NDArray[Any]


def as_labels(y: Any) -> Array:
    """A label for each of n things, (n,), as scikit-learn takes them."""
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "f":
        finite = np.isfinite(labels)
        if not finite.all():
            at = int(finite.argmin())
            raise ValueError(f"y: expected labels, got {labels[at]} at {at}; input y contains NaN or infinity")
    check_classification_targets(labels)
    found: Array = labels
    return found


def classes_of(labels: Array, told: Any = None, known: Array | None = None) -> Array:
    """All classes in their order: those that are known, those that are told, or those that there are."""
    if known is not None and told is None:
        return known
    classes: Array = np.unique(labels if told is None else np.asarray(told))
    if known is not None and not np.array_equal(classes, known):
        raise ValueError(f"classes: expected those of the first call, {known.tolist()}, got {classes.tolist()}")
    if len(classes) < 2:
        name = "y" if told is None else "classes"
        raise ValueError(f"{name}: expected at least two classes, got one class, {classes.tolist()}")
    return classes


def numbers_of(labels: Array, classes: Array, name: str = "y") -> NDArray[np.intp]:
    """The number of the class of each label."""
    strange = ~np.isin(labels, classes)
    if strange.any():
        raise ValueError(
            f"{name}: expected labels among {classes.tolist()!r:.200}, the classes of the first fit, "
            f"got {labels[strange].tolist()[0]!r}"
        )
    found: NDArray[np.intp] = np.searchsorted(classes, labels).astype(np.intp)
    return found


def weights_of(class_weight: Any, classes: Array, labels: Array) -> Array | None:
    """The weight of each label, (n,); None if all count alike."""
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight: expected a dict, 'balanced' or None, got {class_weight!r:.80}")
        present = np.unique(labels)
        of_class = dict(zip(present.tolist(), compute_class_weight("balanced", classes=present, y=labels), strict=True))
    elif isinstance(class_weight, dict):
        strange = [label for label in class_weight if label not in classes]
        if strange:
            raise ValueError(f"class_weight: expected some of the classes {classes.tolist()}, got {strange[0]!r}")
        of_class = {c: _check.number(w, f"class_weight of {c!r}", 0) for c, w in class_weight.items()}
    else:
        raise TypeError(f"class_weight: expected a dict, 'balanced' or None, got {class_weight!r:.80}")
    weights = np.array([of_class.get(c, 1.0) for c in classes.tolist()])
    found: Array = weights[np.searchsorted(classes, labels)]
    return found
