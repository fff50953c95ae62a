// A judging page to try out takes a saver that saves nothing, and says so.

import { toast } from "./toast.js";

/** What `createSaver` returns, for a page whose answer goes nowhere. */
export function createTrial() {
  const line = document.getElementById("save-state");
  return {
    touch() { line.textContent = "not stored: this is a trial"; },
    submit() { toast("Complete. An annotator's answer would be stored now, and the next item would follow.", "info"); },
    unsaved: () => false,
    resume() {},
    discard() {},
    flush: () => null,
  };
}
