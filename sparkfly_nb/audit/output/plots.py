"""Draw an audit on one page: the lifecycle by segment, the funnel from planned to redeemed, and the timeline.

Needs matplotlib, an optional dependency. The package imports this module only when `Audit.plot` is called.
"""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ...errors import ConfigurationError, InvalidInput
from ...files import as_path, replacing
from ...frames.lifecycle import LIFECYCLES, mask_of
from ..schema import TIMELINE_COUNTS
from ..summary import groups_of
from .display import campaign_name, campaign_title, headline, moment

try:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import FuncFormatter, MaxNLocator
except ImportError:
    raise ConfigurationError('plotting needs matplotlib: pip install "sparkfly-nb[plot]"') from None

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from matplotlib.axes import Axes

    from ..audit_data import AuditData

__all__ = ["draw"]

#: The bar style of each lifecycle and of issued offer states.
LOOKS: Final[dict[str, dict[str, Any]]] = {
    # From dark to light, and hatched for offer states that no longer count. The bars can be distinguished without color
    # and with color blindness.
    "redeemed": {"facecolor": "#12436d", "edgecolor": "#12436d"},
    "open": {"facecolor": "#6fb1d9", "edgecolor": "#12436d"},
    "expired": {"facecolor": "#e8e4d8", "edgecolor": "#5c5647", "hatch": "///"},
    "voided": {"facecolor": "#ffffff", "edgecolor": "#5c5647", "hatch": "xxx"},
    "issued": {"facecolor": "#3d3d3d", "edgecolor": "#3d3d3d"},
}
#: The number of bars that fit on the page. The smallest groups beyond this number share one bar.
MAX_GROUPS: Final = 15
LABEL_CHARACTERS: Final = 28
TITLE_CHARACTERS: Final = 84
A4_LANDSCAPE: Final = (11.69, 8.27)
#: Periods of the timeline with the longest span, in days, for which the bars can be distinguished.
DAYS_FOR: Final = (("D", 75), ("W", 500), ("M", 3000), ("Q", 9000))
PERIOD_WORDS: Final = {"h": "hour", "D": "day", "W": "week", "M": "month", "Q": "quarter", "Y": "year"}
THOUSANDS: Final = FuncFormatter(lambda value, _: f"{value:,.0f}")


class AuditFigure(Figure):
    """A figure that notebooks display without pyplot."""

    # pyplot keeps every figure in memory until it is closed.

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.savefig(image, format="png", dpi=110)
        return image.getvalue()


def draw(audit: AuditData, *, by: str | None, freq: str | None, path: str | os.PathLike[str] | None) -> Figure:
    """Draw an audit; see `Audit.plot`."""
    if by is None and "segment" in audit.evidence.plan.columns:
        by = "segment"
    with mpl.rc_context({"font.size": 9, "font.family": "DejaVu Sans", "hatch.linewidth": 0.5, "axes.titlesize": 10.5}):
        layout = ConstrainedLayoutEngine(
            w_pad=0.12, h_pad=0.08, hspace=0.04, wspace=0.05, rect=(0.005, 0.03, 0.99, 0.97)
        )
        page = AuditFigure(figsize=A4_LANDSCAPE, layout=layout)
        FigureCanvasAgg(page)
        places: Any = page.subfigures(3, 1, height_ratios=[0.2, 1.0, 1.0])
        head, above, below = places
        left, right = above.subplots(1, 2, width_ratios=[1.35, 1.0])
        _draw_head(head, page, audit)
        _draw_groups(left, audit, by)
        _draw_funnel(right, audit)
        _draw_timeline(below, audit, freq)
        if path is not None:
            _save(page, as_path(path))
    return page


def _save(page: Figure, path: Path) -> None:
    try:
        with replacing(path) as aside:
            page.savefig(aside, dpi=150)
    except ValueError:
        raise InvalidInput(f"plot: the file name {path.name} must end in .png, .pdf or .svg.") from None


