"""The progress bar: tqdm, without the thread that it would leave behind."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm

__all__ = ["progress_bar"]


class _Bar(tqdm):  # type: ignore[type-arg]
    monitor_interval = 0


def progress_bar(total: int, label: str, unit: str, *, shown: bool) -> Any:
    """Make a bar that counts finished work: a widget in Jupyter, text elsewhere."""
    return _Bar(total=total, desc=label, unit=unit, disable=not shown)
