"""Films with made-up network outputs."""

from __future__ import annotations

import numpy as np

from training.evaluation.choice import Judged
from training.fit import Outputs

SIZE = 128


def films(count: int = 90, *, sharpness: float = 2.0, seed: int = 0) -> Judged:
    """Films whose logits know the class up to noise, with a good box and a bad one each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count).astype(np.int32)
    logits = rng.normal(size=(count, 3)) + sharpness * np.eye(3)[labels]
    truth, boxes, scores = [], [], []
    for label in labels:
        x, y = rng.uniform(5, 50, 2)
        box = np.array([[x, y, x + 40, y + 50]])
        truth.append((box if label == 2 else np.zeros((0, 4))).astype(np.float32))
        boxes.append(np.vstack([box + rng.normal(0, 2, 4), [[90, 90, 120, 120]]]))
        scores.append([0.6, 0.05])
    return Judged(
        outputs=Outputs(
            logits.astype(np.float32),
            np.array(boxes, np.float32),
            np.array(scores, np.float32),
        ),
        labels=labels,
        truth=truth,
        patients=[f"p{k // 2}" for k in range(count)],
        folds=np.arange(count) // 2 % 3,
        views=["AP" if k % 2 else "PA" for k in range(count)],
        size=SIZE,
    )