def _plain(text: str) -> str:
    """Escape dollar signs, which begin a formula in matplotlib, and replace unprintable characters with spaces."""
    characters = (character if character.isprintable() or character == "\n" else " " for character in text)
    return "".join(characters).replace("$", r"\$")


def _draw_head(head: Any, page: Figure, audit: AuditData) -> None:
    """Draw the campaign and the time at the top, and at the bottom whether the audit is complete."""
    metadata, scope = audit.metadata, audit.metadata.scope.describe()
    name = campaign_name(audit)
    lines = textwrap.wrap(name or campaign_title(audit), TITLE_CHARACTERS, max_lines=2, placeholder=" ...")
    head.text(
        0.015, 0.95, _plain("\n".join(lines)), fontsize=14, fontweight="bold", ha="left", va="top", linespacing=1.25
    )
    words = f"Audit of {moment(audit)}" + (f", {metadata.environment}" if metadata.environment else "")
    words = f"{scope[:1].upper()}{scope[1:]}. {words}" if name else words
    head.text(0.015, 0.05, _plain(words), fontsize=9.5, ha="left", va="bottom", color="#3d3d3d")
    foot = headline(audit)
    look: dict[str, Any] = {"color": "#3d3d3d"} if audit.complete else {"color": "#a4001d", "fontweight": "bold"}
    page.text(0.015, 0.012, _plain(foot[:1].upper() + foot[1:]), fontsize=8.5, **look)


def _clean(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_empty(axes: Axes, message: str) -> None:
    axes.text(0.5, 0.5, message, transform=axes.transAxes, ha="center", va="center", color="#5c5647", fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])


# ---- by segment ------------------------------------------------------------------------------------------------------


def _counts_by_group(audit: AuditData, by: str | None) -> pd.DataFrame:
    """Count offer states by group and lifecycle. The smallest groups beyond `MAX_GROUPS` become one."""
    states = audit.evidence.states[["member_id", "lifecycle"]]
    if by is None:
        group = pd.Series("all members", index=states.index)
    else:
        plan = audit.evidence.plan.dropna(subset=["member_id"]).drop_duplicates("member_id")
        codes, labels = groups_of(plan, [by])
        names = labels[by].astype("object").map(str, na_action="ignore").fillna(f"no {by}")
        group_of = pd.Series(names.to_numpy()[codes], index=plan["member_id"].array)
        group = states["member_id"].map(group_of).fillna("not in the plan")
    counts = pd.crosstab(group, states["lifecycle"]).reindex(columns=list(LIFECYCLES), fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(kind="stable", ascending=False).index]
    if len(counts) > MAX_GROUPS:
        rest = counts.iloc[MAX_GROUPS - 1 :]
        counts = counts.iloc[: MAX_GROUPS - 1]
        counts.loc[f"{len(rest)} others"] = rest.sum()
    return counts


