"""The display of an audit: a few lines of text, or a summary for a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ...api.response import in_words
from ...settings import ADDRESSES
from ..summary import count_members, incompleteness

if TYPE_CHECKING:
    from ..audit_data import AuditData

__all__ = ["campaign_name", "campaign_title", "headline", "html_of", "moment", "text_of"]

#: The number of exceptions and of unread members that a notebook shows.
FIRST_EXCEPTIONS: Final = 5


def campaign_name(audit: AuditData) -> str | None:
    """Return the name of the campaign or offer at the service, or None if the offer states have different names."""
    scope = audit.metadata.scope
    if not scope.is_narrowed:
        return None
    column = "offer_campaign_name" if scope.campaign is not None else "offer_name"
    names = [name.strip() for name in audit.evidence.states[column].dropna().unique() if name.strip()]
    return names[0] if len(names) == 1 else None


def campaign_title(audit: AuditData) -> str:
    """Return the title of an audit."""
    name, words = campaign_name(audit), audit.metadata.scope.describe()
    return in_words(f"{name} ({words})" if name else words[:1].upper() + words[1:])


def moment(audit: AuditData) -> str:
    """Return the time of an audit, in its time zone."""
    local = audit.metadata.taken_at.tz_convert(audit.metadata.tz)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname() or ''}".strip()


def headline(audit: AuditData) -> str:
    """Return whether every member was read, as the first sentence about an audit."""
    plan = audit.evidence.plan
    return incompleteness(audit.unread, plan) or f"complete: all {count_members(plan):,} members were read"


def _numbers(audit: AuditData) -> pd.DataFrame:
    """Return the summary with formatted numbers."""
    lines = audit.summary().iloc[1:]
    value = [_shown(metric, value) for metric, value in zip(lines["metric"], lines["value"], strict=True)]
    names = [
        metric.replace("_", " ") + ("" if pd.isna(detail) else f": {detail}")
        for metric, detail in zip(lines["metric"], lines["detail"], strict=True)
    ]
    return pd.DataFrame({"": names, " ": value, "  ": lines["unit"].to_numpy()})


def _shown(metric: str, value: Any) -> str:
    if pd.isna(value):
        return "-"
    if metric == "redemption_rate":
        return f"{value:.1%}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _where(audit: AuditData) -> str:
    metadata = audit.metadata
    # The address is shown only if it is not the usual one of the environment.
    usual = ADDRESSES.get(metadata.environment, "")
    place = (
        metadata.environment if usual in (None, metadata.address) else f"{metadata.environment} at {metadata.address}"
    )
    return in_words(", ".join(part for part in (moment(audit), place.strip()) if part))


def text_of(audit: AuditData) -> str:
    """Return the text representation of an audit."""
    kinds = audit.exceptions()["kind"].value_counts(sort=False)
    found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) or "none"
    return (
        f"<Audit of {campaign_title(audit)}, {_where(audit)}\n {headline(audit)}\n"
        f" {len(audit.store):,} offer states; exceptions: {found}>"
    )


def html_of(audit: AuditData) -> str:
    """Return the HTML representation of an audit."""
    exceptions = audit.exceptions()
    kinds = exceptions.groupby(["kind", "severity"], sort=False).size().rename("count").reset_index()
    weight = "bold; color: #b00020" if not audit.complete else "normal"
    parts = [
        "<div class='tex2jax_ignore mathjax_ignore'>",
        f"<h4>{escape(campaign_title(audit))}</h4>",
        f"<p>{escape(_where(audit))}<br><span style='font-weight: {weight}'>{escape(headline(audit))}</span></p>",
        "<div style='display: flex; flex-wrap: wrap; gap: 2em; align-items: flex-start'>",
        f"<div><b>Summary</b>{_table(_numbers(audit))}</div>",
        f"<div><b>Exceptions: {len(exceptions):,}</b>{_table(kinds) if len(kinds) else '<p>none</p>'}",
    ]
    if len(exceptions):
        rest = len(exceptions) - FIRST_EXCEPTIONS
        parts.append(f"<b>First exceptions</b>{_table(exceptions.head(FIRST_EXCEPTIONS).drop(columns='severity'))}")
        if rest > 0:
            parts.append(f"<p>and {rest:,} more in <code>audit.exceptions()</code></p>")
    if not audit.complete:
        parts.append(f"<b>Not read</b>{_table(audit.unread.head(FIRST_EXCEPTIONS))}")
    return "".join([*parts, "</div></div></div>"])


def _table(frame: pd.DataFrame) -> str:
    # Otherwise notebooks typeset text between two dollar signs, such as prices, as a formula.
    with pd.option_context("display.max_colwidth", 120, "display.html.use_mathjax", False):
        return frame.to_html(index=False, na_rep="", border=0)
