"""How work is placed on a Ray cluster."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from settings.fields import Section


class Ray(Section):
    """Workers that `hilum work --ray` places on a Ray cluster."""

    num_cpus: float = Field(
        1, gt=0, description="CPUs that one worker takes of its machine, in Ray's count."
    )
    num_gpus: float = Field(
        0, ge=0, description="GPUs that it takes; a part, as 0.5, where several share one."
    )
    min_workers: int = Field(1, ge=1, le=1024, description="Workers that there always are.")
    max_workers: int = Field(4, ge=1, le=1024, description="Workers that there are at most.")
    scale_up_age_seconds: float = Field(
        10, gt=0, description="One more worker comes where a film or report waits for this long."
    )
    idle_seconds: float = Field(
        300, gt=0, description="One leaves again where nothing has waited that long for this time."
    )

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if self.max_workers < self.min_workers:
            raise ValueError("max_workers is less than min_workers")
        return self
