// The keyboard: rows, ratings, and single letters that may be switched off. What has the focus decides what a digit means.

const SWITCH = "tuneshift-judging-keys";
const TYPING = "input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]";

/** Listen on the document. `acts` are the things a letter does; `caret` may take keys first. */
export function listenToKeys({ form, acts, caret, shortcuts, view }) {
  const toggle = document.getElementById("keys-on");
  toggle.checked = remembered() !== "off";
  toggle.addEventListener("change", () => remember(toggle.checked ? "on" : "off"));

  const letters = {
    mark: acts.mark,
    skip: acts.skip,
    flag: acts.flag,
    guidelines: acts.guidelines,
    raw: acts.raw,
    help: acts.help,
    next_row: (event) => step(1, event),
    previous_row: (event) => step(-1, event),
    link_scroll: acts.link,
    redo: acts.redo,
  };

  document.addEventListener("keydown", (event) => {
    // Keys that belong to an input method, to a dialog or to somebody else's handler are theirs.
    if (event.defaultPrevented || event.isComposing || event.keyCode === 229) return;
    if (document.querySelector("dialog[open]")) return;
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key === "Enter") return use(event, acts.submit);
    if (caret.take(event)) return;
    const typing = event.target.matches(TYPING);
    if (control && !typing && /^[zy]$/iu.test(event.key)) return use(event, event.shiftKey || /y/iu.test(event.key) ? acts.redo : acts.undo);
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
    if (event.key === "PageDown" || event.key === "PageUp") return leaf(event);
    const act = toggle.checked ? letters[shortcuts.act(event.key)] : undefined;
    if (act) use(event, act);
  }

  /** The responses turn a page from wherever the focus is, unless it is in a box that scrolls by itself. */
  function leaf(event) {
    if (event.target.matches(".answer, .prompt-text, .guide-text")) return;
    if (view.page(event.key === "PageDown" ? 1 : -1, event.target)) event.preventDefault();
  }

  function enter(event, typing) {
    const own = event.target.closest("button, a, summary");
    if (!own || typing) use(event, acts.nextMissing);
  }

  function step(by, event) {
    const rows = rowsOf(form);
    const at = rows.indexOf(event.target.closest("[data-row]"));
    const to = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
    use(event, () => focusRow(rows[to], view.reveal));
  }
}

/** The rows that can be answered; one on the side that is out of view counts, one that is not asked now does not. */
function rowsOf(form) {
  return [...form.querySelectorAll("[data-row]")].filter((row) => getComputedStyle(row).display !== "none");
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
