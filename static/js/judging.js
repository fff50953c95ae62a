// One item to judge: wires the form, saving, marking, timing and keys together.

import { createCaret } from "./judging_caret.js";
import { fill, firstMissing, nameOf, read, substance } from "./judging_form.js";
import { focusRow, listenToKeys } from "./judging_keys.js";
import { keepLease } from "./judging_lease.js";
import { forget, waiting } from "./judging_outbox.js";
import { createSaver } from "./judging_save.js";
import { createSpans } from "./judging_spans.js";
import { createStatus, savedWords } from "./judging_status.js";
import { createTimer } from "./judging_timer.js";

const form = document.getElementById("judging");
const item = JSON.parse(form.dataset.item);
const columns = form.querySelector(".judging-columns");
const bar = form.querySelector(".judging-bar");
const guide = document.getElementById("guidelines");
const time = createTimer({ activeMs: item.answer.active_ms, wallMs: item.answer.wall_ms });
const say = (words) => { document.getElementById("judging-said").textContent = words; };

const evidence = item.questions.evidence
  ? (await import("./judging_evidence.js")).createEvidence({ token: item.token, editable: item.open, say }) : null;
const spans = createSpans({ texts: item.texts, styles: item.styles, types: item.types, editable: item.open, say, evidence, onChange: () => saver.touch() });
const caret = createCaret({ texts: item.texts, spans, say });
const saver = createSaver({
  token: item.token,
  outbox: item.outbox,
  revision: item.answer.revision,
  collect: () => ({ ...read(form), spans: spans.all(), ...time() }),
  show: createStatus({ freeze, leave }),
});

function freeze(on) {
  columns.inert = on;
  bar.inert = on;
}

function leave(url, { discard = false } = {}) {
  if (discard) saver.discard();
  if (url === location.href) location.reload();
  else location.assign(url);
}

function reveal(place) {
  const side = place.closest("[data-side]")?.dataset.side;
  if (!side) return;
  columns.dataset.view = side;
  document.querySelector(`[name=view][value=${side}]`).checked = true;
}

/** Put the focus on what is missing, or on the button when nothing is; returns what is missing. */
function nextMissing() {
  const place = firstMissing(form);
  if (!place) form.querySelector(".judging-submit").focus();
  else if (place.matches("[data-row]")) focusRow(place, reveal);
  else place.focus();
  return place;
}

const acts = {
  undo: spans.undo,
  help: () => document.getElementById("help-dialog").showModal(),
  submit() {
    const place = item.open && nextMissing();
    if (place) say(`Still missing: ${nameOf(place)}`);
    else if (item.open) saver.submit();
  },
  raw() {
    const raw = form.toggleAttribute("data-raw");
    form.querySelector("[data-act=raw]").setAttribute("aria-pressed", String(raw));
    say(raw ? "Both responses are shown as they were written." : "Both responses are shown formatted.");
  },
  mark(event) {
    if (!item.open || !item.questions.spans) return;
    const asked = event?.target.closest("[data-side]")?.dataset.side;
    const side = caret.side() ? (caret.side() === "left" ? "right" : "left") : (asked ?? columns.dataset.view);
    reveal(spans.containers[side]);
    caret.enter(side);
  },
  guidelines() {
    guide.hidden = !guide.hidden;
    form.toggleAttribute("data-guide", !guide.hidden);
    for (const button of form.querySelectorAll("[aria-controls=guidelines]")) button.setAttribute("aria-expanded", String(!guide.hidden));
  },
  flag() {
    form.querySelector(".judging-more").open = true;
    form.elements.flagged.click();
    say(form.elements.flagged.checked ? "Flagged." : "Flag removed.");
  },
  skip() {
    [...form.elements.preference].find((radio) => radio.value === "cannot_judge").click();
    form.elements.skip_reason.focus();
  },
};

form.addEventListener("submit", (event) => {
  event.preventDefault();
  acts.submit();
});
for (const kind of ["change", "input"]) {
  document.addEventListener(kind, (event) => {
    if (event.target.name === "view") columns.dataset.view = event.target.value;
    else if (item.open && form.contains(event.target)) saver.touch();
  });
}
form.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) acts[button.dataset.act](event);
});
document.addEventListener("click", async (event) => {
  // A link inside this tab waits until the work is safe; when it is not, the browser asks before leaving.
  const link = event.target.closest("a[href]");
  if (!link || link.target || event.ctrlKey || event.metaKey || event.shiftKey || !saver.unsaved()) return;
  event.preventDefault();
  await saver.flush();
  if (!saver.unsaved()) location.assign(link.href);
});

form.dataset.js = "";
for (const button of form.querySelectorAll("[data-act]")) button.hidden = false;
spans.restore(item.answer.spans);
if (item.open && !item.submitted) keepLease(item.token, item.lease_s);
listenToKeys({ form, acts, caret, nextMissing, reveal });
if (item.answer.revision) document.getElementById("save-state").textContent = savedWords(item.answer);

const kept = item.open && waiting(item.outbox);
if (kept && !kept.attempt && substance(kept.answer) === substance(item.answer)) {
  forget(item.outbox);
} else if (kept) {
  fill(form, kept.answer);
  spans.restore(kept.answer.spans);
  say("Work that could not be saved earlier is back.");
  saver.resume(kept);
}
