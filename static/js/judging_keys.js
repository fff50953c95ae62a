// The keyboard: rows, ratings, and single letters that may be switched off. What has the focus decides what a digit means.

const SWITCH = "tuneshift-judging-keys";
const TYPING = "input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]";

/** Listen on the document. `acts` are the things a letter does; `caret` may take keys first. */
export function listenToKeys({ form, acts, caret, nextMissing, reveal }) {
  const toggle = document.getElementById("keys-on");
  toggle.checked = remembered() !== "off";
  toggle.addEventListener("change", () => remember(toggle.checked ? "on" : "off"));

  const letters = {
    m: () => acts.mark(),
    g: () => acts.guidelines(),
    r: () => acts.raw(),
    f: () => acts.flag(),
    s: () => acts.skip(),
    "?": () => acts.help(),
    j: (event) => step(1, event),
    k: (event) => step(-1, event),
  };

  document.addEventListener("keydown", (event) => {
    // Keys that belong to an input method, to a dialog or to somebody else's handler are theirs.
    if (event.defaultPrevented || event.isComposing || event.keyCode === 229) return;
    if (document.querySelector("dialog[open]")) return;
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key === "Enter") return use(event, acts.submit);
    if (caret.take(event)) return;
    const typing = event.target.matches(TYPING);
    if (control && event.key === "z" && !typing) return use(event, acts.undo);
    if (control || event.altKey) return;
    if (event.key === "Enter") return enter(event, typing);
    if (event.key === "Escape" && typing) return event.target.blur();
    if (!typing) plain(event);
  });

  function plain(event) {
    const row = event.target.closest("[data-row]");
    if (row && event.key === "ArrowDown") return step(1, event);
    if (row && event.key === "ArrowUp") return step(-1, event);
    if (row && /^[1-5]$/u.test(event.key)) return use(event, () => choose(row, Number(event.key)));
    const act = toggle.checked ? letters[event.key] : undefined;
    if (act) use(event, act);
  }

  function enter(event, typing) {
    const own = event.target.closest("button, a, summary");
    if (!own || typing) use(event, nextMissing);
  }

  function step(by, event) {
    const rows = [...form.querySelectorAll("[data-row]")];
    const at = rows.indexOf(event.target.closest("[data-row]"));
    const to = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
    use(event, () => focusRow(rows[to], reveal));
  }
}

function choose(row, number) {
  const radio = row.querySelectorAll("input[type=radio]")[number - 1];
  if (!radio || radio.disabled) return;
  radio.focus();
  radio.click();
}

/** Put the focus on a row: on what is chosen there, or on its first choice. */
export function focusRow(row, reveal) {
  reveal(row);
  (row.querySelector("input:checked") ?? row.querySelector("input")).focus();
  row.scrollIntoView({ block: "nearest" });
}

function use(event, act) {
  event.preventDefault();
  act(event);
}

function remembered() {
  try {
    return localStorage.getItem(SWITCH);
  } catch {
    return null;
  }
}

function remember(value) {
  try {
    localStorage.setItem(SWITCH, value);
  } catch {
    // Without storage the switch lasts for this page.
  }
}