def _draw_groups(axes: Axes, audit: AuditData, by: str | None) -> None:
    _clean(axes, f"Offer states by {by}" if by else "Offer states")
    counts = _counts_by_group(audit, by)
    if counts.empty:
        _draw_empty(axes, "no offer states")
        return
    places = range(len(counts))
    start = pd.Series(0, index=counts.index)
    for lifecycle in ("redeemed", "open", "expired", "voided"):
        axes.barh(places, counts[lifecycle], left=start, height=0.7, label=lifecycle, linewidth=0.6, **LOOKS[lifecycle])
        start = start + counts[lifecycle]
    not_voided = start - counts["voided"]
    for place, total, redeemed, of in zip(places, start, counts["redeemed"], not_voided, strict=True):
        rate = f" ({redeemed / of:.0%})" if of else ""
        axes.annotate(
            f"{total:,}{rate}", (total, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    labels = [
        _plain("\n".join(textwrap.wrap(str(name), LABEL_CHARACTERS, max_lines=2, placeholder=" ...")))
        for name in counts.index
    ]
    crowded = len(counts) > 8
    axes.set_yticks(places, labels, fontsize=6.5 if crowded else 9, linespacing=1.0)
    axes.set_ylim(len(counts) - 0.4, -0.6 if len(counts) > 1 else -1.2)
    axes.set_xlim(0, start.max() * 1.18)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("offer states (share redeemed of those not voided)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False, ncols=4)


# ---- the funnel ------------------------------------------------------------------------------------------------------


def _draw_funnel(axes: Axes, audit: AuditData) -> None:
    _clean(axes, "From planned to redeemed")
    plan, states = audit.evidence.plan, audit.evidence.states
    planned = plan["member_id"][mask_of(plan["planned"])].dropna().unique()
    if not len(planned):
        _draw_empty(axes, "no member is planned")
        return
    of_planned = states[mask_of(states["member_id"].isin(planned))]
    not_voided = (of_planned["lifecycle"] != "voided").to_numpy()
    redeemed = (of_planned["lifecycle"] == "redeemed").to_numpy()
    steps = {
        "planned": len(planned),
        "ever issued": of_planned["member_id"].nunique(),
        "not voided": of_planned["member_id"][not_voided].nunique(),
        "redeemed": of_planned["member_id"][redeemed].nunique(),
    }
    shades = ("#3d3d3d", "#8a8a8a", LOOKS["open"]["facecolor"], LOOKS["redeemed"]["facecolor"])
    axes.barh(range(4), list(steps.values()), height=0.62, color=shades, edgecolor="#3d3d3d", linewidth=0.6)
    for place, count in enumerate(steps.values()):
        axes.annotate(
            f"{count:,} ({count / len(planned):.1%})",
            (count, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(4), list(steps))
    axes.set_ylim(3.6, -0.6)
    axes.set_xlim(0, len(planned) * 1.32)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("members (share of those planned)")


# ---- the timeline ----------------------------------------------------------------------------------------------------


def _readable_period(audit: AuditData) -> str:
    periods = audit.timeline("D")["period"].dropna()
    span = (periods.max() - periods.min()).days if len(periods) else 0
    return next((freq for freq, longest in DAYS_FOR if span <= longest), "Y")


def _draw_timeline(place: Any, audit: AuditData, freq: str | None) -> None:
    freq = freq or _readable_period(audit)
    counts = audit.timeline(freq).dropna(subset=["period"])
    shown = [name for name in TIMELINE_COUNTS if counts[name].sum() or name in ("issued", "redeemed")]
    if counts.empty:
        shown = shown[:1]
    rows = place.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    word = PERIOD_WORDS.get(freq[0] if freq != "h" else "h", "period")
    _clean(rows[0], f"Offer states per {word} ({_zone_name(audit)})")
    if counts.empty:
        _draw_empty(rows[0], "no offer states")
        return
    starts = counts["period"].dt.tz_localize(None)
    ends = starts.shift(-1).fillna(starts.iloc[-1] + _typical_length(starts, word))
    widths = (ends - starts) / pd.Timedelta(days=1)
    for axes, name in zip(rows, shown, strict=True):
        axes.bar(starts, counts[name].astype("int64"), width=widths * 0.86, align="edge", linewidth=0.4, **LOOKS[name])
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylabel(f"{name}\n{counts[name].sum():,} in all", rotation=0, ha="right", va="center", labelpad=8)
        axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        axes.yaxis.set_major_formatter(THOUSANDS)
        axes.set_ylim(0, max(1, counts[name].max()) * 1.15)
    place.align_ylabels(rows)
    locator = AutoDateLocator(minticks=3, maxticks=12)  # type: ignore[no-untyped-call]
    rows[-1].xaxis.set_major_locator(locator)
    rows[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    rows[-1].set_xlim(starts.iloc[0], ends.iloc[-1])


def _typical_length(starts: pd.Series, word: str) -> pd.Timedelta:
    if len(starts) > 1:
        return pd.Timedelta(starts.diff().median())
    days = {"hour": 1 / 24, "day": 1, "week": 7, "month": 30, "quarter": 91}.get(word, 365)
    return pd.Timedelta(days=days)


def _zone_name(audit: AuditData) -> str:
    return str(audit.metadata.tz)
