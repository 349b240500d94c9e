"""The look of the forms, and their use by keyboard and screen reader, in a real browser."""

from __future__ import annotations

import jupyter_browser as browser
import pytest
from jupyter_browser import form_on, photograph

from sparkfly_nb import forms
from sparkfly_nb.api.endpoints import ENDPOINTS

# ---- keyboard and screen readers -------------------------------------------------------------------------------------


def test_enter_focuses_the_first_problem_or_sends(opened, fresh):
    page = opened("lab", "console")
    form = form_on(page, "get_offer_state_by_offer").fill(member_id="", offer_id="nonsense/../")
    form.field("offer_id").press("Enter")
    form.box.locator('[data-field="member_id"] input:focus').wait_for()
    assert form.field("member_id").get_attribute("aria-invalid") == "true"
    form.field("member_id").press_sequentially(str(next(fresh)["member_id"]))
    form.fill(offer_id="999999")
    form.field("offer_id").press("Enter")  # before Python has checked the last digit; the form sends after the check

    assert "refused" in form.wait_notice("refused")
    assert form.box.locator(".sf-notice").get_attribute("role") == "alert"
    form.box.locator(".sf-notice:focus").wait_for()


def test_form_works_with_the_keyboard_alone(opened, fresh):
    page = opened("lab", "console")
    form = form_on(page, "list_offer_states").fill(member_id="")
    form.field("member_id").focus()
    page.keyboard.type(str(next(fresh)["member_id"]))
    form.wait_enabled("send")
    page.keyboard.press("Tab")
    assert form.button("send").evaluate("button => button === document.activeElement")
    cells = page.locator(".jp-Cell").count()
    page.keyboard.press("Space")

    assert "offer states" in form.wait_notice("done")
    assert page.locator(".jp-Cell").count() == cells
    page.get_by_role("tab", name="List", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    browser.OnPage(page, "Query").field("token").wait_for(state="visible")


def test_keys_in_a_form_do_not_trigger_notebook_shortcuts(opened):
    page = opened("lab", "console")
    cells = page.locator(".jp-Cell").count()
    form = form_on(page, "update_offer_state")
    form.field("locked").focus()
    for key in ("a", "b", "x", "d", "d"):
        page.keyboard.press(key)

    assert page.locator(".jp-Cell").count() == cells


@pytest.mark.parametrize("operation", list(ENDPOINTS))
def test_every_field_is_found_by_its_label_and_described_by_its_help(operation, opened, session):
    form = form_on(opened("lab", "console"), operation)
    for field in forms.FORMS[operation](session).spec["fields"]:
        found = form.box.get_by_label(field["label"], exact=False).and_(form.field(field["name"]))

        assert found.count() == 1, field["name"]
        described = found.get_attribute("aria-describedby").split()
        texts = [form.page.locator(f"#{name}").inner_text() for name in described]
        assert texts[0] == field["help"]


# ---- themes and narrow screens ---------------------------------------------------------------------------------------


TEXTS = "h3, label, legend, .sf-help, .sf-problem, .sf-unit, td, th, p, code, button"


CONTRAST = """
(form, texts) => {
  const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => rgb(colour).slice(0, 3)
    .map((part) => part / 255).map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (rgb(colour)[3] > 250) return colour;
    }
    return 'white';
  };
  const found = {};
  for (const node of form.querySelectorAll(texts)) {
    if (!node.textContent.trim() || node.disabled || !node.checkVisibility()) continue;
    const [one, two] = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
    const name = `${node.tagName}.${node.className}`;
    found[name] = Math.min(found[name] ?? 99, (one + 0.05) / (two + 0.05));
  }
  return found;
}
"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_every_text_has_enough_contrast_in_light_and_dark(theme, opened, fresh):
    page = opened("lab", "console")
    browser.run_in_lab(page, "apputils:change-theme", theme=theme)
    form = form_on(page, "issue_offer").fill(campaign_id="", member_id="x", member_identifier="")
    form.field("member_id").press("Enter")
    form.wait_checked()
    photograph(page, f"lab-{theme.split()[-1].lower()}-problems")
    contrasts = form.box.evaluate(CONTRAST, TEXTS)
    listed = form_on(page, "list_offer_states").fill(member_id=str(next(fresh)["member_id"]))
    listed.press("send")
    listed.wait_notice("done")
    photograph(page, f"lab-{theme.split()[-1].lower()}-list")
    contrasts |= listed.box.evaluate(CONTRAST, TEXTS)
    browser.run_in_lab(page, "apputils:change-theme", theme="JupyterLab Light")

    assert len(contrasts) > 8
    assert {name: round(ratio, 1) for name, ratio in contrasts.items() if ratio < 4.5} == {}


def test_nothing_overflows_on_a_narrow_screen(opened, fresh):
    page = opened("voila", "console")
    page.set_viewport_size({"width": 360, "height": 740})
    try:
        for number, operation in enumerate(("issue_offer", "list_offer_states", "update_offer_state")):
            form = form_on(page, operation)
            if operation == "list_offer_states":
                form.fill(member_id=str(next(fresh)["member_id"])).press("send")
                form.wait_notice("done")
            photograph(page, f"voila-narrow-{number}")
            wide = form.box.evaluate("form => form.scrollWidth - form.clientWidth")
            beyond = form.box.evaluate(
                "form => [...form.querySelectorAll('input, select, button, p, label')]"
                ".filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 1)"
                ".map((node) => node.outerHTML.slice(0, 80))"
            )
            assert (wide, beyond) == (0, [])
        tabs = page.get_by_role("tab").evaluate_all(
            "tabs => tabs.filter((tab) => tab.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert tabs == 0
    finally:
        page.set_viewport_size({"width": 1100, "height": 1000})
