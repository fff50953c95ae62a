// One item to judge: wires the form, saving, marking, timing and keys together.

import { createActs } from "./judging_acts.js";
import { watchForBreak } from "./judging_break.js";
import { createCaret } from "./judging_caret.js";
import { createCompare } from "./judging_compare.js";
import { fill, read, substance } from "./judging_form.js";
import { listenToKeys } from "./judging_keys.js";
import { keepLease } from "./judging_lease.js";
import { createLeaving } from "./judging_leave.js";
import { createLogin } from "./judging_login.js";
import { forget, waiting } from "./judging_outbox.js";
import { createReading } from "./judging_reading.js";
import { createSaver } from "./judging_save.js";
import { createSelecting } from "./judging_select.js";
import { createShortcuts } from "./judging_shortcuts.js";
import { createSpans } from "./judging_spans.js";
import { createStatus, savedWords } from "./judging_status.js";
import { createTimer } from "./judging_timer.js";
import { createTrial } from "./judging_trial.js";
import { createUndo, lastPassed, pass } from "./judging_undo.js";
import { createView } from "./judging_view.js";

const form = document.getElementById("judging");
const item = JSON.parse(form.dataset.item);
const said = document.getElementById("judging-said");
const say = (words) => { said.textContent = words; };
const time = createTimer({ activeMs: item.answer.active_ms, wallMs: item.answer.wall_ms });
const view = createView(form, say);
const signIn = createLogin();
const compare = createCompare({ questions: item.questions, types: item.types, words: savedWords });
const shortcuts = createShortcuts(item.shortcuts, say);

const evidence = item.questions.evidence && !item.trial
  ? (await import("./judging_evidence.js").catch(() => null))?.createEvidence({ token: item.token, editable: item.open, say }) : null;
const spans = createSpans({ texts: item.texts, styles: item.styles, types: item.types, editable: item.open, say, evidence, onChange: () => changed() });
const marking = { form, texts: item.texts, containers: spans.containers, editable: item.open && item.questions.spans, mark: spans.mark, say };
const selecting = createSelecting(marking);
const caret = createCaret({ texts: item.texts, spans, exact: selecting.exact, say });
spans.restore(item.answer.spans);

const reading = createReading({
  form,
  saved: item.answer.reading,
  wall: time.wall,
  free: !item.open || item.submitted || Boolean(item.answer.preference),
  reveal: view.reveal,
  say,
});
const capture = () => ({ ...read(form), spans: spans.all() });
const show = createStatus({
  freeze,
  leave: (url, how) => leaving.leave(url, how),
  signIn,
  compare: (current, { mine, other }) => compare(capture(), current, {
    mine,
    other() {
      restore(current.answer);
      undo.note();
      other();
    },
  }),
  passed: () => pass(item.token),
});
const collect = () => ({ ...capture(), reading: reading(), ...time.spent() });
const saver = item.trial ? createTrial() : createSaver({ token: item.token, outbox: item.outbox, revision: item.answer.revision, collect, show });
const leaving = createLeaving({ saver, show });
const undo = createUndo({
  name: item.outbox,
  capture,
  restore(kept) {
    restore(kept);
    saver.touch();
  },
  same: (one, other) => substance(one) === substance(other),
  say,
  show: (any) => form.querySelector("[data-act=redo]").setAttribute("aria-disabled", String(!any)),
  back() {
    const before = lastPassed(item.token);
    if (before) leaving.go(`/judge/${before}#undo`);
    else say("There is nothing to undo.");
  },
});

function restore(answer) {
  fill(form, answer);
  spans.restore(answer.spans);
}

function changed(place) {
  undo.note(place);
  saver.touch();
}

function freeze(on) {
  for (const part of [form.querySelector(".judging-columns"), form.querySelector(".judging-bar")]) part.inert = on;
}

const acts = createActs({ form, item, saver, undo, view, selecting, caret, containers: spans.containers, say });

form.addEventListener("submit", (event) => {
  event.preventDefault();
  acts.submit();
});
for (const kind of ["change", "input"]) {
  document.addEventListener(kind, (event) => {
    if (item.open && form.contains(event.target)) changed(event.target);
  });
}
form.addEventListener("click", (event) => acts[event.target.closest("[data-act]")?.dataset.act]?.(event));
document.getElementById("change-keys").addEventListener("click", () => {
  document.getElementById("help-dialog").close();
  shortcuts.open();
});

form.dataset.js = "";
for (const button of form.querySelectorAll("[data-act]")) button.hidden = false;
if (item.open && !item.submitted && !item.trial) keepLease(item.token, item.lease_s);
watchForBreak(time.onActive);
listenToKeys({ form, acts, caret, shortcuts, view });
if (item.answer.revision) document.getElementById("save-state").textContent = savedWords(item.answer);
leaving.arrived();

const kept = item.open && waiting(item.outbox);
if (kept && !kept.attempt && substance(kept.answer) === substance(item.answer)) {
  forget(item.outbox);
} else if (kept) {
  restore(kept.answer);
  undo.settle();
  say("Work that could not be saved earlier is back.");
  saver.resume(kept);
}
