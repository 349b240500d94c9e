// Renders a form from its description in Python, and sends the user's input back. The rules of the service are in
// Python only. All text is set as text, never as HTML. Only this module keeps the input: Jupyter may save the state of
// the widget with the notebook.

const typedByPage = new Map(); // page id -> {name: text}, so that a form that is rendered again keeps its input
const MAX_UPLOAD_BYTES = 7_000_000; // Jupyter's servers close the connection on a message of more than 10 MB
const SLOW_MS = 1500;
let views = 0;

class View {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    this.id = `sf${(views += 1)}-${model.get("page_id")}`;
    this.draft = 0; // the number of changes to the input
    this.sentDraft = -1; // the draft that was sent to Python last
    this.pressedTurn = null; // the turn of a press that Python has not finished
    this.enteredDraft = null; // the draft in which Enter was pressed
    this.touched = new Set();
    this.inputs = new Map();
    this.marked = null;
    this.build();
    this.refresh();
    this.showProgress();
    this.sendDraft();
  }

  // ---- the fixed part: title, fields, empty elements for the rest

  build() {
    const spec = this.model.get("spec");
    this.banner = make("div", { className: "sf-banner", role: "note", hidden: true });
    const heading = make("h3", { id: `${this.id}-title`, className: "sf-title", textContent: spec.title });
    const summary = make("p", { className: "sf-summary", textContent: spec.summary });
    this.fields = make("div", { className: "sf-fields" });
    let group = null;
    for (const field of spec.fields) {
      const place = this.buildField(field);
      if (field.one_of && group === null) {
        group = make("fieldset", { className: "sf-group" }, make("legend", { textContent: spec.one_of }));
        this.fields.append(group);
      }
      (field.one_of ? group : this.fields).append(place);
    }
    this.general = make("p", { className: "sf-problem", id: `${this.id}-general`, role: "status" });
    group?.append(this.general); // a problem of the whole form is about its group, if it has one
    this.notice = make("section", { className: "sf-notice", tabIndex: -1, hidden: true });
    this.tables = make("div", { className: "sf-tables" });
    this.confirm = make("div", { className: "sf-confirm" });
    this.hint = make("p", { className: "sf-hint", role: "status" });
    this.actions = make("div", { className: "sf-actions" });
    this.bar = make("progress", { className: "sf-bar" });
    this.barText = make("span", { className: "sf-bar-text", role: "status" });
    this.barBox = make("div", { className: "sf-progress", hidden: true }, this.bar, this.barText);
    this.code = make("code", {});
    this.copy = make("button", { type: "button", className: "sf-button sf-plain sf-small", textContent: "Copy" });
    this.copy.addEventListener("click", () => this.onCopied());
    const line = make("div", { className: "sf-line", tabIndex: 0, role: "group", ariaLabel: "The same in Python" }, this.code);
    this.python = make(
      "div", { className: "sf-python" }, make("span", { className: "sf-python-title", textContent: "The same in Python" }),
      line, this.copy,
    );
    // A review appears above the button that confirms it, a result below.
    this.above = make("div", {});
    this.below = make("div", {});
    this.form = make(
      "form", { className: "sf-form", noValidate: true, autocomplete: "off", ariaLabel: spec.title },
      this.banner, heading, summary, this.fields, group ? "" : this.general, this.above, this.confirm, this.hint, this.actions,
      this.barBox, this.below, this.python,
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("keydown", (event) => this.onKey(event));
    this.root.classList.add("sf-root");
    this.root.append(this.form);
    // Otherwise, keys pressed on a button would trigger the notebook's shortcuts.
    for (const box of [this.actions, this.copy]) box.setAttribute("data-lm-suppress-shortcuts", "true");
  }

  buildField(field) {
    const id = `${this.id}-${field.name}`;
    const kept = typedByPage.get(this.model.get("page_id")) ?? {};
    const common = { id, name: field.name, "aria-describedby": `${id}-help ${id}-problem` };
    let input;
    if (field.input === "choice") {
      const options = field.choices.map(([value, textContent]) => make("option", { value, textContent }));
      input = make("select", common, ...options);
      input.setAttribute("data-lm-suppress-shortcuts", "true");
    } else {
      const type = { time: "datetime-local", password: "password", file: "file", check: "checkbox" }[field.input] ?? "text";
      input = make("input", { ...common, type, placeholder: field.placeholder ?? "", spellcheck: false });
      input.autocomplete = type === "password" ? "new-password" : "off";
      if (field.digits) input.inputMode = "numeric";
      if (field.accept) input.accept = field.accept;
    }
    if (field.required) input.setAttribute("aria-required", "true");
    const value = kept[field.name] ?? field.value ?? "";
    if (field.input === "check") input.checked = value === "yes";
    else if (field.input !== "file" && !field.secret) input.value = value;
    const on = field.input === "file" ? () => this.onFileChosen(field, input) : () => this.onTyped(field);
    input.addEventListener(["choice", "file", "check"].includes(field.input) ? "change" : "input", on);
    input.addEventListener("blur", () => this.onLeft(field));
    const label = make("label", { htmlFor: id }, field.label);
    if (field.required) label.append(make("span", { className: "sf-needed", textContent: " (needed)" }));
    if (field.unit) label.append(make("span", { className: "sf-unit", textContent: ` in ${field.unit}` }));
    const problem = make("div", { className: "sf-problem", id: `${id}-problem`, role: "status" });
    const help = make("div", { className: "sf-help", id: `${id}-help`, textContent: field.help });
    const parts = field.input === "check" ? [make("div", { className: "sf-check" }, input, label)] : [label, input];
    const place = make("div", { className: "sf-field", "data-field": field.name }, ...parts, help, problem);
    this.inputs.set(field.name, { field, input, problem, place });
    return place;
  }

  // ---- events

  onTyped(field) {
    if (!field.secret) this.keep();
    this.draft += 1;
    if (!this.model.get("screen").locked) this.form.classList.add("sf-stale"); // the result belongs to earlier values
    this.sendDraft();
    this.refreshButtons();
  }

  onLeft(field) {
    const { input } = this.inputs.get(field.name);
    if (input.value !== "" || input.validity?.badInput) this.touched.add(field.name);
    this.refreshProblems();
  }

  onKey(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    // Enter already presses a button or a file field. Elsewhere it does nothing.
    if (!event.target.matches("input:not([type=file]), select")) return;
    event.preventDefault();
    if (event.repeat) return; // the key is held down
    this.enteredDraft = this.draft; // takes effect when Python has checked this draft, unless the user types more
    this.followEnter();
  }

  followEnter() {
    if (this.enteredDraft !== this.draft || this.checkedDraft() !== this.draft || this.isWorking()) return;
    this.enteredDraft = null;
    const first = (this.model.get("screen").actions ?? [])[0];
    if (first && this.usable(first)) this.press(first);
    else this.goToFirstProblem();
  }

  async onFileChosen(field, input) {
    const file = input.files[0];
    if (!file) return;
    this.localProblem = null;
    if (file.size > MAX_UPLOAD_BYTES) {
      this.localProblem = { name: field.name, text: `larger than ${MAX_UPLOAD_BYTES / 1e6} MB; read it with pandas and give the form the DataFrame` };
      input.value = "";
      this.refreshProblems();
      return;
    }
    const content = await file.arrayBuffer();
    this.draft += 1;
    this.sentDraft = this.draft;
    this.model.send({ event: "uploaded", name: file.name, ...this.seen() }, undefined, [content]);
    this.refreshButtons();
  }

  async onCopied() {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      this.copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(this.code); // the browser denies access to the clipboard; Ctrl+C still works
      this.copy.textContent = "Selected";
    }
  }

  onMessage(message, buffers) {
    if (message.event !== "file") return;
    const address = URL.createObjectURL(new Blob([buffers[0]], { type: "text/csv" }));
    make("a", { href: address, download: message.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  // ---- to Python

  typed({ secrets }) {
    const typed = {};
    for (const [name, { field, input }] of this.inputs) {
      if (field.input === "file") continue;
      if (field.input === "check") typed[name] = input.checked ? "yes" : "";
      // Report only whether a secret has a value, not the value.
      else if (field.secret && !secrets) typed[name] = input.value === "" ? "" : "given";
      else typed[name] = input.value;
    }
    return typed;
  }

  seen({ secrets = false } = {}) {
    const unfinished = [];
    for (const [name, { input }] of this.inputs) if (input.validity?.badInput) unfinished.push(name);
    const confirmation = this.confirmInput?.value ?? "";
    return { typed: this.typed({ secrets }), unfinished, confirmation, draft: `${this.id}:${this.draft}` };
  }

  keep() {
    const kept = this.typed({ secrets: false });
    for (const [name, { field }] of this.inputs) if (field.secret) delete kept[name];
    typedByPage.set(this.model.get("page_id"), kept);
  }

  sendDraft() {
    if (this.sentDraft > this.checkedDraft()) return; // one request at a time; refresh() sends the next draft
    this.sentDraft = this.draft;
    this.model.send({ event: "typed", ...this.seen() });
    clearTimeout(this.slow);
    this.slow = setTimeout(() => this.refreshButtons({ slow: true }), SLOW_MS);
  }

  checkedDraft() {
    const [view, draft] = (this.model.get("screen").checked ?? "").split(":");
    return view === this.id ? Number(draft) : this.lastCheckedDraft ?? -1;
  }

  usable(action) {
    return action.enabled && !this.isWorking() && this.checkedDraft() === this.draft;
  }

  isWorking() {
    const screen = this.model.get("screen");
    return screen.working || (this.pressedTurn !== null && screen.turn === this.pressedTurn);
  }

  press(action) {
    if (!this.usable(action)) return;
    this.pressedTurn = this.model.get("screen").turn;
    this.sentDraft = this.draft;
    this.model.send({ event: "pressed", action: action.name, turn: this.pressedTurn, ...this.seen({ secrets: true }) });
    for (const { field, input } of this.inputs.values()) if (field.secret) input.value = "";
    this.shown = ""; // the notice belongs to the press before
    this.notice.hidden = true;
    this.tables.replaceChildren();
    this.refreshButtons();
  }

  // ---- the part that changes

  refresh() {
    const screen = this.model.get("screen");
    const [view, draft] = (screen.checked ?? "").split(":");
    if (view === this.id) this.lastCheckedDraft = Number(draft);
    if (this.pressedTurn !== null && screen.turn !== this.pressedTurn && !screen.working) {
      this.pressedTurn = null;
      this.touched.clear();
      if ([...this.inputs.values()].some(({ field }) => field.secret)) this.draft += 1; // press() cleared them
    }
    this.banner.hidden = !screen.banner;
    this.banner.textContent = screen.banner || "";
    this.form.classList.toggle("sf-production", Boolean(screen.banner));
    for (const { input } of this.inputs.values()) input.disabled = screen.locked || screen.working;
    this.code.textContent = screen.python?.line ?? "";
    this.copy.disabled = !screen.python?.ready;
    this.copy.textContent = "Copy";
    this.hint.textContent = screen.hint || "";
    (screen.locked ? this.above : this.below).append(this.notice, this.tables);
    this.refreshConfirm(screen);
    this.refreshNotice(screen);
    this.refreshProblems();
    this.refreshButtons();
    this.moveFocus(screen);
    if (this.draft > this.sentDraft) this.sendDraft();
    this.followEnter();
  }

  refreshConfirm(screen) {
    const wanted = screen.confirm?.label ?? "";
    if (wanted === (this.confirmWanted ?? "")) return;
    this.confirmWanted = wanted;
    this.confirmInput = null;
    this.confirm.replaceChildren();
    if (!wanted) return;
    const id = `${this.id}-confirmation`;
    this.confirmInput = make("input", { id, type: "text", autocomplete: "off", spellcheck: false });
    this.confirmInput.addEventListener("input", () => this.onTyped({ secret: true }));
    this.confirm.append(make("label", { htmlFor: id, textContent: wanted }), this.confirmInput);
  }

  refreshNotice(screen) {
    const shown = JSON.stringify([screen.notice, screen.tables]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.form.classList.remove("sf-stale");
    const notice = screen.notice;
    this.notice.hidden = !notice;
    this.notice.className = `sf-notice sf-${notice?.kind ?? "info"}`;
    this.notice.setAttribute("role", ["refused", "unknown"].includes(notice?.kind) ? "alert" : "status");
    this.notice.replaceChildren();
    if (notice) {
      this.notice.append(make("p", { className: "sf-notice-title", textContent: notice.title }));
      for (const textContent of notice.lines) this.notice.append(make("p", { textContent }));
      if (notice.trace) {
        this.notice.append(make("p", {}, "Trace, for Sparkfly’s support: ", make("code", { textContent: notice.trace })));
      }
      if (notice.code) this.notice.append(make("pre", {}, make("code", { textContent: notice.code })));
    }
    this.tables.replaceChildren(...screen.tables.map((table) => buildTable(table)));
  }

  refreshProblems() {
    const { problems = {}, locked } = this.model.get("screen");
    const missed = [];
    for (const [name, { field, input, problem, place }] of this.inputs) {
      const found = this.localProblem?.name === name ? { level: "wrong", text: this.localProblem.text } : problems[name];
      const wrong = found?.level === "wrong" || (found && this.touched.has(name));
      problem.textContent = found && !locked ? found.text : "";
      problem.classList.toggle("sf-missing", !wrong);
      place.classList.toggle("sf-wrong", Boolean(wrong));
      if (wrong) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
      if (found) missed.push(field.label);
    }
    const general = problems[""];
    this.general.textContent = general && !locked ? general.text : "";
    this.general.classList.toggle("sf-missing", general?.level !== "wrong");
  }

  refreshButtons({ slow = false } = {}) {
    const screen = this.model.get("screen");
    const described = screen.actions ?? [];
    const names = JSON.stringify(described.map(({ name, label, look }) => [name, label, look]));
    if (names !== this.actionNames) {
      this.actionNames = names;
      this.actions.replaceChildren(...described.map((action) => {
        const button = make("button", { type: "button", className: `sf-button sf-${action.look}`, "data-action": action.name });
        // The second click of a double click may hit a button that appeared after the first.
        button.addEventListener("click", (event) => {
          if (event.detail < 2) this.press(this.model.get("screen").actions.find(({ name }) => name === action.name));
        });
        return button;
      }));
    }
    const working = this.isWorking();
    [...this.actions.children].forEach((button, at) => {
      button.disabled = !this.usable(described[at]);
      button.classList.toggle("sf-busy", working && at === 0);
      button.textContent = working && at === 0 ? "Working…" : described[at].label;
    });
    this.form.setAttribute("aria-busy", String(working));
    this.form.dataset.checked = String(!working && this.checkedDraft() === this.draft);
    if (this.checkedDraft() >= this.draft) clearTimeout(this.slow);
    this.form.classList.toggle("sf-waiting", slow && this.checkedDraft() < this.draft);
    if (!working) this.barBox.hidden = true;
  }

  showProgress() {
    const { done = 0, total = 0, unit = "row" } = this.model.get("progress") ?? {};
    if (!total || !this.model.get("screen").working) return;
    this.barBox.hidden = false;
    this.bar.max = total;
    this.bar.value = done;
    this.bar.setAttribute("aria-label", "finished");
    this.barText.textContent = `${done.toLocaleString("en")} of ${total.toLocaleString("en")} ${unit}s`;
  }

  // ---- focus

  moveFocus(screen) {
    const mark = `${screen.turn}:${screen.focus}`;
    if (this.marked === null) this.marked = mark; // a view that was just rendered does not move the focus
    if (screen.working || mark === this.marked || !screen.focus) return;
    this.marked = mark;
    // A disabled button loses the focus to an element around the form. Do not take the focus from any other element.
    const active = document.activeElement ?? document.body;
    if (!this.root.contains(active) && !active.contains(this.root)) return;
    if (screen.focus === "confirm" && this.confirmInput) this.confirmInput.focus();
    else if (screen.focus === "problem") this.goToFirstProblem();
    else if (!this.notice.hidden) this.notice.focus();
  }

  goToFirstProblem() {
    const { problems = {} } = this.model.get("screen");
    for (const name of Object.keys(problems)) this.touched.add(name);
    this.refreshProblems();
    const first = [...this.inputs.values()].find(({ field }) => field.name in problems);
    if (first) first.input.focus();
    else if ("" in problems) this.form.querySelector(".sf-group input, .sf-field input")?.focus();
    else this.confirmInput?.focus();
  }
}

function render({ model, el }) {
  const view = new View(model, el);
  model.on("change:screen", () => view.refresh());
  model.on("change:progress", () => view.showProgress());
  model.on("msg:custom", (message, buffers) => view.onMessage(message, buffers));
}

export default { render };
