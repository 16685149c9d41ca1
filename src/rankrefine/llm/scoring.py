"""Scores from the likelihood of labels, as pure functions of log-probabilities."""

from collections.abc import Sequence

import numpy as np


def expected(logprobs: np.ndarray, values: Sequence[float], prior: np.ndarray | None = None) -> np.ndarray:
    """Expected value of the label, given that the answer is one of the labels.

        q[k] = p[k] / prior[k]        E = sum_k q[k] values[k] / sum_k q[k]

    Without a prior, q = p. A model prefers some labels whatever it reads; the labels' probabilities after a prompt
    without content, such as one with a pair of empty sentences, show how much. Dividing by them is contextual
    calibration (Zhao et al. 2021, "Calibrate before use: improving few-shot performance of language models", with the
    diagonal matrix diag(prior)^-1 and renormalised).

    Args:
        logprobs: natural logarithms of p, [n, labels]; see `Engine.score`.
        values: of the labels, [labels]; 0, 0.2, ... 1 for labels "0" to "5" and a result in 0..1.
        prior: logarithms of the prior, [labels], or [n, labels] for one of each row.

    Returns:
        [n], float64.
    """
    logs = np.asarray(logprobs, dtype=np.float64)
    if prior is not None:
        logs = logs - prior
    weights = np.exp(logs - logs.max(1, keepdims=True))
    return weights @ np.asarray(values, dtype=np.float64) / weights.sum(1)
