// What a button or a key of the judging page does, by name.

import { firstMissing, nameOf } from "./judging_form.js";
import { createGuide } from "./judging_guide.js";
import { focusRow } from "./judging_keys.js";

/** Build the acts of one item; `data-act` and the keys name them. */
export function createActs({ form, item, saver, undo, view, selecting, caret, containers, say }) {
  /** Put the focus on what is missing, or on the button when nothing is; returns what is missing. */
  function nextMissing() {
    const place = firstMissing(form);
    if (!place) form.querySelector(".judging-submit").focus();
    else if (place.matches("[data-row]")) focusRow(place, view.reveal);
    else place.focus();
    return place;
  }

  return {
    nextMissing,
    undo: undo.undo,
    redo: undo.redo,
    raw: view.raw,
    link: view.link,
    full: view.full,
    exact: selecting.toggle,
    guidelines: createGuide(form),
    help: () => document.getElementById("help-dialog").showModal(),
    submit() {
      const place = item.open && nextMissing();
      if (place) say(`Still missing: ${nameOf(place)}`);
      else if (item.open) saver.submit();
    },
    mark(event) {
      if (!item.open || !item.questions.spans) return;
      const asked = event?.target.closest("button[data-side]")?.dataset.side;
      const side = caret.side() ? (caret.side() === "left" ? "right" : "left") : (asked ?? view.side());
      view.reveal(containers[side]);
      caret.enter(side);
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
}
