"""The forms of all operations in tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from .form import TITLES
from .operation_forms import FORMS

if TYPE_CHECKING:
    from ..session.session import Session
    from .form import Form

__all__ = ["Console"]


class Console(ipywidgets.Tab):  # type: ignore[misc]  # ipywidgets has no types
    """The forms of all operations, one tab each.

    Parameters
    ----------
    session : Session
        The session that the forms use.

    Attributes
    ----------
    forms : dict of str to Form
        The forms by Session method.
    """

    def __init__(self, session: Session) -> None:
        self.forms: dict[str, Form] = {name: kind(session) for name, kind in FORMS.items()}
        self._where = session.settings.environment
        super().__init__(children=list(self.forms.values()), titles=[TITLES[name][0] for name in self.forms])
        self.selected_index = 0
        self.add_class("sf-console")

    def __repr__(self) -> str:
        return f"<Console of {len(self.forms)} forms ({self._where}); shown as tabs in Jupyter and Voilà>"
