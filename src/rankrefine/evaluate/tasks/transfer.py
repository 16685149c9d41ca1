"""Transfer tasks: logistic regression on frozen embeddings (SentEval, Conneau & Kiela 2018)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import f1_score
from sklearn.model_selection import BaseCrossValidator, PredefinedSplit, StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from rankrefine.data_files import splits
from rankrefine.data_files.tables import names
from rankrefine.errors import UserError
from rankrefine.evaluate import data_tables
from rankrefine.evaluate.metric import Metric
from rankrefine.evaluate.tasks.task import Embed, Files, Tables, TableTask, text_columns

FOLDS = 10
FOLD_SEED = 0  # the folds are part of the task and do not depend on the run's random seed
INNER_FOLDS = 5  # used only to choose C
STEPS = 1000  # maximum for the solver; some dozens suffice on centred embeddings
C_WIDE = tuple(2.0**power for power in range(-2, 4))  # SentEval's for nested cross-validation and validation splits
C_TRAIN = tuple(2.0**power for power in range(-1, 6))  # and for cross-validation on a training split


@dataclass(frozen=True)
class Procedure:
    """Procedure of a transfer task.

    Attributes:
        protocol: "whole" is nested cross-validation over all examples; "validation" chooses C on that split,
            "train" by cross-validation on the training split, and both report on the test split.
        splits: Required splits; empty for "whole", which joins all that exist.
        texts: Text columns, besides `label`.
        grid: Values of C, the inverse strength of the L2 penalty.
    """

    protocol: Literal["whole", "validation", "train"]
    splits: tuple[str, ...] = ()
    texts: tuple[str, ...] = ("text",)
    grid: tuple[float, ...] = C_WIDE


TRANSFER = {
    **dict.fromkeys(("MR", "CR", "SUBJ", "MPQA"), Procedure("whole")),
    "SST2": Procedure("validation", ("train", "validation", "test")),
    "TREC": Procedure("train", ("train", "test"), grid=C_TRAIN),
    "MRPC": Procedure("train", ("train", "test"), ("sentence1", "sentence2"), C_TRAIN),
}


class Transfer(TableTask):
    """A transfer task."""

    kind = "labelled"

    def splits(self, path: Path) -> Sequence[str]:
        return TRANSFER[self.name].splits or splits.splits(path) or ["test"]

    def read(self, files: list[Path]) -> pa.Table:
        return data_tables.labelled(files, TRANSFER[self.name].texts)

    def size(self, tables: Tables, files: Files) -> tuple[int, str]:
        check_labels(self.name, _labels(tables), files)
        scored = ["test"] if TRANSFER[self.name].splits else tables
        return sum(len(tables[split]) for split in scored), "examples"

    def score(self, embed: Embed, tables: Tables) -> list[Metric]:
        vectors = {split: [embed(column) for column in text_columns(table)] for split, table in tables.items()}
        return transfer(self.name, vectors, _labels(tables), FOLD_SEED)


TASK = Transfer


def transfer(
    task: str, embeddings: Mapping[str, Sequence[np.ndarray]], labels: Mapping[str, Sequence[Any]], random_seed: int
) -> list[Metric]:
    """Accuracy (x100) of the classifier, and for MRPC the F1 of the paraphrases.

    As in SentEval's scikit-learn path: protocols, values of C, stratified folds, embeddings without scaling (for rows
    of length 1 every C of the grid is a strong penalty, for all encoders alike), the features |u - v| and u * v of
    MRPC.

    Changed from SentEval:
    - scikit-learn's logistic regression replaces the PyTorch classifier that most papers use: its optimum is unique.
    - L-BFGS replaces LIBLINEAR: the intercept is not penalised, and six classes are one softmax.
    - Embeddings are centred. The optimum does not depend on it, and L-BFGS converges several times faster.
    - 10 outer folds (SentEval has 5 for trials and 10 for results) with 5 inner ones.
    - Accuracy is that of all examples together, not the mean of rounded fold accuracies, and C is not chosen by
      rounded accuracies.
    - Examples stay in the order of the data.

    Args:
        task: A key of `TRANSFER`.
        embeddings: For each split one array `[n, dim]` per column in `TRANSFER[task].texts`.
        labels: For each split the labels `[n]`, which must pass `check_labels`.
        random_seed: Seed of the folds, which depend on it and on the labels alone and not on the encoder.

    Returns:
        "accuracy" with 0 or 100 for each example in the order of the data (joined splits in alphabetical order), and
        for MRPC "f1", which is not a mean over examples and has no interval.
    """
    procedure = TRANSFER[task]
    x = {split: _features(columns) for split, columns in embeddings.items()}
    y = {split: np.asarray(values) for split, values in labels.items()}
    outer, inner = (StratifiedKFold(n, shuffle=True, random_state=random_seed) for n in (FOLDS, INNER_FOLDS))
    if procedure.protocol == "whole":
        x, y = ({"test": np.concatenate([parts[split] for split in sorted(parts)])} for parts in (x, y))
        predicted = cross_val_predict(_search(procedure, inner), x["test"], y["test"], cv=outer)
    elif procedure.protocol == "validation":
        predicted = _validated(procedure, x, y).predict(x["test"])
    else:
        predicted = _search(procedure, outer).fit(x["train"], y["train"]).predict(x["test"])
    metrics = [Metric.mean("accuracy", 100.0 * (predicted == y["test"]))]
    if len(procedure.texts) == 2:
        metrics.append(Metric("f1", 100 * float(f1_score(y["test"], predicted, zero_division=0))))
    return metrics


def check_labels(task: str, labels: Mapping[str, Sequence[Any]], files: Files) -> None:
    """Check that the task's protocol can be run on the labels.

    Args:
        task: A key of `TRANSFER`.
        labels: For each split the labels `[n]`, plain Python values.
        files: Files of each split, for messages.

    Raises:
        UserError: a label is missing, a split has a single class, a class has fewer examples than there are folds, a
            split has a class that the training split lacks, or MRPC's labels are not 0 and 1.
    """
    procedure = TRANSFER[task]
    for split, values in labels.items():
        _check_values(procedure, values, names(files[split]))
    if procedure.protocol == "whole":
        folded = " with ".join(names(files[split]) for split in sorted(labels))
        counted = {folded: Counter(value for values in labels.values() for value in values)}
    else:
        folded = names(files["train"])
        counted = {names(files[split]): Counter(labels[split]) for split in procedure.splits}
    for name, counts in counted.items():
        if len(counts) < 2:
            classes = f"only the class {next(iter(counts))!r}" if counts else "no classes"
            raise UserError(f"{name}: column label contains {classes}, but {task} requires at least two.")
        if new := [value for value in counts if value not in counted[folded]]:
            raise UserError(f"{name}: column label contains the class {new[0]!r}, which {folded} does not have.")
    rarest, examples = min(counted[folded].items(), key=lambda item: item[1])
    if procedure.protocol != "validation" and examples < FOLDS:
        raise UserError(
            f"{folded}: column label contains {examples} examples of the class {rarest!r}, but {FOLDS}-fold "
            f"cross-validation requires {FOLDS} of each class; add examples or remove the class."
        )


def _labels(tables: Tables) -> dict[str, list[Any]]:
    return {split: table["label"].to_pylist() for split, table in tables.items()}


def _check_values(procedure: Procedure, values: Sequence[Any], file: str) -> None:
    for row, value in enumerate(values, start=1):
        if value is None or value != value:  # NaN
            raise UserError(f"{file}: column label is empty in row {row}; add the label or remove the row.")
        if len(procedure.texts) == 2 and value not in (0, 1):
            problem = f"contains {value!r} in row {row}, but must be 0 or 1 (1 is a paraphrase)"
            raise UserError(f"{file}: column label {problem}.")


def _features(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Embeddings of single texts; |u - v| and u * v side by side for pairs of texts."""
    first, *others = (np.asarray(column, dtype=np.float64) for column in columns)
    return np.hstack([np.abs(first - others[0]), first * others[0]]) if others else first


def _search(procedure: Procedure, cv: BaseCrossValidator) -> Pipeline:
    """Classifier that chooses C by cross-validation on the data that it is fitted to, then fits all of them.

    C increases, and each fit starts from the previous one.
    """
    options = {"l1_ratios": (0.0,), "use_legacy_attributes": False}  # the defaults of later scikit-learn versions
    return _centred(LogisticRegressionCV(Cs=procedure.grid, cv=cv, scoring="accuracy", max_iter=STEPS, **options))


def _validated(procedure: Procedure, x: Mapping[str, np.ndarray], y: Mapping[str, np.ndarray]) -> Pipeline:
    """Fit a classifier to the training split with the C that is best on the validation split."""
    both_x, both_y = (np.concatenate([parts["train"], parts["validation"]]) for parts in (x, y))
    held_out = PredefinedSplit(np.repeat([-1, 0], [len(y["train"]), len(y["validation"])]))
    search = _search(procedure, held_out).fit(both_x, both_y)
    return _centred(LogisticRegression(C=search[-1].C_, max_iter=STEPS)).fit(x["train"], y["train"])


def _centred(classifier: LogisticRegression) -> Pipeline:
    return make_pipeline(StandardScaler(with_std=False), classifier)
