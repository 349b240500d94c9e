"""Chromium, JupyterLab and Voilà for the tests of the forms."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat

from sparkfly_nb.forms.form import TITLES

# Read at import, because a fixture removes the package's variables during each test.
REQUIRED = os.environ.get("SPARKFLY_NB_REQUIRE_BROWSER") == "1"
#: A folder for screenshots, to look at the forms.
SCREENSHOTS = os.environ.get("SPARKFLY_NB_SCREENSHOTS")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)  # fmt: skip
START_S = 90
WAIT_MS = 60_000
#: The folders in which Jupyter looks for a user's settings and leaves files.
FOLDERS = {
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "lab",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "XDG_DATA_HOME": "share",
}
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True},
}


def chromium():
    """Return the path of Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def why_not():
    """Return what is missing for the browser tests, or None."""
    missing = [name for name in ("playwright", "jupyterlab", "voila") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed: pip install -e '.[dev]'"
    return None if chromium() else "Chromium is not installed: apt-get install chromium"


@contextlib.contextmanager
def opened_browser():
    """Open Chromium. Its flags allow only connections to this machine."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def notebook_of(*cells):
    """Build a notebook with these code cells."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


class JupyterServer:
    """JupyterLab or Voilà in a separate process, without the user's settings."""

    def __init__(self, kind, folder, variables, *, target=None):
        self.folder = Path(folder)
        self._settings = Path(tempfile.mkdtemp(prefix="jupyter-", dir=folder))
        self._log = (self._settings / "log.txt").open("w+b")
        overrides = self._settings / "config" / "labconfig" / "default_setting_overrides.json"
        overrides.parent.mkdir(parents=True)
        overrides.write_text(json.dumps(LAB_SETTINGS))
        self.port = _free_port()
        self.root = f"http://127.0.0.1:{self.port}"
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("SPARKFLY_", "JUPYTER"))}
        environment |= {
            **{variable: str(self._settings / name) for variable, name in FOLDERS.items()},
            "HOME": str(self._settings),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            **variables,
        }
        self._process = subprocess.Popen(
            [*COMMANDS[kind](self.port, target)],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait(self):
        """Wait until the server responds."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.root}/static/favicons/favicon.ico", timeout=5):
                    return self
            except urllib.error.HTTPError as response:
                response.close()
                return self
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"Jupyter did not start:\n{self.log()}")

    def log(self):
        self._log.flush()
        return Path(self._log.name).read_text(errors="replace")[-4000:]

    def begin_to_stop(self):
        """Start to stop the kernels, which takes some seconds, without waiting."""
        self._process.terminate()

    def stop(self):
        self.begin_to_stop()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


COMMANDS = {
    "lab": lambda port, _target: (
        sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
        "--expose-app-in-browser", "--LabApp.news_url=",
    ),
    "voila": lambda port, target: (
        sys.executable, "-m", "voila", str(target), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1",
    ),
}  # fmt: skip


def _free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def open_voila(page, server, name, *, theme="light"):
    """Open a notebook as a page of Voilà."""
    page.goto(f"{server.root}/voila/render/{name}?theme={theme}")


def open_lab(page, server, name, *, theme="JupyterLab Light"):
    """Open a notebook in JupyterLab, and run all cells."""
    page.goto(f"{server.root}/doc/tree/{name}?reset")
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady", timeout=WAIT_MS)
    page.wait_for_function(
        "jupyterapp.shell.currentWidget.sessionContext.isReady"
        " && jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'",
        timeout=WAIT_MS,
    )
    run_in_lab(page, "apputils:change-theme", theme=theme)
    run_in_lab(page, "notebook:run-all-cells")


def run_in_lab(page, command, **arguments):
    """Run a command of JupyterLab, and wait for its end."""
    page.evaluate(
        "([command, given]) => { window.ended = false;"
        " jupyterapp.commands.execute(command, given).then(() => { window.ended = true; }) }",
        [command, arguments],
    )
    page.wait_for_function("window.ended", timeout=WAIT_MS)


class OnPage:
    """One form on a page."""

    def __init__(self, page, title):
        self.page = page
        self.box = page.locator(f'form.sf-form[aria-label="{title}"]')

    def field(self, name):
        return self.box.locator(f'[data-field="{name}"] :is(input, select)')

    def fill(self, **texts):
        for name, text in texts.items():
            field = self.field(name)
            if field.evaluate("field => field.tagName") == "SELECT":
                field.select_option(text)
            else:
                field.fill(text)
        return self

    def button(self, action):
        return self.box.locator(f'button[data-action="{action}"]')

    def press(self, action):
        self.button(action).click(timeout=WAIT_MS)
        return self

    def wait_enabled(self, action):
        """Wait until a button is enabled."""
        self.box.locator(f'button[data-action="{action}"]:enabled').wait_for(timeout=WAIT_MS)

    def wait_checked(self):
        """Wait until Python has checked the latest input."""
        self.box.and_(self.page.locator('form[data-checked="true"]')).wait_for(timeout=WAIT_MS)

    def wait_notice(self, *kinds):
        """Wait for a notice of one of the kinds, and return its text."""
        notice = self.box.locator(",".join(f".sf-notice.sf-{kind}:not([hidden])" for kind in kinds))
        notice.wait_for(timeout=WAIT_MS)
        return notice.inner_text()

    def problem(self, name):
        return self.box.locator(f'[data-field="{name}"] .sf-problem').inner_text()

    @property
    def python(self):
        return self.box.locator(".sf-line code").inner_text()


def form_on(page, operation):
    """Open the tab of an operation."""
    title = TITLES[operation][0]
    page.get_by_role("tab", name=title, exact=True).click()
    return OnPage(page, title)


def photograph(page, name):
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
