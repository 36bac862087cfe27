"""The worker: joins inference to the queue, and is the one part of it that knows the database."""

from inference.worker.loop import Worker

__all__ = ["Worker"]
