// Marked passages: their list and their dialog. Offsets are kept in code points.

import { inUnits, paint } from "./judging_paint.js";
import { toPoints, toUnits } from "./judging_text.js";

const SHOWN_CHARACTERS = 80;

/** Keep the spans of one item. `onChange` is called after every change by the annotator, `say` speaks to them. */
export function createSpans({ texts, styles, types, onChange, say, editable, evidence }) {
  const dialog = document.getElementById("span-dialog");
  const containers = Object.fromEntries(
    [...document.querySelectorAll(".answer")].map((element) => [element.dataset.side, element]),
  );
  const looks = Object.fromEntries(Object.keys(containers).map((side) => [side, inUnits(texts[side], styles[side])]));
  let spans = [];

  function render() {
    for (const [side, container] of Object.entries(containers)) {
      const text = texts[side];
      const own = spans.filter((span) => span.side === side);
      const marks = own.map((span, index) => ({
        start: toUnits(text, span.start),
        end: toUnits(text, span.end),
        number: index + 1,
        major: span.severity === "major",
      }));
      paint(container, text, marks, looks[side]);
      document.querySelector(`[data-spans="${side}"]`).replaceChildren(...own.map(row));
    }
  }

  function row(span) {
    const item = document.createElement("li");
    const edit = button("span-edit", shorten(span.quote), () => ask(span, item));
    edit.setAttribute("aria-label", `Edit mark: ${span.quote}`);
    const words = document.createElement("span");
    words.className = "muted";
    words.textContent = [span.severity, types[span.type], span.note].filter(Boolean).join(" · ");
    const remove = button("btn btn-quiet btn-icon span-delete", "×", () => take(span));
    remove.setAttribute("aria-label", `Delete mark: ${span.quote}`);
    item.append(edit, words, remove);
    return item;
  }

  function button(className, text, act) {
    const element = document.createElement("button");
    Object.assign(element, { type: "button", className, textContent: text, disabled: !editable });
    element.addEventListener("click", act);
    return element;
  }

  function take(span) {
    spans = spans.filter((other) => other !== span);
    changed("Mark deleted. Ctrl+Z brings it back.");
    containers[span.side].focus();
  }

  function changed(words) {
    render();
    say(words);
    onChange();
  }

  /** Ask for kind, severity and note; resolves when the dialog is closed, true when the mark was kept. */
  function ask(span) {
    const form = dialog.querySelector("form");
    form.reset();
    form.elements.severity.value = span.severity ?? "minor";
    form.elements.type.value = span.type ?? "wrong_fact";
    form.elements.note.value = span.note ?? "";
    document.getElementById("span-quote").textContent = shorten(span.quote);
    dialog.returnValue = "cancel";
    dialog.showModal();
    evidence?.show(dialog.querySelector("[data-evidence-host]"), span);
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(keep(span, form.elements)), { once: true });
    });
  }

  function keep(span, fields) {
    if (dialog.returnValue !== "save") return false;
    const filled = { severity: fields.severity.value, type: fields.type.value, note: fields.note.value.trim(), ...evidence?.answers(span) };
    const known = spans.includes(span);
    spans = known ? spans.map((other) => (other === span ? { ...span, ...filled } : other)) : [...spans, { ...span, ...filled }];
    changed(known ? "Mark changed." : `Marked: ${shorten(span.quote)}`);
    return true;
  }

  /** Mark a stretch of one response, given in UTF-16 units. */
  function mark(side, start, end) {
    const text = texts[side];
    return ask({ side, start: toPoints(text, start), end: toPoints(text, end), quote: text.slice(start, end) });
  }

  return {
    mark,
    containers,
    all: () => spans.map(({ side, start, end, quote, type, severity, note, evidence: judged = [], no_evidence = false }) => (
      { side, start, end, quote, type, severity, note, evidence: judged, no_evidence }
    )),
    restore(saved) {
      spans = saved.map((span) => ({ ...span }));
      render();
    },
  };
}

function shorten(quote) {
  const shown = [...quote.replace(/\s+/gu, " ")];
  return shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS).join("")}…` : shown.join("");
}
