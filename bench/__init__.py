"""Benchmarks: each prints a Markdown table beside a peer or a limit of the same run."""
