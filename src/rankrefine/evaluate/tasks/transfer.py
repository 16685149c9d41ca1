"""Transfer: how well a logistic regression on frozen embeddings classifies (SentEval, Conneau & Kiela 2018)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import f1_score
from sklearn.model_selection import BaseCrossValidator, PredefinedSplit, StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from rankrefine.errors import UserError
from rankrefine.evaluate.metric import Metric

LABEL = "label"
FOLDS = 10
INNER_FOLDS = 5  # only C depends on them
STEPS = 1000  # of the solver at most; some dozens are enough on centred embeddings
C_WIDE = tuple(2.0**power for power in range(-2, 4))  # SentEval's for nested cross-validation and validation splits
C_TRAIN = tuple(2.0**power for power in range(-1, 6))  # and for cross-validation on a training split


@dataclass(frozen=True)
class Transfer:
    """What a transfer task needs.

    Attributes:
        protocol: "whole" is nested cross-validation over all examples; "validation" chooses C on that split,
            "train" by cross-validation on the training split, and both report on the test split.
        splits: Splits that the data must have; none for "whole", which joins all that there are.
        texts: Columns of text; `label` comes on top.
        grid: Values of C, the inverse strength of the L2 penalty.
    """

    protocol: Literal["whole", "validation", "train"]
    splits: tuple[str, ...] = ()
    texts: tuple[str, ...] = ("text",)
    grid: tuple[float, ...] = C_WIDE


_WHOLE = Transfer("whole")
TRANSFER = {
    "MR": _WHOLE,
    "CR": _WHOLE,
    "SUBJ": _WHOLE,
    "MPQA": _WHOLE,
    "SST2": Transfer("validation", ("train", "validation", "test")),
    "TREC": Transfer("train", ("train", "test"), grid=C_TRAIN),
    "MRPC": Transfer("train", ("train", "test"), ("sentence1", "sentence2"), C_TRAIN),
}


def transfer(
    task: str, embeddings: Mapping[str, Sequence[np.ndarray]], labels: Mapping[str, Sequence[Any]], seed: int
) -> list[Metric]:
    """Accuracy (x100) of the classifier, and for MRPC the F1 of the paraphrases.

    Kept from SentEval's scikit-learn path: protocols, values of C, stratified folds, embeddings as the encoder gives
    them, without scaling (with rows of length 1 a C of the grid is a strong penalty for every encoder alike), the
    features |u - v| and u * v of MRPC.

    Changed: scikit-learn's logistic regression in place of the PyTorch classifier that most papers run, because its
    optimum is unique; L-BFGS in place of its former LIBLINEAR, so that the intercept bears no penalty and six classes
    are one softmax; the mean of the embeddings is taken off, which the optimum of such a model does not depend on, and
    L-BFGS finds it several times sooner; 10 outer folds (SentEval has 5 for trials and 10 for results) with 5 inner
    ones; accuracy is that of all examples together and not the mean of rounded fold accuracies; C is not chosen by
    rounded accuracies; examples stay in the order of the data.

    Args:
        task: A key of `TRANSFER`.
        embeddings: For each split one array `[n, dim]` per column in `TRANSFER[task].texts`.
        labels: For each split the labels `[n]`, as `check_labels` wants them.
        seed: Decides the folds together with the labels, so that they are the same for every encoder.

    Returns:
        "accuracy" with 0 or 100 for each example in order of the data (splits in alphabetical order where they are
        joined), and for MRPC "f1", which is no mean over examples and has no interval.
    """
    kind = TRANSFER[task]
    x = {split: _features(columns) for split, columns in embeddings.items()}
    y = {split: np.asarray(values) for split, values in labels.items()}
    if kind.protocol == "whole":
        x, y = ({"test": np.concatenate([parts[split] for split in sorted(parts)])} for parts in (x, y))
        predicted = cross_val_predict(_searched(kind, INNER_FOLDS, seed), x["test"], y["test"], cv=_folds(FOLDS, seed))
    elif kind.protocol == "validation":
        predicted = _validated(kind, x, y).predict(x["test"])
    else:
        predicted = _searched(kind, FOLDS, seed).fit(x["train"], y["train"]).predict(x["test"])
    metrics = [Metric.mean("accuracy", 100.0 * (predicted == y["test"]))]
    if len(kind.texts) == 2:
        metrics.append(Metric("f1", 100 * float(f1_score(y["test"], predicted, zero_division=0))))
    return metrics


def check_labels(task: str, labels: Mapping[str, Sequence[Any]], files: Mapping[str, Path]) -> None:
    """Refuse labels that the task's protocol cannot be run on.

    Args:
        task: A key of `TRANSFER`.
        labels: For each split the labels `[n]`, plain Python values.
        files: For each split its file, for messages.

    Raises:
        UserError: a label is missing, a split holds one class only, a class has fewer examples than there are folds,
            a split has a class that the training split lacks, or MRPC's labels are not 0 and 1.
    """
    kind = TRANSFER[task]
    for split, values in labels.items():
        _refuse_labels(kind, values, files[split])
    if kind.protocol == "whole":
        folded = " with ".join(str(files[split]) for split in sorted(labels))
        counted = {folded: Counter(value for values in labels.values() for value in values)}
    else:
        counted = {str(files[split]): Counter(labels[split]) for split in kind.splits}
        folded = str(files["train"])
    for name, counts in counted.items():
        if len(counts) < 2:
            held = f"only the class {next(iter(counts))!r}" if counts else "no classes"
            raise UserError(f"{name}: column {LABEL} holds {held}, and {task} needs two or more to tell apart.")
        if new := [value for value in counts if value not in counted[folded]]:
            raise UserError(f"{name}: column {LABEL} holds the class {new[0]!r}, which {folded} does not have.")
    rarest, examples = min(counted[folded].items(), key=lambda item: item[1])
    if kind.protocol != "validation" and examples < FOLDS:
        raise UserError(
            f"{folded}: column {LABEL} holds {examples} examples of the class {rarest!r}, and {FOLDS}-fold "
            f"cross-validation needs {FOLDS} of each class; add some or drop the class."
        )


def _refuse_labels(kind: Transfer, values: Sequence[Any], file: Path) -> None:
    for row, value in enumerate(values, start=1):
        if value is None or value != value:  # NaN
            raise UserError(f"{file}: column {LABEL} is empty in row {row}; fill it in or drop the row.")
        if len(kind.texts) == 2 and value not in (0, 1):
            raise UserError(
                f"{file}: column {LABEL} holds {value!r} in row {row} instead of 0 or 1 (1 is a paraphrase)."
            )


def _features(columns: Sequence[np.ndarray]) -> np.ndarray:
    """The embeddings of a text; of a pair of texts |u - v| and u * v side by side."""
    first, *others = (np.asarray(column, dtype=np.float64) for column in columns)
    return np.hstack([np.abs(first - others[0]), first * others[0]]) if others else first


def _folds(number: int, seed: int) -> StratifiedKFold:
    return StratifiedKFold(number, shuffle=True, random_state=seed)


def _searched(kind: Transfer, folds: int, seed: int) -> Pipeline:
    """A classifier that chooses C by cross-validation on what it is fitted to, then fits all of it."""
    return _centred(_search(kind, _folds(folds, seed)))


def _search(kind: Transfer, cv: BaseCrossValidator) -> LogisticRegressionCV:
    """The search goes from strong to weak penalties and starts each fit where the one before has ended."""
    options = {"l1_ratios": (0.0,), "use_legacy_attributes": False}  # what later versions of scikit-learn default to
    return LogisticRegressionCV(Cs=kind.grid, cv=cv, scoring="accuracy", max_iter=STEPS, **options)


def _validated(kind: Transfer, x: Mapping[str, np.ndarray], y: Mapping[str, np.ndarray]) -> Pipeline:
    """A classifier fitted to the training split with the C that is best on the validation split."""
    both_x, both_y = (np.concatenate([parts["train"], parts["validation"]]) for parts in (x, y))
    held_out = PredefinedSplit(np.repeat([-1, 0], [len(y["train"]), len(y["validation"])]))
    search = _centred(_search(kind, held_out)).fit(both_x, both_y)
    return _centred(LogisticRegression(C=search[-1].C_, max_iter=STEPS)).fit(x["train"], y["train"])


def _centred(classifier: LogisticRegression) -> Pipeline:
    return make_pipeline(StandardScaler(with_std=False), classifier)
